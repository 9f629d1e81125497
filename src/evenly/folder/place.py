"""Where the record of a selection lies, and where its sources and outputs are now."""

from __future__ import annotations

from pathlib import Path

from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.folder.manifest import MANIFEST_FILE, Manifest, read_manifest
from evenly.records import SourceRecord
from evenly.rows.formats import kind_of, stem_of
from evenly.rows.sources import STANDARD_INPUT

RECORD_ENDING = ".evenly"


def selection_folder(out: str) -> Path:
    """Where the record of a selection goes: kept.jsonl, kept.ndjson.gz and kept/ all have theirs in kept.evenly/."""
    return Path(out).with_name(f"{stem_of(out)}{RECORD_ENDING}")


def check_folder(folder: Path) -> None:
    """Refuses a place for a selection folder that holds something else.

    Raises:
        InputError: a file, or a folder that select did not write.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).is_file():
        raise InputError(f"{folder} holds other files; the record of the selection goes there: move it")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the record of the selection goes there: move it")


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


def find_source(source: SourceRecord, folder: Path) -> Path | None:
    """Where a source of a selection is now.

    Where the manifest says, as seen from here or from a folder above the selection, or beside the selection under
    its name; of several the one with its hash; else any file of its kind in either place with its hash, so that a
    renamed file and standard input that was saved are found too.

    Returns:
        Its place, one with another hash where there is no better one, or None. A dataset by id has none.
    """
    around = [folder.resolve().parent]
    kind = kind_of("standard-input.jsonl")
    named: list[Path] = []
    if source.name != STANDARD_INPUT:
        kind, said = kind_of(source.name), Path(source.name)
        around = [said.parent, *around]
        # A relative name was relative to where select ran, which is often a folder above the record.
        above = [] if said.is_absolute() else [parent / said for parent in folder.resolve().parents]
        places = (said, around[-1] / said.name, *above)
        named = list({place.resolve(): place for place in reversed(places) if place.exists()}.values())[::-1]
    if len(named) == 1:
        return named[0]  # whoever reads it finds out whether it is the same
    others = (path for place in around if place.is_dir() for path in sorted(place.iterdir()))
    for path in (*named, *(path for path in others if kind is not None and kind_of(path.name) == kind)):
        if path.is_file() and file_sha256(path) == source.sha256:
            return path
    return named[0] if named else None
