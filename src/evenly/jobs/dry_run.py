"""What a comparison would do, and how long it would take, without doing it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from evenly.checks import check_keep
from evenly.jobs.arms import check_tests_fit
from evenly.jobs.chosen_arms import chosen_arms, saved_selections, spelt_out
from evenly.jobs.drawn import draw_pool
from evenly.records import Frozen
from evenly.rows.turns import turn_text
from evenly.train.arms import Arm
from evenly.train.curves import EVEN_TEST, RANDOM_TEST
from evenly.train.plan import PreparedPool, plan_runs, tokens_to_pass
from evenly.train.row_losses import RowLosses, pad_batch
from evenly.train.settings import Request
from evenly.types import Int64Array, Progress, silent

TIMED_ROWS = 16
FORWARD_SHARE = 1 / 3
"""A forward pass costs about a third of a training step on the same tokens."""


class PlannedRun(Frozen):
    """One line of the plan."""

    arm: str
    seed: int
    variant: str
    rows: int
    batch: int
    steps: int
    tokens: int  # trained on
    measured_tokens: int  # passed forward to measure


class DryRun(Frozen):
    """The plan of a comparison."""

    pool_rows: int
    keep: int
    truncated: int  # pool rows longer than the window
    dropped: int  # pool rows without a response inside it
    runs: list[PlannedRun]
    tokens_per_second: float  # of training, timed on one step here
    smaller: bool  # the model will be made smaller first, and runs be faster than timed here
    training_seconds: float  # predicted for all runs over the workers, measuring included


def dry_run(request: Request, *, workers: int = 1, progress: Progress = silent) -> DryRun:
    """Plans a comparison and predicts its time from one timed training step.

    Arms that need vectors are planned with as many random rows, so nothing is embedded; the true ones may be
    a little longer or shorter. Embedding, the warm-up of the proxy and the search for a rate come on top.

    Raises:
        InputError: as `evenly.jobs.compare.compare`.
    """
    import transformers

    from evenly.train.examples import encode
    from evenly.train.models import load_tokenizer
    from evenly.train.proxy import make_cold_proxy

    transformers.logging.disable_progress_bar()
    request = spelt_out(request)
    chosen_arms(request)
    saved_selections(request)
    pool = draw_pool(request, progress)
    check_tests_fit(len(pool.rows), request.test)
    messages = pool.messages()
    with tempfile.TemporaryDirectory() as place:
        model = request.model
        if model is None:
            texts = (turn_text(turn) for row in messages for turn in row)
            model = str(make_cold_proxy(Path(place), texts)[0])
        tokenizer = load_tokenizer(model, plain_template=request.training.plain_template)
        examples = encode(messages, tokenizer, request.training.window, progress=progress)
        nothing = RowLosses(
            np.arange(len(examples)),
            np.zeros(len(examples)),
            np.zeros(len(examples), dtype=np.int64),
            np.maximum(examples.response_tokens, 1),
        )
        prepared = PreparedPool(examples, nothing, model, Path(place))
        arms, tests, keep = _stand_ins(request, len(examples))
        planned = plan_runs(request, prepared, arms, tests, 1.0)
        speed = _tokens_per_second(prepared, request, int(tokenizer.pad_token_id))
    lines, seconds = [], 0.0
    for run in planned:
        trained, measured = tokens_to_pass(run, examples)
        seconds += (trained + FORWARD_SHARE * measured) / speed / workers
        counts = {"rows": len(run.rows), "batch": run.batch, "steps": run.steps}
        tokens = {"tokens": round(trained), "measured_tokens": round(measured)}
        record = run.record
        lines.append(PlannedRun(arm=record.arm, seed=run.seed, variant=record.variant, **counts, **tokens))
    return DryRun(
        pool_rows=len(examples),
        keep=keep,
        truncated=int(examples.truncated.sum()),
        dropped=int(examples.dropped.sum()),
        runs=lines,
        tokens_per_second=speed,
        smaller=request.trim_vocabulary or request.cache_frozen,
        training_seconds=seconds,
    )


def _stand_ins(request: Request, rows: int) -> tuple[list[Arm], dict[str, Int64Array], int]:
    order = np.random.default_rng(0).permutation(rows)
    tests = {RANDOM_TEST: order[: request.test], EVEN_TEST: order[request.test : 2 * request.test]}
    candidates = order[2 * request.test :]
    several = len(request.sizes) > 1
    arms, keep = [], 0
    for size in request.sizes:
        keep = check_keep(size, len(candidates))
        for seed in range(request.most_seeds):
            some = np.random.default_rng(seed).permutation(candidates)[:keep]
            arms += [
                Arm(name, seed, candidates if name == "full" else some, keep=size if several else "")
                for name in request.names
            ]
    return arms, tests, keep


def _tokens_per_second(prepared: PreparedPool, request: Request, pad_id: int) -> float:
    """Times one micro-batch forward and backward, the second of two."""
    import torch

    from evenly.train.head import predict
    from evenly.train.models import choose_precision, load_trainable
    from evenly.train.row_losses import autocast

    examples = prepared.examples
    rows = np.flatnonzero(~examples.dropped)[:TIMED_ROWS]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_trainable(prepared.model, request.training).to(device)
    batch = {name: tensor.to(device) for name, tensor in pad_batch(examples, rows, pad_id).items()}
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        with autocast(device, choose_precision(request.training.precision)):
            predicted = predict(model, **batch)
        predicted.loss(request.training.loss, len(predicted.labels)).backward()
        seconds = time.perf_counter() - started
    return float(examples.lengths()[rows].sum()) / seconds
