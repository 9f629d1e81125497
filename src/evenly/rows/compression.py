"""The compressions there are: what compressed files hold, and the way back. Adding one is a line in `COMPRESSIONS`."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, BinaryIO

import zstandard

from evenly.errors import InputError

_LONGEST_WINDOW = 1 << 31
"""Of zstd, in bytes: the longest that its command makes with --long=31."""

_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


@dataclass(frozen=True)
class Compression:
    """A compression of files.

    Attributes:
        ending: of file names, with its dot.
        decompressor: makes one for a single member or frame, with ``decompress``, ``eof`` and ``unused_data``.
        compressor: a stream that compresses into another, which stays open. Equal bytes in, equal bytes out.
        zeros_follow: whether zero bytes may follow a member, to fill a block.
    """

    ending: str
    decompressor: Callable[[], Any]
    compressor: Callable[[BinaryIO], Any]
    zeros_follow: bool


COMPRESSIONS = (
    Compression(
        ".gz",
        lambda: zlib.decompressobj(wbits=31),
        lambda stream: gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0),
        zeros_follow=True,
    ),
    Compression(".bz2", bz2.BZ2Decompressor, partial(bz2.BZ2File, mode="wb"), zeros_follow=False),
    Compression(".xz", lzma.LZMADecompressor, partial(lzma.LZMAFile, mode="wb"), zeros_follow=True),
    Compression(
        ".zst",
        lambda: zstandard.ZstdDecompressor(max_window_size=_LONGEST_WINDOW).decompressobj(),
        lambda stream: zstandard.ZstdCompressor().stream_writer(stream, closefd=False),
        zeros_follow=False,
    ),
)


def decompressed(blocks: Iterable[bytes], compression: Compression, name: str) -> Iterator[bytes]:
    """What compressed bytes hold, a block at a time; several members or frames in one file are read as one.

    Args:
        blocks: the bytes of the file, in order.
        compression: from the ending of its name.
        name: what to call the file in a message.

    Raises:
        InputError: the bytes are cut short or are no such compression.
    """
    # One frame after the other by hand: lzma.decompress drops what follows a first stream, and the stream reader
    # of zstandard takes a frame cut short for a whole one.
    frame = None
    try:
        for block in blocks:
            rest = block
            while rest:
                if frame is None:
                    rest = rest.lstrip(b"\0") if compression.zeros_follow else rest
                    if not rest:
                        break
                    frame = compression.decompressor()
                yield frame.decompress(rest)
                rest = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
        if frame is not None:
            raise EOFError("the compressed stream has no end")
    except _BROKEN as error:
        raise InputError(f"{name} is cut short or damaged ({error}); fetch or compress it again") from None


def compressed(stream: BinaryIO, compression: Compression | None) -> AbstractContextManager[IO[bytes]]:
    """The stream that compresses into ``stream``; the stream itself for None."""
    into: AbstractContextManager[IO[bytes]] = (
        nullcontext(stream) if compression is None else compression.compressor(stream)
    )
    return into
