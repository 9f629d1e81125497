"""What a file holds, decompressed, as bytes or, where there are many, as a memory map that costs no memory to hold."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from evenly.errors import InputError
from evenly.files import BLOCK_BYTES, scratch_file
from evenly.rows.compression import Compression, decompressed
from evenly.types import Int64Array

Contents: TypeAlias = bytes | mmap.mmap

MAPPED_BYTES = 64 << 20
"""From so many bytes on, contents are mapped: those of a plain file in place, others in a scratch file."""

_LFS_POINTER = b"version https://git-lfs.github.com/"

AT_ONCE_BYTES = 16 << 20
"""Mapped bytes that are gone through before their memory is given back."""


def read_contents(
    path: Path, compression: Compression | None, name: str, scratch: Path | None
) -> tuple[str, Contents]:
    """The SHA-256 of a file's bytes, and what they hold.

    Args:
        path: of the file.
        compression: from the ending of its name, or None.
        name: what to call it in a message.
        scratch: folder for what a large compressed file holds; None takes that of the system.

    Raises:
        InputError: the file cannot be read, is empty, cut short or damaged; a scratch disk that fills.
    """
    digest = sha256()

    def blocks(file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            yield block

    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{name} is empty; expected at least one record")
            file.seek(0)
            if compression:
                data = spooled(decompressed(blocks(file), compression, name), scratch)
            elif path.stat().st_size < MAPPED_BYTES:
                data = b"".join(blocks(file))
            else:
                for _ in blocks(file):
                    pass
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    if data[: len(_LFS_POINTER)] == _LFS_POINTER:
        raise InputError(f"{name} is a pointer of Git LFS, not the file itself; run: git lfs pull")
    return digest.hexdigest(), data


def spooled(blocks: Iterator[bytes], scratch: Path | None) -> Contents:
    """Bytes in memory while they are few, then in a file without a name, which vanishes with the process."""
    held: list[bytes] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size >= MAPPED_BYTES:
            break
    else:
        return b"".join(held)
    return scratch_file(lambda file: file.writelines(chain(held, blocks)), scratch)


def release(data: Contents) -> None:
    """Gives back the memory of mapped contents; what is read again comes from the file."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def line_ends(data: Contents) -> Int64Array:
    """The places right behind every line feed, (n,) int64."""
    found = [np.zeros(0, dtype=np.int64)]
    numbers = np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(numbers), AT_ONCE_BYTES):
        found.append(np.flatnonzero(numbers[start : start + AT_ONCE_BYTES] == ord("\n")) + start + 1)
        release(data)
    return np.concatenate(found)


def find_byte(data: Contents, byte: bytes) -> int:
    """The first place of a byte, or -1."""
    for start in range(0, len(data), AT_ONCE_BYTES):
        place = data[start : start + AT_ONCE_BYTES].find(byte)
        if place >= 0:
            return start + place
        release(data)
    return -1


def text_end(data: Contents, blank: bytes | None = None) -> int:
    """The place behind the last byte that is not ``blank``; None is white space."""
    end = len(data)
    while end:
        start = max(0, end - BLOCK_BYTES)
        tail = data[start:end].rstrip(blank)
        if tail:
            return start + len(tail)
        end = start
    return 0


def is_blank(data: Contents) -> bool:
    """Whether there is nothing but white space."""
    return re.search(rb"\S", data) is None
