"""Python has every control: values in memory give what files and fields give on the command line."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import evenly
from evenly import EvenlyError, extend, measure, plan, select, select_rows, split, verify
from evenly.api.options import OF_FILES
from evenly.controls import CONTROLS
from evenly.controls.choice import Choice
from evenly.jobs.select import select_sources
from evenly.request import PoolRequest
from evenly.selecting.request import SelectRequest
from evenly.vectors.registry import encoder_options
from tests.jobs.files import records, write_lines
from tests.vectors.conftest import plain_folder, tiny_folder

__all__ = ["plain_folder", "tiny_folder"]

ROWS = records(60, 5)
VECTORS = np.array([row["vec"] for row in ROWS], dtype=np.float32)
OTHERS = np.array([row["vec"] for row in records(6, 6)], dtype=np.float32)
LANGUAGES = [row["lang"] for row in ROWS]
SCORES = [row["score"] for row in ROWS]
GOLD = [row["gold"] for row in ROWS]
UNCACHED = {"encoder": "column:vec", "use_cache": False}

# What is given in memory, and what says the same on the command line.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"keep": 0.3}, {"keep": "0.3"}),
    "start": ({"keep": 9, "start": 4}, {"keep": "9", "start": 4}),
    "anchors": ({"keep": 9, "anchors": OTHERS}, {"keep": "9", "anchors": "others.npy"}),
    "avoid": (
        {"keep": 9, "avoid": OTHERS, "distance": 0.05},
        {"keep": "9", "avoid": ("others.npy",), "distance": 0.05},
    ),
    "avoid by name": (
        {"keep": 9, "avoid": {"a": OTHERS[:2], "b": OTHERS[2:]}, "distance": 0.05},
        {"keep": "9", "avoid": ("others.npy",), "distance": 0.05},
    ),
    "toward": ({"keep": 9, "toward": OTHERS}, {"keep": "9", "toward": ("others.npy",)}),
    "must": ({"keep": 30, "must": np.flatnonzero(GOLD)}, {"keep": "30", "must": ("gold=True",)}),
    "must by truth": ({"keep": 30, "must": GOLD}, {"keep": "30", "must": ("gold=True",)}),
    "groups": (
        {"keep": 9, "by": LANGUAGES, "quota": "equal"},
        {"keep": "9", "by": "lang", "quota": "equal"},
    ),
    "quota": (
        {"by": LANGUAGES, "quota": {"en": 3, "de": 2}},
        {"by": "lang", "quota": '{"en": 3, "de": 2}'},
    ),
    "floor": ({"quality": SCORES, "floor": 3}, {"quality": "score", "floor": 3}),
    "weight": (
        {"keep": 9, "quality": np.array(SCORES), "weight": 1},
        {"keep": "9", "quality": "score", "weight": 1},
    ),
    "guard": ({"keep": 9, "guard": "10%"}, {"keep": "9", "guard": "10%"}),
    "dedup": ({"dedup": 0.2}, {"dedup": 0.2}),
    "density": ({"keep": 9, "density": 0.5}, {"keep": "9", "density": 0.5}),
    "distance": ({"keep": "distance:0.4"}, {"keep": "distance:0.4"}),
    "knee": ({"keep": "knee"}, {"keep": "knee"}),
    "strategy": ({"keep": 9, "strategy": "random"}, {"keep": "9", "strategy": "random"}),
    "refine": ({"keep": 9, "refine": True}, {"keep": "9", "refine": True}),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_give_what_files_and_fields_give(name: str, tmp_path: Path) -> None:
    given, typed = CALLS[name]
    np.save(tmp_path / "others.npy", OTHERS)
    typed = {
        key: tuple(str(tmp_path / one) for one in value)
        if isinstance(value, tuple) and value[0].endswith(".npy")
        else str(tmp_path / value)
        if isinstance(value, str) and value.endswith(".npy")
        else value
        for key, value in typed.items()
    }
    pool = PoolRequest(
        [str(write_lines(tmp_path / "pool.jsonl", ROWS))], encoder="column:vec", use_cache=False
    )
    request = SelectRequest(pool, Choice.of(**typed), str(tmp_path / "kept.jsonl"), random_draws=0)
    done = select_sources(request)
    by_rows = select_rows(ROWS, **given, **UNCACHED)
    assert by_rows.rows.tolist() == done.selection.rows.tolist()
    assert np.array_equal(by_rows.radii, done.selection.radii)
    found = select(VECTORS, **given)
    # Rows that share a vector are no copies where they are rows, and are where there is nothing but vectors.
    apart = by_rows.rows[by_rows.radii > 0]
    assert found.rows[: len(apart)].tolist() == apart.tolist()
    assert verify(found, VECTORS, **given).passed
    assert verify(by_rows, ROWS, **given, **UNCACHED).passed
    assert verify(request.out, use_cache=False).passed
    assert set(done.prepared.excluded) <= set(by_rows.excluded)


def test_a_changed_selection_does_not_verify() -> None:
    found = select(VECTORS, keep=9)
    rows = found.rows.copy()
    rows[3:5] = rows[[4, 3]]
    other = pickle.loads(pickle.dumps(found))  # noqa: S301 - its own
    object.__setattr__(other, "rows", rows)
    assert verify(found, VECTORS).passed
    assert not verify(other, VECTORS).passed


def test_every_option_of_reading_and_choosing_has_its_python_name() -> None:
    declared = [one for request in (PoolRequest, Choice, *CONTROLS) for one in fields(request)]
    names = {one.name for one in declared if "option" in one.metadata} - set(OF_FILES)
    assert names <= inspect.signature(select_rows).parameters.keys()
    assert names <= inspect.signature(extend).parameters.keys()
    assert names <= inspect.signature(verify).parameters.keys()
    choosing = {
        one.name for control in (Choice, *CONTROLS) for one in fields(control) if "option" in one.metadata
    }
    assert choosing <= inspect.signature(select).parameters.keys()
    reading = {one.name for one in fields(PoolRequest) if "option" in one.metadata} - set(OF_FILES)
    reading |= encoder_options().keys()
    assert reading <= inspect.signature(measure).parameters.keys()
    assert reading <= inspect.signature(plan).parameters.keys()


def test_extend_goes_on_from_what_is_kept() -> None:
    whole = select(VECTORS, keep=20)
    assert extend(whole.rows[:8], VECTORS, keep=20).rows.tolist() == whole.rows.tolist()
    first = select(VECTORS[:40], keep=8)
    longer = extend(first, VECTORS, keep=20)
    assert longer[:8].tolist() == first.rows.tolist()
    assert verify(longer, VECTORS, given=8).passed


@pytest.mark.parametrize("form", ["data frame", "generator", "dataset", "texts"])
def test_rows_of_many_kinds(form: str, tiny_folder: Path) -> None:
    import datasets

    texts = [f"{row['instruction']} even far" for row in ROWS[:12]]
    given: Any = {
        "data frame": lambda: pandas.DataFrame({"text": texts}),
        "generator": lambda: ({"text": text} for text in texts),
        "dataset": lambda: datasets.Dataset.from_dict({"text": texts}),
        "texts": lambda: texts,
    }[form]()
    expected = select_rows([{"text": text} for text in texts], 3, encoder=str(tiny_folder))
    assert select_rows(given, 3, encoder=str(tiny_folder)).rows.tolist() == expected.rows.tolist()


def test_a_polars_frame_is_read() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame({"text": ["a", "b", "c"], "vec": VECTORS[:3].tolist()})
    assert select_rows(frame, 2, **UNCACHED).rows.tolist() == select(VECTORS[:3], 2).rows.tolist()


def test_split_gives_row_numbers() -> None:
    parts = split(VECTORS, test="10%")
    train, test = parts.rows["train"], parts.rows["test"]
    assert len(test) == 6
    assert sorted([*train, *test, *parts.left_out]) == list(range(60))
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert parts.gap is not None
    assert parts.gap > 0.05
    assert (1 - unit[train] @ unit[test].T).min() == pytest.approx(parts.gap, abs=1e-6)
    by_rows = split(ROWS, test=6, **UNCACHED)
    assert by_rows.rows["test"].tolist() == test.tolist()
    assert sorted(split(VECTORS, folds=3).rows) == ["fold1", "fold2", "fold3"]


def test_measure_and_plan_take_vectors_and_rows() -> None:
    found = select(VECTORS, keep=9)
    by_vectors = measure(VECTORS, found, random_draws=0)
    by_rows = measure(ROWS, found.rows, random_draws=0, **UNCACHED)
    assert by_vectors.exact.h_min == by_rows.exact.h_min == found.h_min
    assert by_vectors.exact.fill == by_rows.exact.fill
    assert plan(VECTORS, 0.5).keep == plan(ROWS, 0.5, **UNCACHED).keep == 30


def test_a_selection_reads_in_five_lines_and_is_a_sequence() -> None:
    found = select(VECTORS, keep=12, guard="10%")
    assert str(found) == repr(found)
    assert len(str(found).splitlines()) == 5
    assert "12 of 60 rows (20 %)" in str(found)
    assert "6 excluded" in str(found)
    assert found._repr_html_().count("<tr>") == 5
    assert list(found) == found.rows.tolist() == [found[rank] for rank in range(len(found))]
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - its own
    assert str(again) == str(found)
    assert again.excluded == found.excluded
    with pytest.raises(FrozenInstanceError):
        found.asked = 3  # type: ignore[misc]


def test_progress_is_told_to_whoever_asks() -> None:
    seen: list[tuple[str, int, int]] = []
    select(VECTORS, keep=9, progress=lambda *told: seen.append(told))
    assert seen[-1] == ("select", 9, 9)
    select(VECTORS, keep=9, progress=evenly.silent)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "an option that there is not": (
        lambda: select(VECTORS, 3, quotta=3),
        "select takes no quotta; did you mean quota",
    ),
    "an option of texts": (lambda: select(VECTORS, 3, encoder="minilm"), "select takes no encoder; "),
    "rows": (lambda: select(["a"], 1), "select takes vectors; rows are embedded and chosen by select_rows"),
    "nothing to keep": (lambda: select(VECTORS), "say how much to keep"),
    "too few groups": (
        lambda: select(VECTORS, 3, by=["a"], quota="equal"),
        "`by` has 1 values and the pool 60 rows",
    ),
    "a name": (
        lambda: select(VECTORS, 3, by="lang", quota="equal"),
        "give one value for each row instead of a name",
    ),
    "rows beyond the pool": (
        lambda: select(VECTORS, 3, must=[60]),
        "`must` must be row numbers from 0 to 59",
    ),
    "no row": (lambda: select(VECTORS, 3, must=[False] * 60), "`must` names no row"),
    "tokens": (lambda: select(VECTORS, "tokens:9"), "vectors alone have no texts"),
    "a strategy of texts": (lambda: select(VECTORS, 3, strategy="longest"), "looks at lengths of texts"),
    "lengths": (lambda: select(VECTORS, 3, match_length=True), "vectors alone have no lengths"),
    "another dimension": (
        lambda: select(VECTORS, 3, anchors=np.ones((1, 3))),
        "the anchors have 3 dimensions",
    ),
    "rows beside vectors": (lambda: select(VECTORS, 3, anchors=[{"text": "a"}]), "must be vectors"),
    "all strategies": (lambda: select(VECTORS, 3, strategy="all"), "`strategy` all writes files"),
    "other rows": (
        lambda: verify(select(VECTORS, 3), VECTORS[:9]),
        "the selection is of 60 rows and there are 9",
    ),
    "vectors for rows": (lambda: select_rows(VECTORS, 3), "rows must all be dictionaries or texts"),
    "no rows": (lambda: verify(select(VECTORS, 3)), "verify needs what was chosen from"),
    "no folder": (lambda: verify("nothing.jsonl"), "nothing.jsonl does not exist"),
    "kept beyond": (lambda: extend([60], VECTORS, 3), "below 60"),
    "kept twice": (lambda: extend([1, 1], VECTORS, 3), "different row numbers"),
    "no part": (lambda: split(VECTORS), "say either `test`"),
    "a start": (lambda: extend([1], VECTORS, 3, start=2), "extend goes on from one"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_one_line(name: str) -> None:
    call, said = WRONG[name]
    with pytest.raises(EvenlyError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
