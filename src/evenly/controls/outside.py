"""Files of rows from outside the pool that an option names: FILE, or NAME=FILE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenly.controls.control import refuse


def named_files(option: str, given: Iterable[str]) -> dict[str, str]:
    """Files by the names that they are told by, in the order given; a file without a name has its own.

    Args:
        option: the option that names them, for messages.
        given: as typed. What is there as it stands is a file, whatever signs it holds.

    Raises:
        InputError: two files of one name, or a name without a file.
    """
    files: dict[str, str] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign or "/" in name or Path(text).exists():
            name, file = Path(text).name, text
        refuse(not name or not file, f"`{option}` must read FILE or NAME=FILE; got {text!r}")
        refuse(name in files, f"`{option}` names two files {name}; give each a name: NAME=FILE")
        files[name] = file
    return files
