"""Running a comparison: prepare the pool, train every arm, go on after an interruption."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timezone
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from evenly.errors import InputError
from evenly.files import write_atomically, write_table
from evenly.train.examples import Examples, Messages, encode
from evenly.train.models import (
    choose_precision,
    load_model,
    load_tokenizer,
    memory_remedy,
    model_identity,
)
from evenly.train.outcome import CURVES_FILE, Outcome, RunRecord, read_outcomes, write_curves
from evenly.train.plan import Planned, Prepared, Request
from evenly.train.processes import processes
from evenly.train.result import ComparisonResult, write_result
from evenly.train.row_losses import RowLosses, row_losses
from evenly.train.settings import Training
from evenly.train.verdict import judge_variant
from evenly.train.wording import left_out_paragraph, verdict_paragraphs
from evenly.types import Int64Array, Progress, silent

REQUEST_FILE = "request.json"
EXAMPLES_FILE = "examples.parquet"
INITIAL_FILE = "initial.parquet"
RECORD_FILE = "run.json"


def open_folder(folder: Path, request: Request) -> None:
    """Makes the folder of a comparison, or takes up the one that the same request has left.

    Raises:
        InputError: the folder holds another comparison.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REQUEST_FILE
    if not path.exists():
        if any(folder.iterdir()):
            raise InputError(f"{folder} holds other files; name an empty or new folder with --out")
        write_atomically(path, request.model_dump_json(indent=2) + "\n")
    elif Request.model_validate_json(path.read_text(encoding="utf-8")) != request:
        raise InputError(
            f"{folder} holds a comparison with other options; name another folder with --out, or remove it"
        )


def prepare(
    folder: Path, rows: Sequence[Messages], model: str, training: Training, progress: Progress = silent
) -> Prepared:
    """Tokenises a pool and measures every row under the model that all arms start from.

    Both are kept in the folder and taken from there the next time. Cost: one forward pass over the pool.

    Raises:
        InputError: no model or tokenizer there, or no row with a response inside the window.
    """
    tokenizer = load_tokenizer(model, plain_template=training.plain_template)
    if not (folder / EXAMPLES_FILE).exists():
        encode(rows, tokenizer, training.window, progress=progress).save(folder / EXAMPLES_FILE)
    examples = Examples.load(folder / EXAMPLES_FILE)
    path = folder / INITIAL_FILE
    if not path.exists():
        start = load_model(model)
        start.to("cuda" if torch.cuda.is_available() else "cpu")
        trainable = np.flatnonzero(~examples.dropped)
        precision = choose_precision(training.precision)
        pad_id = int(tokenizer.pad_token_id)
        _save_losses(
            row_losses(start, examples, trainable, training.loss, precision, pad_id, progress=progress), path
        )
    return Prepared(examples, _load_losses(path), model, folder)


def run_all(
    planned: Sequence[Planned], prepared: Prepared, *, workers: int = 1, progress: Progress = silent
) -> list[Outcome]:
    """Trains the runs that are not finished yet.

    A run that fails is recorded with its reason and the others go on; asked again, it is tried again unless
    its loss had diverged, which would only happen again.

    Args:
        planned: the runs.
        prepared: the pool they train on.
        workers: processes; 1 trains in this one, which is what ``accelerate launch`` needs.

    Returns:
        The outcomes of all runs in the folder of the comparison.
    """
    waiting = [each for each in planned if not _is_final(each.run.folder)]
    total, done = len(planned), len(planned) - len(waiting)
    progress("runs", done, total)
    if workers == 1:
        state = processes()
        state.wait_for_everyone()  # all processes have the same list before the first run changes it
        for number, each in enumerate(waiting):
            _run_one(each, prepared.folder, progress)
            state.wait_for_everyone()
            progress("runs", done + number + 1, total)
        return read_outcomes(prepared.folder)
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    ) as pool:
        futures = {pool.submit(_run_one, each, prepared.folder): each for each in waiting}
        for number, future in enumerate(as_completed(futures)):
            try:
                future.result()
            except BrokenProcessPool:
                reason = "the process was ended from outside, most often for memory; use fewer --workers"
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


