"""How selection grows: ``make bench-scale``. Ratios within this one run, pools from `benchmarks/pools.py`.

``--rows`` is the large pool (a tenth of it is kept); exponents come from pools of a hundredth, a tenth and all of
it. ``--places`` compares the pool on disk and, where there is one, on a card with the large pool in memory, and two Ray
workers with one process on a fifth of it. ``--peers`` adds other packages on 20,000 rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Vectors, bare_products, machine, report, save, seconds, textbook_per_pick
from pools import clustered_pool
from probe import probe

from evenly.engine.greedy import Greedy, select_prepared
from evenly.engine.memory import MemoryPool
from evenly.engine.points import Points
from evenly.types import Selection

TEXTBOOK_PICKS = 60
BARE_SHARE = 0.2
DIMENSION = 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers", action="store_true", help="also time other packages, on 20,000 rows")
    parser.add_argument("--places", action="store_true", help="also time the pools on disk and on Ray")
    asked = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "growth": growth(asked.rows)}
    if asked.places:
        found["places"] = [*on_disk(asked.rows, asked.rows // 10), on_ray(asked.rows // 5, asked.rows // 50)]
        if torch.cuda.is_available():
            found["places"] += on_card(asked.rows, asked.rows // 10)
    if asked.peers:
        found["peers"] = peers()
    save("scale", found)
    tables(found)


def growth(rows: int) -> list[dict[str, Any]]:
    """Pools of a hundredth, a tenth and all of ``rows``, a tenth kept of each; and the largest with fewer picks."""
    found = []
    for count, picks in (
        (rows // 100, rows // 1000),
        (rows // 10, rows // 100),
        (rows, rows // 100),
        (rows, rows // 10),
    ):
        found.append(one_size(count, picks))
        print(found[-1], file=sys.stderr)
    return found


def one_size(rows: int, picks: int) -> dict[str, Any]:
    """Engine, bare products and textbook on one pool."""
    vectors = clustered_pool(rows)
    points = Points.of(vectors)
    selections: list[Selection] = []
    ours = seconds(lambda: selections.append(select_prepared(points, picks)))
    bare = bare_products(vectors, picks, share=BARE_SHARE if picks > 5000 else 1.0)
    per_pick, order = textbook_per_pick(vectors, int(selections[0].rows[0]), TEXTBOOK_PICKS)
    return {
        "rows": rows,
        "picks": picks,
        "seconds": round(ours, 2),
        "over bare": round(ours / bare, 2),
        "textbook over ours": round(per_pick * picks / ours, 1),
        "first picks as the textbook's": order == selections[0].rows[: len(order)].tolist(),
    }


def on_disk(rows: int, picks: int) -> list[dict[str, Any]]:
    """The pool in memory, and on disk within two thirds of what its vectors take, in processes of their own."""
    memory = int(4 * rows * DIMENSION * 0.65)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, Points.of(clustered_pool(rows)).vectors)
        resident, disk = (probe(path, picks, most) for most in (0, memory))
    return [
        {
            "pool": name,
            "rows": rows,
            "picks": picks,
            "over memory": round(probed["seconds"] / resident["seconds"], 2),
            "same order": probed["order"] == resident["order"],
            "peak memory over vectors": round(probed["bytes"] / (4 * rows * DIMENSION), 2),
        }
        for name, probed in (("memory", resident), (f"disk, {memory / 1e9:.2f} GB", disk))
    ]


def on_card(rows: int, picks: int) -> list[dict[str, Any]]:
    """All on the card, and vectors in main memory with the products alone on the card, against the processor."""
    card = torch.device("cuda")
    vectors = Points.of(clustered_pool(rows)).tensor
    pools = {
        "processor": lambda: MemoryPool(vectors),
        "card": lambda: MemoryPool(vectors.to(card)),
        "card, vectors in main memory": lambda: MemoryPool(vectors, device=card),
    }
    orders: dict[str, Selection] = {}

    def run(name: str) -> None:
        orders[name] = Greedy(picks, "cosine").run(pools[name]())

    taken = {}
    for name in pools:
        run(name)  # kernels and compiled loops are loaded
        taken[name] = seconds(lambda name=name: run(name))
    return [
        {
            "pool": name,
            "rows": rows,
            "picks": picks,
            "over memory": round(taken[name] / taken["processor"], 3),
            "same order": bool(np.array_equal(orders[name].rows, orders["processor"].rows)),
            "peak memory over vectors": "",
        }
        for name in ("card", "card, vectors in main memory")
    ]


def on_ray(rows: int, picks: int) -> dict[str, Any]:
    """Two workers of a local cluster, a core each, against one process with both cores."""
    from evenly.engine.ray_pool import RayPool, cluster

    points = Points.of(clustered_pool(rows))
    found: list[Selection] = []
    select_prepared(points, picks // 10)
    resident = seconds(lambda: found.append(select_prepared(points, picks)))
    with cluster():
        pool = RayPool(points.vectors, workers=2)
        pool.nearest(points.tensor[0])  # the workers have loaded
        shared = seconds(lambda: found.append(Greedy(picks, "cosine").run(pool)))
        pool.close()
    return {
        "pool": "Ray, 2 workers",
        "rows": rows,
        "picks": picks,
        "over memory": round(shared / resident, 2),
        "same order": bool(np.array_equal(found[0].rows, found[1].rows)),
        "peak memory over vectors": "",
    }


def peers() -> list[dict[str, Any]]:
    """Other packages' farthest point sampling on 20,000 rows, 2,000 picks, where they are installed."""
    vectors = clustered_pool(20_000)
    points = Points.of(vectors)
    selections: list[Selection] = []
    ours = min(seconds(lambda: selections.append(select_prepared(points, 2000))) for _ in range(3))
    first = int(selections[0].rows[0])
    chosen = set(selections[0].rows.tolist())
    found = [{"package": "evenly", "times ours": 1.0, "same set": 1.0}]
    for name, run in (
        ("textbook numpy loop", lambda: textbook_per_pick(vectors, first, 1999)[1]),
        ("torch k-center loop", lambda: torch_loop(vectors, first, 2000)),
        ("scikit-matter FPS", lambda: skmatter(vectors, first, 2000)),
        ("fpsample fps_sampling", lambda: fpsample_exact(vectors, first, 2000)),
    ):
        rows: list[list[int]] = []
        try:
            taken = seconds(lambda run=run, rows=rows: rows.append(run()))
        except ImportError:
            found.append({"package": name, "times ours": "not installed", "same set": "-"})
            continue
        same = len(chosen & set(rows[0])) / len(chosen)
        found.append({"package": name, "times ours": round(taken / ours, 1), "same set": round(same, 3)})
    return found


