"""Numbers, sizes, durations and shares as people read them. Every formatter of evenly is here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

Cell: TypeAlias = str | float | int | None

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def quantity(value: float | None, digits: int = 3) -> str:
    """A number in a sentence: 0.0412, 3.2 × 10⁻⁷, "–" for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else text.rstrip(".")


def decimals(value: float | None, places: int = 4) -> str:
    """A number in a column of a terminal, where points should stand below one another: 0.0412, 3.20e-07, "-"."""
    if value is None:
        return "-"
    return f"{value:.{places}f}" if abs(value) >= 10 ** (1 - places) or value == 0 else f"{value:.2e}"


def in_figures(value: float, places: int, sign: str = "") -> str:
    """A number to some decimals, or to two figures where these would leave nothing of it."""
    small = value != 0 and abs(value) < 10.0 ** (1 - places)
    return f"{value:{sign},.2g}" if small else f"{value:{sign},.{places}f}"


def show(value: Cell) -> str:
    """A cell of a table of mixed kinds: three significant digits, thousands apart, a dash for no number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size != 0 and (size < 1e-3 or size >= 1e6):
        return f"{value:.1e}"
    return f"{value:,.0f}" if size >= 100 else f"{value:.3g}"


def span(values: Iterable[float], form: str = ".2f") -> str:
    """The range of the values as a sentence says it: "0.85–0.91", or one number where they read the same."""
    given = list(values)
    low, high = f"{min(given):{form}}", f"{max(given):{form}}"
    return low if low == high else f"{low}–{high}"


def counted(count: int, name: str) -> str:
    """So many of something: "1 block", "1,200 blocks"."""
    return f"{count:,} {name}{'s' * (count != 1)}"


def millions(count: int) -> str:
    """A large number in words: "1.2 billion", "4.7 million"."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} billion"
    return f"{count / 1e6:.0f} million" if count >= 1e7 else f"{count / 1e6:.2g} million"


def size(number: float) -> str:
    """Bytes: 1.5 GB, 320 MB, 24 kB."""
    if number >= 1e9:
        return f"{number / 1e9:,.1f} GB"
    if number >= 1e6:
        return f"{number / 1e6:,.0f} MB"
    return f"{number / 1e3:,.0f} kB" if number >= 1e3 else counted(round(number), "byte")


def duration(seconds: float) -> str:
    """Time that was spent: 0.42 s, 31 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def rough_duration(seconds: float) -> str:
    """Time that is predicted, and not known better than to two figures: 3.1 s, 42 min, 2.5 h."""
    units = (("h", 3600.0), ("min", 60.0))
    unit, length = next(((unit, length) for unit, length in units if seconds >= 2 * length), ("s", 1.0))
    amount = seconds / length
    return f"{amount:.2g} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"


def percent(share: float) -> str:
    """50 %, 0.4 %; never rounded up to 100 %."""
    value = 100.0 * share
    if 99.5 <= value < 100.0:
        return f"{math.floor(value * 10) / 10:.1f} %"
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def percent_proven(share: float) -> str:
    """A share rounded down to a tenth of a per cent: a proof must not promise more than it has."""
    return f"{math.floor(share * 1000) / 10:g} %"
