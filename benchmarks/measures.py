"""What measuring costs beside the bare products it needs, on a real training file. Ratios within one run.

Needed at least: for the pool every pair of rows once; for a set of k rows every pair of the set once, and the set with
the rest of the pool for the fill; for what `evenly select` measures the pairs of the pool and those of the set. Each
figure counts everything from the vectors on: normalising, copies, rounding, exact distances, random sets.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    CLOCKS,
    Vectors,
    bare_products,
    in_turns,
    machine,
    median_ratio,
    report,
    save,
    seconds,
    training_vectors,
)

from evenly.engine.blocks import steady_torch
from evenly.engine.greedy import select_prepared
from evenly.engine.points import Points
from evenly.measures.evenness import evenness
from evenly.measures.exact import exact_measures
from evenly.measures.measure import COSINE_THRESHOLDS, check_thresholds
from evenly.measures.sets import RowSet
from evenly.types import Int64Array

REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", default="../shared/data/alpaca_data.json.gz", help="rows, or vectors in an .npy file"
    )
    source = parser.parse_args().source
    vectors = training_vectors(source)
    found: dict[str, Any] = {
        "machine": machine(),
        "source": Path(source).name,
        "rows": len(vectors),
        "measures": measured(vectors),
    }
    save("measures", found)
    report("measures", found["measures"], f"{found['source']}, {found['rows']:,} rows; {found['machine']}")


def measured(vectors: Vectors) -> list[dict[str, Any]]:
    """Each work and its bare products in turn, several times; medians, and their ratio by each clock."""
    rows = len(vectors)
    half = select_prepared(Points(vectors, "cosine"), rows // 2)
    own_pairs = len(half) ** 2 / (
        2 * rows
    )  # in columns of a product with all rows, as `bare_products` counts
    works: list[tuple[str, float, Callable[[], object]]] = [
        ("exact measures of the pool", rows / 2, lambda: exact(vectors, None)),
        ("exact measures of half of it, greedy", len(half) - own_pairs, lambda: exact(vectors, half.rows)),
        (
            "what `evenly select` measures of it",
            rows / 2 + own_pairs,
            lambda: evenness(Points.of(vectors), half),
        ),
    ]
    figures = []
    for name, columns, work in works:
        work()  # loads what it needs
        figure: dict[str, Any] = {"measured": name}
        for clock, now in CLOCKS.items():
            ours, bare = in_turns(
                {
                    "ours": partial(seconds, work, now),
                    "bare": partial(bare_products, vectors, round(columns), clock=now),
                },
                REPEATS,
            ).values()
            figure[f"{clock} seconds"] = round(statistics.median(ours), 2)
            figure[f"{clock} over bare"] = round(median_ratio(ours, bare), 2)
        figures.append(figure)
    return figures


@steady_torch()
def exact(vectors: Vectors, rows: Int64Array | None) -> object:
    """What `measure` does without estimates, diversity scores and random sets."""
    thresholds = check_thresholds(COSINE_THRESHOLDS, "cosine")
    return exact_measures(RowSet.of_vectors(vectors, "cosine", rows), thresholds, seed=0)


if __name__ == "__main__":
    main()
