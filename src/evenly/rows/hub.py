"""Datasets through the `datasets` library: folders it saved, folders it reads, ids on the hub."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from evenly.errors import InputError
from evenly.hub import answer
from evenly.rows.fileformat import FileFormat
from evenly.rows.tables import Table

if TYPE_CHECKING:
    import datasets

_SAVED_MARKS = ("state.json", "dataset_dict.json")
_HASHED_BYTES = 1 << 20
_CONFIGURATIONS = re.compile(r"among the available configs: \[(.*?)\]|Available: \[(.*?)\]")
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def open_dataset(name: str, split: str | None, known: str) -> tuple[Table, str]:
    """Opens a dataset by folder or id. Data files only: code that comes with a dataset is never run.

    Args:
        name: a folder that ``save_to_disk`` wrote, a folder of data files, or an id on the hub; the last two may
            have a configuration behind them, ``NAME:CONFIG``.
        split: which split; needed wherever there are named splits.
        known: the endings of files that could have been meant, for messages.

    Returns:
        The rows and a sha256: of the files' bytes for a saved folder, in order of their names and without the
        library's caches; else of the rows as JSON, because the library's cache differs between its versions.
    """
    place, configuration = _configured(name)
    saved = any((Path(name) / mark).is_file() for mark in _SAVED_MARKS)
    if not Path(place).is_dir():
        _check_on_hub(place, known)
    import datasets

    try:
        with _quiet():
            loaded = datasets.load_from_disk(name) if saved else _load(place, configuration, split)
    # The loaders raise whatever their many readers and network layers raise.
    except Exception as error:
        raise InputError(_not_loaded(place, str(error) or type(error).__name__, known)) from None
    dataset = _one_split(name, loaded, split) if isinstance(loaded, dict) else loaded
    if saved and dataset is loaded and split not in (None, str(loaded.split)):
        raise InputError(
            f"{name} is one dataset (split {loaded.split}), without a split {split}; leave it out"
        )
    table = Table(name, dataset.with_format("arrow")[:], "dataset")
    if not saved:
        return table, _hash_of_rows(table)
    return table, _hash_of_folder(Path(name) if dataset is loaded else Path(name, split or ""))


def _check_on_hub(name: str, known: str) -> None:
    """Refuses an id that neither the hub nor this machine has, before loaders ask for it again and again."""
    if not _ID.fullmatch(name):
        raise InputError(f"{name} does not exist, and is no id of a dataset; name a file ({known})")
    from huggingface_hub import constants
    from huggingface_hub.errors import RepositoryNotFoundError

    error = answer("dataset", name)
    if isinstance(error, RepositoryNotFoundError):
        raise InputError(
            f"{name} is neither a file here ({known}) nor a dataset that the hub shows; for a private one log in "
            "first: hf auth login"
        )
    loaded_before = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME, "datasets")
    if error is not None and not Path(loaded_before, name.replace("/", "___")).is_dir():
        raise InputError(
            f"{name} is no file here, and the hub cannot be asked for it ({type(error).__name__}); check the name, or "
            "where there is a network save it (load_dataset(…).save_to_disk(FOLDER)) and name that folder"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading without the log lines of the hub's client: what went wrong is said in one line."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _load(place: str, configuration: str | None, split: str | None) -> Any:
    """What load_dataset gives; chats that it takes for logs of agents all the same
    (findings/chats-taken-for-traces.sh)."""
    import datasets
    from datasets.exceptions import DatasetGenerationError

    try:
        return datasets.load_dataset(place, configuration, split=split)
    except DatasetGenerationError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        return datasets.load_dataset(place, configuration, split=split, parse_agent_traces=False)


def _configured(name: str) -> tuple[str, str | None]:
    """A name without the configuration behind it, and the configuration."""
    place, mark, configuration = name.rpartition(":")
    return (place, configuration) if mark and place and not Path(name).exists() else (name, None)


def _one_split(name: str, loaded: datasets.DatasetDict, split: str | None) -> datasets.Dataset:
    splits = ", ".join(loaded)
    if split is None:
        raise InputError(f"{name} has the splits {splits}; name one as `split`")
    if split not in loaded:
        raise InputError(f"{name} has no split {split}; it has {splits}")
    return loaded[split]


def _not_loaded(name: str, why: str, known: str) -> str:
    reason = why.strip().splitlines()[0].rstrip(".")
    if found := _CONFIGURATIONS.search(why):
        names = [each.strip(" '\"") for each in (found[1] or found[2]).split(",")]
        return f"{name} has the configurations {', '.join(names)}; name one behind it: {name}:{names[0]}"
    if Path(name).is_dir():
        return f"{name} is a folder that datasets cannot read ({reason}); name its files, e.g. {name}/*.jsonl"
    return (
        f"{name} is neither a file ({known}) nor a dataset that can be loaded ({reason}); "
        "without a network, save it elsewhere (load_dataset(…).save_to_disk(FOLDER)) and name that folder"
    )


def _hash_of_rows(table: Table) -> str:
    digest = hashlib.sha256(str(table.table.schema.remove_metadata()).encode())
    for record in table.records():
        digest.update(json.dumps(record, default=repr).encode() + b"\n")
    return digest.hexdigest()


def _hash_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("cache-")
    ):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        with path.open("rb") as stream:
            while block := stream.read(_HASHED_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _no_file(*given: Any) -> NoReturn:
    raise InputError("a dataset is no file; name a folder, an id, or a file of another format")


DATASET = FileFormat("dataset", (), _no_file, _no_file, also=("parquet", "arrow"))
