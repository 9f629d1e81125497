"""Bytes of a file as they are, hashed, and what they hold; and the way back."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from contextlib import AbstractContextManager, nullcontext
from typing import IO, BinaryIO, cast

import zstandard

from evenly.data.names import Compression
from evenly.errors import InputError

_BLOCK_BYTES = 1 << 20
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def decompress(raw: bytes, compression: Compression, name: str) -> bytes:
    """Returns what compressed bytes hold; several members or frames in one file are read as one.

    Args:
        raw: the bytes of the file.
        compression: from the ending of its name.
        name: what to call the file in a message.

    Raises:
        InputError: the bytes are cut short or are no such compression.
    """
    try:
        if compression == "gz":
            return gzip.decompress(raw)
        if compression == "xz":
            return _lzma_streams(raw)
        return _zstd_frames(raw) if compression == "zst" else raw
    except _BROKEN as error:
        raise InputError(f"{name} is cut short or damaged ({error}); fetch or compress it again") from None


def _lzma_streams(raw: bytes) -> bytes:
    """As lzma.decompress, which drops in silence whatever follows a whole first stream."""
    parts, rest = [], raw
    while rest:
        stream = lzma.LZMADecompressor()
        parts.append(stream.decompress(rest))
        if not stream.eof:
            raise EOFError("the xz stream has no end")
        # The format lets zero bytes follow a stream, to fill a block of four.
        rest = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _zstd_frames(raw: bytes) -> bytes:
    """Reads frame by frame, because the stream reader takes a frame cut short for a whole one."""
    parts, rest = [], raw
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(rest))
        if not frame.eof:
            raise EOFError("the zstd frame has no end")
        rest = frame.unused_data
    return b"".join(parts)


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


def sha256_of(stream: BinaryIO) -> str:
    """The sha256 of a whole file that is open for reading."""
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
