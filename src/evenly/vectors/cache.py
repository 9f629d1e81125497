"""Vectors kept between runs, found again by the content of the text.

A cache folder holds one store per encoder and settings; a store holds shards; a shard is one file, written
once under a temporary name and renamed. So two processes never write to one file, a reader never sees half of
one, and a run that was killed has lost no more than its last few seconds. A shard is

    header | keys (n, 32) bytes | tokens (n,) uint32 | zeros up to a multiple of 64 | vectors (n, d) float32

all little-endian, with SHA-256 sums over the index (with the header's fields) and over the vectors. A shard
that does not match its sums is removed, and its texts are embedded again.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evenly.errors import InputError
from evenly.files import ANOTHER_CACHE, new_files
from evenly.request import PoolRequest
from evenly.rows.index import KeyArray, key_array, text_key
from evenly.types import Float32Array, Int64Array, Progress, silent

if TYPE_CHECKING:
    from evenly.vectors.kind import Encoder

_MAGIC = b"evenly vectors 1"
_HEADER = struct.Struct("<16s32sQQ32s32s")  # magic, store, rows, dimension, index sum, vectors sum
_ALIGN = 64
_STORE_NAME = "[0-9a-f]" * 32  # a pattern: other people's files are never counted nor removed
_SUFFIX = ".vectors"
_TEMPORARY = ".tmp"
_STALE_SECONDS = 24 * 3600.0
FLUSH_ROWS = 8192
"""12 MiB of vectors of 384 numbers: few files, and little memory beside the batches."""
FLUSH_SECONDS = 5.0
"""What a killed run loses at most."""

Keep = Callable[[KeyArray, Int64Array, Float32Array], None]
"""Takes keys (n, 4), tokens (n,) and vectors (n, d) of new rows."""


def text_keys(texts: Sequence[str]) -> KeyArray:
    """Keys of texts, (n, 4) uint64.

    Raises:
        InputError: a text that is not a string or not Unicode text (names the first).
    """
    digests = bytearray()
    try:
        for text in texts:
            digests += text_key(text)
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X} at character {error.start}"
        raise InputError(f"text {len(digests) // 32} holds half a character ({half}); remove it") from None
    except AttributeError:
        given = type(text).__name__
        raise InputError(f"text {len(digests) // 32} must be a string; got {given}") from None
    return key_array(digests)


@dataclass(frozen=True)
class CacheSize:
    """What a cache holds: its folder, shards, vectors in them, and bytes on disk (leftovers included)."""

    folder: Path
    shards: int
    vectors: int
    bytes: int


@dataclass(frozen=True)
class Cache:
    """A folder of vectors.

    Attributes:
        folder: where it lies; made when first written to.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path | str | None = None) -> Cache:
        """The cache at ``folder``, or at $EVENLY_CACHE, $XDG_CACHE_HOME/evenly or ~/.cache/evenly."""
        if folder is None:
            folder = os.environ.get("EVENLY_CACHE") or Path(
                os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "evenly"
            )
        path = Path(folder).expanduser()
        if path.exists() and not path.is_dir():
            raise InputError(
                f"the cache {path} is a file; set EVENLY_CACHE to a folder or use `use_cache=False`"
            )
        return cls(path)

    @classmethod
    def of(cls, request: PoolRequest) -> Cache | None:
        """The cache that a request may use, or None."""
        return cls.open() if request.use_cache else None

    @property
    def orders(self) -> Path:
        """Where selection keeps the picks of its runs."""
        return self.folder / "orders"

    @property
    def encoders(self) -> Path:
        """Where what loaded models said of themselves lies (see `evenly.vectors.encoders.ModelConfig`), and the token
        vectors distilled from them."""
        return self.folder / "encoders"

    @property
    def maps(self) -> Path:
        """Where the maps of pools are kept."""
        return self.folder / "maps"

    @property
    def scratch(self) -> Path:
        """Where runs that do not fit into memory put what they need for the moment."""
        return self.folder / "scratch"

    def store(self, encoder: Encoder) -> Store:
        """The vectors of one encoder, runtime and way with long texts: bit for bit what it would give now."""
        name = hashlib.sha256(f"{encoder.identity}\n{encoder.runtime}\n{encoder.long}".encode()).digest()
        return Store(self.folder / name.hex()[:32], name, encoder.dimension)

    def size(self) -> CacheSize:
        """Counts what is there, for every encoder."""
        shards = self._files(_SUFFIX)
        whole = [shard for shard in map(Shard.open, shards) if shard]
        used = sum(_size(path) for path in shards + self._files(_TEMPORARY) + self._small_files())
        return CacheSize(self.folder, len(whole), sum(shard.rows for shard in whole), used)

    def clear(self) -> CacheSize:
        """Removes all there is and returns what was there. Only files of the cache are touched."""
        before = self.size()
        for path in self._files(_SUFFIX) + self._files(_TEMPORARY) + self._small_files():
            path.unlink(missing_ok=True)
        for store in filter(Path.is_dir, self.folder.glob(_STORE_NAME)):
            with suppress(OSError):  # another process put something in it meanwhile
                store.rmdir()
        return before

    def _small_files(self) -> list[Path]:
        """Orders, maps and what is known of encoders, with what killed runs left of them."""
        kinds = (
            (self.orders, ".npz"),
            (self.maps, ".npz"),
            (self.encoders, ".json"),
            (self.encoders, ".safetensors"),
        )
        return sorted(
            path
            for folder, ending in kinds
            for pattern in (f"*{ending}", f".*{ending}.*{_TEMPORARY}")
            for path in folder.glob(pattern)
        )

    def _files(self, suffix: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{_STORE_NAME}/*{suffix}") if path.is_file())


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of vectors, as its header says.

    Attributes:
        path: the file.
        store: 32 bytes that name encoder and settings.
        rows: n.
        dimension: d.
        index_sum, vectors_sum: SHA-256 of its two parts.
    """

    path: Path
    store: bytes
    rows: int
    dimension: int
    index_sum: bytes
    vectors_sum: bytes

    @staticmethod
    def open(path: Path) -> Shard | None:
        """The shard of a file that is as long as its header says, or None."""
        try:
            with path.open("rb") as stream:
                magic, *fields = _HEADER.unpack(stream.read(_HEADER.size))
                shard, length = Shard(path, *fields), os.fstat(stream.fileno()).st_size
        except (OSError, struct.error):
            return None
        complete = length == shard.vectors_start + shard.rows * shard.dimension * 4
        return shard if magic == _MAGIC and complete else None

    @property
    def vectors_start(self) -> int:
        """Bytes before the vectors."""
        return -(-(_HEADER.size + self.rows * 36) // _ALIGN) * _ALIGN

    def index(self) -> tuple[KeyArray, npt.NDArray[np.uint32]] | None:
        """Keys (n, 4) uint64 and tokens (n,) uint32 of each whole text; None where they do not match
        their sum, or are gone."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(_HEADER.size)
                keys, tokens = stream.read(self.rows * 32), stream.read(self.rows * 4)
        except OSError:
            return None
        sound = _index_sum(self.store, self.dimension, keys, tokens) == self.index_sum
        return (key_array(keys), np.frombuffer(tokens, "<u4")) if sound else None

    def vectors(self) -> Float32Array | None:
        """The vectors, (n, d) float32; None where they do not match their sum, or are gone."""
        try:
            vectors = np.fromfile(self.path, "<f4", self.rows * self.dimension, offset=self.vectors_start)
        except OSError:
            return None
        sound = hashlib.sha256(vectors.data).digest() == self.vectors_sum
        return vectors.reshape(self.rows, self.dimension) if sound else None

    @staticmethod
    def write(folder: Path, store: bytes, keys: KeyArray, tokens: Int64Array, vectors: Float32Array) -> None:
        """Writes n rows as a new file of a folder."""
        key_bytes, token_bytes = keys.astype("<u8").tobytes(), tokens.astype("<u4").tobytes()
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        count, dimension = rows.shape
        index_sum = _index_sum(store, dimension, key_bytes, token_bytes)
        vectors_sum = hashlib.sha256(rows.data).digest()
        shard = Shard(
            folder / f"{uuid.uuid4().hex}{_SUFFIX}", store, count, dimension, index_sum, vectors_sum
        )
        name = f"the cache {folder.parent}"
        new = new_files(name=name, advice=ANOTHER_CACHE, durable=False, make_folders=True)
        with new as files, files.open(shard.path) as stream:
            stream.write(_HEADER.pack(_MAGIC, store, count, dimension, index_sum, vectors_sum))
            stream.write(key_bytes + token_bytes)
            stream.write(b"\0" * (shard.vectors_start - stream.tell()))
            stream.write(rows.data)


def _index_sum(store: bytes, dimension: int, keys: bytes, tokens: bytes) -> bytes:
    return hashlib.sha256(b"".join([store, struct.pack("<Q", dimension), keys, tokens])).digest()


class Store:
    """The cached vectors of one encoder and its settings; reads what is there when it is opened.

    Args:
        folder: of its shards.
        name: 32 bytes that every shard repeats.
        dimension: d.
    """

    def __init__(self, folder: Path, name: bytes, dimension: int) -> None:
        self.folder, self.name, self.dimension = folder, name, dimension
        self.shards: list[Shard] = []
        index = [(np.empty((0, 4), np.uint64), np.empty(0, np.uint32))]
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            shard = Shard.open(path)
            own = shard is not None and (shard.store, shard.dimension) == (name, dimension)
            found = shard.index() if shard is not None and own and shard.rows else None
            if shard is None or found is None:
                path.unlink(missing_ok=True)
                continue
            self.shards.append(shard)
            index.append(found)
        for path in _stale(folder):
            path.unlink(missing_ok=True)
        keys, tokens = (np.concatenate(parts) for parts in zip(*index, strict=True))
        order = np.argsort(keys[:, 0], kind="stable")
        lengths = [shard.rows for shard in self.shards]
        self._keys, self._tokens = keys[order], tokens[order]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)[order]
        self._row = np.concatenate([np.empty(0, np.int64), *map(np.arange, lengths)])[order]

    def __len__(self) -> int:
        return len(self._keys)

    def fetch(
        self, keys: KeyArray, out: Float32Array, rows: Int64Array, progress: Progress = silent
    ) -> Int64Array:
        """Copies the vectors of known keys to ``out[rows]``.

        Args:
            keys: (n, 4) uint64.
            out: (N, d) float32, written to.
            rows: (n,) int64, the row of ``out`` for each key.
            progress: called with stage "embed", keys done, keys, after each shard.

        Returns:
            (n,) int64, the tokens of each known text, -1 for keys not found. Shards that turn out damaged are
            removed and count as not there.
        """
        tokens = np.full(len(keys), -1, dtype=np.int64)
        while True:
            place = self._find(keys)
            wanted = np.flatnonzero((place >= 0) & (tokens < 0))
            damaged = []
            for number in np.unique(self._shard[place[wanted]]).tolist():
                here = wanted[self._shard[place[wanted]] == number]
                vectors = self.shards[number].vectors()
                if vectors is None:
                    damaged.append(number)
                    continue
                out[rows[here]] = vectors[self._row[place[here]]]
                tokens[here] = self._tokens[place[here]]
                progress("embed", int(np.count_nonzero(tokens >= 0)), len(keys))
            if not damaged:
                return tokens
            self._remove(damaged)  # another may hold some of their texts

    def _remove(self, damaged: list[int]) -> None:
        for number in damaged:
            self.shards[number].path.unlink(missing_ok=True)
        left = ~np.isin(self._shard, damaged)
        self._keys, self._tokens = self._keys[left], self._tokens[left]
        self._shard, self._row = self._shard[left], self._row[left]

    def known(self, keys: KeyArray) -> npt.NDArray[np.bool_]:
        """Which of (n, 4) keys have vectors here; reads no vector."""
        return np.asarray(self._find(keys) >= 0)

    def _find(self, keys: KeyArray) -> Int64Array:
        """Where each key lies in the index, or -1. Two texts that share a first word but are not the same
        (odds of 1 in 10^19 a pair) may miss each other; that costs time and no truth."""
        if not len(self):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._keys[:, 0], keys[:, 0]), len(self) - 1)
        same = (self._keys[place] == keys).all(axis=1)
        return np.asarray(np.where(same, place, -1), dtype=np.int64)

    @contextmanager
    def writing(self) -> Iterator[Keep]:
        """Takes new rows, and writes a shard every few thousand of them or few seconds, and when the block ends, in
        whatever way it ends.

        Raises:
            InputError: the cache cannot be written (a full disk, no permission).
        """
        waiting: list[tuple[KeyArray, Int64Array, Float32Array]] = []
        since = time.monotonic()

        def flush() -> None:
            nonlocal since
            if waiting:
                keys, tokens, vectors = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
                waiting.clear()
                Shard.write(self.folder, self.name, keys, tokens, vectors)
                since = time.monotonic()

        def keep(keys: KeyArray, tokens: Int64Array, vectors: Float32Array) -> None:
            waiting.append((keys, tokens, vectors))
            if (
                sum(len(keys) for keys, _, _ in waiting) >= FLUSH_ROWS
                or time.monotonic() - since >= FLUSH_SECONDS
            ):
                flush()

        try:
            yield keep
        finally:
            flush()


def _stale(folder: Path) -> list[Path]:
    """Temporary files of runs killed more than a day ago."""
    before = time.time() - _STALE_SECONDS
    return [path for path in folder.glob(f"*{_TEMPORARY}") if _modified(path) < before]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
