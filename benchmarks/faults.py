"""Kills `evenly select` at random moments and runs it again: nothing may be lost, nothing may change.

    python benchmarks/faults.py --kills 50

Each trial starts a run in a folder of its own, half of them over an older selection; ends it with SIGKILL after a
random part of the time that an undisturbed run takes, in every fourth trial while it writes; checks that the kept
file is the old one or the new one; runs the same command again; and compares kept rows, order.parquet and manifest
with the undisturbed run. What was embedded and picked before the kill must still be there, and no temporary file may
stay beside the output.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

WRITING_SECONDS = 0.1

VOLATILE = ("created", "seconds", "digest", "files", "outputs", "sources")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--rows", type=int, default=1500)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--json", type=Path, help="where to write the result")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="evenly-faults-") as folder:
        result = fault_runs(Path(folder), asked.kills, asked.rows, asked.seed)
    print(json.dumps(result, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(1 if result["faults"] else 0)


def fault_runs(folder: Path, kills: int, rows: int, seed: int) -> dict[str, Any]:
    """Makes the trials and returns what was found."""
    random.seed(seed)
    source = folder / "pool.jsonl"
    source.write_text("".join(json.dumps({"text": sentence(i)}) + "\n" for i in range(rows)))
    older = Trial(folder / "older", source, keep="10%")
    older.finish()
    whole = Trial(folder / "whole", source)
    started = time.perf_counter()
    whole.finish()
    seconds = time.perf_counter() - started
    expected = whole.outcome()
    stages: Counter[str] = Counter()
    faults: list[str] = []
    for number in range(kills):
        trial = Trial(folder / f"trial{number}", source)
        if number % 2:
            trial.take_over(older)
        before = {expected[0], older.outcome()[0] if number % 2 else None}
        while_writing = number % 4 == 3  # a stage too short to be met by chance
        stages[
            trial.kill(random.uniform(0, WRITING_SECONDS if while_writing else seconds), while_writing)
        ] += 1
        held = trial.cached()
        if trial.kept_sha256() not in before:
            faults.append(f"trial {number}: the kept file is neither the old one nor the new one")
        failed = trial.finish()
        if failed:
            faults.append(f"trial {number}: the second run failed: {failed}")
        elif trial.outcome() != expected:
            faults.append(f"trial {number}: the second run has another outcome")
        faults += [f"trial {number}: {name} was lost" for name in sorted(held - trial.cached())]
        faults += [f"trial {number}: {name} stayed" for name in trial.leftovers()]
        print(f"{number + 1}/{kills} {dict(stages)} faults: {len(faults)}", file=sys.stderr)
        shutil.rmtree(trial.folder)
    return {"kills": kills, "rows": rows, "seconds": round(seconds, 1), "killed_in": stages, "faults": faults}


def sentence(number: int) -> str:
    """A text of its own for every row, and now and then a copy of an earlier one."""
    generator = random.Random(number if number % 50 else 1)
    return " ".join(
        "".join(generator.choices("abcdefghijklmnop", k=generator.randint(2, 9))) for _ in range(40)
    )


class Trial:
    """One folder with its own cache and output."""

    def __init__(self, folder: Path, source: Path, keep: str = "40%") -> None:
        self.folder, self.out, self.cache = folder, folder / "out", folder / "cache"
        self.out.mkdir(parents=True)
        self.command = [sys.executable, "-m", "evenly", "select", str(source), "--keep", keep]
        self.command += ["--out", str(self.out / "kept.jsonl")]
        self.environment = {**os.environ, "EVENLY_CACHE": str(self.cache)}

    def take_over(self, older: Trial) -> None:
        """Starts with the output of another trial in place."""
        shutil.rmtree(self.out)
        shutil.copytree(older.out, self.out)

    def kill(self, seconds: float, while_writing: bool) -> str:
        """Runs, kills, and says what stage it was in, by the files that were there.

        The seconds count from the start, or from the first temporary file beside the output.
        """
        process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while while_writing and process.poll() is None and not self.leftovers():
            time.sleep(0.001)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode == 0:
            return "done"
        if any(self.leftovers()):
            return "writing"
        if any((self.cache / "orders").glob("*.npz")):
            return "picked, measuring"
        return "embedded, selecting" if any(self.cache.glob("*/*.vectors")) else "starting or embedding"

    def finish(self) -> str:
        """Runs to the end; returns what it says on failure."""
        done = subprocess.run(self.command, env=self.environment, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"

    def outcome(self) -> tuple[str | None, str, dict[str, Any]]:
        """Hashes of the kept rows and of the order, and what of the manifest must not change."""
        manifest = json.loads((self.out / "kept.evenly" / "manifest.json").read_text())
        fixed = {name: value for name, value in manifest.items() if name not in VOLATILE}
        order = hashlib.sha256((self.out / "kept.evenly" / "order.parquet").read_bytes()).hexdigest()
        return self.kept_sha256(), order, fixed

    def kept_sha256(self) -> str | None:
        kept = self.out / "kept.jsonl"
        return hashlib.sha256(kept.read_bytes()).hexdigest() if kept.exists() else None

    def cached(self) -> set[str]:
        """Shards of vectors and saved orders, by name: once written they stay."""
        found = [*self.cache.glob("*/*.vectors"), *self.cache.glob("orders/*.npz")]
        return {str(path.relative_to(self.cache)) for path in found}

    def leftovers(self) -> list[str]:
        """Temporary files and folders beside the output."""
        return [path.name for path in self.out.iterdir() if path.suffix in (".tmp", ".old")]


if __name__ == "__main__":
    main()
