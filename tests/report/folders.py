"""Selection folders for tests, written as the contract in ``evenly.folder.manifest`` says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.folder.manifest import MEASURES_FILE, Manifest, write_manifest
from evenly.folder.order import ORDER_FILE, ORDER_SCHEMA
from evenly.folder.view import VIEW_FILE
from evenly.records import EncoderRecord, OutputRecord, SourceRecord

WORDS = ["light", "river", "stone", "market", "engine", "garden", "letter", "window", "history", "island"]


def textbook_order(vectors: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Greedy max-min by its definition, Euclidean: picks, radii, keepers, distances to them."""
    start = int(np.argmin(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)))
    distance = np.linalg.norm(vectors - vectors[start], axis=1)
    keeper = np.full(len(vectors), start)
    picks, radii = [start], [np.nan]
    for _ in range(keep - 1):
        pick = int(np.argmax(distance))
        picks.append(pick)
        radii.append(distance[pick])
        own = np.linalg.norm(vectors - vectors[pick], axis=1)
        keeper = np.where(own < distance, pick, keeper)
        keeper[pick] = pick
        distance = np.minimum(distance, own)
    return np.array(picks), np.array(radii), keeper, distance


def nearest_distances(vectors: np.ndarray) -> np.ndarray:
    gaps = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return gaps.min(axis=1)


def closest_pairs(vectors: np.ndarray, rows: np.ndarray, count: int = 5) -> list[dict[str, Any]]:
    gaps = np.linalg.norm(vectors[rows][:, None] - vectors[rows][None], axis=2)
    left, right = np.triu_indices(len(rows), k=1)
    nearest = np.argsort(gaps[left, right], kind="stable")[:count]
    return [
        {"row": int(rows[left[p]]), "other": int(rows[right[p]]), "distance": float(gaps[left[p], right[p]])}
        for p in nearest
    ]


