"""Running experiments: one, or all of them on the cores there are, with their files."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure

from evenly.checks import not_known
from evenly.engine.blocks import steady_torch
from evenly.files import new_files, write_atomically
from evenly.lab.experiments import (
    approx,
    coverage,
    depth,
    forecast,
    law,
    spectrum,
    train,
    trajectory,
    trap,
)
from evenly.lab.result import Result
from evenly.lab.setup import Setup
from evenly.report.drawing import house_style, save
from evenly.report.rendering import WITHOUT_SCRIPTS, rendered
from evenly.types import silent


class Experiment(Protocol):
    """What each module of `evenly.lab.experiments` offers."""

    def run(self, setup: Setup) -> Result:
        """Measures."""

    def draw(self, result: Result) -> Figure:
        """Draws the result's series."""


EXPERIMENTS: dict[str, Experiment] = {  # in the order of docs/theory.md
    "trap": trap,
    "law": law,
    "spectrum": spectrum,
    "train": train,
    "approx": approx,
    "trajectory": trajectory,
    "depth": depth,
    "coverage": coverage,
    "forecast": forecast,
}
# Longest first, so that no long one is left alone at the end.
_BY_LENGTH = ("train", "forecast", "trap", "spectrum", "trajectory", "coverage", "law", "approx", "depth")


def run_one(name: str, out: Path, setup: Setup) -> Result:
    """Runs one experiment and writes NAME.json, NAME.png and NAME.svg into ``out``, made where it is missing.

    Raises:
        InputError: no such experiment or device, or a run that diverged.
    """
    if name not in EXPERIMENTS:
        raise not_known("experiment", name, EXPERIMENTS)
    setup.check_device()
    experiment = EXPERIMENTS[name]
    with steady_torch():  # one thread: sums have the same bits on any number of cores
        result = experiment.run(setup)
    return write(result, experiment.draw, out)


def run_all(out: Path, setup: Setup) -> list[Result]:
    """Runs every experiment, each in a process of its own on one thread, and writes one page of them all.

    Errors are those of `run_one`; the page is ``out/index.html``. Results come in the order of `EXPERIMENTS`,
    whichever finished first.
    """
    results: dict[str, Result] = {}
    workers = max(1, min(os.cpu_count() or 1, len(EXPERIMENTS)))
    quiet = replace(setup, progress=silent)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(run_one, name, out, quiet): name for name in _BY_LENGTH}
        setup.progress("lab", 0, len(EXPERIMENTS))
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                results[pending[future]] = future.result()
                setup.progress("lab", done, len(EXPERIMENTS))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    ordered = [results[name] for name in EXPERIMENTS]
    write_page(ordered, out)
    return ordered


def write(result: Result, draw: Callable[[Result], Figure], out: Path) -> Result:
    """Draws the result and writes NAME.json, NAME.png and NAME.svg together; returns the result."""
    with house_style(), new_files(make_folders=True) as files:
        with files.open(out / f"{result.name}.json") as stream:
            stream.write(f"{result.as_json()}\n".encode())
        save(draw(result), out / result.name, files)
    return result


def write_page(results: Sequence[Result], out: Path) -> Path:
    """Writes ``out/index.html`` from the results and their figures NAME.svg in the same folder.

    Figures are embedded; nothing is loaded from elsewhere.
    """
    figures = {
        result.name: base64.b64encode((out / f"{result.name}.svg").read_bytes()).decode("ascii")
        for result in results
    }
    styles = ["page.css", "comparison.css", "lab.css"]
    path = out / "index.html"
    page = rendered("lab.html", policy=WITHOUT_SCRIPTS, styles=styles, results=results, figures=figures)
    write_atomically(path, page)
    return path
