"""The order in which an arm's rows are trained on: a fixed list of steps, the same however often a run is
resumed."""

from __future__ import annotations

import numpy as np

from evenly.train.settings import Schedule
from evenly.types import Int64Array

GROWING_STAGES = 4
"""``growing`` trains on the first 1/4, 2/4, 3/4 and 4/4 of the order, a quarter of the steps each."""


def step_rows(rows: int, batch: int, steps: int, seed: int, schedule: Schedule = "shuffled") -> Int64Array:
    """Lists which positions of an arm each step trains on.

    Epochs follow each other without a break: a step at the border of two epochs takes rows from both, so
    every step has the same number of rows.

    Args:
        rows: rows of the arm, in the arm's order (for a selection the order of picks).
        batch: rows per step.
        steps: steps of the run.
        seed: of the shuffles.
        schedule: ``shuffled`` permutes every epoch anew; ``order`` walks the arm in its order, every epoch;
            ``growing`` shuffles within a prefix of the order that grows in `GROWING_STAGES` equal stages.

    Returns:
        (steps, batch) int64 positions in 0 … rows - 1.
    """
    random = np.random.default_rng([seed, rows])
    if schedule == "order":
        return (np.arange(steps * batch, dtype=np.int64) % rows).reshape(steps, batch)
    if schedule == "shuffled":
        return _shuffled(rows, steps * batch, random).reshape(steps, batch)
    borders = np.linspace(0, steps, GROWING_STAGES + 1).astype(int)
    stages = [
        _shuffled(
            max(1, rows * (stage + 1) // GROWING_STAGES),
            int(borders[stage + 1] - borders[stage]) * batch,
            random,
        )
        for stage in range(GROWING_STAGES)
    ]
    return np.concatenate(stages).reshape(steps, batch)


def _shuffled(rows: int, count: int, random: np.random.Generator) -> Int64Array:
    epochs = -(-count // rows)
    order = [random.permutation(rows) for _ in range(epochs)]
    return np.concatenate([*order, np.empty(0, np.int64)])[:count].astype(np.int64)


def sorted_within_steps(positions: Int64Array, lengths: Int64Array) -> Int64Array:
    """Sorts the rows of each step by length, longest first.

    A step's gradient is a mean over its tokens, whatever their order; micro-batches of rows of like length
    are padded less, and the longest come first so that memory runs out at once or never.
    """
    order = np.argsort(-lengths[positions], axis=1, kind="stable")
    return np.take_along_axis(positions, order, axis=1)


def micro_batches(lengths: Int64Array, most_tokens: int, world: int = 1) -> list[list[slice]]:
    """Cuts the rows of every step into parts of at most so many padded tokens, as many for every step.

    The trainer wants as many passes of every step. So steps that would need fewer have smaller ones.

    Args:
        lengths: (steps, batch) tokens of each row, longest first within a step.
        most_tokens: of a part: its rows times its longest row; a single longer row is a part of its own.
        world: processes that share the parts of a step: there are a multiple of so many.

    Returns:
        For every step the places of its parts.
    """
    needed = max(len(_cut(step, most_tokens)) for step in lengths.tolist())
    count = min(-(-needed // world) * world, lengths.shape[1])
    return [_cut_into(step, count) for step in lengths.tolist()]


def _cut(lengths: list[int], most_tokens: int) -> list[slice]:
    parts, start = [], 0
    while start < len(lengths):
        end = min(start + max(1, most_tokens // max(1, lengths[start])), len(lengths))
        parts.append(slice(start, end))
        start = end
    return parts


def _cut_into(lengths: list[int], count: int) -> list[slice]:
    """Parts of which the largest is as small as can be, by halving; further ones halve the largest."""
    low, high = 0, max(lengths) * len(lengths)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_cut(lengths, middle)) <= count else (middle, high)
    parts = _cut(lengths, high)
    while len(parts) < count:
        at = max(
            (at for at, part in enumerate(parts) if part.stop - part.start > 1),
            key=lambda at: lengths[parts[at].start] * (parts[at].stop - parts[at].start),
        )
        part = parts[at]
        middle = (part.start + part.stop) // 2
        parts[at : at + 1] = [slice(part.start, middle), slice(middle, part.stop)]
    return parts
