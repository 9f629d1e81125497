"""What the commands that read rows are asked for, and how an option is declared: once, with its help.

An option is a field of a frozen dataclass. The command line, the records and Python read the same declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

Part = Literal["all", "prompt", "response", "chosen", "rejected", "pair"]
MapKind = Literal["neighbours", "pca"]
PARTS: tuple[Part, ...] = get_args(Part)
Long = Literal["cut", "mean"]


@dataclass(frozen=True)
class Option:
    """How an option shows itself.

    Attributes:
        help: one sentence; ``{encoders}`` in it stands for how the kinds of encoder are named.
        group: the heading it stands under in help; empty for the general ones.
        flag: its name on the command line where that is not the field's name; ``--no-…`` turns the field off.
        argument: whether it is given by place and not by name.
        metavar: what it takes, for help; empty: the name of its type.
        label: what it is in a table of what was asked for.
        read: makes its value of what the command line says.
    """

    help: str
    group: str = ""
    flag: str = ""
    argument: bool = False
    metavar: str = ""
    label: str = ""
    read: Callable[[str], Any] | None = None

    @property
    def turns_off(self) -> bool:
        """Whether naming it turns the field off."""
        return self.flag.startswith("--no-")


def option(default: Any, help: str, **further: Any) -> Any:
    """A field of a dataclass that is an option; ``further`` are attributes of `Option`."""
    return field(default=default, metadata={"option": Option(help, **further)})


OPTIONS_OF_ENCODERS = "options of encoders"
"""Marks the field that holds, by name, the options that kinds of encoder declare themselves (see
`evenly.vectors.kind.EncoderKind`): each of them is an option wherever the field is one."""

READING, EMBEDDING, PLACING = "Reading rows", "Embedding", "Where it works"


@dataclass(frozen=True)
class RowsRequest:
    """Which rows to read and how: the options of every command that reads rows."""

    sources: Sequence[str] = field(
        metadata={
            "option": Option(
                "Files (.json .jsonl .csv .tsv .parquet .arrow, plain or .gz .bz2 .xz .zst; .zip .tar), globs, saved "
                "datasets folders, Hugging Face dataset ids (NAME or NAME:CONFIG), or - for JSON Lines on standard "
                "input. All of them are one pool.",
                argument=True,
            )
        }
    )
    text: str | None = option(
        None,
        "Fields that hold the text (FIELD or FIELD,FIELD; the last is the response), or a Jinja template.",
        group=READING,
    )
    part: Part = option(
        "all",
        "Which part of a row is embedded. For pairs: all is the prompt and both answers, chosen and rejected one of "
        "them, pair both.",
        group=READING,
    )
    split: str | None = option(None, "Split of a dataset.", group=READING)
    skip_empty: bool = option(
        False,
        "Leave out rows without text and blank lines, and list them, instead of stopping.",
        group=READING,
    )


@dataclass(frozen=True)
class PoolRequest(RowsRequest):
    """Which rows to open and how: the options of every command that embeds rows."""

    metric: Literal["cosine", "euclidean"] = option(
        "cosine", "cosine is 1 - cos of the vectors.", group=EMBEDDING
    )
    encoder: str = option("minilm", "{encoders}.", group=EMBEDDING)
    encoder_options: tuple[tuple[str, Any], ...] = field(default=(), metadata={OPTIONS_OF_ENCODERS: True})
    download: bool = option(
        False, "Fetch the encoder from the Hugging Face hub if it is not on this machine.", group=EMBEDDING
    )
    long: Long = option(
        "cut",
        "Texts beyond the encoder's window: cut them to it, or average all their windows.",
        group=EMBEDDING,
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "Precision of the encoder; auto takes what the device multiplies fast.", group=EMBEDDING
    )
    strip_shared: bool = option(
        False,
        "Embed texts without what many rows of a source share, such as a prompt template.",
        group=EMBEDDING,
    )
    device: str | None = option(None, "Device to embed and select on, as torch names it.", group=EMBEDDING)
    trust_remote_code: bool = option(False, "Let the encoder folder's own Python code run.", group=EMBEDDING)
    use_cache: bool = option(
        True, "Neither read nor keep vectors and picks.", group=EMBEDDING, flag="--no-cache"
    )
    memory: str | None = option(
        None,
        "Memory that selection may hold (2GB, 512MiB); what does not fit goes to scratch files.",
        group=PLACING,
    )
    engine: Literal["local", "ray"] = option(
        "local", "Where selection works: this machine, or a Ray cluster.", group=PLACING
    )
    ray_address: str | None = option(
        None, "Ray cluster to join (host:port or auto). Default: one on this machine.", group=PLACING
    )


def _shared(name: str) -> Any:
    """An option of `PoolRequest`, declared for another request too."""
    own = PoolRequest.__dataclass_fields__[name]
    return field(default=own.default, metadata=own.metadata)


@dataclass(frozen=True)
class WriteRequest:
    """How a command that writes treats what is there."""

    overwrite: bool = option(False, "Replace what lies at --out although evenly did not write it.")


Order = Literal["source", "picked"]
PICKED: Order = "picked"


@dataclass(frozen=True)
class KeptRequest(WriteRequest):
    """The same, and in which order kept rows are written."""

    order: Order = option(
        "source",
        "Order of the kept rows: as in their source, or picked, so that the first rows of the file are a smaller "
        "selection. With `keep=100%` the whole pool is put in order, copies and excluded rows last.",
    )


@dataclass(frozen=True)
class MapRequest:
    """How the map of a selection is made."""

    map: MapKind = option(
        "neighbours",
        "How rows are laid out on the map of the page: neighbours puts near rows near one another; pca takes the first "
        "two principal components, which is instant and shows little.",
    )


@dataclass(frozen=True)
class SavedRequest:
    """Which saved selection is meant, and where its sources are now."""

    folder: Path = field(
        metadata={
            "option": Option(
                "The folder that select wrote (kept.evenly/), or the kept rows beside it.", argument=True
            )
        }
    )
    source: tuple[str, ...] = option(
        (),
        "Where a source is now, once for each in the manifest's order. Default: where it was, or a file with its "
        "hash there or beside the folder.",
        group=READING,
    )


@dataclass(frozen=True)
class SavedPoolRequest(SavedRequest):
    """The same, and where work on its pool is done."""

    device: str | None = _shared("device")
    download: bool = _shared("download")
    trust_remote_code: bool = _shared("trust_remote_code")
    use_cache: bool = _shared("use_cache")
    memory: str | None = _shared("memory")
    engine: Literal["local", "ray"] = _shared("engine")
    ray_address: str | None = _shared("ray_address")

    @property
    def working(self) -> dict[str, Any]:
        """Where work is done, as fields of `PoolRequest`."""
        own = PoolRequest.__dataclass_fields__
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name in own}
