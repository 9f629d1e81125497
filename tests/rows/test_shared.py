"""Text that many rows share is found whatever the order of the rows, and taken out with nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenly import select_rows
from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.verify import verify_folder
from evenly.opened import open_pool, read_pool
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.rows.index import text_key
from evenly.rows.shared import FEWEST, SharedSample, SharedText, without_shared
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded

TEMPLATE = (
    "Of the following two sentences which one is against common sense? {} Answer as briefly as you can."
)
THINGS = [
    "apples",
    "bread",
    "coal",
    "dogs",
    "eels",
    "figs",
    "goats",
    "hats",
    "ink",
    "jars",
    "kites",
    "lamps",
    "mice",
    "nets",
    "oars",
    "pears",
    "quilts",
    "rings",
]
WORDS = st.lists(st.sampled_from(["one", "Two", "three,", "(four)", "\n", "fünf", "—", "6"]), max_size=30)
PHRASES = st.lists(st.sampled_from(["one", "two", "three", "four", "6"]), min_size=4, max_size=4).map(
    " ".join
)


def found(texts: list[str]) -> SharedText:
    sample = SharedSample()
    for text in texts:
        sample.add(text_key(text), text)
    return sample.found()


def sentences(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(THINGS, 6, replace=False)) + f" {number}" for number in range(count)]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_a_template_is_found_and_ordinary_text_has_none() -> None:
    plain = sentences(100)
    made = [TEMPLATE.format(text) for text in plain]
    assert found(plain) == SharedText()
    shared = found(made)
    assert "of the following two" in shared.phrases
    assert 0.5 < shared.share < 0.8
    assert [words(str(without_shared(text, shared.phrases))) for text in made] == [
        words(text) for text in plain
    ]


def test_few_rows_share_nothing() -> None:
    assert found([TEMPLATE.format(text) for text in sentences(FEWEST - 1)]) == SharedText()
    assert found([TEMPLATE.format("the same")] * 100) == SharedText()


@settings(max_examples=5)  # twelve hundred texts each
@given(st.randoms(use_true_random=False))
def test_what_is_found_is_a_function_of_the_distinct_texts(random) -> None:  # type: ignore[no-untyped-def]
    texts = [TEMPLATE.format(text) if number % 3 else text for number, text in enumerate(sentences(1200))]
    shuffled = texts + texts[:50]
    random.shuffle(shuffled)
    assert found(shuffled) == found(texts)


@given(
    WORDS,
    st.frozensets(
        st.lists(st.sampled_from(["one", "two", "three", "four", "6"]), min_size=4, max_size=4).map(" ".join)
    ),
)
def test_what_is_left_is_the_rest_in_order_and_never_empty(parts: list[str], phrases: frozenset[str]) -> None:
    text = " ".join(parts)
    left = without_shared(text, phrases)
    own = words(text)
    gone = {
        at + step
        for at in range(len(own) - 3)
        if " ".join(own[at : at + 4]).lower() in phrases
        for step in range(4)
    }
    if not gone:
        assert left == text
    elif len(gone) == len(own):
        assert left is None
    else:
        assert left is not None
        assert left.strip() == left != ""
        assert words(left) == [word for at, word in enumerate(own) if at not in gone]


# --- within a run ---


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of one template, and one of ordinary texts; new rows of the template."""
    folder = tmp_path_factory.mktemp("shared")
    texts = sentences(70)
    made = [TEMPLATE.format(text) for text in texts]
    for name, rows in {"made": made[:40], "plain": texts[40:60], "new": made[60:]}.items():
        lines = (json.dumps({"text": text, "n": number}) for number, text in enumerate(rows))
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def run(files: Path, out: Path, *, keep: str = "12", strip: bool = True, **controls: object) -> Recorded:
    pool = PoolRequest([str(files / "made.jsonl"), str(files / "plain.jsonl")], strip_shared=strip)
    return select_sources(SelectRequest(pool, Choice.of(keep=keep, **controls), f"{out}/kept/"))


def test_it_is_said_and_stripping_keeps_the_source(files: Path, tmp_path: Path) -> None:
    plain, stripped = run(files, tmp_path, strip=False), run(files, tmp_path)
    assert any("such as a template: made.jsonl" in note for note in plain.notes())
    assert any(note.startswith("embedded without text that many rows") for note in stripped.notes())
    kept = [one.measures["controls"]["sources"]["made.jsonl"]["kept"] for one in (plain, stripped)]
    assert kept[0] < kept[1]


def test_kept_rows_are_as_they_were_and_the_record_repeats_it(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path)
    lines = {
        line for name in ("made", "plain") for line in (files / f"{name}.jsonl").read_bytes().splitlines()
    }
    kept = [line for file in (tmp_path / "kept").iterdir() for line in file.read_bytes().splitlines()]
    assert len(kept) == 12
    assert set(kept) <= lines
    assert SelectionFolder.open(outcome.folder).pool_request().strip_shared
    saved = SavedPoolRequest(outcome.folder)
    verified = verify_folder(saved)
    assert verified.passed
    assert verified.same_vectors
    cut = slice_selection(saved, "5", f"{tmp_path}/cut/")
    assert verify_folder(SavedPoolRequest(tmp_path / "cut.evenly")).same_vectors
    assert cut.kept == 5
    longer = extend_selection(saved, [str(files / "new.jsonl")], "16", f"{tmp_path}/longer/")
    assert verify_folder(SavedPoolRequest(longer.outcome.folder)).same_vectors


def test_rows_from_outside_have_the_vectors_that_they_have_in_the_pool(files: Path) -> None:
    request = PoolRequest([str(files / "made.jsonl"), str(files / "plain.jsonl")], strip_shared=True)
    with open_pool(request, read_pool(request)) as pool:
        outside = pool.outside(str(files / "made.jsonl"), "anchors")
        assert (outside.vectors == pool.points.vectors[:40]).all()


def test_python_takes_it_and_vectors_refuse_it(files: Path, tmp_path: Path) -> None:
    records = [json.loads(line) for line in (files / "made.jsonl").read_text().splitlines()]
    plain, stripped = (select_rows(records, 0.5, strip_shared=strip) for strip in (False, True))
    assert stripped.h_min > plain.h_min
    pool = PoolRequest([str(files / "made.jsonl")], encoder="column:v", strip_shared=True)
    request = SelectRequest(pool, Choice.of(keep="5"), str(tmp_path / "kept.jsonl"))
    with pytest.raises(
        InputError, match="`strip_shared` is for texts that are embedded; column:v gives vectors"
    ):
        select_sources(request)


def test_rows_of_shared_text_alone_are_embedded_whole_and_counted(tmp_path: Path) -> None:
    texts = [TEMPLATE.format(text) for text in sentences(60)] + [TEMPLATE.format("")]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    rows = read_pool(PoolRequest([str(tmp_path / "pool.jsonl")], strip_shared=True))
    assert rows.texts()[60] == texts[60]
    assert rows.shared_lines()[0].endswith("; 1 row of shared text alone, embedded with it")
