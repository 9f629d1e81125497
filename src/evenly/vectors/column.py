"""``column:NAME``: vectors in a field of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.vectors.kind import EncoderKind, PoolVectors

if TYPE_CHECKING:
    from evenly.records import EncoderRecord
    from evenly.rows.rows import Rows
    from evenly.rows.vector_field import Room
    from evenly.types import Progress


class Column(EncoderKind):
    """A field that holds a list of numbers in every row."""

    prefix = "column:"
    usage = "column:NAME"
    names_path = False

    def check(self) -> None:
        if not self.rest:
            raise InputError(f"{self.name} names no field; use {self.usage}")

    def vectors(self, rows: Rows, request: PoolRequest, room: Room, progress: Progress) -> PoolVectors:
        from evenly.checks import check_finite_rows
        from evenly.vectors.npy import given

        vectors = rows.vectors(self.rest, room)
        check_finite_rows(vectors, name=self.name)
        return given(vectors, self.name)

    def same(self, saved: EncoderRecord, own: EncoderRecord) -> bool:
        """By name: the identity is of the vectors, which differ from pool to pool."""
        return saved.name == self.name
