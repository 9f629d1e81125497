"""One selection in a process of its own: ``python benchmarks/probe.py FILE.npy PICKS [MEMORY]``.

Prints JSON: seconds, the most memory beyond the libraries in bytes, and a hash of the order. With MEMORY, in bytes,
the pool is the file; without it, the vectors are read.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from evenly.engine.compiled import LOOPS
from evenly.engine.disk import DiskPool, share_out
from evenly.engine.greedy import Greedy, select_prepared
from evenly.engine.points import Points


def main() -> None:
    path, picks, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    LOOPS.load()
    warm = Points.of(np.random.default_rng(0).standard_normal((20_000, 64)))
    select_prepared(warm, 10_000)
    del warm
    watch = Watch()
    started = time.perf_counter()
    vectors = np.load(path, mmap_mode="r" if memory else None)
    if memory:
        pool = DiskPool(vectors, share_out(*vectors.shape, memory), path.parent)
        found = Greedy(picks, "cosine").run(pool)
    else:
        found = select_prepared(Points.of(vectors), picks)
    taken = time.perf_counter() - started
    order = hashlib.sha256(found.rows.tobytes() + found.radii.tobytes()).hexdigest()
    print(json.dumps({"seconds": taken, "bytes": watch.peak(), "order": order}))


class Watch:
    """The most memory this process holds from now on, beyond what it holds now."""

    def __init__(self) -> None:
        self._most = self._before = resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self._most = max(self._most, resident())

    def peak(self) -> int:
        """Ends the watch; bytes."""
        self._done.set()
        self._thread.join()
        return self._most - self._before


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def probe(path: Path, picks: int, memory: int = 0) -> dict[str, Any]:
    """What a new process prints."""
    call = [sys.executable, __file__, str(path), str(picks), str(memory)]
    run = subprocess.run(call, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


if __name__ == "__main__":
    main()
