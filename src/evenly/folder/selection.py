"""A selection on disk, opened: what it says, what it kept, and the pool it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.folder.excluded import read_excluded
from evenly.folder.manifest import MANIFEST_FILE, Manifest, read_manifest, read_measures
from evenly.folder.order import ORDER_FILE, ORDER_SCHEMA
from evenly.folder.place import find_folder, find_source, output_places, source_places
from evenly.folder.reading import TextColumn, read_numbers
from evenly.folder.view import FIELD_PREFIX, VIEW_FILE, VIEW_SCHEMA
from evenly.request import MapKind, PoolRequest
from evenly.rows.formats import kind_of
from evenly.rows.rows import Rows
from evenly.rows.sources import STANDARD_INPUT, read_rows
from evenly.types import Float64Array, Int64Array, Metric, Progress, Selection, silent
from evenly.vectors.cache import Cache
from evenly.vectors.registry import encoder_named


@dataclass(frozen=True, eq=False)
class SelectionFolder:
    """A selection folder; N pool rows in pool order, distances in the metric's unit.

    Its files are read when they are asked for. Each of them raises `InputError` where it is missing, is not what
    select wrote, or does not fit the others.

    Attributes:
        path: of the folder.
        manifest: how the selection was made.
    """

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path | str) -> SelectionFolder:
        """Opens the folder that select wrote.

        Args:
            path: the folder, or the kept rows that lie beside it.

        Raises:
            InputError: neither, or a manifest that this version cannot read.
        """
        found = SelectionFolder.find(Path(path))
        if found is None:
            raise InputError(
                f"{path} {'is no selection' if Path(path).exists() else 'does not exist'}; name the folder that select "
                f"wrote, which holds a {MANIFEST_FILE} (kept.evenly/), or the kept rows beside it"
            )
        return found

    @staticmethod
    def find(path: Path) -> SelectionFolder | None:
        """As `open`; None where the path is neither a selection folder nor rows that one beside it records."""
        folder = find_folder(path)
        return None if folder is None else SelectionFolder(folder, read_manifest(folder))

    def __len__(self) -> int:
        return self.manifest.pool_rows

    # The order

    @cached_property
    def order(self) -> pa.Table:
        """The numbers of order.parquet: rank, radius, keeper, keeper_distance and part of the N rows."""
        return read_numbers(self.path / ORDER_FILE, ORDER_SCHEMA, len(self))

    @cached_property
    def ids(self) -> TextColumn:
        """The N ids."""
        return TextColumn(self.path / ORDER_FILE, "id")

    @cached_property
    def rank(self) -> Int64Array:
        """(N,) int64, the order of picking; -1 where not kept."""
        return cast(Int64Array, self.order["rank"].fill_null(-1).to_numpy())

    @cached_property
    def radius(self) -> Float64Array:
        """(N,) float64, NaN where not kept and for a first pick."""
        return cast(Float64Array, self.order["radius"].fill_null(float("nan")).to_numpy())

    @cached_property
    def keeper(self) -> Int64Array:
        """(N,) int64, nearest kept row; N + i for anchor i."""
        return cast(Int64Array, self.order["keeper"].to_numpy())

    @cached_property
    def keeper_distance(self) -> Float64Array:
        """(N,) float64, the distance to it."""
        return cast(Float64Array, self.order["keeper_distance"].to_numpy())

    @cached_property
    def part(self) -> Int64Array | None:
        """(N,) int64, the parts that prove the certificate; None where it has none."""
        column = self.order["part"]
        return None if column.null_count else cast(Int64Array, column.to_numpy())

    @cached_property
    def picks(self) -> Int64Array:
        """(k,) int64, the kept row numbers in the order of picking."""
        kept = np.flatnonzero(self.rank >= 0)
        return kept[np.argsort(self.rank[kept], kind="stable")]

    @cached_property
    def radii(self) -> Float64Array:
        """(k,) float64, the radius of every pick; infinite for a first one."""
        radii = self.radius[self.picks]
        return np.where(np.isnan(radii), np.inf, radii)

    def selection(self) -> Selection:
        """The order with its cover, as it was made."""
        return Selection(
            rows=self.picks,
            radii=self.radii,
            keeper=self.keeper,
            keeper_distance=self.keeper_distance,
            metric=cast(Metric, self.manifest.metric),
            asked=self.manifest.asked,
            exhausted=self.manifest.exhausted,
            excluded={
                row: f"{reason}: {detail}" if detail else reason
                for row, reason, detail in zip(
                    *(self.excluded[name].to_pylist() for name in ("row", "reason", "detail")), strict=True
                )
            },
        )

    # What a person sees

    @cached_property
    def view(self) -> pa.Table:
        """The numbers and fields of view.parquet."""
        return read_numbers(self.path / VIEW_FILE, VIEW_SCHEMA, len(self))

    @cached_property
    def prompt(self) -> TextColumn:
        """The N prompts, cut short. Untrusted text, as are responses and fields."""
        return TextColumn(self.path / VIEW_FILE, "prompt")

    @cached_property
    def response(self) -> TextColumn:
        """The N responses, cut short."""
        return TextColumn(self.path / VIEW_FILE, "response")

    @cached_property
    def characters(self) -> Int64Array:
        """(N,) int64, lengths of the whole texts."""
        return cast(Int64Array, self.view["characters"].fill_null(0).to_numpy())

    @cached_property
    def coordinates(self) -> Float64Array:
        """(N, 2) float64, places on the map that was made with the selection."""
        return np.stack([self.view["x"].to_numpy(), self.view["y"].to_numpy()], axis=1).astype(np.float64)

    @cached_property
    def fields(self) -> dict[str, pa.ChunkedArray]:
        """The records' scalar fields by name, columns of length N."""
        names = [name for name in self.view.column_names if name.startswith(FIELD_PREFIX)]
        return {name.removeprefix(FIELD_PREFIX): self.view[name] for name in names}

    @cached_property
    def measures(self) -> dict[str, Any]:
        """What measures.json says of pool, kept rows, random sets, certificate and controls; empty without it."""
        return read_measures(self.path)

    @property
    def map_kind(self) -> MapKind:
        """How the map was laid out; before version 0.2.0 that was not said, and always ``pca``."""
        return cast(MapKind, self.measures.get("map", {}).get("kind", "pca"))

    @cached_property
    def excluded(self) -> pa.Table:
        """Rows that a control kept from being picked, with ``row``, ``id``, ``reason`` and ``detail``; maybe none."""
        return read_excluded(self.path, len(self))

    # The files around it

    def kept_files(self) -> list[Path]:
        """The files of kept rows, without those that hold none.

        Raises:
            InputError: one of them is missing or was changed, or holds rows that were excluded as well.
        """
        if excluded := self.manifest.options.appended.get("excluded"):
            raise InputError(
                f"the file of {self.path} ends with {excluded:,} rows that were excluded, for it holds the whole pool "
                "in order; cut the rows that are wanted from it with evenly slice"
            )
        found = []
        for output, place in zip(self.manifest.outputs, output_places(self.manifest, self.path), strict=True):
            if not output.rows:
                continue
            if not place.is_file():
                raise InputError(
                    f"{place}, the kept rows of {self.path}, is not there; put it beside the folder"
                )
            if file_sha256(place) != output.sha256:
                raise InputError(f"{place} was changed since {self.path} was made; select again")
            found.append(place)
        return found

    def inputs(self) -> list[tuple[str, Path]]:
        """What nothing that is made from the selection may overwrite: the folder, its kept rows and its sources."""
        kept = [(f"kept rows of {self.path}", place) for place in output_places(self.manifest, self.path)]
        sources = [
            (source.name, place)
            for source in self.manifest.sources
            for place in source_places(source, self.path)
        ]
        return [(str(self.path), self.path), *kept, *sources]

    def pool_request(self, sources: Sequence[str] | None = None, **working: Any) -> PoolRequest:
        """The pool that the selection was made from, wherever its sources are now.

        Args:
            sources: where they are, one for each in the manifest's order; None looks for them (`find_source`).
            working: fields of `PoolRequest` that say where the work is done: use_cache, device, memory …

        Raises:
            InputError: a source was not found, or another number of them was given.
        """
        manifest = self.manifest
        if sources and len(sources) != len(manifest.sources):
            raise InputError(
                f"{len(sources)} sources were named and {self.path} was made from {len(manifest.sources)}; "
                "name each of them once, in the manifest's order"
            )
        return PoolRequest(
            sources=list(sources) if sources else self._sources(),
            text=manifest.text,
            part=cast(Any, manifest.part),
            split=manifest.options.split,
            skip_empty=manifest.options.skip_empty,
            strip_shared=manifest.options.strip_shared,
            metric=cast(Any, manifest.metric),
            encoder=self._encoder(),
            encoder_options=tuple(sorted(manifest.encoder.options.items())),
            long=cast(Any, manifest.encoder.long),
            precision=cast(Any, manifest.encoder.precision),
            **working,
        )

    def _sources(self) -> list[str]:
        found = []
        for source in self.manifest.sources:
            place = find_source(source, self.path)
            if place is None and source.name == STANDARD_INPUT:
                raise InputError(
                    "the rows came from standard input; save them to a file and name it with `source`"
                )
            if place is None and kind_of(source.name) is not None:
                raise InputError(
                    f"{source.name} is neither where {self.path} says nor beside that folder; "
                    "name its place with `source`"
                )
            found.append(source.name if place is None else str(place))
        return found

    def _encoder(self) -> str:
        """The manifest's encoder; a file of vectors or a model's folder that was moved is taken beside the folder."""
        return encoder_named(self.manifest.encoder.name).beside(self.path.resolve().parent)

    def rows(self, sources: Sequence[str] | None = None, progress: Progress = silent) -> Rows:
        """The rows of the pool, read anew and held against the manifest.

        Args:
            sources: as for `pool_request`.
            progress: called as they are read.

        Raises:
            InputError: they are not found, cannot be read, or were changed.
        """
        request = self.pool_request(sources)
        rows = read_rows(
            request.sources,
            text=request.text,
            part=request.part,
            split=request.split,
            skip_empty=request.skip_empty,
            scratch=Cache.open().scratch,
            progress=progress,
        )
        self.check_sources(rows)
        return rows

    def check_sources(self, rows: Rows) -> None:
        """Refuses rows whose first sources are not those that the selection was made from.

        Raises:
            InputError: names the source that was changed.
        """
        for was, found in zip(self.manifest.sources, rows.sources, strict=False):
            if was.sha256 != found.sha256:
                raise InputError(f"{found.name} was changed since {self.path} was made; select again")
