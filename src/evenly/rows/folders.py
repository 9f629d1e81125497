"""Folders of JSON Lines: their files are read themselves, so that what is written is byte for byte what was there.

The `datasets` library would take a text that looks like a date for one, 1 for 1.0, and fill fields up with null. Which
files make a split is told as that library tells it: by a word in their names or in those of the folders they lie in.
"""

from __future__ import annotations

import re
from pathlib import Path

from evenly.errors import InputError
from evenly.rows.formats import kind_of

_SAVED_MARKS = ("state.json", "dataset_dict.json", "dataset_info.json", "manifest.json")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
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
        path for path in sorted(folder.rglob("*")) if path.is_file() and _is_data(path.relative_to(folder))
    ]
    kinds = {kind.format.name for path in found if (kind := kind_of(path.name))}
    if kinds != {"jsonl"}:
        return None
    splits: dict[str, list[str]] = {}
    for path in found:
        if kind_of(path.name):
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


def _is_data(path: Path) -> bool:
    """Whether a file may hold rows: not hidden, and in no folder that is."""
    return not any(part.startswith((".", "_")) for part in path.parts)


def _split_of(path: Path) -> str:
    name = path.as_posix().lower()
    for split, words in _WORDS.items():
        if re.search(rf"(^|{_BETWEEN})({'|'.join(words)})({_BETWEEN}|$)", name):
            return split
    return ""
