"""Random flags of `evenly select` on small files: each run ends in a right result or in one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from typer.main import get_command

from evenly.cli.app import app
from evenly.errors import EvenlyError
from evenly.jobs.verify import verify_folder
from evenly.request import SavedPoolRequest
from tests.jobs.files import read_lines, records, write_lines

FLAGS: dict[str, list[list[str]]] = {
    "--keep": [
        ["50%"],
        ["7"],
        ["0.2"],
        ["100%"],
        ["500"],
        ["0"],
        ["chars:200"],
        ["chars:5"],
        ["chars:1k"],
        ["distance:0.1"],
        ["distance:5"],
        ["distance:x"],
        ["knee"],
        ["tokens:50"],
        ["lots"],
        ["-3"],
    ],
    "--anchors": [["test.jsonl"], ["missing.jsonl"], ["wide.npy"], ["anchors.npy"]],
    "--avoid": [["test.jsonl"], ["missing.jsonl"], ["anchors.npy"]],
    "--distance": [["0.05"], ["0.4"], ["3"], ["-1"]],
    "--must": [["gold=True"], ["lang=en"], ["lang=xx"], ["gold"], ["nofield=1"]],
    "--by": [["lang"], ["score"], ["nofield"], ["vec"]],
    "--quota": [["equal"], ["proportional"], ["2"], ["40"], ["0"], ["quota.json"], ["bad.json"]],
    "--at-least": [["1"], ["2"], ["90"], ["-1"]],
    "--guard": [["5%"], ["30%"], ["0"], ["1"], ["x"]],
    "--density": [["0.5"], ["1"], ["2"], ["-1"]],
    "--quality": [["score"], ["lang"], ["nofield"]],
    "--floor": [["3"], ["9"], ["nan"]],
    "--within": [["0.05"], ["2"], ["0"]],
    "--weight": [["1"], ["0.3"], ["-1"]],
    "--dedup": [["0.01"], ["0.3"], ["0"], ["9"]],
    "--match-length": [[]],
    "--mix": [["en=50%,de=50%"], ["en=20%,de=30%,fr=50%"], ["en=90%,xx=10%"], ["en=50%"], ["en"]],
    "--mix-by": [["rows"], ["tokens"], ["lines"]],
    "--toward": [["test.jsonl"], ["anchors.npy"], ["missing.jsonl"]],
    "--band": [["score", "2:4"], ["half", "0:1"], ["score", "9:10"], ["lang", "0:1"], ["score", "x"]],
    "--toward-share": [["50%"], ["5%"], ["100%"], ["0"], ["x"]],
    "--objective": [["gist"], ["best"]],
    "--lambda": [["0.5"], ["0"], ["100"], ["-1"]],
    "--allow-copies": [[]],
    "--metric": [["cosine"], ["euclidean"]],
    "--start": [["0"], ["random"], ["999"], ["soon"]],
    "--strategy": [["random"], ["clumped"], ["longest"], ["facility"], ["dpp"], ["repr"], ["nothing"]],
    "--refine": [[]],
    "--seed": [["1"], ["-1"]],
}
THEMES = [
    ["--guard"],
    ["--density"],
    ["--dedup"],
    ["--avoid", "--distance"],
    ["--anchors"],
    ["--must"],
    ["--by", "--quota"],
    ["--by", "--at-least"],
    ["--quality", "--floor"],
    ["--quality", "--within"],
    ["--quality", "--weight"],
    ["--match-length"],
    ["--by", "--mix"],
    ["--mix", "--mix-by"],
    ["--toward"],
    ["--band"],
    ["--quality", "--objective", "--lambda"],
    ["--toward", "--toward-share"],
    ["--start"],
    ["--allow-copies"],
    ["--metric"],
    ["--refine"],
    ["--strategy"],
]
WITHOUT_KEEP, STRANGE = 0.1, 0.2
COMMAND = get_command(app)
ClickError: type[Exception] = typer.BadParameter.__mro__[2]


def make_files(folder: Path) -> None:
    write_lines(folder / "pool.jsonl", records(40, 0))
    write_lines(folder / "test.jsonl", records(6, 1))
    rng = np.random.default_rng(2)
    np.save(folder / "anchors.npy", rng.standard_normal((3, 4)).astype(np.float32))
    np.save(folder / "wide.npy", rng.standard_normal((3, 7)).astype(np.float32))
    (folder / "quota.json").write_text('{"en": 3, "de": 2}')
    (folder / "bad.json").write_text('{"en": "three"}')


def random_flags(rng: np.random.Generator) -> list[str]:
    """One to three controls with values that are mostly sensible, and now and then a flag that does not belong."""
    names = [] if rng.random() < WITHOUT_KEEP else ["--keep"]
    for theme in rng.choice(len(THEMES), int(rng.integers(1, 4)), replace=False):
        names += THEMES[theme]
    if rng.random() < STRANGE:
        names.append(str(rng.choice(list(FLAGS))))
    flags: list[str] = []
    for name in dict.fromkeys(names):
        values = FLAGS[name]
        weights = (1.0 + np.arange(len(values))) ** -1.5
        flags += [name, *values[int(rng.choice(len(values), p=weights / weights.sum()))]]
    return flags


def run_one(folder: Path, flags: list[str], *, verify: bool) -> str:
    """Runs the command in this process.

    Returns:
        "kept", or the line that refused it.

    Raises:
        AssertionError: a result that is not what the flags promise, or a line that is none.
        Exception: whatever is no clear line.
    """
    out = folder / "kept.jsonl"
    arguments = ["select", str(folder / "pool.jsonl"), "--out", str(out), "--encoder", "column:vec"]
    placed = [str(folder / flag) if flag.endswith((".jsonl", ".npy", ".json")) else flag for flag in flags]
    try:
        COMMAND.main([*arguments, "--no-cache", "--json", *placed], standalone_mode=False)
    except (EvenlyError, ClickError) as error:
        return one_line(error)
    check_result(folder, flags, verify=verify)
    return "kept"


def one_line(error: Exception) -> str:
    """The line a person sees, which must be one and say something."""
    line = error.format_message() if hasattr(error, "format_message") else str(error)
    assert "\n" not in line
    assert len(line) > 10
    return str(line)


def check_result(folder: Path, flags: list[str], *, verify: bool) -> None:
    """What the flags promise of the kept rows, read from the file that was written."""
    pool, kept = read_lines(folder / "pool.jsonl"), read_lines(folder / "kept.jsonl")
    assert kept
    places = [pool.index(row) for row in kept]
    assert places == sorted(set(places))
    value = dict(zip(flags, [*flags[1:], ""], strict=True))
    if value.get("--keep", "").startswith("chars:"):
        budget = {"chars:200": 200, "chars:1k": 1000, "chars:5": 5}[value["--keep"]]
        assert sum(len(f"{row['instruction']}\n{row['output']}") for row in kept) <= budget + len(kept)
    must = value.get("--must")
    if must:
        name, _, wanted = must.partition("=")
        assert all(row in kept for row in pool if str(row[name]) == wanted)
    elif "--floor" in value:
        assert min(row["score"] for row in kept) >= float(value["--floor"])
    if value.get("--quota") == "2" and not must:
        groups = [str(row[value["--by"]]) for row in kept]
        assert {groups.count(group) for group in groups} == {2}
    if verify:
        found = verify_folder(SavedPoolRequest(folder / "kept.evenly", use_cache=False))
        assert found.passed, [str(check) for check in found.checks if not check.passed]
