"""The main job's benchmark: ``make bench``. All figures are ratios within this one run.

Half of a real training file is selected; beside it run the bare bfloat16 products it needs at least and the
textbook numpy loop. The whole command, its memory and ``evenly --help`` are measured as processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Vectors,
    bare_products,
    machine,
    save,
    seconds,
    textbook_per_pick,
    training_vectors,
    write_table,
)

from evenly.embed import Cache
from evenly.measures import verify_order
from evenly.selection.greedy import pool_tensor, select_prepared

TEXTBOOK_PICKS = 300
REPEATS = 5

MEMORY_PROBE = """
import sys, threading, time
import numpy as np
from evenly.selection.compiled import compiled_loops
from evenly.selection.greedy import pool_tensor, select_prepared
compiled_loops()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
warm = pool_tensor(np.random.default_rng(0).standard_normal((20000, 64)), "cosine")
select_prepared(warm, 10000, "cosine")
del warm
libraries, peak, done = resident(), 0, False
def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
vectors = np.load(sys.argv[1])
select_prepared(pool_tensor(vectors, "cosine"), len(vectors) // 2, "cosine")
done = True
thread.join()
print((peak - libraries) / vectors.nbytes)
"""


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
    found["memory over vectors"] = round(peak_memory(vectors), 2)
    found["evenly select, cached, seconds"] = round(command_seconds(source), 2)
    found["evenly --help, seconds"] = round(min(seconds(show_help) for _ in range(3)), 3)
    save("selection", found)
    report(found)


def time_selection(vectors: Vectors, picks: int) -> dict[str, Any]:
    """Engine, bare products and textbook in turn, several times; ratios of medians."""
    pool = pool_tensor(vectors, "cosine")
    engine, bare, textbook = [], [], []
    selection = select_prepared(pool, picks, "cosine")
    for _ in range(REPEATS):
        started = time.perf_counter()
        selection = select_prepared(pool, picks, "cosine")
        engine.append(time.perf_counter() - started)
        bare.append(bare_products(vectors, picks))
    for _ in range(2):
        per_pick, order = textbook_per_pick(vectors, int(selection.rows[0]), TEXTBOOK_PICKS)
        textbook.append(per_pick * picks)
    same = order == selection.rows[: len(order)].tolist()
    checks = verify_order(vectors, selection.rows, selection.radii, start=int(selection.rows[0]))
    ours = statistics.median(engine)
    return {
        "engine seconds": [round(one, 3) for one in engine],
        "bare seconds": [round(one, 3) for one in bare],
        "textbook seconds (extrapolated)": [round(one, 1) for one in textbook],
        "textbook over engine": round(min(textbook) / ours, 1),
        "engine over bare": round(ours / statistics.median(bare), 2),
        f"first {TEXTBOOK_PICKS} picks equal the textbook's": same,
        "every pick verified": all(check.passed for check in checks),
    }


def peak_memory(vectors: Vectors) -> float:
    """Peak memory of a process that selects, less its libraries, over the size of the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, vectors)
        run = subprocess.run(
            [sys.executable, "-c", MEMORY_PROBE, str(path)], capture_output=True, text=True, check=True
        )
    return float(run.stdout)


def command_seconds(source: str) -> float:
    """`evenly select` from start to finish with vectors cached and picks not."""
    with tempfile.TemporaryDirectory() as folder:
        for saved in Cache.open().orders.glob("*.npz"):
            saved.unlink()
        call = [
            sys.executable,
            "-m",
            "evenly",
            "select",
            source,
            "--keep",
            "50%",
            "--out",
            f"{folder}/kept.jsonl",
        ]
        taken = seconds(lambda: subprocess.run([*call, "--json"], check=True, stdout=subprocess.PIPE))
        stages = json.loads(Path(folder, "kept.evenly", "manifest.json").read_text())["seconds"]
    print("stages:", stages, file=sys.stderr)
    return taken


def show_help() -> None:
    subprocess.run(
        [sys.executable, "-m", "evenly", "--help"], check=True, stdout=subprocess.PIPE, env=os.environ
    )


def report(found: dict[str, Any]) -> None:
    """Prints the figures and puts them into docs/benchmarks.md."""
    aims = {
        "textbook over engine": "at least 20",
        "engine over bare": "at most 4",
        "memory over vectors": "at most 2.5",
        "evenly select, cached, seconds": "under 15",
        "evenly --help, seconds": "under 0.3",
        "every pick verified": "True",
    }
    rows = [(name, found[name], aim) for name, aim in aims.items()]
    note = f"{found['source']}, {found['rows']:,} rows, {found['picks']:,} kept; {found['machine']}"
    write_table("selection", ("figure", "seen", "aim"), rows, note)
    for row in rows:
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
