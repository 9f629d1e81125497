"""What the benchmarks share: the machine, the bare products, the textbook loop, tables in docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evenly.engine.blocks import Blocks, default_blocks

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLES = ROOT / "docs" / "benchmarks.md"

Vectors = npt.NDArray[np.float32]
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    flags = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "")
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "matrix units": [name for name in ("amx_bf16", "avx512_bf16") if name in flags],
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load before": round(os.getloadavg()[0], 2),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def seconds(work: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    """Wall time of one call, or what another clock counts: ``time.process_time`` for all threads' processor time."""
    started = clock()
    work()
    return clock() - started


def in_turns(works: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each work returns, its seconds: one of each in a turn, so that a slow minute slows them all."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name].append(work())
    return taken


def median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """The median over turns of ours over theirs."""
    return statistics.median(one / other for one, other in zip(ours, others, strict=True))


def bare_products(
    vectors: Vectors, picks: int, *, share: float = 1.0, clock: Clock = time.perf_counter
) -> float:
    """Seconds that the N x k products in bfloat16 take on all cores and nothing else: no maxima, no memory kept.

    Args:
        vectors: (N, d) float32.
        picks: k.
        share: of the picks to really multiply with; the time is scaled up by it.
        clock: as for `seconds`.
    """
    rows = torch.from_numpy(vectors).bfloat16()
    blocks = default_blocks(rows.device)
    blocks = Blocks(rows=1024, picks=1024, threads=blocks.threads)
    products = max(1, round(share * picks / blocks.picks))
    side = rows[: blocks.picks].T.contiguous()

    def block(part: slice) -> None:
        for _ in range(products):
            torch.mm(rows[part], side)

    blocks.over(min(len(rows), 4 * blocks.rows), block)  # warm
    return (
        seconds(lambda: blocks.over(len(rows), block), clock)
        * picks
        / (products * min(blocks.picks, len(rows)))
    )


def textbook_per_pick(vectors: Vectors, start: int, picks: int) -> tuple[float, list[int]]:
    """The textbook numpy loop on unit rows: one matrix-vector product, one minimum and one argmax a pick.

    Returns:
        Seconds per pick, and the picks, ``start`` first.
    """
    distance = np.full(len(vectors), np.inf, dtype=np.float32)
    order = [start]
    started = time.perf_counter()
    for _ in range(picks):
        np.minimum(distance, 1.0 - vectors @ vectors[order[-1]], out=distance)
        order.append(int(distance.argmax()))
    return (time.perf_counter() - started) / picks, order


def training_vectors(source: str) -> Vectors:
    """Unit vectors of a training file, from the cache where they are; an .npy file holds vectors itself."""
    from evenly.engine.points import Points
    from evenly.rows.sources import read_rows
    from evenly.vectors.cache import Cache
    from evenly.vectors.embedding import embed_texts
    from evenly.vectors.registry import load_encoder

    if source.endswith(".npy"):
        vectors = np.load(source)
    else:
        vectors = embed_texts(read_rows([source]).texts(), load_encoder(), cache=Cache.open()).vectors
    return Points.of(vectors).vectors


def command_seconds(source: str, *flags: str) -> float:
    """`evenly select` from start to finish with vectors cached and picks not."""
    from evenly.vectors.cache import Cache

    for saved in Cache.open().orders.glob("*.npz"):
        saved.unlink()
    with tempfile.TemporaryDirectory() as folder:
        out = ["--out", f"{folder}/kept.jsonl", "--json"]
        call = [sys.executable, "-m", "evenly", "select", source, *flags, *out]
        taken = seconds(lambda: subprocess.run(call, check=True, stdout=subprocess.PIPE))
        stages = json.loads(Path(folder, "kept.evenly", "manifest.json").read_text())["seconds"]
    print("stages:", stages, file=sys.stderr)
    return taken


def save(name: str, found: dict[str, Any]) -> None:
    """Writes benchmarks/results/NAME.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def report(section: str, figures: Sequence[Mapping[str, Any]], note: str) -> None:
    """Prints figures that share their names, and puts them into docs/benchmarks.md."""
    rows = [tuple(figure.values()) for figure in figures]
    write_table(section, tuple(figures[0]), rows, note)
    for row in rows:
        print(*row, sep="\t")


def write_table(section: str, header: Sequence[str], rows: Sequence[Sequence[Any]], note: str) -> None:
    """Replaces what stands between the markers of a section in docs/benchmarks.md."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    begin, end = f"<!-- begin {section} -->", f"<!-- end {section} -->"
    text = TABLES.read_text()
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    TABLES.write_text(f"{before}{begin}\n{note}\n\n" + "\n".join(lines) + f"\n{end}{after}")
