"""Parts in fixed proportions: every prefix keeps the shares, by rows within one row, by tokens within one row's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenly import select, verify
from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.jobs.files import read_lines, records, write_lines
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]
SHARES = {"chat": 0.5, "code": 0.3, "math": 0.2}
MIX = "code=30%,chat=50%,math=20%"


@pytest.fixture
def pool(tmp_path: Path) -> PoolRequest:
    sources = [
        write_lines(tmp_path / f"{name}.jsonl", [{**row, "part": name} for row in records(40, seed)])
        for seed, name in enumerate([*SHARES, "other"])
    ]
    return PoolRequest([str(path) for path in sources], encoder="column:vec", use_cache=False)


def run(pool: PoolRequest, out: Path, **asked: Any) -> Recorded:
    return select_sources(
        SelectRequest(pool, Choice.of(**asked), str(out), random_draws=0, order="picked", overwrite=True)
    )


def farthest_from_share(parts: list[str], costs: list[int] | None = None) -> tuple[float, float]:
    """By how much a part was ahead of its share and behind it at most, over all prefixes."""
    taken, total = dict.fromkeys(SHARES, 0), 0
    ahead = behind = 0.0
    for number, part in enumerate(parts):
        cost = 1 if costs is None else costs[number]
        taken[part] += cost
        total += cost
        off = [taken[name] - SHARES[name] * total for name in SHARES]
        ahead, behind = max(ahead, *off), max(behind, *(-one for one in off))
    return ahead, behind


@pytest.mark.parametrize(
    "asked",
    [
        {"keep": 50},
        {"keep": 50, "guard": "5%"},
        {"keep": 40, "avoid": ("other.jsonl",), "distance": 0.02},
        {"keep": 40, "quality": "score", "weight": 1.0},
        {"keep": "distance:0.1"},
        {"dedup": 0.05},
        {"keep": 40, "by": "part"},
        {"keep": 40, "start": "random"},
        {},
    ],
    ids=lambda asked: " ".join(map(str, asked)) or "alone",
)
def test_every_prefix_of_the_file_keeps_the_shares(
    asked: dict[str, Any], pool: PoolRequest, tmp_path: Path
) -> None:
    if "avoid" in asked:
        asked = {**asked, "avoid": (str(tmp_path / "other.jsonl"),)}
        pool = PoolRequest(pool.sources[:3], encoder="column:vec", use_cache=False)
    done = run(pool, tmp_path / "kept.jsonl", mix=MIX, **asked)
    rows = read_lines(tmp_path / "kept.jsonl")
    assert len(rows) == len(done.selection) > 20
    assert max(farthest_from_share([row["part"] for row in rows])) < 1
    found = verify_folder(SavedPoolRequest(done.folder, use_cache=False))
    assert found.passed
    assert "mix" in {check.name for check in found.checks}
    if "keep" in asked and asked["keep"] != "distance:0.1":
        small = tmp_path / "small.jsonl"
        slice_selection(SavedPoolRequest(done.folder, use_cache=False), "17", str(small), order="picked")
        assert read_lines(small) == rows[:17]
        run(pool, tmp_path / "anew.jsonl", mix=MIX, **{**asked, "keep": 17})
        assert read_lines(tmp_path / "anew.jsonl") == rows[:17]


def test_by_tokens_no_part_is_ahead_by_more_than_a_row(tmp_path: Path, tiny_folder: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["one", "two", "three", "far", "even", "row"]
    sources = []
    for name in SHARES:
        rows = [
            {"text": " ".join(rng.choice(words, int(rng.integers(1, 12)))), "part": name} for _ in range(40)
        ]
        sources.append(str(write_lines(tmp_path / f"{name}.jsonl", rows)))
    pool = PoolRequest(sources, encoder=str(tiny_folder), use_cache=False)
    done = run(pool, tmp_path / "kept.jsonl", keep="tokens:150", mix=MIX, mix_by="tokens")
    costs = done.prepared.costs
    assert costs is not None
    kept = costs[done.selection.rows].tolist()
    parts = [row["part"] for row in read_lines(tmp_path / "kept.jsonl")]
    assert farthest_from_share(parts, kept)[0] <= max(kept)
    assert done.measures["controls"]["mix"]["by"] == "tokens"
    assert sum(done.measures["controls"]["mix"]["taken"].values()) == sum(kept)
    assert verify_folder(SavedPoolRequest(done.folder, use_cache=False)).passed


def test_rows_of_no_part_are_excluded_and_said(pool: PoolRequest, tmp_path: Path) -> None:
    done = run(pool, tmp_path / "kept.jsonl", keep=20, mix=MIX)
    assert done.prepared.excluded_counts() == {"mix": 40}
    said = "\n".join(done.found_notes())
    assert "mix: 40 rows excluded" in said
    assert "mix: code 30 % (6), chat 50 % (10), math 20 % (4) of rows" in said
    folder = SelectionFolder.open(done.folder)
    assert set(folder.excluded["detail"].to_pylist()) == {"other.jsonl"}


def test_what_goes_on_keeps_the_shares_of_what_it_adds(pool: PoolRequest, tmp_path: Path) -> None:
    done = run(pool, tmp_path / "kept.jsonl", keep=20, mix=MIX)
    new = write_lines(tmp_path / "code2.jsonl", [{**row, "part": "code"} for row in records(9, 9)])
    saved = SavedPoolRequest(done.folder, use_cache=False)
    longer = extend_selection(saved, [str(new)], "40", str(tmp_path / "more.jsonl"), order="picked")
    parts = [row["part"] for row in read_lines(tmp_path / "more.jsonl")][20:]
    assert max(farthest_from_share(parts)) < 1
    assert verify_folder(SavedPoolRequest(longer.outcome.folder, use_cache=False)).passed


def test_an_order_with_other_shares_does_not_verify() -> None:
    vectors = np.random.default_rng(0).standard_normal((60, 4))
    parts = np.array(list(SHARES))[np.arange(60) % 3]
    plain = select(vectors, keep=20)
    found = verify(plain, vectors, keep=20, by=parts, mix=SHARES)
    wrong = {check.name: check.detail for check in found.checks if not check.passed}
    assert "more than a row from its share" in wrong["mix"]
    mixed = select(vectors, keep=20, by=parts, mix=SHARES)
    assert verify(mixed, vectors, keep=20, by=parts, mix=SHARES).passed


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown part": (
        {"mix": "code=50%,chet=50%"},
        "`mix` names chet, which no row has; did you mean chat.jsonl?",
    ),
    "another sum": ({"mix": "code=50%,chat=60%"}, "the shares of `mix` add up to 110 %; they must be 100 %"),
    "no share": ({"mix": "code,chat"}, "`mix` must read NAME=SHARE"),
    "no part": ({"mix": "code=100%,chat=0%"}, "got 'chat=0%'"),
    "twice": ({"mix": "code=50%,code=50%"}, "`mix` names code twice"),
    "too much": (
        {"mix": "code=90%,chat=10%"},
        "the mix cannot be kept up to 100 rows: code.jsonl has 37 of 90 rows; `keep` at most 41",
    ),
    "quotas": (
        {"mix": MIX, "by": "part", "quota": "equal"},
        "`mix` shares out the rows, and so does `quota`",
    ),
    "copies": ({"mix": MIX, "allow_copies": True}, "`allow_copies` keeps copies"),
    "a knee": ({"mix": MIX, "keep": "knee"}, "the knee is that of one order"),
    "no mix": ({"mix_by": "tokens"}, "`mix_by` needs `mix`"),
    "a strategy": ({"mix": MIX, "strategy": "random"}, "`mix` changes the max-min order"),
    "no tokenizer": ({"mix": MIX, "mix_by": "tokens"}, "needs a tokenizer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mix_that_cannot_be_is_one_line(name: str, pool: PoolRequest, tmp_path: Path) -> None:
    asked, said = WRONG[name]
    with pytest.raises(InputError) as caught:
        run(pool, tmp_path / "kept.jsonl", **{"keep": 100, **asked})
    assert said.replace("code.jsonl has", "code has") in str(caught.value).replace(
        "code.jsonl has", "code has"
    )
    assert not (tmp_path / "kept.jsonl").exists()