def measures_of(vectors: np.ndarray, picks: np.ndarray, h_min: float, draws: int = 20) -> dict[str, Any]:
    """measures.json as the pipeline writes it, by brute force."""
    rng = np.random.default_rng(0)
    pool = nearest_distances(vectors)
    edges = np.linspace(0.0, float(pool.max()) * 2.0, 41)
    random = [nearest_distances(vectors[rng.permutation(len(vectors))[: len(picks)]]) for _ in range(draws)]

    def histogram(values: np.ndarray) -> dict[str, Any]:
        return {"edges": edges.tolist(), "counts": np.histogram(values, edges)[0].tolist()}

    return {
        "pool": {
            "closest_pairs": closest_pairs(vectors, np.arange(len(vectors))),
            "nearest": histogram(pool),
        },
        "kept": {
            "h_min": h_min,
            "mean_nearest": float(nearest_distances(vectors[picks]).mean()),
            "closest_pairs": closest_pairs(vectors, picks),
            "nearest": histogram(nearest_distances(vectors[picks])),
        },
        "random": {
            "draws": draws,
            "mean_nearest": {"median": float(np.median([one.mean() for one in random]))},
            "fill": {"median": 1.5 * float(pool.max())},
            "h_min": {
                "median": float(np.median([one.min() for one in random])),
                "values": [float(one.min()) for one in random],
            },
            "nearest": histogram(random[0]),
        },
        "certificate": {"h_min": h_min, "upper_bound": 1.6 * h_min, "share_of_best": 1 / 1.6},
        "knee": max(2, len(picks) // 8),
        "by_size": by_size(vectors, picks, rng.permutation(len(vectors))[: len(picks)]),
    }


def by_size(vectors: np.ndarray, picks: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
    gaps = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    sizes, levels = sorted({1, len(picks) // 3 + 1, len(picks)}), list(range(0, 101, 5))
    found: dict[str, Any] = {"sizes": sizes, "sampled_rows": len(vectors), "levels": levels}
    for name, order in (("kept", picks), ("random", drawn)):
        nearest = [gaps[:, order[:size]].min(axis=1) for size in sizes]
        found[name] = {
            "mean": [float(one.mean()) for one in nearest],
            "quantiles": [np.percentile(one, levels).tolist() for one in nearest],
        }
    return found


def write_folder(
    folder: Path,
    *,
    order: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    texts: Sequence[tuple[str, str]],
    coordinates: np.ndarray,
    fields: Mapping[str, Sequence[Any]] | None = None,
    measures: dict[str, Any] | None = None,
    ids: Sequence[str] | None = None,
    metric: str = "euclidean",
) -> Path:
    """Writes the files that select writes, but the page."""
    picks, radii, keeper, distance = order
    pool_rows = len(texts)
    folder.mkdir(parents=True, exist_ok=True)
    rank = np.full(pool_rows, -1)
    rank[picks] = np.arange(len(picks))
    radius = np.full(pool_rows, np.nan)
    radius[picks] = radii
    pq.write_table(
        pa.table(
            {
                "row": np.arange(pool_rows),
                "id": pa.array(ids or [f"pool.jsonl:{line + 1}" for line in range(pool_rows)]),
                "rank": pa.array(rank, mask=rank < 0),
                "radius": pa.array(radius, mask=~np.isfinite(radius)),
                "keeper": keeper,
                "keeper_distance": distance,
                "part": np.zeros(pool_rows, dtype=np.int64),
            },
            schema=ORDER_SCHEMA,
        ),
        folder / ORDER_FILE,
    )
    view = {
        "prompt": pa.array([prompt for prompt, _ in texts]),
        "response": pa.array([response for _, response in texts]),
        "characters": pa.array([len(prompt) + len(response) for prompt, response in texts], pa.int64()),
        "x": pa.array(coordinates[:, 0], pa.float32()),
        "y": pa.array(coordinates[:, 1], pa.float32()),
    }
    columns = {f"field:{name}": pa.array(values) for name, values in (fields or {}).items()}
    pq.write_table(pa.table({**view, **columns}), folder / VIEW_FILE)
    if measures is not None:
        (folder / MEASURES_FILE).write_text(json.dumps(measures))
    write_manifest(_manifest(picks, radii, distance, pool_rows, metric), folder)
    return folder


def _manifest(
    picks: np.ndarray, radii: np.ndarray, distance: np.ndarray, pool_rows: int, metric: str
) -> Manifest:
    return Manifest(
        evenly="0.1.0",
        created="2025-01-01T00:00:00Z",
        sources=[
            SourceRecord(
                name="pool.jsonl", sha256="a" * 64, rows=pool_rows, form="alpaca (instruction, input, output)"
            )
        ],
        outputs=[OutputRecord(name="kept.jsonl", sha256="b" * 64, rows=len(picks))],
        encoder=EncoderRecord(name="minilm", identity="c" * 64, dimension=384),
        text=None,
        part="all",
        metric=metric,
        keep=str(len(picks)),
        asked=len(picks),
        kept=len(picks),
        pool_rows=pool_rows,
        start=int(picks[0]),
        start_rule="nearest-mean",
        seed=0,
        h_min=float(radii[-1]) if len(picks) > 1 else None,
        fill=float(distance.max()),
        order_sha256="d" * 64,
        vectors_sha256="e" * 64,
        seconds={"read": 0.4, "embed": 15.2, "select": 5.4, "measure": 2.1},
        versions={"python": "3.11", "numpy": "2.3", "torch": "2.13"},
    )


def small_folder(
    folder: Path, *, rows: int = 300, keep: int = 100, texts: Sequence[tuple[str, str]] = (), seed: int = 0
) -> Path:
    """A clustered pool with its true order; ``texts`` replace those of the first rows."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 8)) * 2.0
    topic = rng.integers(0, len(centres), rows)
    vectors = centres[topic] + rng.normal(size=(rows, 8)) * rng.uniform(0.2, 1.0, len(centres))[topic, None]
    order = textbook_order(vectors, keep)
    own = [
        (f"Tell me about the {rng.choice(WORDS)} number {row}.", " ".join(rng.choice(WORDS, 1 + row % 40)))
        for row in range(rows)
    ]
    return write_folder(
        folder,
        order=order,
        texts=[*texts, *own[len(texts) :]],
        coordinates=vectors[:, :2],
        fields={"topic": [WORDS[t] for t in topic], "score": rng.normal(size=rows).tolist()},
        measures=measures_of(vectors, order[0], float(order[1][-1])),
    )
