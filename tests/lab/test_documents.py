"""docs/theory.md names what exists: commands, experiments and figures."""

from __future__ import annotations

import re
from pathlib import Path

from evenly.lab.running import EXPERIMENTS

THEORY = Path(__file__).parents[2] / "docs" / "theory.md"


def test_every_experiment_has_its_command_and_figure() -> None:
    text = THEORY.read_text(encoding="utf-8")
    figures = re.findall(r"!\[[^]]*\]\(figures/lab-(\w+)\.png\)", text)
    assert sorted(figures) == sorted(EXPERIMENTS)
    for name in figures:
        assert (THEORY.parent / "figures" / f"lab-{name}.png").exists()
    named = set(re.findall(r"`evenly lab (\w+)", text))
    assert named == set(EXPERIMENTS)


def test_links_within_the_document_lead_somewhere() -> None:
    text = THEORY.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= slugs
