"""Running experiments: one, or all of them on the cores there are, with their files."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import torch

from evenly.engine.tiles import steady_torch
from evenly.errors import InputError, MissingExtraError
from evenly.lab.experiments import NAMES, load
from evenly.lab.figures import render
from evenly.lab.page import write_page
from evenly.lab.result import Result
from evenly.types import Progress, silent

# Longest first, so that no long one is left alone at the end.
_BY_LENGTH = ("train", "forecast", "trap", "spectrum", "trajectory", "coverage", "law", "approx", "depth")


def run_one(
    name: str,
    out: Path,
    *,
    seeds: int | None = None,
    quick: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> Result:
    """Runs one experiment and writes NAME.json, NAME.png and NAME.svg into ``out``.

    Args:
        name: of the experiment.
        out: folder for its files; made where it is missing.
        seeds: how many, or None for the experiment's own number.
        quick: fewer seeds, steps and networks.
        device: as torch names it.
        progress: told of the stages of the experiment.

    Raises:
        InputError: no such experiment or device, or a run that diverged.
        MissingExtraError: matplotlib or SciPy is not installed.
    """
    for package in ("matplotlib", "scipy"):
        if find_spec(package) is None:
            raise MissingExtraError("the lab", "lab")
    experiment = load(name)
    with steady_torch():  # one thread: sums have the same bits on any number of cores
        result = experiment.run(seeds=seeds, quick=quick, device=check_device(device), progress=progress)
    result.save(out)
    render(experiment.draw, result, out)
    return result


def run_all(
    out: Path,
    *,
    seeds: int | None = None,
    quick: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> list[Result]:
    """Runs every experiment, each in a process of its own on one thread, and writes one page of them all.

    Arguments and errors are those of `run_one`; the page is ``out/index.html``. Results come in the order of
    `NAMES`, whichever finished first.
    """
    results: dict[str, Result] = {}
    workers = max(1, min(os.cpu_count() or 1, len(NAMES)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {
            pool.submit(run_one, name, out, seeds=seeds, quick=quick, device=device): name
            for name in _BY_LENGTH
        }
        progress("lab", 0, len(NAMES))
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                results[pending[future]] = future.result()
                progress("lab", done, len(NAMES))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    ordered = [results[name] for name in NAMES]
    write_page(ordered, out)
    return ordered


def check_device(device: str) -> str:
    """Returns the device, or says why the lab cannot run there: it computes in float64."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError, AssertionError):
        raise InputError(f"device {device!r} does not compute in float64 here; use cpu or cuda") from None
    return device
