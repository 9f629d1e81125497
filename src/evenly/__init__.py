"""evenly: keep fewer training rows without losing coverage, prove it, and measure whether it helps your model.

    from evenly import select, measure, plot
    selection = select(vectors, keep=0.5)
    dataset.select(selection.rows)
    plot(selection, vectors)

Names are imported when first used, so that ``import evenly`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenly.engine.greedy import select as select
    from evenly.errors import EvenlyError as EvenlyError
    from evenly.jobs.select_rows import select_rows as select_rows
    from evenly.measures import Measures as Measures
    from evenly.measures import measure as measure
    from evenly.report.notebook import plot as plot
    from evenly.types import Selection as Selection

__version__ = "0.2.0.dev0"

_HOMES = {
    "EvenlyError": "evenly.errors",
    "Measures": "evenly.measures",
    "Selection": "evenly.types",
    "measure": "evenly.measures",
    "plot": "evenly.report.notebook",
    "select": "evenly.engine.greedy",
    "select_rows": "evenly.jobs.select_rows",
}

__all__ = ["EvenlyError", "Measures", "Selection", "__version__", "measure", "plot", "select", "select_rows"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evenly' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