def _run_one(planned: Planned, folder: Path, progress: Progress = silent) -> None:
    """Trains a run and writes its record, whatever comes of it."""
    if not len(planned.run.rows):
        _write_record(planned, planned.record.status)
        return
    # Only a process that trains loads the trainer: it takes seconds.
    import transformers

    from evenly.train.trainer import DivergedError, train_run

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    training = planned.run.training
    tokenizer = load_tokenizer(planned.run.model, plain_template=training.plain_template)
    try:
        train_run(planned.run, Examples.load(folder / EXAMPLES_FILE), tokenizer, progress=progress)
    except DivergedError as error:
        _write_record(planned, f"diverged: {error}")
    except (RuntimeError, MemoryError) as error:
        _write_record(planned, _failure(error, training))
    else:
        _write_record(planned, "done")
    finally:
        gc.collect()  # a trainer and its callbacks hold each other, and with them the model


def _failure(error: BaseException, training: Training) -> str:
    remedy = memory_remedy(error, training)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"failed: {remedy or reason}"


def _write_record(planned: Planned, status: str) -> None:
    if not processes().is_main_process:
        return
    planned.run.folder.mkdir(parents=True, exist_ok=True)
    record = planned.record.model_copy(update={"status": status})
    write_atomically(planned.run.folder / RECORD_FILE, record.model_dump_json(indent=2) + "\n")


def _save_losses(losses: RowLosses, path: Path) -> None:
    columns = {
        "row": losses.rows,
        "loss_sum": losses.loss_sum,
        "correct": losses.correct,
        "tokens": losses.tokens,
    }
    write_table(path, pa.table(columns))


def _load_losses(path: Path) -> RowLosses:
    table = pq.read_table(path)
    return RowLosses(*(table[name].to_numpy() for name in ("row", "loss_sum", "correct", "tokens")))


def conclude(
    request: Request,
    prepared: Prepared,
    planned: Sequence[Planned],
    *,
    rate: float,
    tests: dict[str, Int64Array],
    left_out: int,
) -> ComparisonResult:
    """Judges the finished runs of a comparison; writes ``comparison.json`` and ``curves.parquet``.

    Args:
        request: what was asked.
        prepared: the pool.
        planned: the runs; only their saved curves are read.
        rate: the learning rate of all arms.
        tests: the test parts, by name.
        left_out: pool rows in no arm for being near-copies of test rows.

    Raises:
        InputError: no run finished.
    """
    keys = {each.run.key for each in planned}
    outcomes = [each for each in read_outcomes(prepared.folder) if each.folder.name in keys]
    if not any(each.record.done for each in outcomes):
        reasons = "; ".join(sorted({each.record.status for each in outcomes}))
        raise InputError(f"no run of the comparison finished: {reasons}")
    variants = [
        judge_variant(name, [each for each in outcomes if each.record.variant == name], arm_pairs(request))
        for name in dict.fromkeys(each.record.variant for each in planned)
    ]
    write_curves([each for each in outcomes if each.record.done], prepared.folder / CURVES_FILE)
    parameters = load_model(prepared.model).num_parameters()
    examples = prepared.examples
    beyond_window = int(examples.dropped.sum())
    verdict = verdict_paragraphs(
        variants, proxy=request.model is None, parameters=parameters, model=request.model or ""
    )
    missing = left_out_paragraph(len(examples), left_out, beyond_window, request.training.window)
    result = ComparisonResult(
        evenly=version("evenly"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        request=request,
        model=request.model or "the default proxy",
        model_identity=model_identity(prepared.model),
        parameters=parameters,
        proxy=request.model is None,
        rate=rate,
        pool_rows=len(examples),
        test_rows={name: len(rows) for name, rows in tests.items()},
        left_out=left_out,
        beyond_window=beyond_window,
        variants=variants,
        verdict=[*verdict, missing] if missing else verdict,
        versions={name: version(name) for name in ("torch", "transformers", "trl", "accelerate")},
    )
    write_result(result, prepared.folder)
    return result


def arm_pairs(request: Request) -> list[tuple[str, str]]:
    """Which arms are held against which: all against the reference, uniform also against full and matched."""
    names = [*request.arms, *(saved.partition("=")[0] for saved in request.saved)]
    pairs = [(name, request.reference) for name in names if name != request.reference]
    more = [("uniform", other) for other in ("full", "matched") if {"uniform", other} <= set(names)]
    return pairs + [pair for pair in more if pair not in pairs]
