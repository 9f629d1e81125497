"""A selection as the Parquet file that Embedding Atlas reads, to walk through millions of rows.

Embedding Atlas (https://github.com/apple/embedding-atlas) takes the names of its columns on the command line:

    embedding-atlas kept.parquet --text text --x x --y y --neighbors neighbors

Its neighbours column holds ``{"ids": [...], "distances": [...]}`` with row numbers of the file; here it holds
the keeper, so that "nearest neighbours" of a dropped row show what stands for it, and ``in_degree`` of a kept row
(``--degree``) is the number of rows that it stands for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenly.errors import InputError
from evenly.files import write_table
from evenly.folder.selection import SelectionFolder
from evenly.outputs import OWN_MARK, check_place, refuse_inputs

NEIGHBOURS = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])


def write_atlas(selection: Path, out: Path, *, overwrite: bool = False) -> Path:
    """Writes one line per pool row: text, place on the map, whether and when it was kept, and its keeper.

    Args:
        selection: the folder that select wrote, or the kept rows beside it.
        out: the file to write, ending in .parquet.
        overwrite: whether a file that evenly did not write may be replaced.

    Returns:
        ``out``, written whole or not at all. Columns: row, id, text, x, y, kept, rank, radius, keeper,
        keeper_distance, characters, neighbors, then the records' fields; a field with one of these names is
        called ``field_NAME``.

    Raises:
        InputError: no selection there, or out is one of its files or sources, or cannot be written.
    """
    if out.suffix != ".parquet":
        raise InputError(f"{out} must end in .parquet, the form that Embedding Atlas reads")
    folder = SelectionFolder.open(selection)
    refuse_inputs(out, folder.inputs())
    check_place(out, overwrite=overwrite)
    table = atlas_table(folder).replace_schema_metadata({OWN_MARK: b"atlas"})
    write_table(out, table)
    return out


def atlas_table(saved: SelectionFolder) -> pa.Table:
    """The table that `write_atlas` writes."""
    kept = saved.rank >= 0
    response = saved.response.whole()
    answered = pc.not_equal(response, "")
    columns = {
        "row": np.arange(len(saved)),
        "id": saved.ids.whole(),
        "text": pc.binary_join_element_wise(
            saved.prompt.whole(), pc.if_else(answered, response, None), "\n\n", null_handling="skip"
        ),
        "x": saved.coordinates[:, 0],
        "y": saved.coordinates[:, 1],
        "kept": kept,
        "rank": pa.array(saved.rank, mask=~kept),
        "radius": pa.array(saved.radius, mask=np.isnan(saved.radius)),
        "keeper": saved.keeper,
        "keeper_distance": saved.keeper_distance,
        "characters": saved.characters,
        "neighbors": _neighbours(saved),
    }
    fields = {f"field_{name}" if name in columns else name: column for name, column in saved.fields.items()}
    return pa.table({**columns, **fields})


def _neighbours(saved: SelectionFolder) -> pa.Array:
    """The keeper of each dropped row; for kept rows, and where an anchor stands for the row, the row itself.

    One for every row: measures of the graph (``--degree``, ``--kcore``, ``--clustering``, ``--pagerank``) take lists of
    one length alone, and leave a row that is its own neighbour out.
    """
    own = (saved.rank >= 0) | (saved.keeper >= len(saved))
    ids = np.where(own, np.arange(len(saved)), saved.keeper)
    distances = np.where(own, 0.0, saved.keeper_distance)
    starts = np.arange(len(saved) + 1, dtype=np.int32)
    lists = [pa.ListArray.from_arrays(starts, values) for values in (ids, distances)]
    return pa.StructArray.from_arrays(lists, fields=list(NEIGHBOURS))
