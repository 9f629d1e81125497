"""docs/verdicts.md: what comparisons with a pretrained model came to, from saved results alone.

    python benchmarks/verdicts.py --add mixed=FOLDER --about "…" --model-name "Gemma 3 270M"
    python benchmarks/verdicts.py

The first takes the result of a comparison into benchmarks/results/verdicts, without the paths of the machine that it
was made on. The second writes the document from all results there; no table in it is written by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import ROOT, machine

from evenly.report.comparison_tables import arm_rows, look_rows, source_rows
from evenly.train.settings import Request
from evenly.train.statistics import LEVEL, holm

RESULTS = ROOT / "benchmarks" / "results" / "verdicts"
DOCUMENT = ROOT / "docs" / "verdicts.md"
ASKED = {
    "random test at equal steps": "random test, equal rows",
    "even test at equal steps": "even test, equal rows",
    "random test at equal answer tokens": "random test, equal answer tokens",
    "even test at equal answer tokens": "even test, equal answer tokens",
}
"""The questions that arms are held against random rows by, and their names where all arms have as many rows."""
HEAD = """# What comparisons came to

`python benchmarks/verdicts.py` writes this page from the results in `benchmarks/results/verdicts`, each the
`comparison.json` of a run of `evenly compare` without the machine's paths. How a comparison is made and judged:
[comparison.md](comparison.md).

Losses are nats per answer token, mean ± spread over seeds; lower is better. Differences are paired by seed against
random rows, with 95 % intervals. **Called** is what stands when all arms and questions of a table are judged together
at the 5 % level (Holm); with few seeds that is only what is large, and the last column says how large a difference had
to be to be called alone. Seconds come from cores that other work shared; they say what was counted and compare nothing.
"""


def without_paths(folder: Path, model: str) -> dict[str, Any]:
    """The result of a comparison, with the model under a name and every source under its own."""
    result = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    named, text = result["request"]["model"], json.dumps(result)
    for path in filter(None, [named, *result["request"]["sources"]]):
        short = model if path == named else Path(path).name
        text = text.replace(json.dumps(path)[1:-1], short)
    found: dict[str, Any] = json.loads(text)
    return found


def add(name: str, folder: Path, about: str, model: str) -> None:
    """Takes a result in."""
    record = {"name": name, "about": about, "machine": machine(), "result": without_paths(folder, model)}
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def table(rows: list[list[str]]) -> list[str]:
    """Rows as Markdown, a head first."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def against_random(variant: dict[str, Any]) -> list[list[str]]:
    """Every arm against random rows by the questions asked, judged together."""
    asked = [
        (pair["first"], answer)
        for pair in variant["pairs"]
        if pair["second"] == "random"
        for answer in pair["answers"]
        if answer["question"] in ASKED and answer["seeds"] >= 2
    ]
    stands = holm([answer["p"] for _, answer in asked], LEVEL)
    rows = [["arm", "question", "difference", "95 %", "p", "called", "could be called"]]
    for (arm, answer), held in zip(asked, stands, strict=True):
        better = "better" if answer["value"] < 0 else "worse"
        rows.append(
            [
                arm,
                ASKED[answer["question"]],
                f"{answer['value']:+.3f}",
                f"{answer['low']:+.3f} to {answer['high']:+.3f}",
                f"{answer['p']:.3f}",
                f"**{better}**" if held else "no",
                "-" if answer["detectable"] is None else f"{answer['detectable']:.3f}",
            ]
        )
    return rows


def asked_for(request: dict[str, Any]) -> list[str]:
    """The recipe of a comparison: what was asked for beyond the defaults."""
    plain = json.loads(Request().model_dump_json())
    changed = {
        name: value
        for name, value in request.items()
        if value != plain.get(name) and name not in ("training", "sources_sha256")
    }
    training = {
        name: value for name, value in request["training"].items() if value != plain["training"].get(name)
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in changed.items()]
    return [*lines, f"training: {json.dumps(training)}"]


def section(record: dict[str, Any]) -> list[str]:
    """One comparison."""
    result = record["result"]
    request, training = result["request"], result["request"]["training"]
    lines = [f"## {record['name']}", "", record["about"], ""]
    trained = (
        f"the last {training['last_blocks']} blocks"
        if training["last_blocks"]
        else f"adapters of rank {training['lora']['rank']}"
        if training["lora"]
        else "all weights"
    )
    seeds = max((len(arm["seeds"]) for variant in result["variants"] for arm in variant["arms"]), default=0)
    lines += [
        f"{result['model']}, {trained} trained in steps of {training['batch']} rows at {result['rate']:g}; pool "
        f"{result['pool_rows']:,} rows, {request['keep']} kept, tests of "
        f"{' and '.join(str(count) for count in result['test_rows'].values())} rows, at most {seeds} seeds an arm.",
        "",
    ]
    lines += ["```yaml", *asked_for(request), "```", ""]
    for variant in result["variants"]:
        for title, rows in (
            ("Arms", arm_rows(variant)),
            ("Random test by source, at equal rows", source_rows(variant)),
            ("Random test, what is equal", look_rows(variant)),
            ("Even test, what is equal", look_rows(variant, "even_test")),
            ("Against random rows", against_random(variant)),
        ):
            if len(rows) > 1:
                lines += [f"**{title}**", "", *table(rows), ""]
        if variant["failed"]:
            lines += [f"Not finished: {'; '.join(variant['failed'])}.", ""]
    lines += [paragraph + "\n" for paragraph in result["verdict"] if "vocabulary was trimmed" in paragraph]
    return lines


def document() -> str:
    """The page, from all results."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    lines = [HEAD] + [line for record in records for line in section(record)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--add", help="NAME=FOLDER of a comparison")
    parser.add_argument("--about", default="", help="what its pool is, in a sentence")
    parser.add_argument("--model-name", default="", help="what its model is called")
    asked = parser.parse_args()
    if asked.add:
        name, _, folder = asked.add.partition("=")
        add(name, Path(folder), asked.about, asked.model_name)
    DOCUMENT.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
