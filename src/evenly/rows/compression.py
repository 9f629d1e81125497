"""What compressed files hold, and the way back."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, BinaryIO, cast

import zstandard

from evenly.errors import InputError
from evenly.rows.formats import Compression

_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def decompressed(blocks: Iterable[bytes], compression: Compression, name: str) -> Iterator[bytes]:
    """What compressed bytes hold, a block at a time; several members or frames in one file are read as one.

    Args:
        blocks: the bytes of the file, in order.
        compression: from the ending of its name.
        name: what to call the file in a message.

    Raises:
        InputError: the bytes are cut short or are no such compression.
    """
    new = _DECOMPRESSORS.get(compression)
    if new is None:
        yield from blocks
        return
    # One frame after the other by hand: lzma.decompress drops what follows a first stream, and the stream reader
    # of zstandard takes a frame cut short for a whole one.
    frame = None
    try:
        for block in blocks:
            rest = block
            while rest:
                if frame is None:
                    # Zero bytes may follow a gzip member or an xz stream, to fill a block.
                    rest = rest if compression == "zst" else rest.lstrip(b"\0")
                    if not rest:
                        break
                    frame = new()
                yield frame.decompress(rest)
                rest = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
        if frame is not None:
            raise EOFError("the compressed stream has no end")
    except _BROKEN as error:
        raise InputError(f"{name} is cut short or damaged ({error}); fetch or compress it again") from None


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(wbits=31),
    "xz": lzma.LZMADecompressor,
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}


def compressor(stream: BinaryIO, compression: Compression) -> AbstractContextManager[IO[bytes]]:
    """A stream that compresses into ``stream``, which stays open. Equal bytes in, equal bytes out."""
    if compression == "gz":
        file = gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0)
        return cast(AbstractContextManager[IO[bytes]], file)
    if compression == "xz":
        return lzma.LZMAFile(stream, "wb")
    if compression == "zst":
        return zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
    return nullcontext(stream)
