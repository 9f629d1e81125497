"""Running a comparison: prepare the pool, train every arm, go on after an interruption."""

from __future__ import annotations

import gc
import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timezone
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import torch

from evenly.errors import InputError, first_line
from evenly.files import clear_leftovers, one_line_errors, write_atomically
from evenly.rows.chat import Messages
from evenly.train.curves import RECORD_FILE, Outcome, RunRecord, read_outcomes, write_curves
from evenly.train.examples import Examples, encode
from evenly.train.models import (
    choose_precision,
    load_model,
    load_tokenizer,
    load_trainable,
    memory_remedy,
    model_identity,
    processes,
)
from evenly.train.plan import ArmRun, PreparedPool
from evenly.train.reach import reach_words, reaches
from evenly.train.result import ComparisonResult, Evidence, VariantResult, write_result
from evenly.train.row_losses import RowLosses, row_losses
from evenly.train.settings import Request
from evenly.train.smaller import as_model_takes, make_smaller, padding_of, trimmed_of
from evenly.train.variants import variants
from evenly.train.verdict import judge_variant
from evenly.train.wording import (
    left_out_paragraph,
    seeds_paragraph,
    trimmed_paragraph,
    verdict_paragraphs,
)
from evenly.types import Int64Array, Progress, silent

REQUEST_FILE = "request.json"
EXAMPLES_FILE = "examples.parquet"
INITIAL_FILE = "initial.parquet"
CURVES_FILE = "curves.parquet"
EVIDENCE_FILE = "evidence.json"


def check_folder(folder: Path, request: Request) -> None:
    """Refuses a folder that is not empty and holds no comparison of the same request.

    Raises:
        InputError: it holds another comparison, or other files.
    """
    path = folder / REQUEST_FILE
    clear_leftovers(path)  # of a run that was killed before it had written anything else
    if path.exists():
        if Request.model_validate_json(path.read_text(encoding="utf-8")) != request:
            raise InputError(
                f"{folder} holds a comparison with other options; name another folder as `out`, or remove it"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files; name an empty or new folder as `out`")


def open_folder(folder: Path, request: Request) -> None:
    """Makes the folder of a comparison, or takes up the one that the same request has left; see `check_folder`."""
    check_folder(folder, request)
    with one_line_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder / REQUEST_FILE).exists():
        write_atomically(folder / REQUEST_FILE, request.model_dump_json(indent=2) + "\n")


def prepare(
    folder: Path, rows: Sequence[Messages], model: str, request: Request, progress: Progress = silent
) -> PreparedPool:
    """Tokenises a pool and measures every row under the model that all arms start from.

    All is kept in the folder and taken from there the next time. Cost: one forward pass over the pool.

    Args:
        folder: of the comparison.
        rows: of the pool.
        model: folder or hub id.
        request: how arms will be trained, and whether the model is made smaller for it.
        progress: called as rows are tokenised and measured.

    Raises:
        InputError: no model or tokenizer there, no row with a response inside the window, or a model that cannot be
            made smaller.
    """
    training = request.training
    tokenizer = load_tokenizer(model, plain_template=training.plain_template)
    if not (folder / EXAMPLES_FILE).exists():
        encode(rows, tokenizer, training.window, progress=progress).save(folder / EXAMPLES_FILE)
    examples = Examples.load(folder / EXAMPLES_FILE)
    model = make_smaller(request, model, examples, tokenizer, folder, progress)
    examples = as_model_takes(examples, model)
    path = folder / INITIAL_FILE
    if not path.exists():
        start = load_trainable(model, training)
        start.to("cuda" if torch.cuda.is_available() else "cpu")
        trainable = np.flatnonzero(~examples.dropped)
        precision = choose_precision(training.precision)
        pad_id = padding_of(tokenizer, model)
        row_losses(start, examples, trainable, training.loss, precision, pad_id, progress=progress).save(path)
    return PreparedPool(examples, RowLosses.load(path), model, folder)


