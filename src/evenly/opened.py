"""An opened pool: the rows that one may choose from, their vectors, and where work on them is done.

Every command that reads rows opens them here, and takes nothing apart again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from evenly.checks import check_metric, check_vectors
from evenly.engine.loneliest import neighbour_radius
from evenly.engine.placing import PROCESSOR, Backend, read_memory
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.records import EncoderRecord
from evenly.request import PoolRequest
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.types import Float32Array, Float64Array, Int64Array, Metric, Progress, VectorsLike, silent
from evenly.vectors.cache import Cache
from evenly.vectors.embedding import vector_digests
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.folders import find_folder
from evenly.vectors.kind import EncoderKind, Fitted, PoolVectors
from evenly.vectors.npy import load_vectors
from evenly.vectors.registry import encoder_of
from evenly.vectors.running import choose_device


@dataclass(frozen=True, eq=False)
class OpenedPool:
    """N rows and everything that is known of all of them.

    Attributes:
        request: what was asked for.
        rows: their records.
        points: their vectors, as distances take them, and what is derived from these.
        encoder: what made the vectors, for the manifest.
        note: one line on what was embedded and what was cached; empty where vectors were given.
        tokens: (N,) int64, tokens of every row's text, special ones included; None where vectors were given.
        openings: see `evenly.vectors.kind.PoolVectors`.
        given: rows from outside that were handed over as vectors, by the name that stands for them.
        kind: the encoder as it is for this pool.
        fitted: the map that the pool's vectors have passed, for rows from outside; None for none.
    """

    request: PoolRequest
    rows: Rows
    points: Points
    encoder: EncoderRecord
    note: str
    tokens: Int64Array | None = None
    openings: frozenset[bytes] = frozenset()
    kind: EncoderKind | None = None
    fitted: Fitted | None = None
    given: Mapping[str, VectorsLike] = field(default_factory=dict)

    @staticmethod
    def of(request: PoolRequest, rows: Rows, points: Points, embedded: PoolVectors) -> OpenedPool:
        """The pool of rows whose vectors, as they were embedded, have become points."""
        known = embedded.record, embedded.note, embedded.tokens, embedded.openings
        return OpenedPool(request, rows, points, *known, embedded.kind, embedded.fitted)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def metric(self) -> Metric:
        return self.points.metric

    @cached_property
    def cache(self) -> Cache | None:
        """Where vectors and orders are kept between runs, or None."""
        return Cache.of(self.request)

    @cached_property
    def neighbour_radius(self) -> Float64Array:
        """(N,) float64 Euclidean distance of every row to its 10th nearest distinct row."""
        return neighbour_radius(self.points)

    @cached_property
    def hidden(self) -> Int64Array:
        """Rows that are no copies of another but have the vector of an earlier row, rising."""
        return self.rows.same_text.hidden(self.points.first_equal)

    def outside(self, name: str, what: str, progress: Progress = silent) -> Points:
        """Rows from outside the pool, embedded and prepared as the pool's rows are.

        Args:
            name: a file, a selection folder or the folder of kept rows beside it, or a .npy file of vectors.
            what: what they are to the user, for messages.

        Raises:
            InputError: unreadable, another encoder or another dimension.
        """
        path, label = Path(name), what if name in self.given else f"{what} {name}"
        if name in self.given:
            found = check_vectors(self.given[name], name=f"the {label}")
        elif name.endswith(".npy"):
            found = load_vectors(path, name=f"the {what} {path}")
        else:
            found = self._embedded(name, progress)
        if found.shape[1] != self.points.dimension:
            raise InputError(
                f"the {label} have {found.shape[1]} dimensions and the pool has {self.points.dimension}; "
                "use vectors of the same encoder"
            )
        return Points.of(found, self.metric)

    def _embedded(self, name: str, progress: Progress) -> Float32Array:
        if not encoder_of(self.request).any_rows:
            raise InputError(
                f"{self.request.encoder} gives vectors of the pool alone; give those of {name} as a .npy file instead"
            )
        files, folder = [name], SelectionFolder.find(Path(name)) if Path(name).is_dir() else None
        if folder is not None:
            self._check_same_encoder(folder)
            files = [str(kept) for kept in folder.kept_files()]
        request = replace(self.request, sources=files, split=None, engine="local", strip_shared=False)
        rows = _rows_outside(request).stripped(
            self.rows.phrases
        )  # a text has the vector that it has in the pool
        vectors = embedded_rows(request, rows, like=self, progress=progress).vectors
        if self.openings:
            # What begins as rows of the pool do that were averaged is averaged too: equal texts have equal vectors.
            digests = vector_digests(vectors, np.arange(len(rows)))
            again = np.array([digest in self.openings for digest in digests])
            if again.any():
                request = replace(request, long="mean")
                whole = embedded_rows(request, rows, like=self, progress=progress).vectors
                vectors = np.where(again[:, None], whole, vectors)
        return vectors

    def _check_same_encoder(self, folder: SelectionFolder) -> None:
        was, name = folder.manifest.encoder, self.request.encoder
        if not encoder_of(self.request).same(was, self.encoder):
            raise InputError(
                f"{folder.path} was selected with the encoder {was.name}, the pool is embedded with {name}; "
                "distances between the two mean nothing: use one encoder"
            )


def _rows_outside(request: PoolRequest) -> Rows:
    """Rows of another file, by `text` where it fits them, else by their own form."""
    try:
        return read_pool(request)
    except InputError:
        if request.text is None:
            raise
        try:
            return read_pool(replace(request, text=None))
        except InputError:
            pass
        raise


def check_request(request: PoolRequest) -> None:
    """Refuses what cannot be used, before rows are read, which may take minutes; fetches the encoder if asked to.

    Raises:
        InputError: an unknown metric, an encoder or a file of vectors that is not there, a size that is none, a
            cluster address without the engine for it, no such device.
    """
    check_metric(request.metric)
    kind = encoder_of(request)
    if request.download and kind.model:
        find_folder(kind.model, download=True)
    kind.check()
    if request.strip_shared and not isinstance(kind, EmbeddingKind):
        raise InputError(f"`strip_shared` is for texts that are embedded; {request.encoder} gives vectors")
    backend_of(request)


def backend_of(request: PoolRequest) -> Backend:
    """Where selection works: its products on the card that embeds, if there is one.

    Raises:
        InputError: a size that is none, a cluster address without the engine for it, or no such device.
    """
    if request.ray_address and request.engine != "ray":
        raise InputError("`ray_address` is for `engine=ray`; add it, or leave the address out")
    memory = read_memory(request.memory) if request.memory else None
    device = choose_device(request.device)
    products = device if device.type == "cuda" else PROCESSOR  # others lack the float64 of exact distances
    return Backend(Cache.open().scratch, memory, request.engine == "ray", request.ray_address, products)


def read_pool(
    request: PoolRequest,
    *,
    fields: Sequence[str] = (),
    stdin: BinaryIO | None = None,
    progress: Progress = silent,
) -> Rows:
    """The rows of a request, read and checked, with the fields that will be asked for; see `read_rows`."""
    rows = read_rows(
        list(request.sources),
        text=request.text,
        part=request.part,
        split=request.split,
        skip_empty=request.skip_empty,
        fields=fields,
        stdin=stdin,
        scratch=Cache.open().scratch,
        progress=progress,
    )
    return as_embedded(request, rows)


def as_embedded(request: PoolRequest, rows: Rows) -> Rows:
    """Rows that were read, whose texts are what a request has embedded of them."""
    return rows.stripped() if request.strip_shared else rows


def embedded_rows(
    request: PoolRequest,
    rows: Rows,
    *,
    backend: Backend | None = None,
    like: OpenedPool | None = None,
    progress: Progress = silent,
) -> PoolVectors:
    """The vectors of rows as the encoder gives them, where the backend has room for them.

    Args:
        request: says where the encoder works.
        rows: what is embedded.
        backend: where vectors go; None for an array in memory.
        like: the pool that the rows are from outside of; None where they are the pool.
        progress: called as texts are embedded.
    """

    def room(dimension: int) -> Float32Array | None:
        return backend.room(len(rows), dimension) if backend else None

    if like is not None:
        found = (like.kind or encoder_of(request)).vectors(rows, request, room, progress)
        if like.fitted is not None:
            like.fitted.apply(found.vectors)
        return found
    kind = encoder_of(request).for_pool(rows, request)
    found = kind.vectors(rows, request, room, progress)
    fitted = kind.fit(found.vectors)
    if fitted is not None:
        fitted.apply(found.vectors)
        found = found.told(fitted.note)
    return replace(found, kind=kind, fitted=fitted)


@contextmanager
def open_pool(
    request: PoolRequest, rows: Rows | None = None, *, progress: Progress = silent
) -> Iterator[OpenedPool]:
    """Reads (unless the rows are given), embeds and prepares; a member of the Ray cluster until the block ends.

    Args:
        request: passed `check_request`.
        rows: as `read_pool` gives them, where they were wanted before.
        progress: called as rows are read and texts embedded.

    Raises:
        InputError: something cannot be read or embedded.
    """
    backend = backend_of(request)
    found = read_pool(request, progress=progress) if rows is None else rows
    with backend.joined():
        embedded = embedded_rows(request, found, backend=backend, progress=progress)
        points = Points.prepared(embedded.vectors, check_metric(request.metric), backend)
        yield OpenedPool.of(request, found, points, embedded)
