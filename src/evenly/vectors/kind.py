"""What a kind of encoder brings: one class in one module, and one line in the list of `evenly.vectors.registry`.

Everyone who must know something of an encoder asks its kind, and nobody reads its name. The list is read to print
help, so the modules of kinds import what is heavy inside their methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evenly.request import Long, PoolRequest

if TYPE_CHECKING:
    from evenly.records import EncoderRecord
    from evenly.rows.rows import Rows
    from evenly.rows.vector_field import Room
    from evenly.types import Float32Array, Int64Array, Progress

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, eq=False)
class PoolVectors:
    """The vectors of a pool as they came from the encoder, and where they came from.

    Attributes:
        vectors: (N, d) float32; writeable where they are this run's own.
        record: for the manifest.
        note: one line on what was embedded and what was cached, or empty where vectors were given.
        tokens: (N,) int64, tokens of each text, special ones included; None where vectors were given.
        openings: what stands for the vectors of first windows that different texts share, and which were therefore
            averaged over all their windows (`evenly.vectors.embedding.vector_digests`).
        kind: the encoder as it is for this pool.
        fitted: the map that they have passed, and that vectors of rows from outside must pass; None for none.
    """

    vectors: Float32Array
    record: EncoderRecord
    note: str
    tokens: Int64Array | None = None
    openings: frozenset[bytes] = frozenset()
    kind: EncoderKind | None = None
    fitted: Fitted | None = None

    def told(self, note: str) -> PoolVectors:
        """The same with more that a user should know, in the note and in the record."""
        known = f"{self.record.notes}; {note}" if self.record.notes else note
        record = self.record.model_copy(update={"notes": known})
        return replace(self, record=record, note=f"{self.note}; {note}")


class Fitted(ABC):
    """A map that all vectors pass, made from those of a pool."""

    note: str
    """What a user should know of it."""

    @abstractmethod
    def apply(self, vectors: Float32Array) -> None:
        """Puts (n, d) vectors through it, in place."""


@dataclass(frozen=True)
class EncoderKind(ABC):
    """An encoder as the user named it, of a kind that takes the vectors of a pool from somewhere.

    Its further fields are its own options (`evenly.request.option`), as those of a control are: the command line,
    Python, the record and what is made from it know them by this declaration. Two kinds may share an option by its
    name, and declare it alike then.

    Attributes:
        prefix: what names of this kind begin with; empty for the kind that takes every other name.
        usage: how it is named, for the help of ``--encoder``.
        names_path: whether what follows the prefix may be a file or folder.
        any_rows: whether rows from outside the pool it is named for have vectors too.
        name: as given.
    """

    prefix: ClassVar[str]
    usage: ClassVar[str]
    names_path: ClassVar[bool] = True
    any_rows: ClassVar[bool] = True

    name: str

    @classmethod
    def claims(cls, name: str) -> bool:
        """Whether a name is of this kind; kinds are asked in the order of the list."""
        return name.startswith(cls.prefix)

    @classmethod
    def options(cls) -> dict[str, Field[Any]]:
        """Its own options by name."""
        return {one.name: one for one in fields(cls) if "option" in one.metadata}

    @property
    def asked(self) -> dict[str, Any]:
        """Those of its own options that are used, as the record holds them."""
        values = {name: (getattr(self, name), one.default) for name, one in self.options().items()}
        return {name: value for name, (value, default) in values.items() if value != default}

    @property
    def rest(self) -> str:
        """The name without its prefix."""
        return self.name.removeprefix(self.prefix)

    @property
    def model(self) -> str | None:
        """The model folder or hub id that it loads; None where it loads none."""
        return None

    @property
    def path(self) -> Path | None:
        """The file or folder that the name may stand for."""
        return Path(self.rest) if self.names_path else None

    def beside(self, folder: Path) -> str:
        """The name with which it is found: as given, or in ``folder`` where its file or folder was moved there."""
        found = folder / self.path.name if self.path and not self.path.exists() else None
        return f"{self.prefix}{found}" if found and found.exists() else self.name

    @abstractmethod
    def check(self) -> None:
        """Refuses what is not there, before rows are read, which may take minutes.

        Raises:
            InputError: it is not there.
        """

    @abstractmethod
    def vectors(self, rows: Rows, request: PoolRequest, room: Room, progress: Progress) -> PoolVectors:
        """The vectors of a pool.

        Args:
            rows: the pool.
            request: its options; on Ray, this program has joined the cluster.
            room: where (N, d) vectors go, once d is known; None for an array in memory.
            progress: called as texts are embedded.
        """

    def for_pool(self, rows: Rows, request: PoolRequest) -> EncoderKind:
        """The encoder as it is for a pool, for kinds that learn from its rows first; it embeds others' rows too.

        Args:
            rows: the pool.
            request: its options.
        """
        return self

    def fit(self, vectors: Float32Array) -> Fitted | None:
        """What the vectors of a pool, (N, d), decide over all vectors, the pool's own and others'; None for nothing.

        Raises:
            InputError: they do not decide it.
        """
        return None

    def tokenizer(self) -> Path | None:
        """The folder of its tokenizer, for budgets of tokens; None where it has none."""
        return None

    def same(self, saved: EncoderRecord, own: EncoderRecord) -> bool:
        """Whether distances between vectors of two records mean something; ``own`` is of this encoder."""
        return saved.identity == own.identity


@dataclass(frozen=True, eq=False)
class Encoded:
    """Some texts, done.

    Attributes:
        rows: (n,) int64, which texts, by their place in what was given.
        vectors: (n, d) float32.
        tokens: (n,) int64, tokens of the whole text, special ones included.
    """

    rows: Int64Array
    vectors: Float32Array
    tokens: Int64Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoder(ABC):
    """Turns texts into vectors.

    A text's vector is a function of the text, ``identity``, ``runtime`` and ``long`` alone, bit for bit: other texts,
    their order and the number of threads do not change it.

    Attributes:
        name: as the user gave it.
        identity: SHA-256 over weights, tokenizer, settings and precision: the vectors, up to rounding.
        runtime: libraries and kind of processor: with ``identity`` it decides every bit of a vector.
        dimension: d.
        window: most tokens of a text that are seen at once, special tokens included.
        long: what happens to texts longer than ``window``: ``cut`` embeds the first window, ``mean`` averages all
            windows weighted by their tokens, before normalising.
        precision: float32 or bfloat16.
        device: as torch names it.
        note: what a user should know of how the encoder was set up, or empty.
    """

    name: str
    identity: str
    runtime: str
    dimension: int
    window: int
    long: Long = "cut"
    precision: Precision = "float32"
    device: str = "cpu"
    note: str = ""

    @property
    def memory(self) -> int:
        """Bytes that embedding holds beside the vectors, where that is worth saying; asked once texts were embedded."""
        return 0

    @abstractmethod
    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        """Embeds texts, some at a time and not in order; every row asked for comes exactly once.

        Args:
            texts: any strings with at least one token.
            rows: (n,) int64, which of them to embed.

        Raises:
            InputError: a text without tokens, or a vector that is not finite.
        """