def run_all(
    runs: Sequence[ArmRun],
    prepared: PreparedPool,
    *,
    workers: int = 1,
    until: float = math.inf,
    progress: Progress = silent,
) -> list[Outcome]:
    """Trains the runs that are not finished yet.

    A run that fails is recorded with its reason and the others go on; asked again, it is tried again unless
    its loss had diverged, which would only happen again.

    Args:
        runs: as planned.
        prepared: the pool they train on.
        workers: processes; 1 trains in this one, which is what ``accelerate launch`` needs.
        until: no run begins after this moment, in seconds as ``time.time`` counts them.

    Returns:
        The outcomes of all runs in the folder of the comparison.
    """
    waiting = [run for run in runs if not _is_final(run.folder)]
    total, done = len(runs), len(runs) - len(waiting)
    progress("runs", done, total)
    if workers == 1:
        state = processes()
        state.wait_for_everyone()  # all processes have the same list before the first run changes it
        for number, run in enumerate(waiting):
            _run_one(run, prepared.folder, until, progress)
            state.wait_for_everyone()
            progress("runs", done + number + 1, total)
        return read_outcomes(prepared.folder)
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    ) as pool:
        futures = {pool.submit(_run_one, run, prepared.folder, until): run for run in waiting}
        for number, future in enumerate(as_completed(futures)):
            try:
                future.result()
            except BrokenProcessPool:
                reason = "the process was ended from outside, most often for memory; use fewer `workers`"
                _write_record(futures[future], f"failed: {reason}")
            progress("runs", done + number + 1, total)
    return read_outcomes(prepared.folder)


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process once the one that started it is gone: nobody else may write to its runs."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _is_final(folder: Path) -> bool:
    try:
        record = RunRecord.model_validate_json((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return record.done or record.status.startswith(("diverged", "empty"))


def _run_one(run: ArmRun, folder: Path, until: float, progress: Progress = silent) -> None:
    """Trains a run and writes its record, whatever comes of it; does nothing once time is up."""
    if time.time() > until:
        return
    if not len(run.rows):
        _write_record(run)
        return
    # Only a process that trains loads the trainer: it takes seconds.
    import transformers

    from evenly.train.trainer import DivergedError, train_run

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer = load_tokenizer(run.model, plain_template=run.training.plain_template)
    status = "done"
    try:
        examples = as_model_takes(Examples.load(folder / EXAMPLES_FILE), run.model)
        train_run(run, examples, tokenizer, progress=progress)
    except DivergedError as error:
        status = f"diverged: {error}"
    except (RuntimeError, MemoryError) as error:
        status = f"failed: {memory_remedy(error, run.training) or first_line(error)}"
    finally:
        gc.collect()  # a trainer and its callbacks hold each other, and with them the model
    _write_record(run, status)


def _write_record(run: ArmRun, status: str | None = None) -> None:
    """Writes the run's record with how it ended; None leaves the status it was planned with."""
    if not processes().is_main_process:
        return
    with one_line_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
    record = run.record.model_copy(update={"status": status or run.record.status})
    write_atomically(run.folder / RECORD_FILE, record.model_dump_json(indent=2) + "\n")


def conclude(
    request: Request,
    prepared: PreparedPool,
    runs: Sequence[ArmRun],
    *,
    rate: float,
    tests: dict[str, Int64Array],
    left_out: int,
    sources: Sequence[str] = (),
) -> ComparisonResult:
    """Judges the finished runs of a comparison; writes ``comparison.json`` and ``curves.parquet``.

    Args:
        request: what was asked.
        prepared: the pool.
        runs: of the comparison; only their saved curves are read.
        rate: the learning rate of all arms.
        tests: the test parts, by name.
        left_out: pool rows in no arm for being near-copies of test rows.
        sources: the source of every row of the pool.

    Raises:
        InputError: no run finished.
    """
    keys = {run.key for run in runs}
    outcomes = [each for each in read_outcomes(prepared.folder) if each.folder.name in keys]
    if not any(each.record.done for each in outcomes):
        reasons = "; ".join(sorted({each.record.status for each in outcomes}))
        raise InputError(f"no run of the comparison finished: {reasons}")
    judged = _judged(request, outcomes, sources)
    fewest = reaches(judged) if len(request.sizes) > 1 else []
    write_curves([each for each in outcomes if each.record.done], prepared.folder / CURVES_FILE)
    model, examples = request.model or prepared.model, prepared.examples
    parameters = load_model(model).num_parameters()
    beyond_window = int(examples.dropped.sum())
    proxy = request.model is None
    verdict = verdict_paragraphs(judged, proxy=proxy, parameters=parameters, model=request.model or "")
    missing = left_out_paragraph(len(examples), left_out, beyond_window, request.training.window)
    notes = *map(reach_words, fewest), missing, *_how(request, prepared.model, judged)
    result = ComparisonResult(
        evenly=version("evenly"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        request=request,
        model=request.model or "the default proxy",
        model_identity=model_identity(model),
        parameters=parameters,
        proxy=proxy,
        rate=rate,
        pool_rows=len(examples),
        test_rows={name: len(rows) for name, rows in tests.items()},
        left_out=left_out,
        beyond_window=beyond_window,
        variants=judged,
        reaches=fewest,
        evidence=read_evidence(prepared.folder),
        verdict=[*verdict, *filter(None, notes)],
        versions={name: version(name) for name in ("torch", "transformers", "trl", "accelerate")},
    )
    write_result(result, prepared.folder)
    return result


def _judged(request: Request, outcomes: Sequence[Outcome], sources: Sequence[str]) -> list[VariantResult]:
    pairs = arm_pairs(request)
    return [
        judge_variant(
            variant.name,
            [each for each in outcomes if each.record.variant == variant.name],
            pairs,
            sources,
            request.rule,
        )
        for variant in variants(request)
    ]


def _how(request: Request, model: str, judged: Sequence[VariantResult]) -> list[str]:
    """What a reader must know of how it was trained and judged."""
    notes = []
    if trimmed := trimmed_of(model):
        notes.append(trimmed_paragraph(len(trimmed.tokens), trimmed.of, trimmed.mass))
    if request.seeds == "auto":
        seeds = max((len(arm.seeds) for variant in judged for arm in variant.arms), default=0)
        notes.append(seeds_paragraph(seeds, request.until, is_settled(judged)))
    return notes


def read_evidence(folder: Path) -> Evidence | None:
    """What the forecast looks at, where it was measured."""
    path = folder / EVIDENCE_FILE
    return Evidence.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def is_settled(judged: Sequence[VariantResult]) -> bool:
    """Whether every pair has a main question of which the answer is called."""
    pairs = [pair for variant in judged for pair in variant.pairs]
    return all(
        any(each.main and each.called in ("lower", "higher") for each in pair.answers) for pair in pairs
    )


def arm_pairs(request: Request) -> list[tuple[str, str]]:
    """Which arms are held against which: all against the reference, uniform also against full and matched."""
    names = request.names
    pairs = [(name, request.reference) for name in names if name != request.reference]
    more = [("uniform", other) for other in ("full", "matched") if {"uniform", other} <= set(names)]
    return pairs + [pair for pair in more if pair not in pairs]
