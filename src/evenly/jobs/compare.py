"""The comparison from sources to verdict: where data, embedding, selection and training meet for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.checks import check_keep
from evenly.errors import InputError
from evenly.files import sole_process, write_table
from evenly.folder.selection import SelectionFolder
from evenly.jobs.arms import ArmMaker, TestParts, check_kinds, set_tests_aside
from evenly.opened import check_request, embedded_rows, read_pool
from evenly.request import PoolRequest
from evenly.rows.chat import Conversation, conversation
from evenly.rows.rows import Rows
from evenly.rows.turns import turn_text
from evenly.train.arms import NAME, Arm, load_arms, save_arms
from evenly.train.plan import PreparedPool, plan_runs
from evenly.train.result import ComparisonResult
from evenly.train.settings import Request
from evenly.types import Float32Array, Int64Array, Progress, silent
from evenly.vectors.embedding import embed_texts
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.registry import encoder_named

WARM_UP_ROWS = 20_000
"""Rows outside the pool that the proxy may be warmed up on: more than it sees in its warm-up."""


@dataclass(frozen=True, eq=False)
class DrawnPool:
    """The rows of a comparison and those outside it.

    Attributes:
        request: which rows, and how they are embedded.
        rows: all rows of the sources.
        members: (P,) int64 row numbers of the sources that make the pool; pool row i is row members[i].
        outside: row numbers of the sources that are in no arm and no test, for warming up the proxy.
    """

    request: PoolRequest
    rows: Rows
    members: Int64Array
    outside: Int64Array

    def messages(self, numbers: Int64Array) -> list[Conversation]:
        """Rows of the sources as turns, with all that trainers know of them."""
        return [conversation(self.rows.whole(int(number))) for number in numbers]

    def vectors(self, progress: Progress = silent) -> tuple[Float32Array, float]:
        """(P, d) float32 of the members, and the seconds that they cost.

        The cache is not used, so that the seconds are real; vectors that the user brings cost their reading.
        """
        request = replace(self.request, use_cache=False)
        started = time.perf_counter()
        kind = encoder_named(request.encoder)
        if isinstance(kind, EmbeddingKind):
            texts, _ = kind.texts(self.rows)
            chosen = [texts[int(number)] for number in self.members]
            vectors = embed_texts(chosen, kind.load(request), cache=None, progress=progress).vectors
        else:
            vectors = embedded_rows(request, self.rows, progress=progress).vectors[self.members]
        return vectors, time.perf_counter() - started


def draw_pool(request: Request, progress: Progress = silent) -> DrawnPool:
    """Reads sources and draws the pool from them, always the same for the same sources and size.

    Raises:
        InputError: no source, or something of it that cannot be used; an unknown arm; no such encoder.
    """
    if not request.sources:
        raise InputError(
            "no source was named; name a file, a folder or a dataset id, or put sources into the recipe"
        )
    check_kinds(request.arms)
    asked = request.pool_request()
    check_request(asked)
    rows = read_pool(asked, progress=progress)
    count = len(rows) if request.pool is None else request.pool
    if not 1 <= count <= len(rows):
        raise InputError(f"`pool` {count} must lie between 1 and the {len(rows)} rows of the sources")
    order = np.random.default_rng([0, 7]).permutation(len(rows))
    return DrawnPool(asked, rows, np.sort(order[:count]), order[count : count + WARM_UP_ROWS])


def compare(
    request: Request, folder: Path, *, workers: int = 1, progress: Progress = silent
) -> ComparisonResult:
    """Makes the arms, trains them, and judges them; goes on where an earlier call with the same request
    stopped.

    Args:
        request: what to compare.
        folder: where everything is kept.
        workers: processes that train at the same time.
        progress: called with the stages read, embed, tokenise, measure rows, train and runs.

    Returns:
        The result, as in ``comparison.json``.

    Raises:
        InputError: see `draw_pool`, `evenly.train.compare.open_folder`, `set_tests_aside`, `saved_selections`;
            another run is at work in the folder.
    """
    saved = saved_selections(request)
    pool = draw_pool(request, progress)
    hashes = [source.sha256 for source in pool.rows.sources]
    for selection in saved:
        selection.check_sources(hashes)
    request = request.model_copy(update={"sources_sha256": tuple(hashes)})

    from evenly.train.compare import REQUEST_FILE, check_folder, conclude, open_folder, prepare, run_all
    from evenly.train.models import processes
    from evenly.train.rate import find_rate

    launched = processes()
    if launched.num_processes > 1 and request.model is None:
        raise InputError("the default proxy needs no launcher; name a `model` for several processes")
    with ExitStack() as held:
        # What the first process has written to the folder the others read from it.
        with launched.main_process_first():
            check_folder(folder, request)
            # Before anything is made: vectors that cannot be had should say so now.
            embedded = None if _arms_path(folder).exists() else pool.vectors(progress)
            open_folder(folder, request)
            if launched.is_main_process:
                held.enter_context(sole_process(folder / REQUEST_FILE))
            model = request.model or str(_proxy(pool, folder, request, progress))
            prepared = prepare(folder, pool.messages(pool.members), model, request.training, progress)
            if embedded is not None:
                _make_arms(request, pool, prepared, embedded, saved)
            arms, tests = load_arms(_arms_path(folder)), _load_tests(folder, len(pool.members))
        rate = request.training.rate
        if rate == "auto":
            first = plan_runs(request, prepared, arms, tests.parts, 1.0)
            names = [arm.name for arm in arms]
            reference = first[names.index(request.reference)]
            unseen = np.setdiff1d(tests.candidates, reference.rows)
            rate = find_rate(reference, prepared, unseen, workers=workers, progress=progress)
        runs = plan_runs(request, prepared, arms, tests.parts, rate)
        run_all(runs, prepared, workers=workers, progress=progress)
        return conclude(request, prepared, runs, rate=rate, tests=tests.parts, left_out=len(tests.left_out))


def _proxy(pool: DrawnPool, folder: Path, request: Request, progress: Progress) -> Path:
    from evenly.train.proxy import make_proxy

    texts = [turn_text(turn) for messages in pool.messages(pool.members) for turn in messages]
    held = set(texts)
    # A row outside the pool may still be a copy of a test row.
    outside = [row for row in pool.messages(pool.outside) if turn_text(row[-1]) not in held]
    return make_proxy(folder / "proxy", texts, outside, window=request.training.window, progress=progress)


def _make_arms(
    request: Request,
    pool: DrawnPool,
    prepared: PreparedPool,
    embedded: tuple[Float32Array, float],
    saved: Sequence[SavedSelection],
) -> None:
    """Sets the tests aside and writes the arms; the file of the arms, the last, says that all is there."""
    vectors, seconds = embedded
    tests = set_tests_aside(vectors, request.test, request.near_copy)
    usable = ~prepared.examples.dropped
    parts = {name: rows[usable[rows]] for name, rows in tests.parts.items()}
    if not all(len(rows) for rows in parts.values()):
        raise InputError("no test row has a response inside the window; widen `window`")
    candidates = tests.candidates[usable[tests.candidates]]
    initial = prepared.initial
    place = np.searchsorted(initial.rows, candidates)
    maker = ArmMaker(
        candidates=candidates,
        vectors=vectors[candidates],
        row_loss=initial.loss_sum[place] / initial.tokens[place],
        response_tokens=initial.tokens[place],
        keep=check_keep(request.keep, len(candidates)),
        embed_seconds=seconds * len(candidates) / len(vectors),
        match_length=request.match_length,
    )
    arms = maker.make(request.arms, request.seeds)
    for selection in saved:
        rows = selection.rows_among(pool.members, candidates)
        arms += [Arm(selection.name, seed, rows, selection.seconds) for seed in range(request.seeds)]
    members = pa.table({"row": np.arange(len(pool.members)), "source_row": pool.members})
    write_table(prepared.folder / "pool.parquet", members)
    _save_tests(parts, tests.left_out, prepared.folder)
    save_arms(arms, _arms_path(prepared.folder))


@dataclass(frozen=True, eq=False)
class SavedSelection:
    """A selection that becomes an arm of this name."""

    name: str
    folder: SelectionFolder

    @property
    def seconds(self) -> float:
        """What embedding and selecting took."""
        return sum(self.folder.manifest.seconds.get(stage, 0.0) for stage in ("embed", "select"))

    def check_sources(self, hashes: list[str]) -> None:
        """Raises InputError unless it was made from sources of these hashes."""
        if [source.sha256 for source in self.folder.manifest.sources] != hashes:
            raise InputError(f"{self.folder.path} is a selection from other sources; select from these first")

    def rows_among(self, members: Int64Array, candidates: Int64Array) -> Int64Array:
        """Its picks as pool row numbers, less those that may not be trained on."""
        position = {int(number): at for at, number in enumerate(members)}
        allowed = set(candidates.tolist())
        rows = [position[row] for row in self.folder.picks.tolist() if position.get(row) in allowed]
        return np.array(rows, dtype=np.int64)


def saved_selections(request: Request) -> list[SavedSelection]:
    """The selections that a request names as arms; a kept file stands for the folder beside it.

    Raises:
        InputError: not NAME=FOLDER, a name that another arm has, or no selection there.
    """
    found = []
    for named in request.saved:
        name, separator, place = named.partition("=")
        if not separator or not place:
            raise InputError(f"`saved` {named} must read NAME=FOLDER, e.g. knn=kept.evenly/")
        if not NAME.fullmatch(name):
            raise InputError(f"`saved` {named}: the name must be small letters, digits and dashes")
        if request.names.count(name) > 1:
            raise InputError(f"`saved` {named}: another arm is called {name}; name it differently")
        found.append(SavedSelection(name, SelectionFolder.open(place)))
    return found


def _arms_path(folder: Path) -> Path:
    return folder / "arms.parquet"


def _tests_path(folder: Path) -> Path:
    return folder / "tests.parquet"


def _save_tests(parts: dict[str, Int64Array], left_out: Int64Array, folder: Path) -> None:
    named = {**parts, "left out": left_out}
    names = np.concatenate([np.full(len(rows), name, dtype=object) for name, rows in named.items()])
    write_table(_tests_path(folder), pa.table({"row": np.concatenate(list(named.values())), "part": names}))


def _load_tests(folder: Path, pool_rows: int) -> TestParts:
    table = pq.read_table(_tests_path(folder)).to_pydict()
    rows, names = np.array(table["row"], dtype=np.int64), np.array(table["part"])
    parts = {str(name): rows[names == name] for name in dict.fromkeys(table["part"]) if name != "left out"}
    return TestParts(parts, rows[names == "left out"], np.setdiff1d(np.arange(pool_rows), rows))
