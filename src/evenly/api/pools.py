"""What callers hand over (vectors, records, data frames, and columns beside them) as an opened pool."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from evenly.checks import check_device
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.opened import OpenedPool, as_embedded, backend_of, check_request, embedded_rows, open_pool
from evenly.records import EncoderRecord
from evenly.rows.copies import SameText
from evenly.rows.rows import Rows
from evenly.rows.sources import rows_of
from evenly.types import Int64Array, Progress
from evenly.vectors.registry import pool_request

GIVEN = "given"
"""What stands for values in an option that names a file or a field."""

OUTSIDE = ("anchors", "avoid", "toward")
"""Options that name files of rows from outside the pool."""


def are_records(data: Any) -> bool:
    """Whether data are rows to embed and not vectors: a dataset, a data frame, dictionaries or texts."""
    if isinstance(data, str | bytes | Mapping) or hasattr(data, "column_names") or hasattr(data, "columns"):
        return True
    if isinstance(data, Sequence) and len(data):
        return isinstance(data[0], str | Mapping)
    return not hasattr(data, "__len__")


@dataclass(frozen=True)
class Handed:
    """Options, and the values among them that were handed over instead of a name.

    Attributes:
        options: with `GIVEN` or a field of that name where there were values.
        columns: of the pool's rows, by the name of the field that stands for them.
        outside: rows or vectors from outside the pool, by what stands for them.
    """

    options: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(options: Mapping[str, Any], rows: int) -> Handed:
        """Sorts options for a pool of so many rows.

        Raises:
            InputError: a column of another length, or rows to keep that are not in the pool.
        """
        found = Handed(dict(options))
        for name in OUTSIDE:
            if (value := options.get(name)) is not None:
                named = found._outside(name, value)
                found.options[name] = named[0] if name == "anchors" else named
        for name in ("by", "quality"):
            if (value := options.get(name)) is not None and not isinstance(value, str):
                found._column(name, _values(value, name, rows))
        if (must := options.get("must")) is not None and not _are_conditions(must):
            found._column("must", _marked(must, rows))
            found.options["must"] = (f"{found.options['must']}=True",)
        elif isinstance(must, str):
            found.options["must"] = (must,)
        if (quota := options.get("quota")) is not None:
            found.options["quota"] = json.dumps(quota) if isinstance(quota, Mapping) else str(quota)
        if isinstance(mix := options.get("mix"), Mapping):
            found.options["mix"] = ",".join(f"{name}={share}" for name, share in mix.items())
        return found

    def _outside(self, option: str, value: Any) -> tuple[str, ...]:
        """What an option names: files as they are, and for values what stands for them."""
        if isinstance(value, str):
            return (value,)
        if isinstance(value, Sequence) and len(value) and all(isinstance(one, str) for one in value):
            return tuple(value)
        sets = value if isinstance(value, Mapping) else {"": value}
        if option == "anchors" and isinstance(value, Mapping):
            raise InputError("`anchors` are one set of rows or vectors; give them without names")
        named = {f"{GIVEN} {option} {name}".strip(): rows for name, rows in sets.items()}
        self.outside.update(named)
        return tuple(f"{name}={key}" if name else key for name, key in zip(sets, named, strict=True))

    def _column(self, name: str, values: Any) -> None:
        self.options[name] = f"{name} {GIVEN}"
        self.columns[f"{name} {GIVEN}"] = values


def _values(given: Any, name: str, rows: int) -> list[Any]:
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    if len(values) != rows:
        raise InputError(
            f"`{name}` has {len(values):,} values and the pool {rows:,} rows; give one for each row"
        )
    return values


def _are_conditions(must: Any) -> bool:
    return isinstance(must, str) or (
        isinstance(must, Sequence) and bool(len(must)) and all(isinstance(one, str) for one in must)
    )


def _marked(must: Any, rows: int) -> list[bool]:
    """Which rows must be kept, from (N,) truth values or from row numbers."""
    given = np.asarray(must)
    marked = np.zeros(rows, dtype=bool)
    if given.dtype == bool and given.shape == (rows,):
        marked = given
    elif (
        given.ndim == 1 and given.dtype.kind in "iu" and given.size and 0 <= given.min() <= given.max() < rows
    ):
        marked[given] = True
    else:
        raise InputError(
            f"`must` must be row numbers from 0 to {rows - 1}, one truth value for each row, or FIELD=VALUE"
        )
    if not marked.any():
        raise InputError("`must` names no row; leave it out")
    return [bool(one) for one in marked]


class VectorsAlone(Rows):
    """Rows of which nothing is known but their vectors and the columns given with them."""

    has_texts = False

    def __init__(self, points: Points) -> None:
        self._points = points
        self._beside: dict[str, Sequence[Any]] = {}
        self._sources = ()
        self.left_out = {}
        self.phrases = frozenset()

    def __len__(self) -> int:
        return len(self._points)

    @property
    def ids(self) -> Any:
        return range(len(self))

    @cached_property
    def same_text(self) -> SameText:
        """Rows of an equal vector are copies: there is nothing else to tell them apart."""
        first = self._points.first_equal
        return SameText(np.empty(0, dtype=np.int64), {}, first, first)

    @property
    def characters(self) -> Int64Array:
        self._no_texts("lengths")

    def all_texts(self) -> NoReturn:
        self._no_texts("texts")

    def field(self, name: str, start: int = 0, stop: int | None = None) -> list[Any]:
        if name not in self._beside:
            raise InputError(f"vectors have no field {name!r}; give one value for each row instead of a name")
        return list(self._beside[name][start:stop])

    def _no_texts(self, what: str) -> NoReturn:
        raise InputError(f"vectors alone have no {what}; give the rows themselves (select_rows)")


@contextmanager
def opened(
    data: Any,
    reading: Mapping[str, Any],
    options: Mapping[str, Any],
    progress: Progress,
    records: bool | None = None,
) -> Iterator[tuple[OpenedPool, dict[str, Any]]]:
    """A pool of what was handed over, and the options with names for values.

    Args:
        data: (N, d) vectors, or records (`evenly.rows.sources.rows_of`), which are embedded.
        reading: fields of `PoolRequest`.
        options: of controls and of `Choice`.
        progress: called as texts are embedded.
        records: whether data are records; None looks at them.

    Raises:
        InputError: something cannot be used.
    """
    records = are_records(data) if records is None else records
    request = pool_request(**reading)
    check_request(request)
    if records:
        rows = as_embedded(request, rows_of(data, text=request.text, part=request.part))
        with open_pool(request, rows, progress=progress) as pool:
            yield _with_values(pool, options)
        return
    device = str(check_device(request.device) if request.device else getattr(data, "device", "cpu"))
    request = replace(request, device=device, use_cache=False)
    backend = backend_of(request)
    points = Points.of(data, request.metric, backend)
    record = EncoderRecord(name="vectors", identity="", dimension=points.dimension)
    with backend.joined():
        yield _with_values(OpenedPool(request, VectorsAlone(points), points, record, ""), options)


def _with_values(pool: OpenedPool, options: Mapping[str, Any]) -> tuple[OpenedPool, dict[str, Any]]:
    handed = Handed.of(options, len(pool))
    pool.rows.beside(handed.columns)
    outside = {name: _vectors(pool, value) for name, value in handed.outside.items()}
    return replace(pool, given=outside), handed.options


def _vectors(pool: OpenedPool, value: Any) -> Any:
    """Vectors of rows from outside."""
    if not are_records(value):
        return value
    if isinstance(pool.rows, VectorsAlone):
        raise InputError(f"{', '.join(f'`{one}`' for one in OUTSIDE)} must be vectors, as the pool is")
    rows = rows_of(value, text=pool.request.text, part=pool.request.part)
    return embedded_rows(pool.request, rows.stripped(pool.rows.phrases), like=pool).vectors
