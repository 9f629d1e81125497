"""How much a map of a training file keeps of its neighbourhoods, and what that costs: beside principal components, and
umap-learn at its defaults where it is installed.

Shares are of the true 15 nearest rows (exact, cosine) that are among the 15 and the 150 nearest dots, by 2,000 rows
drawn at random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Vectors, machine, report, save, training_vectors

from evenly.engine.layout import neighbour_layout
from evenly.engine.plane import principal_places
from evenly.engine.points import Points
from evenly.types import Float32Array

CHECKED, NEAR, WIDE = 2_000, 15, 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", default="../shared/data/alpaca_data.json.gz", help="rows, or vectors in an .npy file"
    )
    parser.add_argument("--umap", action="store_true", help="run umap-learn too")
    asked = parser.parse_args()
    vectors = training_vectors(asked.source)
    points = Points.of(vectors)

    def ours() -> Float32Array:
        found = neighbour_layout(points)
        if found is None:
            raise SystemExit("too few rows for a map by neighbours")
        return found.places

    works: list[tuple[str, Callable[[], Float32Array]]] = [
        ("principal components (`--map pca`)", lambda: principal_places(points.vectors)),
        ("neighbours (the default)", ours),
    ]
    if asked.umap:
        works.append(("umap-learn, its defaults", lambda: by_umap(points.vectors)))
    found: dict[str, Any] = {
        "machine": machine(),
        "source": Path(asked.source).name,
        "rows": len(vectors),
        "map": measured(points.vectors, works),
    }
    save("map", found)
    report("map", found["map"], f"{found['source']}, {found['rows']:,} rows; {found['machine']}")


def by_umap(vectors: Vectors) -> Float32Array:
    import umap

    made: Float32Array = umap.UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(vectors)
    return made


def measured(vectors: Vectors, works: list[tuple[str, Callable[[], Float32Array]]]) -> list[dict[str, Any]]:
    rows = np.random.default_rng(1).choice(len(vectors), min(CHECKED, len(vectors)), replace=False)
    true = nearest(vectors, rows, NEAR)
    figures = []
    for name, work in works:
        wall, processor = time.perf_counter(), time.process_time()
        places = work()
        spent = {"seconds": time.perf_counter() - wall, "processor seconds": time.process_time() - processor}
        found = nearest(places, rows, WIDE)
        shares = {
            f"of the true {NEAR}, among {count} on the map": share(true, found[:, :count])
            for count in (NEAR, WIDE)
        }
        rounded = {key: round(value, 3) for key, value in shares.items()}
        figures.append({"map": name, **rounded, **{key: round(value, 1) for key, value in spent.items()}})
    return figures


def nearest(vectors: Vectors, rows: np.ndarray[Any, np.dtype[np.int64]], count: int) -> Any:
    """The nearest others of some rows, by all distances in float64."""
    all_rows = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float64))
    found = []
    for part in np.array_split(rows, -(-len(rows) // 100)):
        away = torch.cdist(all_rows[part], all_rows)
        away[torch.arange(len(part)), torch.from_numpy(part)] = torch.inf
        found.append(away.topk(count, largest=False).indices.numpy())
    return np.concatenate(found)


def share(true: Any, found: Any) -> float:
    return float((true[:, :, None] == found[:, None, :]).any(axis=2).mean())


if __name__ == "__main__":
    main()
