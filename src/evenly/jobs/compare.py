"""The comparison from sources to verdict: where data, embedding, selection and training meet for it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.checks import check_keep
from evenly.errors import InputError
from evenly.files import sole_process, write_atomically, write_table
from evenly.jobs.arms import KINDS, ArmMaker, TestParts, check_tests_fit, set_tests_aside
from evenly.jobs.chosen_arms import (
    ChosenArm,
    SavedSelection,
    chosen_arms,
    saved_selections,
    spelt_out,
)
from evenly.jobs.drawn import DrawnPool, draw_pool, part_of_pool
from evenly.jobs.evidence import evidence_of
from evenly.opened import OpenedPool
from evenly.rows.turns import turn_text
from evenly.train.arms import Arm, load_arms, save_arms
from evenly.train.plan import PreparedPool, plan_runs
from evenly.train.result import ComparisonResult
from evenly.train.settings import FEWEST_SEEDS, Request
from evenly.train.variants import WHOLE
from evenly.types import Int64Array, Progress, silent


def compare(
    request: Request,
    folder: Path,
    *,
    workers: int = 1,
    minutes: float = math.inf,
    progress: Progress = silent,
) -> ComparisonResult:
    """Makes the arms, trains them, and judges them; goes on where an earlier call with the same request
    stopped.

    Args:
        request: what to compare.
        folder: where everything is kept.
        workers: processes that train at the same time.
        minutes: after so many no further run begins, and what is there is judged; the same call goes on later.
        progress: called with the stages read, embed, tokenise, measure rows, train and runs.

    Returns:
        The result, as in ``comparison.json``.

    Raises:
        InputError: see `draw_pool`, `evenly.train.compare.open_folder`, `set_tests_aside`, `saved_selections`;
            another run is at work in the folder.
    """
    until = time.time() + 60.0 * minutes
    request = spelt_out(request)
    chosen, saved = chosen_arms(request), saved_selections(request)
    pool = draw_pool(request, progress)
    check_tests_fit(len(pool.rows), request.test)
    hashes = [source.sha256 for source in pool.all_rows.sources]
    for selection in saved:
        selection.check_sources(hashes)
    request = request.model_copy(update={"sources_sha256": tuple(hashes)})

    from evenly.train.compare import (
        REQUEST_FILE,
        check_folder,
        conclude,
        is_settled,
        open_folder,
        prepare,
        run_all,
    )
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
            made = _arms_path(folder).exists()
            opened = None if made else held.enter_context(pool.open(progress=progress))
            open_folder(folder, request)
            if launched.is_main_process:
                held.enter_context(sole_process(folder / REQUEST_FILE))
            model = request.model or str(_proxy(pool, folder, request, progress))
            prepared = prepare(folder, pool.messages(), model, request, progress)
            if opened is not None:
                _make_arms(request, pool, prepared, opened, (chosen, saved), progress)
            arms, tests = load_arms(_arms_path(folder)), _load_tests(folder, len(pool.members))
        rate = request.training.rate
        if rate == "auto":
            first = plan_runs(request, prepared, arms, tests.parts, 1.0)
            reference = max(
                (run for run in first if run.record.arm == request.reference and run.seed == 0),
                key=lambda run: len(run.rows),
            )
            unseen = np.setdiff1d(tests.candidates, reference.rows)
            rate = find_rate(reference, prepared, unseen, workers=workers, progress=progress)
        runs = plan_runs(request, prepared, arms, tests.parts, rate)
        for seeds in range(min(FEWEST_SEEDS, request.most_seeds), request.most_seeds + 1):
            some = runs if request.seeds != "auto" else [run for run in runs if run.seed < seeds]
            run_all(some, prepared, workers=workers, until=until, progress=progress)
            parts, left_out = tests.parts, len(tests.left_out)
            found = conclude(
                request, prepared, some, rate=rate, tests=parts, left_out=left_out, sources=pool.sources()
            )
            if request.seeds != "auto" or is_settled(found.variants) or time.time() > until:
                break
        return found


def _proxy(pool: DrawnPool, folder: Path, request: Request, progress: Progress) -> Path:
    from evenly.train.proxy import make_proxy

    texts = [turn_text(turn) for messages in pool.messages() for turn in messages]
    held = set(texts)
    # A row outside the pool may still be a copy of a test row.
    outside = [row for row in pool.messages_outside() if turn_text(row[-1]) not in held]
    return make_proxy(folder / "proxy", texts, outside, window=request.training.window, progress=progress)


def _make_arms(
    request: Request,
    pool: DrawnPool,
    prepared: PreparedPool,
    opened: tuple[OpenedPool, float],
    named: tuple[Sequence[ChosenArm], Sequence[SavedSelection]],
    progress: Progress,
) -> None:
    """Sets the tests aside and writes the arms; the file of the arms, the last, says that all is there."""
    points, seconds = opened[0].points, opened[1]
    tests = set_tests_aside(points, request.test, request.near_copy)
    usable = ~prepared.examples.dropped
    parts = {name: rows[usable[rows]] for name, rows in tests.parts.items()}
    if not all(len(rows) for rows in parts.values()):
        raise InputError("no test row has a response inside the window; widen `window`")
    candidates = tests.candidates[usable[tests.candidates]]
    initial = prepared.initial
    place = np.searchsorted(initial.rows, candidates)
    some = part_of_pool(opened[0], candidates)
    embed_seconds = seconds * len(candidates) / len(points)
    maker = ArmMaker(
        candidates=candidates,
        points=some.points,
        row_loss=initial.loss_sum[place] / initial.tokens[place],
        response_tokens=initial.tokens[place],
        keep=0,
        embed_seconds=embed_seconds,
        near_copy=request.near_copy,
        match_length=request.match_length,
    )
    seeds, several = request.most_seeds, len(request.sizes) > 1
    chosen, saved = named
    arms: list[Arm] = []
    for size in request.sizes:
        whole = several and size == WHOLE
        kinds = [
            kind for kind in request.arms if kind in KINDS and (not several or (kind == "full") == whole)
        ]
        of_size = replace(maker, keep=check_keep(size, len(candidates))).make(tuple(kinds), seeds)
        for arm in () if whole else chosen:
            of_size += arm.make(pool, (some, embed_seconds), candidates, size, seeds, progress)
        arms += [replace(arm, keep=size if several else "") for arm in of_size]
    for selection in saved:
        rows = selection.rows_among(pool.members, candidates)
        arms += [Arm(selection.name, seed, rows, selection.seconds) for seed in range(seeds)]
    arms.sort(key=lambda arm: arm.seed)  # runs come in this order: all arms have as many seeds at any time
    if found := evidence_of(pool, candidates, request.near_copy, progress):
        write_atomically(prepared.folder / "evidence.json", found.model_dump_json(indent=2) + "\n")
    columns = {"row": np.arange(len(pool.members)), "source_row": pool.members, "source": pool.sources()}
    write_table(prepared.folder / "pool.parquet", pa.table(columns))
    _save_tests(parts, tests.left_out, prepared.folder)
    save_arms(arms, _arms_path(prepared.folder))


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
