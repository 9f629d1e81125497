"""Several sources: what is kept of each is said, and a source that is nearly lost is a warning with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenly.controls.choice import Choice
from evenly.controls.findings import nearly_lost
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A source whose rows lie apart, and one of a template whose rows lie close together."""
    draw = np.random.default_rng(0)
    apart, close = draw.standard_normal((200, 8)), 8 + 0.01 * draw.standard_normal((400, 8))
    for name, vectors in (("wide.jsonl", apart), ("template.jsonl", close)):
        lines = [
            json.dumps({"text": f"{name} {row}", "v": vector.tolist()}) for row, vector in enumerate(vectors)
        ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return [str(tmp_path / "wide.jsonl"), str(tmp_path / "template.jsonl")]


def run(files: list[str], **controls: object) -> Recorded:
    choice = Choice.of(keep="20%", **controls)
    pool = PoolRequest(files, encoder="column:v", use_cache=False)
    return select_sources(SelectRequest(pool, choice, str(Path(files[0]).with_name("kept.jsonl"))))


def test_a_source_that_is_nearly_lost_is_a_warning(files: list[str]) -> None:
    outcome = run(files)
    shares = outcome.measures["controls"]["sources"]
    assert {name: part["pool"] for name, part in shares.items()} == {"wide.jsonl": 200, "template.jsonl": 400}
    assert sum(part["kept"] for part in shares.values()) == outcome.manifest.kept == 120
    assert shares["template.jsonl"]["kept"] <= 5
    lines = outcome.notes()
    assert any(line.startswith("template.jsonl: ") and "of 400 rows kept" in line for line in lines)
    warnings = [line for line in lines if line.startswith("warning: template.jsonl is nearly lost")]
    assert len(warnings) == 1
    assert "`by=source` and `quota=proportional`" in warnings[0]


def test_the_remedy_keeps_every_share(files: list[str]) -> None:
    outcome = run(files, by="source", quota="proportional")
    assert outcome.measures["controls"]["sources"] == {
        "wide.jsonl": {"kept": 40, "pool": 200},
        "template.jsonl": {"kept": 80, "pool": 400},
    }
    assert not [line for line in outcome.notes() if "nearly lost" in line]


@pytest.mark.parametrize("by", ["kind", "source"])
def test_a_group_that_is_nearly_lost_is_a_warning(by: str, files: list[str]) -> None:
    for file in files:
        rows = [json.loads(line) for line in Path(file).read_text().splitlines()]
        lines = (json.dumps({**row, "kind": row["text"].split(".")[0]}) for row in rows)
        Path(file).write_text("".join(f"{line}\n" for line in lines))
    plain, outcome = run(files), run(files, by=by)
    assert (outcome.selection.rows == plain.selection.rows).all()
    name = "template" if by == "kind" else "template.jsonl"
    assert outcome.measures["controls"]["groups"][name]["pool"] == 400
    warnings = [line for line in outcome.notes() if "is nearly lost" in line]
    assert len(warnings) == (2 if by == "kind" else 1)
    assert "`quota=proportional`" in warnings[-1]


def test_a_field_of_the_records_goes_before_the_name_of_the_source(tmp_path: Path) -> None:
    from evenly.rows.sources import read_rows

    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name, "source": "own"}) + "\n")
        (tmp_path / f"plain-{name}").write_text(json.dumps({"text": name}) + "\n")
    assert read_rows([f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]).field("source") == ["own", "own"]
    plain = read_rows([f"{tmp_path}/plain-a.jsonl", f"{tmp_path}/plain-b.jsonl"])
    assert plain.field("source") == ["plain-a.jsonl", "plain-b.jsonl"]
    assert plain.field("source", 1, 2) == ["plain-b.jsonl"]
    assert "source" in plain.scalar_fields()


def test_small_parts_are_no_alarm() -> None:
    assert nearly_lost({"large": {"kept": 90, "pool": 1000}, "tiny": {"kept": 0, "pool": 20}}) == {}
    assert nearly_lost({"large": {"kept": 100, "pool": 500}, "lost": {"kept": 1, "pool": 500}}) == {
        "lost": 0.002
    }
