"""Rows from outside the pool: anchors and rows to avoid, as vectors of the pool's encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from evenly.checks import check_finite_rows
from evenly.engine.greedy import pool_tensor
from evenly.errors import InputError
from evenly.folder.manifest import MANIFEST_FILE, read_manifest
from evenly.opened import FILE, PoolVectors
from evenly.rows.forms import Part
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.types import Float32Array, Metric


@dataclass(frozen=True, eq=False)
class OutsideRows:
    """Reads files beside the pool and embeds their rows as the pool's rows were.

    Attributes:
        encoder: as the user named it.
        identity: of the encoder, as in a manifest.
        dimension: d.
        metric: rows are normalised under cosine.
        text, part: as for the pool.
        embed: from rows to vectors.
    """

    encoder: str
    identity: str
    dimension: int
    metric: Metric
    text: str | None
    part: Part
    embed: Callable[[Rows], PoolVectors]

    def vectors(self, name: str, what: str) -> Tensor:
        """The rows of a file, of a selection folder (its kept rows), or of a .npy file of vectors.

        Args:
            name: of the file or folder.
            what: what they are to the user, for messages.

        Returns:
            (A, d) float32, prepared as the pool's rows are.

        Raises:
            InputError: unreadable, another encoder or another dimension.
        """
        path = Path(name)
        if name.endswith(".npy"):
            found = _load(path, what)
        elif (path / MANIFEST_FILE).is_file():
            found = self._embedded(self._kept_files(path), name, what)
        else:
            found = self._embedded([name], name, what)
        if found.shape[1] != self.dimension:
            raise InputError(
                f"the {what} {name} have {found.shape[1]} dimensions and the pool has {self.dimension}; "
                "use vectors of the same encoder"
            )
        return pool_tensor(found, self.metric)

    def _embedded(self, names: Sequence[str], name: str, what: str) -> Float32Array:
        if self.encoder.startswith(FILE):
            raise InputError(
                f"{self.encoder} gives vectors of the pool alone; give those of {name} as a .npy file instead"
            )
        return self.embed(read_rows(list(names), text=self.text, part=self.part)).vectors

    def _kept_files(self, folder: Path) -> list[str]:
        manifest = read_manifest(folder)
        own = self.encoder.startswith("column:")
        same = manifest.encoder.name == self.encoder if own else manifest.encoder.identity == self.identity
        if not same:
            raise InputError(
                f"{folder} was selected with the encoder {manifest.encoder.name}, the pool is embedded with "
                f"{self.encoder}; distances between the two mean nothing: use one encoder"
            )
        files = [str(folder.resolve().parent / output.name) for output in manifest.outputs if output.rows]
        missing = [file for file in files if not Path(file).is_file()]
        if missing:
            raise InputError(
                f"{missing[0]}, the kept rows of {folder}, is not there; put it beside the folder"
            )
        return files


def _load(path: Path, what: str) -> Float32Array:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the {what} {path} cannot be read as a .npy file: {error}") from None
    if (
        not isinstance(found, np.ndarray)
        or found.ndim != 2
        or found.dtype.kind not in "fiu"
        or not found.size
    ):
        raise InputError(f"the {what} {path} must hold one array of numbers of shape (rows, dimensions)")
    vectors = np.ascontiguousarray(found, dtype=np.float32)
    check_finite_rows(vectors, name=str(path))
    return vectors
