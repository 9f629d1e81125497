"""Where the record of a selection lies, and where its sources and outputs are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evenly.errors import InputError
from evenly.files import clear_leftovers, file_sha256
from evenly.folder.manifest import MANIFEST_FILE, Manifest, read_manifest
from evenly.outputs import check_place, refuse_inputs, superseded
from evenly.records import SourceRecord
from evenly.rows.formats import kind_of, stem_of
from evenly.rows.sources import STANDARD_INPUT
from evenly.vectors.registry import encoder_named

RECORD_ENDING = ".evenly"


def selection_folder(out: str) -> Path:
    """Where the record of a selection goes: kept.jsonl, kept.ndjson.gz and kept/ all have theirs in kept.evenly/."""
    named = Path(out)
    place = named.resolve() if named.name in ("", "..") else named  # where one is, and the folder above
    return place.parent / f"{stem_of(place.name)}{RECORD_ENDING}"


def check_out(
    out: str, targets: Sequence[Path], inputs: Sequence[tuple[str, Path]], *, overwrite: bool
) -> list[Path]:
    """Refuses to write kept rows and their record where something else lies.

    Args:
        out: as the user named it.
        targets: the files of kept rows that will be written.
        inputs: what the run reads beside its sources, each with its name for messages.
        overwrite: whether files that evenly did not write, and the record of other kept rows, may be replaced.

    Returns:
        Kept rows of an older run in the folder ``out`` that this one does not write again.

    Raises:
        InputError: says what is in the way.
    """
    folder = selection_folder(out)
    clear_leftovers(folder)  # a killed run may have put the record aside that says whose the kept rows are
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).is_file():
        raise InputError(f"{folder} holds other files; the record of the selection goes there: move it")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the record of the selection goes there: move it")
    for place in (folder, *targets):
        refuse_inputs(place, inputs)
    for name, path in inputs:
        if folder.resolve() in path.resolve().parents:
            raise InputError(
                f"the record of {out} goes to {folder}, which holds the input {name}; name another output"
            )
    for target in targets:
        record = find_folder(target) if target.exists() else None
        check_place(target, overwrite=overwrite, records=[record / MANIFEST_FILE] if record else [])
    other = None if overwrite else _other_record(folder, targets)
    if other is not None:
        raise InputError(
            f"{folder} is the record of {other}, and that of {out} would take its place; name another output, "
            "or add `overwrite`"
        )
    return superseded(folder / MANIFEST_FILE, targets, Path(out), overwrite=overwrite)


def _other_record(folder: Path, targets: Sequence[Path]) -> Path | None:
    """Kept rows by another name that a selection folder records, and that are there."""
    try:
        places = output_places(read_manifest(folder), folder)
    except InputError:
        return None  # none yet, or one that nobody can read
    around = folder.resolve().parent
    own = {target.resolve().relative_to(around).parts[0] for target in targets}
    there = [place for place in places if place.exists()]
    return there[0] if there and not own & {place.relative_to(around).parts[0] for place in places} else None


def inputs_among(values: Iterable[Any]) -> list[tuple[str, Path]]:
    """Those of the values of options that name a file to be read, and what else is read with it.

    An encoder may read a file, and a selection reads the kept rows of its folder.
    """
    found = []
    for name in _texts(values):
        path = encoder_named(name).path or Path(name)
        folder = find_folder(path) if path.is_dir() else None
        if folder is not None:
            found += [(name, place) for place in (folder, *output_places(read_manifest(folder), folder))]
        elif path.is_file():
            found.append((name, path))
    return found


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Texts among the values of options, and of NAME=FILE the file too."""
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text:
                yield text
                if file := text.partition("=")[2]:
                    yield file


def find_folder(path: Path) -> Path | None:
    """The selection folder that is meant: the one named, or the one beside the kept rows that are named."""
    if (path / MANIFEST_FILE).is_file():
        return path
    likely = selection_folder(str(path))
    within = path.resolve().parent
    beside = sorted(within.glob(f"*{RECORD_ENDING}")) if within.is_dir() else []
    # kept/train.jsonl has its record in kept.evenly/, beside kept/.
    for folder in (likely, selection_folder(str(within)), *beside):
        if (folder / MANIFEST_FILE).is_file() and _records(folder, path, doubtful=folder == likely):
            return folder
    return None


def _records(folder: Path, path: Path, *, doubtful: bool) -> bool:
    """Whether a selection folder names these kept rows; ``doubtful`` where its manifest cannot be read."""
    try:
        places = {place.resolve() for place in output_places(read_manifest(folder), folder)}
    except InputError:
        return doubtful
    own_folders = {place.parent for place in places} - {folder.resolve().parent}
    return path.resolve() in places | own_folders


def output_places(manifest: Manifest, folder: Path) -> list[Path]:
    """Where the files of kept rows of a selection folder lie, in the manifest's order."""
    return [folder.resolve().parent / output.name for output in manifest.outputs]


def source_places(source: SourceRecord, folder: Path) -> list[Path]:
    """Where a source of a selection may be by its name: as seen from here or from a folder above the selection, for
    a relative name was relative to where select ran; or beside the selection. The likeliest first."""
    if source.name == STANDARD_INPUT:
        return []
    said, around = Path(source.name), folder.resolve().parent
    above = [] if said.is_absolute() else [parent / said for parent in (around, *around.parents)]
    found: dict[Path, Path] = {}
    for place in (said, around / said.name, *above):
        if place.is_file() or (place.exists() and kind_of(source.name) is None):
            found.setdefault(place.resolve(), place)
    return list(found.values())


def find_source(source: SourceRecord, folder: Path) -> Path | None:
    """Where a source of a selection is now.

    One of `source_places`, of several the one with its hash; else any file of its kind with its hash where the
    manifest says or beside the selection, so that a renamed file and standard input that was saved are found too.

    Returns:
        Its place, one with another hash where there is no better one, or None. A dataset by id has none.
    """
    named = source_places(source, folder)
    if len(named) == 1:
        return named[0]  # whoever reads it finds out whether it is the same
    kind, around = kind_of("standard-input.jsonl"), [folder.resolve().parent]
    if source.name != STANDARD_INPUT:
        kind, around = kind_of(source.name), [Path(source.name).parent, *around]
    others = (path for place in around if place.is_dir() for path in sorted(place.iterdir()))
    for path in (*named, *(path for path in others if kind is not None and kind_of(path.name) == kind)):
        if path.is_file() and file_sha256(path) == source.sha256:
            return path
    return named[0] if named else None
