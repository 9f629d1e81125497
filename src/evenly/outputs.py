"""What may be written where: inputs stay as they are, and so do files that evenly did not write or that were edited."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from evenly.errors import InputError
from evenly.files import file_sha256, leftovers


def refuse_inputs(place: Path, inputs: Iterable[tuple[str, Path]]) -> None:
    """Refuses to write where something lies that the run reads.

    Args:
        place: what will be written.
        inputs: files and folders that are read, each with what to call it in a message.

    Raises:
        InputError: ``place`` is one of them, by whatever name or link, or lies in one.
    """
    resolved = place.resolve()
    for name, path in inputs:
        held = path.resolve()
        linked = place.exists() and held.exists() and place.samefile(held)
        if resolved == held or held in resolved.parents or linked:
            raise InputError(f"the output {place} is the input {name}, or inside it; name another output")


def check_place(path: Path, *, overwrite: bool, records: Sequence[Path] = ()) -> None:
    """Refuses to replace a file that evenly did not write, or that was changed since, unless the user says so.

    A file is evenly's own where a record beside it names it and has its hash: kept rows are byte for byte rows of the
    user's and carry no mark of their own. A run that was killed between record and rows must be able to go on, so
    another hash will do where it left a temporary file. A Parquet file that evenly makes for itself says so in its
    metadata (`OWN_MARK`).

    Args:
        path: what will be written.
        overwrite: whether the user asked to replace it whatever it is.
        records: JSON files that may name it among their ``outputs``, by its path from the folder they describe
            (that of a manifest is the one above the selection folder).

    Raises:
        InputError: it is a folder, or a file of others.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file for the output")
    if not path.exists() or overwrite or _marked(path):
        return
    hashes = {outputs[path.resolve()] for outputs in map(recorded, records) if path.resolve() in outputs}
    if not hashes:
        raise InputError(
            f"{path} is there and was not written by evenly; name another output, or add `overwrite`"
        )
    if file_sha256(path) not in hashes and not leftovers(path):
        raise InputError(
            f"{path} was changed since evenly wrote it; name another output, or add `overwrite` to replace it"
        )


def superseded(record: Path, targets: Iterable[Path], within: Path, *, overwrite: bool) -> list[Path]:
    """Files of an older run that a new one with the same record would leave beside its own, such as more folds.

    Args:
        record: names what the older run wrote.
        targets: what the new run writes.
        within: the folder that both write to.
        overwrite: whether files that were changed since may go too.

    Raises:
        InputError: one was changed, and the user did not ask to replace it.
    """
    own, folder = {target.resolve() for target in targets}, within.resolve()
    found = [
        path for path in recorded(record) if path.is_file() and folder in path.parents and path not in own
    ]
    for path in found:
        check_place(path, overwrite=overwrite, records=[record])
    return [within / path.relative_to(folder) for path in found]


OWN_MARK = b"evenly"
"""Key of the metadata of Parquet files that evenly writes for other programs."""


def _marked(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return OWN_MARK in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def is_record(path: Path) -> bool:
    """Whether a file is a JSON record of evenly that names its outputs."""
    return _outputs(path) is not None


def recorded(record: Path) -> dict[Path, str]:
    """Where the outputs lie that a record names, resolved, each with its hash; none where there is no record."""
    folder = record.resolve().parent
    described = folder.parent if folder.suffix == ".evenly" else folder
    return {(described / name).resolve(): sha256 for name, sha256 in (_outputs(record) or {}).items()}


def _outputs(record: Path) -> dict[str, str] | None:
    try:
        outputs = json.loads(record.read_text(encoding="utf-8"))["outputs"]
        return {str(output["name"]): str(output["sha256"]) for output in outputs}
    except (OSError, ValueError, TypeError, KeyError):
        return None
