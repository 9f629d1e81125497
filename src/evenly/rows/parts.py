"""Where the parts of a pool go that are written one file each, beside a record that names them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenly.files import one_line_errors
from evenly.outputs import check_place, is_record, superseded
from evenly.rows.formats import ending_of, format_named
from evenly.rows.rows import Rows
from evenly.rows.writing import check_output


def part_place(out: str, name: str, rows: Rows) -> str:
    """One file per part for a single file, else a folder per part with one file per source."""
    if len(rows.opened) == 1 and rows.opened[0].path is not None and rows.opened[0].path.is_file():
        own = format_named(
            rows.opened[0].records.format
        )  # of a source whose name does not say it, as an archive's
        return str(Path(out) / f"{name}{ending_of(rows.opened[0].path.name) or own.endings[0]}")
    return str(Path(out) / name) + "/"


def part_places(
    out: str, names: Iterable[str], rows: Rows, record: str, *, overwrite: bool
) -> tuple[dict[str, str], list[Path]]:
    """The place of each part in a folder, which is made, and checked before long work is done for it.

    Args:
        out: the folder.
        names: of the parts.
        rows: the pool.
        record: the file in the folder that names what was written.
        overwrite: whether files may be replaced that no such record names.

    Returns:
        The place of each part by its name, and files of an older run in the folder that this one does not write again.

    Raises:
        InputError: a part cannot be written, or something is in its way.
    """
    places = {name: part_place(out, name, rows) for name in names}
    with one_line_errors(Path(out)):
        Path(out).mkdir(parents=True, exist_ok=True)
    own = Path(out, record)
    targets = [target for place in places.values() for target in check_output(rows, place)]
    for target in targets:
        check_place(target, overwrite=overwrite, records=[own])
    check_place(own, overwrite=overwrite or is_record(own))
    return places, superseded(own, targets, Path(out), overwrite=overwrite)
