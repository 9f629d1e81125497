"""The main job's benchmark: ``make bench``. All figures are ratios within this one run.

Half of a real training file is selected; beside it run the bare bfloat16 products it needs at least and the
textbook numpy loop. The whole command, its memory and ``evenly --help`` are measured as processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Vectors,
    bare_products,
    command_seconds,
    in_turns,
    machine,
    median_ratio,
    report,
    save,
    seconds,
    textbook_per_pick,
    training_vectors,
)
from probe import probe

from evenly.engine.greedy import select_prepared
from evenly.engine.points import Points
from evenly.measures import Claim, verify_order

TEXTBOOK_PICKS = 300
REPEATS = 15
AIMS = {
    "textbook over engine": "at least 20",
    "engine over bare": "at most 2.5",
    "memory over vectors": "at most 2.5",
    "evenly select, cached, seconds": "under 15",
    "evenly --help, seconds": "under 0.3",
    "every pick verified": "True",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="../shared/data/alpaca_data.json.gz")
    source = parser.parse_args().source
    vectors = training_vectors(source)
    picks = len(vectors) // 2
    found: dict[str, Any] = {
        "machine": machine(),
        "source": Path(source).name,
        "rows": len(vectors),
        "picks": picks,
    }
    found |= time_selection(vectors, picks)
    found["memory over vectors"] = round(memory_over_vectors(vectors, picks), 2)
    found["evenly select, cached, seconds"] = round(command_seconds(source, "--keep", "50%"), 2)
    found["evenly --help, seconds"] = round(min(seconds(show_help) for _ in range(3)), 3)
    save("selection", found)
    figures = [{"figure": name, "seen": found[name], "aim": aim} for name, aim in AIMS.items()]
    report(
        "selection", figures, f"{found['source']}, {len(vectors):,} rows, {picks:,} kept; {found['machine']}"
    )


def time_selection(vectors: Vectors, picks: int) -> dict[str, Any]:
    """Engine, bare products and textbook in turn, several times; medians of their ratios."""
    points = Points.of(vectors)
    selection = select_prepared(points, picks)
    start = int(selection.rows[0])
    taken = in_turns(
        {
            "engine": lambda: seconds(lambda: select_prepared(points, picks)),
            "bare": lambda: bare_products(vectors, picks),
            "textbook, extrapolated": lambda: textbook_per_pick(vectors, start, TEXTBOOK_PICKS)[0] * picks,
        },
        REPEATS,
    )
    _, order = textbook_per_pick(vectors, start, TEXTBOOK_PICKS)
    checks = verify_order(vectors, Claim(selection.rows, selection.radii, start=start))
    engine, bare, textbook = taken.values()
    return {
        **{f"{name}, seconds": [round(one, 3) for one in each] for name, each in taken.items()},
        "textbook over engine": round(median_ratio(textbook, engine), 1),
        "engine over bare": round(median_ratio(engine, bare), 2),
        f"first {TEXTBOOK_PICKS} picks equal the textbook's": order == selection.rows[: len(order)].tolist(),
        "every pick verified": all(check.passed for check in checks),
    }


def memory_over_vectors(vectors: Vectors, picks: int) -> float:
    """The most memory that selecting needs beside the libraries, over the size of the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, vectors)
        return float(probe(path, picks)["bytes"]) / vectors.nbytes


def show_help() -> None:
    subprocess.run(
        [sys.executable, "-m", "evenly", "--help"], check=True, stdout=subprocess.PIPE, env=os.environ
    )


if __name__ == "__main__":
    main()
