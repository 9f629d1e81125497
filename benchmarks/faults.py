"""Kills, full disks, failing writes and second runs, at random moments of every command that writes.

    python benchmarks/faults.py --kills 300 --failures 100 --pairs 30

Each trial has a folder of its own: sources, saved selections, a cache, an output, in half of the trials the output of
an older run. A trial

* kills the command after a random part of the time that it takes, every third time while it writes; or
* lets a write fail: on a disk (tmpfs, where one may be mounted) with little room, under a limit on the size of a file,
  or by the n-th call that renames or syncs a file; or
* runs two commands at once over one cache and one output.

One file, though a long one: a trial is read from its commands to its verdict.

What must hold: the sources are as they were; each output is the old one or the new one, whole; a failed write is one
line on standard error and exit status 2; the same command run again succeeds, gives the outcome of an undisturbed
run, leaves no temporary file, and nothing that was in the cache is gone. Of two runs at once one may be refused, and
what is there afterwards is one run's in all of it.

Commands run in forks of this process, which has loaded the libraries: a kill meets work, not imports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a fork of threads that wait for one another would wait for ever
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from faults_outcome import differences, outcome, temporary_names

ROOT = Path(__file__).resolve().parents[1]
LONGEST_SECONDS = 600.0
"""A run that takes longer has hung; undisturbed ones take seconds."""


@dataclass(frozen=True)
class Case:
    """A command that writes, and what wrote the older output."""

    name: str
    command: list[str]
    older: list[str]


ENCODER = ["--encoder", "encoder"]
ARMS = ["--arms", "random,uniform", "--seeds", "1", "--test", "6", "--keep", "30", "--near-copy", "0.0001"]
TRAINING = ["--model", "causal", "--lr", "0.005", "--window", "128", "--batch", "8", "--epochs", "0.5"]


def _select(keep: str) -> list[str]:
    return ["select", "pool.jsonl", "--keep", keep, "--out", "out/kept.jsonl", *ENCODER]


def _split(test: str) -> list[str]:
    return ["split", "pool.jsonl", "--test", test, "--out", "out/parts/", *ENCODER]


def _all(keep: str) -> list[str]:
    return ["select", "pool.jsonl", "--keep", keep, "--strategy", "all", "--out", "out/arms/", *ENCODER]


CASES = [
    Case("select", _select("40%"), _select("10%")),
    Case(
        "extend",
        ["extend", "kept.evenly", "new.jsonl", "--keep", "50%", "--out", "out/kept.jsonl"],
        _select("10%"),
    ),
    Case("slice", ["slice", "kept.evenly", "--keep", "10%", "--out", "out/kept.jsonl"], _select("5%")),
    Case("split", _split("10%"), _split("5%")),
    Case("strategies", _all("20"), _all("10")),
    Case(
        "compare",
        ["compare", "few.jsonl", *ARMS, *TRAINING, *ENCODER, "--workers", "1", "--out", "out/compare"],
        [],
    ),
]


@dataclass
class Ended:
    """How a run ended: its exit status (negative for a signal) and what it said on standard error."""

    status: int
    errors: str


class Place:
    """The folder of one trial."""

    def __init__(self, folder: Path, template: Path, *, mounted: bool = False) -> None:
        self.folder = folder
        self.heard: dict[int, int] = {}
        self.errors: dict[int, bytes] = {}
        shutil.copytree(template, folder, dirs_exist_ok=mounted)
        for name in ("out", "cache", "tmp"):
            (folder / name).mkdir(exist_ok=True)

    def start(self, command: list[str], prepare: Callable[[], None] = lambda: None) -> int:
        """Starts a command in a fork; ``prepare`` is called in it first. Returns its process."""
        heard, said = os.pipe()
        process = os.fork()
        if process:
            os.close(said)
            os.set_blocking(heard, False)
            self.heard[process] = heard
            return process
        try:
            os.setsid()  # so that a kill meets the processes it starts, too
            os.chdir(self.folder)
            os.environ["EVENLY_CACHE"], os.environ["TMPDIR"] = (
                str(self.folder / "cache"),
                str(self.folder / "tmp"),
            )
            tempfile.tempdir = None
            silent = os.open(os.devnull, os.O_RDWR)
            for held, number in ((silent, 0), (silent, 1), (said, 2)):
                os.dup2(held, number)
            prepare()
            from evenly.cli import main

            main(command)
            os._exit(0)
        except SystemExit as stopped:
            os._exit(stopped.code if isinstance(stopped.code, int) else 1)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(70)
        finally:
            os._exit(71)

    def wait(self, process: int, seconds: float = LONGEST_SECONDS) -> Ended | None:
        """How it ended; None where it still runs after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(process, os.WNOHANG)
            self._listen(process)
            if done:
                os.close(self.heard.pop(process))
                errors = self.errors.pop(process, b"").decode(errors="replace")
                return Ended(os.waitstatus_to_exitcode(status), errors)
            if time.monotonic() >= until:
                return None
            time.sleep(0.001)

    def finish(self, command: list[str], prepare: Callable[[], None] = lambda: None) -> Ended:
        process = self.start(command, prepare)
        return self.wait(process) or self.kill(process)

    def kill(self, process: int) -> Ended:
        """Ends it and all that it started."""
        try:
            os.killpg(process, signal.SIGKILL)
        except ProcessLookupError:  # before it had a group of its own
            os.kill(process, signal.SIGKILL)
        ended = self.wait(process)
        assert ended is not None
        return ended

    def _listen(self, process: int) -> None:
        """Takes what it has said so far, so that it never waits for a reader."""
        with suppress(BlockingIOError):
            while part := os.read(self.heard[process], 65536):
                self.errors[process] = self.errors.get(process, b"") + part

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def cached(self) -> set[str]:
        """Shards of vectors and saved orders, by name: once written they stay."""
        cache = self.folder / "cache"
        found = [*cache.rglob("*.vectors"), *cache.rglob("*.npz")]
        return {str(path.relative_to(cache)) for path in found if not path.name.startswith(".")}


