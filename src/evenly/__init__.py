"""evenly: keep fewer training rows without losing coverage, prove it, and measure whether it helps your model.

    from evenly import select, measure, plot
    selection = select(vectors, keep=0.5)
    dataset.select(selection.rows)
    plot(selection, vectors)

What the functions take beside vectors and rows are the options of the commands of the same name.

Names are imported when first used, so that ``import evenly`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenly.api.measure import measure as measure
    from evenly.api.plan import plan as plan
    from evenly.api.sampler import EvenSampler as EvenSampler
    from evenly.api.select import extend as extend
    from evenly.api.select import select as select
    from evenly.api.select import select_rows as select_rows
    from evenly.api.split import split as split
    from evenly.api.verify import verify as verify
    from evenly.errors import EvenlyError as EvenlyError
    from evenly.jobs.split import Split as Split
    from evenly.jobs.verify import Verification as Verification
    from evenly.measures import Measures as Measures
    from evenly.planning import Plan as Plan
    from evenly.report.notebook import plot as plot
    from evenly.types import Selection as Selection
    from evenly.types import silent as silent

__version__ = "0.2.0.dev0"

_HOMES = {
    "EvenSampler": "evenly.api.sampler",
    "EvenlyError": "evenly.errors",
    "Measures": "evenly.measures",
    "Plan": "evenly.planning",
    "Selection": "evenly.types",
    "Verification": "evenly.jobs.verify",
    "extend": "evenly.api.select",
    "measure": "evenly.api.measure",
    "plan": "evenly.api.plan",
    "plot": "evenly.report.notebook",
    "select": "evenly.api.select",
    "select_rows": "evenly.api.select",
    "silent": "evenly.types",
    "Split": "evenly.jobs.split",
    "split": "evenly.api.split",
    "verify": "evenly.api.verify",
}

__all__ = [
    "EvenSampler",
    "EvenlyError",
    "Measures",
    "Plan",
    "Selection",
    "Split",
    "Verification",
    "__version__",
    "extend",
    "measure",
    "plan",
    "plot",
    "select",
    "select_rows",
    "silent",
    "split",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evenly' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
