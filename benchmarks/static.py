"""What a preview by token vectors costs: the half that ``--encoder static`` keeps, in the space of all-MiniLM-L6-v2.

Run: ``python benchmarks/static.py FILE … [--rows 0]``. For each file the half kept by static vectors, by the encoder's
own and at random (five draws) are measured by the encoder's own vectors: h_min, the mean distance of a kept row to the
nearest other one, fill, and the share of picks in common. Speed: both encoders on the same 1,000 texts in turns,
without the cache, the table of token vectors at hand. The encoder's vectors come from the cache where they are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import in_turns, machine, median_ratio, report, save, seconds

import evenly
from evenly.rows.sources import read_rows
from evenly.vectors.cache import Cache
from evenly.vectors.embedding import embed_texts
from evenly.vectors.registry import load_encoder

DRAWS, TIMED = 5, 1000


def compared(path: str, rows: int) -> list[dict[str, Any]]:
    """One line for each way of choosing half of a file."""
    texts = list(read_rows([path]).texts())
    if rows and rows < len(texts):
        texts = [texts[row] for row in np.sort(np.random.default_rng(0).permutation(len(texts))[:rows])]
    own = embed_texts(texts, load_encoder(), cache=Cache.open()).vectors
    preview = embed_texts(texts, load_encoder("static", use_cache=True), cache=None).vectors
    keep = len(texts) // 2
    best = evenly.select(own, keep).rows
    draws = [np.random.default_rng(seed).permutation(len(texts))[:keep] for seed in range(DRAWS)]
    kinds = {"its own vectors": [best], "static": [evenly.select(preview, keep).rows], "random": draws}
    return [line(path, len(texts), name, own, sets, best) for name, sets in kinds.items()]


def line(
    path: str, rows: int, name: str, vectors: np.ndarray, sets: list[np.ndarray], best: np.ndarray
) -> dict[str, Any]:
    """How even some sets are, the mean of them."""
    found = [evenly.measure(vectors, chosen).exact for chosen in sets]
    shared = [len(np.intersect1d(chosen, best)) / len(best) for chosen in sets]
    return {
        "file": Path(path).name,
        "rows": rows,
        "half kept by": name,
        "h_min": round(float(np.mean([one.h_min for one in found])), 4),
        "mean distance of a kept row to its nearest": round(
            float(np.mean([one.mean_nearest for one in found])), 4
        ),
        "fill": round(float(np.mean([one.fill for one in found if one.fill is not None])), 4),
        "picks in common": round(float(np.mean(shared)), 3),
    }


def speed(path: str) -> float:
    """Rows a second of static vectors over those of the encoder, in turns."""
    texts = list(read_rows([path]).texts())
    some = [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:TIMED]]
    encoders = {"static": load_encoder("static", use_cache=True), "own": load_encoder()}

    def embedding(name: str, times: int) -> float:
        return seconds(lambda: embed_texts(some * times, encoders[name], cache=None)) / times

    for name in encoders:
        embedding(name, 1)
    taken = in_turns({"static": lambda: embedding("static", 1), "own": lambda: embedding("own", 1)}, 5)
    return median_ratio(taken["own"], taken["static"])


def main() -> None:
    """Measures, saves and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rows", type=int, default=0, help="of each file, drawn at random; 0 takes all")
    asked = parser.parse_args()
    ratio = round(speed(asked.files[0]), 1)
    lines = [one for path in asked.files for one in compared(path, asked.rows)]
    save("static", {"machine": machine(), "rows a second over the encoder's": ratio, "halves": lines})
    report("static", lines, f"Rows a second: {ratio} times the encoder's own. {machine()}")


if __name__ == "__main__":
    main()