@dataclass
class Bench:
    """What all trials share, and the faults found so far."""

    folder: Path
    template: Path
    expected: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    ended: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[str] = field(default_factory=list)
    number: int = 0

    def learn(self, case: Case) -> None:
        """Runs a command undisturbed: its outcome, its seconds, and the outcome of the older one."""
        with self.place() as place:
            self.before[case.name] = {}
            if case.older:
                self._must(place.finish(case.older), case.older)
                self.before[case.name] = outcome(place.out)
                shutil.copytree(place.out, self.folder / f"older {case.name}")
        with self.place() as place:
            started = time.monotonic()
            self._must(place.finish(case.command), case.command)
            self.seconds[case.name] = time.monotonic() - started
            self.expected[case.name] = outcome(place.out)
        with self.place() as place:
            self._must(place.finish(case.command), case.command)
            if others := differences(outcome(place.out), self.expected[case.name]):
                raise SystemExit(
                    f"{case.name}: two undisturbed runs differ in {others}; nothing can be compared"
                )

    @staticmethod
    def _must(ended: Ended, command: list[str]) -> None:
        if ended.status:
            raise SystemExit(
                f"undisturbed, {' '.join(command)} failed with {ended.status}: {ended.errors.strip()[-2000:]}"
            )

    @contextmanager
    def place(self, case: Case | None = None, *, older: bool = False, room: int = 0) -> Iterator[Place]:
        """A fresh place; with ``room`` on a disk of its own with so many bytes free."""
        self.number += 1
        folder = self.folder / f"trial{self.number}"
        kept = self.folder / f"older {case.name}" if case and older and case.older else None
        if room:
            folder.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)], check=True)
        try:
            place = Place(folder, self.template, mounted=bool(room))
            if kept:
                shutil.copytree(kept, place.out, dirs_exist_ok=True)
            if room:
                disk = os.statvfs(folder)
                resize(folder, (disk.f_blocks - disk.f_bfree) * disk.f_frsize + room)
            yield place
        finally:
            if room:
                subprocess.run(["umount", "--lazy", str(folder)], check=True)
            shutil.rmtree(folder, ignore_errors=True)

    def check_between(self, case: Case, place: Place, *, older: bool) -> None:
        """After a disturbance: the sources are whole, each output is the old or the new one."""
        for path in self.template.rglob("*"):
            if (
                path.is_file()
                and (place.folder / path.relative_to(self.template)).read_bytes() != path.read_bytes()
            ):
                self.fault(case, f"the source {path.name} was changed")
        old = self.before[case.name] if older else {}
        new = self.expected[case.name]
        if case.name == "compare":
            return  # grows run by run; what it is worth is whether the same command goes on from it
        for name, content in outcome(place.out).items():
            if content not in (old.get(name), new.get(name)):
                self.fault(case, f"{name} is neither the old one nor the new one")

    def check_after(self, case: Case, place: Place, held: set[str]) -> None:
        """The same command again: it succeeds, and all is as if nothing had been."""
        ended = place.finish(case.command)
        if ended.status:
            self.fault(case, f"run again it failed with {ended.status}: {ended.errors.strip()[-500:]}")
            return
        if others := differences(outcome(place.out), self.expected[case.name]):
            self.fault(case, f"run again these are others: {others}")
        for name in sorted(held - place.cached()):
            self.fault(case, f"{name} was lost from the cache")
        for name in temporary_names(place.out, place.folder / "cache"):
            self.fault(case, f"{name} stayed")

    def fault(self, case: Case, text: str) -> None:
        self.faults.append(f"trial {self.number}, {case.name}: {text}")
        print(self.faults[-1], file=sys.stderr)

    def kill(self, case: Case, turn: int) -> None:
        """One kill."""
        older = turn % 2 == 1
        with self.place(case, older=older) as place:
            process = place.start(case.command)
            seconds = random.uniform(0, self.seconds[case.name])
            if turn % 3 == 2:  # a time too short to be met by chance: while something half made lies there
                until = time.monotonic() + self.seconds[case.name]
                while time.monotonic() < until and not temporary_names(place.out, place.folder / "cache"):
                    time.sleep(0.0005)
                seconds = random.uniform(0, 0.05)
            ended = place.wait(process, seconds)
            writing = temporary_names(place.out, place.folder / "cache")
            if ended is None:
                place.kill(process)
            elif ended.status:
                self.fault(case, f"left alone it failed with {ended.status}: {ended.errors.strip()[-500:]}")
            stage = "done" if ended else "killed while it wrote" if writing else "killed before or after"
            self.ended[case.name][stage] += 1
            self.check_between(case, place, older=older)
            self.check_after(case, place, place.cached())

    def failing_write(self, case: Case, turn: int, *, mounts: bool) -> None:
        """One write that fails."""
        older, kind = turn % 2 == 1, ("limit", "call", "disk" if mounts else "limit")[turn % 3]
        room = int(2 ** random.uniform(12, 20.5)) if kind == "disk" else 0
        with self.place(case, older=older, room=room) as place:
            if kind == "disk":
                ended = place.finish(case.command)
            elif kind == "limit":
                ended = place.finish(case.command, lambda: limit_files(int(2 ** random.uniform(6, 20))))
            else:
                ended = place.finish(case.command, lambda: fail_call(random.randint(1, 12)))
            self.ended[case.name][
                f"{kind}: {'said in one line' if ended.status == 2 else 'no write failed'}"
            ] += 1
            if ended.status not in (0, 2) or (ended.status == 2 and not one_line(ended.errors)):
                self.fault(
                    case, f"a failing write ({kind}) ended with {ended.status}: {ended.errors[-3000:]}"
                )
            self.check_between(case, place, older=older)
            if kind == "disk":
                resize(place.folder, 1 << 29)
            self.check_after(case, place, place.cached())

    def pair(self, case: Case, turn: int) -> None:
        """Two runs at once: of the same command, or of this one and the older one."""
        commands = [case.command, case.older if turn % 2 and case.older else case.command]
        wanted = [self.expected[case.name], self.before[case.name] if commands[0] != commands[1] else {}]
        with self.place() as place:
            first = place.start(commands[0])
            time.sleep(random.uniform(0, self.seconds[case.name] / 2))
            second = place.start(commands[1])
            both = [place.wait(first), place.wait(second)]
            for process, ended in zip((first, second), both, strict=True):
                if ended is None:
                    place.kill(process)
                    self.fault(case, "one of two runs at once hangs")
                elif ended.status and not (ended.status == 2 and one_line(ended.errors)):
                    self.fault(
                        case, f"one of two runs at once ended with {ended.status}: {ended.errors[-3000:]}"
                    )
            statuses = sorted(ended.status if ended else -1 for ended in both)
            self.ended[case.name][
                "two at once: " + ("both right" if statuses == [0, 0] else "one refused")
            ] += 1
            if statuses[0] != 0:
                self.fault(
                    case, f"of two runs at once none succeeded: {[e.errors[-300:] for e in both if e]}"
                )
            elif outcome(place.out) not in wanted:
                self.fault(case, f"after two runs at once the output is of neither: {both}")
            self.check_after(case, place, place.cached())


