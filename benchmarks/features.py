"""Features of a language model: rows a second beside the bare model, how features agree, what each picks.

Run: ``python benchmarks/features.py speed MODEL FILE`` and ``python benchmarks/features.py pools MODEL FILE…
[--rows 1000] [--few 150]``, each of which fills its part of benchmarks/results/features.json;
``python benchmarks/features.py tables`` puts both into docs/features.md. MODEL is a folder, such as
benchmarks/gemma.py makes.

**speed** runs batches of the file's rows, each by every contender in turn, on one core and by its processor time, so
that other work on the machine counts little. Ratios are taken within a batch.

**pools** takes random rows of every file (seed 0). Features that cost little are made of ``--rows`` of them, the others
of the first ``--few``; a comparison is over rows that both have. Distances of pairs of rows under two features are
compared by their rank correlation (Spearman's), picks by the share that two selections of a tenth have in common (a
random pair shares a tenth), and features by whether a row's nearest other row is of its own group where rows have
one (``--group``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, ROOT, machine

from evenly import select
from evenly.engine.points import Points
from evenly.opened import open_pool
from evenly.rows.sources import read_rows
from evenly.vectors.registry import encoder_of, load_encoder, pool_request
from evenly.vectors.whitening import whitening_of

RESULT = RESULTS / "features.json"
DOCUMENT = ROOT / "docs" / "features.md"
PAIRS = 20_000
BATCHES = 8
TOKENS_A_ROW = 110
"""About those of alpaca_data, for costs of 10,000 rows."""

Vectors = dict[str, np.ndarray]


# Speed


def speed(model: str, source: str) -> dict[str, Any]:
    """Processor seconds of the bare model's passes over those of the features, batch by batch."""
    torch.set_num_threads(1)
    drawn = sample(source, 120)
    with tempfile.TemporaryDirectory() as folder:
        rows = read_rows([written(drawn, Path(folder) / "rows.jsonl")])
        encoders: dict[str, Any] = {
            "hidden, middle layer": load_encoder(f"hidden:{model}@50%"),
            "hidden, last layer": load_encoder(f"hidden:{model}@100%"),
            "gradients, all blocks": load_encoder(f"gradients:{model}"),
            "gradients, last 4 blocks": load_encoder(f"gradients:{model}", layers="4"),
        }
        kind = encoder_of(pool_request(encoder=f"hidden:{model}"))
        texts, _ = kind.texts(rows)
        for encoder in encoders.values():
            encoder.begin()
        read = [encoders["hidden, middle layer"].read_row(text, 0) for text in texts]
        batches = [batch for _, batch in encoders["hidden, middle layer"].batches(read)]
        full = [batch for batch in batches if batch.rows == len(batch.ids)][
            :: max(1, len(batches) // BATCHES)
        ]
        network = load_encoder(f"hidden:{model}").model.network
    bare: dict[str, Callable[[Any], Any]] = {
        "forward": lambda batch: forward(network, batch),
        "forward and backward": lambda batch: trained(network, batch),
    }
    ours = {name: encoder.run for name, encoder in encoders.items()}
    spent: dict[str, list[float]] = {name: [] for name in (*bare, *ours)}
    tokens, answers = [], []
    for batch in full[:BATCHES]:
        for name, work in {**bare, **ours}.items():
            started = time.thread_time()
            work(batch)
            spent[name].append(time.thread_time() - started)
        tokens.append(int(batch.tokens.sum()))
        answers.append(int(batch.answer.sum()))
    base = {name: "forward" if name.startswith("hidden") else "forward and backward" for name in ours}
    return {
        "rows": sum(batch.rows for batch in full[:BATCHES]),
        "batches": len(tokens),
        "tokens": sum(tokens),
        "answer_tokens": sum(answers),
        "seconds_per_1000_tokens": {
            name: round(1000 * sum(each) / sum(tokens), 3) for name, each in spent.items()
        },
        "speed_against_bare": {
            name: round(
                statistics.median(b / o for b, o in zip(spent[base[name]], spent[name], strict=True)), 2
            )
            for name in ours
        },
    }


def forward(network: Any, batch: Any) -> None:
    """The model's body alone: what any feature of it must pay."""
    with torch.inference_mode():
        network.base_model(**batch.inputs())


def trained(network: Any, batch: Any) -> None:
    """A training step without its update: loss of the answers, gradients of every weight."""
    network.requires_grad_(True)
    labels = batch.ids.masked_fill(~batch.answer, -100)
    network(**batch.inputs(), labels=labels).loss.backward()
    network.zero_grad(set_to_none=True)
    network.requires_grad_(False)


# Pools


def sample(source: str, count: int) -> list[dict[str, Any]]:
    """Random records of a file, seed 0."""
    rows = read_rows([source])
    drawn = np.random.default_rng(0).permutation(len(rows))[:count]
    return [rows.record(int(row)) for row in drawn]


def written(records: Sequence[dict[str, Any]], path: Path) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def vectors_of(source: str, encoder: str, **options: Any) -> np.ndarray:
    """Raw vectors of a file's rows."""
    request = pool_request([source], encoder=encoder, metric="euclidean", **options)
    with open_pool(request) as pool:
        return np.array(pool.points.vectors)


def features_of(model: str, records: list[dict[str, Any]], few: int) -> Vectors:
    """Every feature of the rows."""
    found: Vectors = {}
    with tempfile.TemporaryDirectory() as folder:
        many = written(records, Path(folder) / "many.jsonl")
        first = written(records[:few], Path(folder) / "few.jsonl")
        asked: dict[str, tuple[str, str, dict[str, Any]]] = {
            "text (minilm)": (many, "minilm", {}),
            "hidden @50%": (many, f"hidden:{model}@50%", {}),
            "hidden @50% weighted": (first, f"hidden:{model}@50%", {"pooling": "weighted"}),
            "hidden @50% last": (first, f"hidden:{model}@50%", {"pooling": "last"}),
            "hidden @50% of answers": (first, f"hidden:{model}@50%", {"part": "response"}),
            **{
                f"hidden @{share}": (first, f"hidden:{model}@{share}", {}) for share in ("25%", "75%", "100%")
            },
            "gradients": (first, f"gradients:{model}", {}),
            "gradients, last 4 blocks": (first, f"gradients:{model}", {"layers": "4"}),
        }
        for name, (source, encoder, options) in asked.items():
            print("  ", name, flush=True)
            found[name] = vectors_of(source, encoder, **options)
    white = found["hidden @50%"].copy()
    if len(white) > white.shape[1]:
        whitening_of(white).apply(white)
        found["hidden @50% whitened"] = white
    found["hidden @50% centred"] = found["hidden @50%"] - found["hidden @50%"].mean(axis=0)
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(np.float64)


def compared(found: Vectors, groups: list[Any] | None, few: int) -> dict[str, Any]:
    """Every feature against text and against gradients, and its groups."""
    unit = {name: Points.of(vectors[:few]).vectors for name, vectors in found.items()}
    generator = np.random.default_rng(1)
    one, other = generator.integers(0, few, (2, PAIRS))
    apart = one != other
    one, other = one[apart], other[apart]
    distance = {name: ((rows[one] - rows[other]) ** 2).sum(axis=1) for name, rows in unit.items()}
    picks = {name: set(select(rows, 0.1).rows.tolist()) for name, rows in unit.items()}
    table: dict[str, Any] = {}
    for name in unit:
        figures: dict[str, Any] = {}
        for beside in ("text (minilm)", "gradients"):
            figures[f"rank correlation with {beside}"] = round(
                float(np.corrcoef(ranks(distance[name]), ranks(distance[beside]))[0, 1]), 2
            )
            figures[f"picks shared with {beside}"] = round(
                len(picks[name] & picks[beside]) / len(picks[beside]), 2
            )
        if groups is not None:
            figures["nearest of the same group"] = round(purity(unit[name], groups[:few]), 2)
        table[name] = figures
    return table


def purity(rows: np.ndarray, groups: list[Any]) -> float:
    """Share of rows whose nearest other row is of their group, of those whose group has two."""
    near = rows @ rows.T
    np.fill_diagonal(near, -np.inf)
    labels = np.array([str(group) for group in groups])
    counted = np.array([(labels == label).sum() > 1 for label in labels])
    return float((labels[near.argmax(axis=1)] == labels)[counted].mean())


def pools(
    model: str, sources: list[str], rows: int, few: int, group: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is found on each file."""
    for source in sources:
        name = Path(source).name.partition(".")[0]
        print(name, flush=True)
        records = sample(source, rows)
        vectors = features_of(model, records, few)
        groups = [record[group] for record in records] if group in records[0] else None
        yield (
            name,
            {
                "rows": len(records),
                "compared": few,
                "features": compared(vectors, groups, few),
            },
        )


# Tables


def tables() -> None:
    """Puts the results into docs/features.md, between its markers."""
    result = json.loads(RESULT.read_text())
    text = DOCUMENT.read_text()
    for section, lines in (("speed", speed_lines(result["speed"])), ("pools", pool_lines(result["pools"]))):
        begin, end = f"<!-- begin {section} -->", f"<!-- end {section} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.partition(end)[2]}"
    DOCUMENT.write_text(text)


def speed_lines(found: dict[str, Any]) -> list[str]:
    taken, ratio = found["seconds_per_1000_tokens"], found["speed_against_bare"]
    rows = f"10,000 rows of {TOKENS_A_ROW} tokens on two cores"
    lines = [
        f"| | processor seconds for 1,000 tokens | {rows} | of the bare model's speed |",
        "|---|---|---|---|",
    ]
    for name, seconds in taken.items():
        minutes = seconds / 1000 * TOKENS_A_ROW * 10_000 / 2 / 60
        lines.append(f"| {name} | {seconds:.2f} | {minutes:.0f} minutes | {ratio.get(name, '–')} |")
    return lines


def pool_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for pool, figures in found.items():
        table = figures["features"]
        columns = list(next(iter(table.values())))
        lines += [f"**{pool}**, {figures['compared']} rows", ""]
        lines += [f"| feature | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {name} | {' | '.join(str(row[column]) for column in columns)} |"
            for name, row in table.items()
        ]
        lines.append("")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["speed", "pools", "tables"])
    parser.add_argument("model", nargs="?")
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--few", type=int, default=150)
    parser.add_argument("--group", default="_task")
    asked = parser.parse_args()
    if asked.part == "tables":
        tables()
        return
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    result["machine"], result["model"] = machine(), Path(asked.model).name
    if asked.part == "speed":
        result["speed"] = speed(asked.model, asked.sources[0])
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        return
    for name, found in pools(asked.model, asked.sources, asked.rows, asked.few, asked.group):
        result.setdefault("pools", {})[name] = found
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
