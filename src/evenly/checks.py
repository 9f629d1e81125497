"""Every check of what users hand to the library: validate in public, compute in private."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evenly.errors import InputError, first_line
from evenly.types import Float32Array, Metric, VectorsLike

if TYPE_CHECKING:
    import torch

_NO_NUMBERS = "cSUmM"
"""Kinds of arrays that numpy would make numbers of: complex ones would lose their imaginary part, texts and times are
no places in space."""
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_AMOUNT = re.compile(r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)([kmb]?)", re.IGNORECASE)


def check_metric(metric: str) -> Metric:
    """Returns the metric, or says which there are."""
    if metric not in ("cosine", "euclidean"):
        raise not_known("`metric`", metric, ("cosine", "euclidean"))
    return cast(Metric, metric)


def not_known(what: str, given: object, known: Iterable[str]) -> InputError:
    """The error for a name that is none of some, with the one that was probably meant."""
    names = list(known)
    near = get_close_matches(str(given), names, n=1)
    meant = f"did you mean {near[0]}? There are" if near else "use"
    *others, last = names
    return InputError(f"{what} {given!r} is not known; {meant} {', '.join(others)} or {last}")


def check_int(value: Any, name: str, *, at_least: int | None = None, below: int | None = None) -> int:
    """Returns ``value`` as an int; accepts numpy integers and 0-d integer arrays, refuses bool and float."""
    if isinstance(value, bool | np.bool_):
        raise InputError(f"{name} must be a whole number; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number; got {value!r}") from None
    if at_least is not None and number < at_least:
        raise InputError(f"{name} must be at least {at_least}; got {number}")
    if below is not None and number >= below:
        raise InputError(f"{name} must be below {below}; got {number}")
    return number


def check_keep(keep: Any, pool_rows: int, name: str = "`keep`") -> int:
    """Turns a share or a count into a number of picks.

    Args:
        keep: a share as a float in (0, 1] or as text ("50%", "0.5"), or a count as an int or as text ("5000",
            "5,000", "5k", "1.5M").
        pool_rows: N, rows in the pool.
        name: what to call it in a message.

    Returns:
        The count, 1 <= count <= N. A share rounds down to whole rows.

    Raises:
        InputError: keep is no number, 0, below 0, or above the pool.
    """
    text = str(keep).strip()
    whole = not isinstance(keep, str | bool | float) and _as_index(keep) is not None
    try:
        if whole:
            count = operator.index(keep)
        elif text.endswith("%"):
            count = _share(float(text[:-1]) / 100.0, text, pool_rows, name)
        elif isinstance(keep, str) and (number := whole_number(text)) is not None:
            count = number
        else:
            count = _share(float(text), text, pool_rows, name)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} must be a share (50%, 0.5) or a count (5000); got {text!r}") from None
    if count < 1:
        raise InputError(f"{name} {text} of {pool_rows:,} rows is no row; ask for at least one row")
    if count > pool_rows:
        raise InputError(f"{name} {text} is more than the {pool_rows:,} rows of the pool")
    return count


def whole_number(text: str) -> int | None:
    """A whole number as people type it: 5000, 5,000, 5k, 1.5M; None where it is none."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return None
    exact = Decimal(found[1].replace(",", "")) * _SUFFIXES[found[2].lower()]
    # A plain fraction is a share; with a suffix it has to come out whole.
    return int(exact) if exact == int(exact) and (found[2] or "." not in found[1]) else None


def _as_index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _share(share: float, text: str, pool_rows: int, name: str) -> int:
    if not 0.0 < share <= 1.0:
        raise InputError(f"{name} as a share must lie above 0 and at most 1 (100%); got {text}")
    # The tolerance keeps 0.29 * 100 (28.999…96 in float64) from losing the row it names.
    return int(np.floor(share * pool_rows + 1e-9 * pool_rows))


def check_vectors(vectors: VectorsLike, *, name: str = "vectors", check_finite: bool = True) -> Float32Array:
    """Returns vectors as a (N, d) float32 numpy array, without a copy where they are one already.

    Args:
        vectors: (N, d) numbers: numpy, torch (any device), a list of lists, or a column of a datasets.Dataset.
        name: what to call them in a message.
        check_finite: set False where the caller checks block by block.

    Raises:
        InputError: not two-dimensional, empty, not numeric, or NaN or infinite (names the first such row).
    """
    given = vectors
    if hasattr(given, "detach"):
        given = given.detach()
        given = given.to("cpu").float().numpy() if given.is_floating_point() else given.cpu().numpy()
    try:
        array = np.asarray(given)
        if array.dtype.kind in _NO_NUMBERS:
            raise InputError(f"{name} must be real numbers; got {array.dtype}")
        if array.dtype.kind not in "fiu":
            array = np.asarray(given, dtype=np.float32)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(
            f"{name} must be rows of equally many numbers; got {type(vectors).__name__}"
        ) from None
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] == 0:
        raise InputError(f"{name} must have shape (rows, dimensions), both at least 1; got {array.shape}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(array, dtype=np.float32)
    if check_finite:
        check_finite_rows(rows, name=name)
    return rows


def check_finite_rows(rows: Float32Array, *, first_row: int = 0, name: str = "vectors") -> None:
    """Raises InputError naming the first row that holds NaN or infinity; blocks bound the memory it takes."""
    for start in range(0, len(rows), 65536):
        block = rows[start : start + 65536]
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            column = int(np.argmin(np.isfinite(block[row])))
            raise InputError(
                f"row {first_row + start + row} of {name} holds {block[row, column]} at dimension {column}; "
                "every number must be finite: remove the row or embed it again"
            )


def check_device(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        InputError: torch knows none of that name, or has none here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        known = "Expected one of" not in str(error)  # a list of all that torch was ever built for
        why = f" ({first_line(error)})" if known else ""
        raise InputError(
            f"`device` must name a device that torch has here, such as cpu, cuda or cuda:1; got {name!r}{why}"
        ) from None
    return device