def one_line(errors: str) -> bool:
    """Whether it is what evenly says of what the user can mend, after what libraries say of their progress."""
    last = errors.rstrip("\n").splitlines()[-1:] or [""]
    return last[0].startswith("evenly: ") and "Traceback" not in errors


def resize(folder: Path, size: int) -> None:
    """Gives a mounted disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def limit_files(size: int) -> None:
    """No file can grow beyond so many bytes: a write that would fails as on a full disk."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fail_call(number: int) -> None:
    """The n-th call that syncs, renames or makes a file or folder fails, and every one after it."""
    import errno

    left = [number]

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*given, **named)

        return counted

    for name in ("fsync", "replace", "rename", "mkdir"):
        setattr(os, name, failing(getattr(os, name)))


def write_template(folder: Path, rows: int) -> None:
    """Sources, a tiny encoder, a tiny model to train, and a saved selection to cut and extend."""
    sys.path.insert(0, str(ROOT))
    from tests.train.models import save_tiny_causal_model
    from tests.vectors.models import save_tiny_model, write_sentence_settings

    generator = random.Random(0)

    def sentence() -> str:
        words = ("".join(generator.choices("abcdefgh", k=generator.randint(2, 6))) for _ in range(8))
        return " ".join(words)

    lines = [{"prompt": sentence(), "completion": sentence()} for _ in range(rows + rows // 4)]
    lines[rows // 2 : rows // 2 + 5] = lines[:5]
    for name, part in {"pool": lines[:rows], "new": lines[rows:], "few": lines[:80]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    save_tiny_model(folder / "encoder")
    write_sentence_settings(folder / "encoder")
    turns = [
        [{"role": "user", "content": one["prompt"]}, {"role": "assistant", "content": one["completion"]}]
        for one in lines[:80]
    ]
    save_tiny_causal_model(folder / "causal", turns)


def can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        call = ["mount", "-t", "tmpfs", "-o", "size=65536", "tmpfs", folder]
        if not shutil.which("mount") or subprocess.run(call, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kills", type=int, default=300)
    arguments.add_argument("--failures", type=int, default=100)
    arguments.add_argument("--pairs", type=int, default=30)
    arguments.add_argument("--rows", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", action="append", help="a case by name; may be repeated")
    arguments.add_argument("--json", type=Path, help="where to write the result")
    asked = arguments.parse_args()
    random.seed(asked.seed)
    cases = [case for case in CASES if not asked.only or case.name in asked.only]
    mounts = can_mount()
    with tempfile.TemporaryDirectory(prefix="evenly-faults-") as name:
        bench = Bench(Path(name), Path(name) / "template")
        bench.template.mkdir()
        write_template(bench.template, asked.rows)
        load_libraries()
        with bench.place() as place:  # the selection that extend and slice start from
            bench._must(place.finish(_select("25%")), _select("25%"))
            for made in ("kept.jsonl", "kept.evenly"):
                shutil.move(place.out / made, bench.template / made)
        for case in cases:
            bench.learn(case)
        trials = {"kills": asked.kills, "failures": asked.failures, "pairs": asked.pairs}
        for kind, count in trials.items():
            for turn in range(count):
                case = cases[turn % len(cases)]
                turn //= len(cases)
                if kind == "kills":
                    bench.kill(case, turn)
                elif kind == "failures":
                    bench.failing_write(case, turn, mounts=mounts)
                else:
                    bench.pair(case, turn)
            print(f"{count} {kind}: {len(bench.faults)} faults so far", file=sys.stderr)
    result = {
        **trials,
        "rows": asked.rows,
        "seed": asked.seed,
        "full disks": mounts,
        "seconds": {name: round(seconds, 1) for name, seconds in bench.seconds.items()},
        "ended": bench.ended,
        "faults": bench.faults,
    }
    kinds = sorted({kind for ended in bench.ended.values() for kind in ended})
    print("\t".join(["command", *kinds]))
    for name, ended in bench.ended.items():
        print("\t".join([name, *(str(ended[kind]) for kind in kinds)]))
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(1 if bench.faults else 0)


def load_libraries() -> None:
    """What a fork need not import again."""
    import torch

    for name in ("accelerate", "pyarrow.parquet", "sklearn.cluster", "transformers", "trl"):
        import_module(name)
    for name in ("cli.app", "jobs.compare", "jobs.select", "jobs.strategies", "report.page"):
        import_module(f"evenly.{name}")
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