def torch_loop(vectors: Vectors, start: int, picks: int) -> list[int]:
    """The k-center greedy that active-learning code usually has."""
    rows = torch.from_numpy(vectors)
    order = [start]
    distance = torch.cdist(rows, rows[start][None]).squeeze(1)
    for _ in range(picks - 1):
        order.append(int(distance.argmax()))
        distance = torch.minimum(distance, torch.cdist(rows, rows[order[-1]][None]).squeeze(1))
    return order


def skmatter(vectors: Vectors, start: int, picks: int) -> list[int]:
    from skmatter.sample_selection import FPS

    selector = FPS(n_to_select=picks, initialize=start)
    selector.fit(vectors)
    return [int(row) for row in selector.selected_idx_]


def fpsample_exact(vectors: Vectors, start: int, picks: int) -> list[int]:
    import fpsample

    return [int(row) for row in fpsample.fps_sampling(vectors, picks, start_idx=start)]


def tables(found: dict[str, Any]) -> None:
    """Tables for docs/benchmarks.md."""
    lines = found["growth"]
    largest = [line for line in lines if line["rows"] == lines[-1]["rows"]]
    by_rows = np.polyfit(
        np.log([lines[0]["rows"], lines[1]["rows"], lines[3]["rows"]]),
        np.log([lines[0]["seconds"], lines[1]["seconds"], lines[3]["seconds"]]),
        1,
    )[0]
    by_picks = np.log(largest[1]["seconds"] / largest[0]["seconds"]) / np.log(
        largest[1]["picks"] / largest[0]["picks"]
    )
    note = (
        f"Exponent of the time in N at k = N / 10: {by_rows:.2f}; in k at the largest N: {by_picks:.2f}. "
        f"{found['machine']}"
    )
    report("scale", lines, note)
    if "places" in found:
        note = "Both orders are compared bit for bit. The workers' start is left out, that of the disk pool is not."
        report("places", found["places"], note)
    if "peers" in found:
        report("peers", found["peers"], "20,000 x 384, 2,000 picks.")


if __name__ == "__main__":
    main()
