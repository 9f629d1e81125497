"""The model at work: precision, pooling, and one worker thread per core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from evenly.checks import check_device, not_known
from evenly.types import Float32Array, Int64Array
from evenly.vectors.kind import Precision
from evenly.vectors.recipe import Pooling

if TYPE_CHECKING:
    import numpy.typing as npt

Job = TypeVar("Job")
Done = TypeVar("Done")

MOST_WORKERS = 32  # beyond, workers wait for the interpreter's lock more than they compute


def choose_device(device: str | None) -> torch.device:
    """The device asked for, or CUDA where there is one, or the processor."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return check_device(device)


def choose_precision(precision: str, device: torch.device) -> Precision:
    """Turns ``auto`` into bfloat16 where the device multiplies bfloat16 matrices in hardware, else float32.

    The choice looks at what the processor can do and never at a stopwatch: vectors depend on it, and must not
    change with the load of the machine.
    """
    if precision == "float32" or precision == "bfloat16":
        return precision  # type: ignore[return-value, unused-ignore]
    if precision != "auto":
        raise not_known("`precision`", precision, ("auto", "float32", "bfloat16"))
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bfloat16" if device.type == "cpu" and matrix_units() else "float32"


def matrix_units() -> tuple[str, ...]:
    """The bfloat16 matrix instructions of this processor that torch knows of: amx, avx512_bf16."""
    asked = {"amx": "_is_amx_tile_supported", "avx512_bf16": "_is_avx512_bf16_supported"}
    return tuple(unit for unit, name in asked.items() if getattr(torch.cpu, name, lambda: False)())


def describe_runtime(device: torch.device) -> str:
    """What besides weights and settings decides the last bits of a vector: torch's kernels and the device."""
    if device.type == "cuda":
        kind = torch.cuda.get_device_name(device)
    else:
        kind = " ".join([device.type, torch.backends.cpu.get_cpu_capability(), *matrix_units()])
    return f"torch {torch.__version__}; {kind}"


def pooled(
    model: Any, ids: npt.NDArray[np.int64], tokens: Int64Array, pooling: Pooling, device: torch.device
) -> Float32Array:
    """Runs one batch and pools it in float32.

    Args:
        model: a transformers model; its last hidden state is used.
        ids: (rows, length) int64 token numbers, padded on the right.
        tokens: (rows,) int64, how many of them are real.
        pooling: how token vectors become one.
        device: where the model lies.

    Returns:
        (rows, d) float32, not normalised.
    """
    with torch.inference_mode():
        counts = torch.from_numpy(tokens).to(device)
        mask = torch.arange(ids.shape[1], device=device)[None, :] < counts[:, None]
        inputs = torch.from_numpy(ids).to(device)
        states = model(input_ids=inputs, attention_mask=mask.long()).last_hidden_state
        hidden = states.float()  # (rows, length, d)
        if pooling == "mean":
            vectors = (hidden * mask[:, :, None]).sum(dim=1) / counts[:, None]
        elif pooling == "max":
            vectors = hidden.masked_fill(~mask[:, :, None], -torch.inf).amax(dim=1)
        elif pooling == "cls":
            vectors = hidden[:, 0]
        else:
            vectors = hidden[torch.arange(len(hidden), device=device), counts - 1]
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


def run_jobs(jobs: Iterable[Job], work: Callable[[Job], Done], device: torch.device) -> Iterator[Done]:
    """Runs jobs on worker threads and yields their results in order.

    On the processor each worker runs whole batches on one core: separate batches need no meeting points
    within a layer, and a vector cannot depend on how many threads shared its products. Twice as many jobs as
    workers are under way at most, so memory is bounded. Closing the iterator waits for the batches under way.
    """
    threads_before = torch.get_num_threads()
    on_cpu = device.type == "cpu"
    workers = min(threads_before, MOST_WORKERS, os.cpu_count() or 1) if on_cpu else 1
    pool = ThreadPoolExecutor(workers, "embed", (lambda: torch.set_num_threads(1)) if on_cpu else None)
    waiting: deque[Future[Done]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads_before)
