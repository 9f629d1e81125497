"""One house style for every figure drawn with matplotlib: readable, safe for colour-blind eyes, PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenly.files import NewFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette, darkest first; black is kept for bounds and laws.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
ARM_COLOURS = {"max-min": COLOURS[0], "random": COLOURS[4], "clumped": COLOURS[1], "full": COLOURS[6]}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#222222"
NOTE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "color": INK}

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "svg.hashsalt": "evenly",
    "svg.fonttype": "path",
}


def panels(
    columns: int, rows: int = 1, *, width: float = 4.4, height: float = 3.5
) -> tuple[Figure, list[Axes]]:
    """A figure of ``rows`` x ``columns`` panels and its axes in reading order. Drawn within `house_style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.reshape(-1))


def look(index: int, line: str = "", **more: Any) -> dict[str, Any]:
    """The colour and marker of the curve of that number, with the line between its points."""
    return {"color": COLOURS[index], "marker": MARKERS[index], "linestyle": line, **more}


def frame(
    axis: Axes,
    title: str,
    x: str,
    y: str = "",
    *,
    log: str = "",
    x_ticks: Sequence[float] = (),
    y_ticks: Sequence[float] = (),
    legend: Mapping[str, Any] | str = "",
) -> None:
    """The words about a panel.

    Args:
        axis: the panel, drawn.
        title: what it shows.
        x: the label of its first axis.
        y: of its second.
        log: which axes are logarithmic, "", "x", "y" or "xy".
        x_ticks: where these stand, as plain numbers; by default where matplotlib puts them.
        y_ticks: the same on the second axis.
        legend: where it stands, or all that it is given; none is shown by default.
    """
    axis.set(title=title, xlabel=x, ylabel=y)
    for name, side, ticks in (("x", axis.xaxis, x_ticks), ("y", axis.yaxis, y_ticks)):
        if name in log:
            axis.set(**{f"{name}scale": "log"})
        if len(ticks):
            _plain_ticks(side, ticks)
    if legend:
        axis.legend(**{"loc": legend} if isinstance(legend, str) else legend)


def _plain_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Puts ticks of a logarithmic axis where they can be read as plain numbers."""
    from matplotlib.ticker import NullLocator

    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_minor_locator(NullLocator())


def house_style() -> AbstractContextManager[None]:
    """The style in which figures are drawn and saved within the block."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def save(figure: Figure, path: Path, files: NewFiles) -> None:
    """Writes PATH.png and PATH.svg among the new files, the same bytes every time."""
    with files.open(path.with_suffix(".png")) as stream:
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    with files.open(path.with_suffix(".svg")) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})
