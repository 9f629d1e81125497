"""The kind of encoder that turns texts into vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.vectors.folders import find_folder
from evenly.vectors.kind import Encoder, EncoderKind, PoolVectors

if TYPE_CHECKING:
    from evenly.rows.index import KeyArray
    from evenly.rows.rows import Rows
    from evenly.rows.vector_field import Room
    from evenly.types import Progress


class EmbeddingKind(EncoderKind):
    """A kind that turns texts into vectors, which are cached: `load` is all that it must bring.

    Attributes:
        windows: whether a text that is longer than the encoder's window can be seen whole, window by window.
    """

    windows: ClassVar[bool] = True

    def check(self) -> None:
        if self.model == "":
            raise InputError(f"{self.name} names no model; use {self.usage}")
        if self.model:
            find_folder(self.model)

    def tokenizer(self) -> Path | None:
        return find_folder(self.model) if self.model else None

    @abstractmethod
    def load(self, request: PoolRequest) -> Encoder:
        """What turns texts into vectors.

        Raises:
            InputError: it is not there, or cannot be used as asked.
        """

    def texts(self, rows: Rows) -> tuple[Sequence[str], KeyArray]:
        """What of N rows is embedded, and (N, 4) keys by which the cache knows it."""
        return rows.texts(), rows.keys

    def vectors(self, rows: Rows, request: PoolRequest, room: Room, progress: Progress) -> PoolVectors:
        from evenly.vectors.embedding import embed_rows

        return embed_rows(self, rows, request, room, progress)
