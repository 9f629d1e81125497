"""Rows of every form with random fields beside them through select, slice, split, extend and export: equal value for
value."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from evenly.controls.choice import Choice
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.split import SplitRequest, split_sources
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.rows.sources import read_rows
from evenly.selecting.request import SelectRequest
from evenly.train.handed import TRAINERS, Refused
from tests.jobs.files import read_lines, write_lines
from tests.rows.test_whole_rows import SAYS

KINDS = [record for record, *_ in SAYS]
NEW = 5
"""Rows that a selection is extended by."""

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)
beside = st.dictionaries(
    st.sampled_from(["meta", "score", "source", "image", "url"]),
    st.recursive(
        plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2)
    ),
    max_size=3,
)


@settings(max_examples=5)
@given(fields=st.lists(beside, min_size=len(KINDS), max_size=len(KINDS)), order=st.permutations(KINDS))
def test_rows_survive(fields: list[dict[str, Any]], order: list[dict[str, Any]]) -> None:
    axes = range(len(order) + NEW)
    every = [*zip(order, fields, strict=True), *zip(order[:NEW], fields[-NEW:], strict=True)]
    rows, new = [], []
    for number, (form, more) in enumerate(every):
        own = {**form, **more, "vec": [float(number == axis) for axis in axes]}
        (rows if number < len(order) else new).append(own)
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        pool = PoolRequest(
            [str(write_lines(place / "pool.jsonl", rows))], encoder="column:vec", use_cache=False
        )
        request = SelectRequest(pool, Choice.of(keep="80%"), str(place / "kept.jsonl"), random_draws=0)
        done = select_sources(request)
        picks = done.selection.sorted_rows().tolist()
        assert read_lines(place / "kept.jsonl") == [rows[row] for row in picks]
        slice_selection(SavedPoolRequest(done.folder, use_cache=False), "9", str(place / "cut.jsonl"))
        first = sorted(done.selection.rows[:9].tolist())
        assert read_lines(place / "cut.jsonl") == [rows[row] for row in first]
        longer = extend_selection(
            SavedPoolRequest(done.folder, use_cache=False),
            [str(write_lines(place / "new.jsonl", new))],
            str(len(picks) + NEW),
            f"{place}/longer/",
        )
        both = longer.outcome.selection.sorted_rows()
        assert set(picks) < set(both.tolist())
        for name, given, first in (("pool", rows, 0), ("new", new, len(rows))):
            kept = [row - first for row in both.tolist() if first <= row < first + len(given)]
            assert read_lines(place / f"longer/{name}.jsonl") == [given[row] for row in kept]
        split = split_sources(SplitRequest(pool, f"{place}/parts/", test="2", gap=0.0))
        parts = [row for part in ("train", "test") for row in read_lines(place / f"parts/{part}.jsonl")]
        assert len(parts) + split.left_out == len(rows)
        assert set(map(_text, parts)) <= set(map(_text, rows))
        again = read_rows([str(place / "kept.jsonl")])
        for number, row in enumerate(picks):
            whole = again.whole(number)
            assert whole == done.prepared.pool.rows.whole(row)
            given_beside = {name: value for name, value in fields[row].items() if value is not None}
            assert {name: whole.more[name] for name in given_beside} == given_beside
            for trainer in TRAINERS.values():
                if whole.kind in trainer.kinds:
                    _check_exported(trainer, whole)


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _check_exported(trainer: Any, whole: Any) -> None:
    """What every turn says is in the lines that a trainer is given, unless it refuses the row."""
    try:
        written = json.dumps(list(trainer.lines(whole)), ensure_ascii=False)
    except Refused:
        return
    for turn in whole.every_turn():
        if isinstance(turn["content"], str):
            assert json.dumps(turn["content"], ensure_ascii=False)[1:-1] in written
