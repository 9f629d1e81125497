"""Folders of JSON Lines: their files are read themselves, so that what is written is byte for byte what was there.

The `datasets` library would take a text that looks like a date for one, 1 for 1.0, and fill fields up with null. Which
files make a split is told as that library tells it: by a word in their names or in those of the folders they lie in.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from evenly.errors import InputError
from evenly.rows.formats import kind_of
from evenly.rows.json_lines import JsonLines
from evenly.rows.sessions import is_session

_SAVED_MARKS = ("state.json", "dataset_dict.json", "manifest.json")
_BESIDE = ("dataset_info.json", "dataset_infos.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_BEGINNING = 1 << 20
"""Bytes of a session in which a message is found: instructions and lists of tools may come before it."""

_BETWEEN = r"[-._ 0-9/]"


def files_of(folder: Path, split: str | None) -> list[str] | None:
    """The files of a folder of JSON Lines, in the order of their names; None where it is another kind of folder.

    Args:
        folder: without what a library or evenly saved in it.
        split: the one that is wanted.

    Raises:
        InputError: there are several splits and none was named, or none of that name.
    """
    if any((folder / mark).exists() for mark in _SAVED_MARKS):
        return None
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _is_data(path.relative_to(folder)) and not is_beside(path)
    ]
    kinds = {kind.format.name for path in found if (kind := kind_of(path.name))}
    if kinds != {"jsonl"} and not (len(kinds) == 1 and all(partition(path) for path in found)):
        return None
    found = [path for path in found if kind_of(path.name)]
    if split is None and _is_session(found[0]):
        return [str(path) for path in found]
    splits: dict[str, list[str]] = {}
    for path in found:
        splits.setdefault(_split_of(path.relative_to(folder)), []).append(str(path))
    if len(splits) > 1:
        splits.pop("", None)
    elif "" in splits:
        splits = {"train": splits[""]}
    if split is None and len(splits) > 1:
        raise InputError(f"{folder} has the splits {', '.join(splits)}; name one as `split`")
    if split is not None and split not in splits:
        raise InputError(f"{folder} has no split {split}; it has {', '.join(splits)}")
    return splits[split or next(iter(splits))]


def partition(path: Path) -> dict[str, str]:
    """The fields that the folders above a file name, as Hive and Spark write them: lang=en/year=2024."""
    pairs = (part.partition("=") for part in path.parts[:-1])
    return {key: unquote(value) for key, mark, value in pairs if key and mark}


def partition_path(path: Path) -> Path:
    """A file's place from the first such folder on; its name alone where there is none."""
    first = next((number for number, part in enumerate(path.parts[:-1]) if part.find("=") > 0), -1)
    return Path(*path.parts[first:])


def is_beside(path: Path) -> bool:
    """Whether a file is known to lie beside data and to hold none: marks of Spark, checksums, descriptions."""
    marks = path.name.startswith((".", "_")) and kind_of(path.name) is None
    return marks or path.suffix == ".crc" or path.name in _BESIDE


def _is_session(path: Path) -> bool:
    """Whether a file is the session of an agent: a folder of those has no splits, only names of projects."""
    with path.open("rb") as stream:
        beginning = stream.read(_BEGINNING)
    try:
        return is_session(JsonLines(path.name, beginning))
    except InputError:
        return False


def _is_data(path: Path) -> bool:
    """Whether a file may hold rows: not hidden, and in no folder that is."""
    return not any(part.startswith((".", "_")) for part in path.parts)


def _split_of(path: Path) -> str:
    name = path.as_posix().lower()
    for split, words in _WORDS.items():
        if re.search(rf"(^|{_BETWEEN})({'|'.join(words)})({_BETWEEN}|$)", name):
            return split
    return ""
