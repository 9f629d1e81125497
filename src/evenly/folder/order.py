"""order.parquet: which rows were picked, in which order, and what stands for each of the others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from evenly.engine.blocks import slices
from evenly.files import write_table
from evenly.types import Int64Array, Selection

ORDER_FILE = "order.parquet"
ORDER_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # pool row number: 0 … N-1 over all sources in the order given
        ("id", pa.string()),  # the record's own id where it has one, else "NAME:NUMBER" (see Rows.ids)
        ("rank", pa.int64()),  # order of picking, null where not kept
        ("radius", pa.float64()),  # distance to the nearest earlier pick; null for rank 0 and where not kept
        ("keeper", pa.int64()),  # nearest kept row; a kept row's own number; N + i for anchor i
        ("keeper_distance", pa.float64()),  # metric's distance to it
        (
            "part",
            pa.int64(),
        ),  # the certificate's proof: fewer parts than kept rows, none wider than its bound
    ]
)


ROWS_AT_ONCE = 16_384
"""Rows of a table that are made at a time: few enough that their texts take some megabytes."""


def write_order(selection: Selection, ids: Iterable[str], parts: Int64Array, path: Path) -> str:
    """Writes order.parquet: rank and radius of the kept rows, keeper and distance of all, in pool order.

    Args:
        selection: the order.
        ids: N row ids.
        parts: (N,) int64, the certificate's parts; empty where it has none.
        path: of the file.

    Returns:
        Its SHA-256.
    """
    rank = np.full(selection.pool_rows, -1, dtype=np.int64)
    rank[selection.rows] = np.arange(len(selection))
    radii = np.append(selection.radii, np.inf)  # for rank -1
    left = iter(ids)

    def table(rows: slice) -> pa.Table:
        dropped, radius = rank[rows] < 0, radii[rank[rows]]
        return pa.table(
            [
                pa.array(np.arange(rows.start, rows.stop)),
                pa.array(islice(left, rows.stop - rows.start), pa.string()),
                pa.array(rank[rows], mask=dropped),
                pa.array(radius, mask=~np.isfinite(radius)),
                pa.array(selection.keeper[rows]),
                pa.array(selection.keeper_distance[rows]),
                pa.array(parts[rows]) if len(parts) else pa.nulls(rows.stop - rows.start, pa.int64()),
            ],
            schema=ORDER_SCHEMA,
        )

    return write_table(path, map(table, slices(selection.pool_rows, ROWS_AT_ONCE)), ORDER_SCHEMA)
