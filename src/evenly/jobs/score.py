"""`evenly score`: a table of scores that a language model gives to rows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
import transformers

from evenly.checks import check_int
from evenly.errors import InputError
from evenly.files import write_table
from evenly.outputs import OWN_MARK, check_place, refuse_inputs
from evenly.request import RowsRequest
from evenly.rows.rows import Rows
from evenly.rows.scores import HASH, row_hashes
from evenly.rows.sources import read_rows
from evenly.train.models import (
    check_model,
    choose_precision,
    context_window,
    load_model,
    load_tokenizer,
    model_identity,
)
from evenly.train.scores import SCORES, Losses, TextsToScore, score_columns, text_losses, texts_to_score
from evenly.types import Progress, silent
from evenly.vectors.running import choose_device
from evenly.words import counted, duration

PART = ".part"
"""Ending of the file in which a run keeps what it has, beside the table that it will write."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class ScoreRequest:
    """What `evenly score` was asked for. See the command's help for each."""

    reading: RowsRequest
    model: str
    out: str
    scores: Sequence[str] = ("loss", "ifd", "length")
    window: int = 1024
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    device: str | None = None
    plain_template: bool = False
    overwrite: bool = False

    def check(self) -> None:
        """Refuses what makes no sense, before anything is read.

        Raises:
            InputError: says what.
        """
        unknown = [one for one in self.scores if one not in SCORES]
        if unknown or not self.scores:
            given = repr(unknown[0]) if unknown else "nothing"
            raise InputError(f"`with` takes {', '.join(SCORES)}, with commas between them; got {given}")
        check_int(self.window, "window", at_least=2)
        place = Path(self.out)
        if place.suffix != ".parquet":
            raise InputError(f"`out` must be a .parquet file; got {self.out}")
        if not place.parent.is_dir():
            raise InputError(
                f"the folder {place.parent} of the output {self.out} does not exist; make it first"
            )
        check_place(place, overwrite=self.overwrite)
        check_model(self.model)


@dataclass(frozen=True)
class Scored:
    """A table of scores, as written.

    Attributes:
        out: the file.
        rows: in it.
        known: texts whose loss an earlier run had computed.
        texts: texts scored in all: rows, answers alone, rejected answers.
        seconds: of scoring, the model's loading left out.
        template: whose chat template was used.
        window: tokens of a row at most.
        truncated: rows cut to the window.
        without: rows without an answer within it, which have no loss.
        means: of each score, over the rows that have it.
    """

    out: str
    rows: int
    known: int
    texts: int
    seconds: float
    template: str
    window: int
    truncated: int
    without: int
    means: dict[str, float | None]

    def lines(self) -> list[str]:
        """What a person reads."""
        new = self.texts - self.known
        speed = f", {new / self.seconds:,.1f} texts a second" if self.seconds > 0 and new else ""
        lines = [
            f"scored {counted(self.rows, 'row')} ({counted(self.texts, 'text')}) by {self.template} in "
            f"{duration(self.seconds)}{speed}"
        ]
        if self.known:
            lines.append(f"{self.known:,} texts were scored by an earlier run that did not end")
        if self.truncated:
            lines.append(
                f"{counted(self.truncated, 'row')} cut to {self.window:,} tokens; `window` takes more"
            )
        if self.without:
            lines.append(f"{counted(self.without, 'row')} without an answer in the window: no score")
        shown = [f"{name} {value:.4g}" for name, value in self.means.items() if value is not None]
        return [*lines, f"means: {', '.join(shown)}", f"wrote {self.out}"]

    @property
    def example(self) -> str:
        """One of its columns, as `quality` names it."""
        columns = [name for name in ("ifd", "loss", "margin") if name in self.means]
        return f"{self.out}:{[*columns, *self.means][0]}"


def score_sources(request: ScoreRequest, progress: Progress = silent) -> Scored:
    """Reads rows, scores them, and writes the table; goes on where an earlier run of the same was stopped.

    Raises:
        InputError: something cannot be used. Nothing is written then but what goes on later.
    """
    request.check()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows = read_rows(**vars(request.reading), progress=progress)
    refuse_inputs(Path(request.out), [(one.name, one.path) for one in rows.opened if one.path is not None])
    tokenizer = load_tokenizer(request.model, plain_template=request.plain_template)
    window = min(request.window, context_window(request.model, tokenizer) or request.window)
    whole = [rows.whole(row) for row in range(len(rows))]
    scores = [one for one in SCORES if one in request.scores]
    texts = texts_to_score(whole, tokenizer, scores, window, progress)
    precision = choose_precision(request.precision)
    started = time.perf_counter()
    asked = [model_identity(request.model), precision, texts.examples.tokens, texts.examples.labels]
    with _Unfinished(Path(request.out + PART), _digest(asked)) as part:
        known = len(part.losses)
        if known < int((~texts.examples.dropped).sum()):
            model = load_model(request.model).to(choose_device(request.device), _DTYPES[precision])
            started = time.perf_counter()
            losses = text_losses(
                model,
                texts,
                tokenizer.pad_token_id,
                known=part.losses,
                after_pass=part.keep,
                progress=progress,
            )
        else:
            losses = part.losses
        seconds = time.perf_counter() - started
        columns = score_columns(texts, losses, scores)
        _write(request, rows, columns, texts)
        part.remove()
    means = {name: _mean(values) for name, values in columns.items()}
    examples = texts.examples
    return Scored(
        request.out,
        len(rows),
        known,
        len(examples),
        seconds,
        texts.template,
        window,
        int(examples.truncated[: len(rows)].sum()),
        int(examples.dropped[: len(rows)].sum()),
        means,
    )


def _mean(values: Any) -> float | None:
    some = np.asarray(values, dtype=np.float64)
    some = some[np.isfinite(some)]
    return float(some.mean()) if len(some) else None


def _write(request: ScoreRequest, rows: Rows, columns: dict[str, Any], texts: TextsToScore) -> None:
    table = pa.table(
        {
            "id": list(rows.ids),
            HASH: row_hashes(rows),
            **{name: pa.array(values, from_pandas=True) for name, values in columns.items()},
            "truncated": texts.examples.truncated[: len(rows)],
        }
    )
    about = {
        "file": "scores",
        "model": request.model,
        "template": texts.template,
        "window": texts.examples.window - 1,
    }
    write_table(Path(request.out), table.replace_schema_metadata({OWN_MARK: json.dumps(about).encode()}))


def _digest(parts: Sequence[Any]) -> str:
    """Names a run: the same model, precision, tokens and labels give the same losses."""
    digest = hashlib.sha256()
    for part in parts:
        for one in part if isinstance(part, list) else [part]:
            digest.update(one.tobytes() if isinstance(one, np.ndarray) else str(one).encode())
            digest.update(b"\0")
    return digest.hexdigest()


class _Unfinished:
    """What a run has so far: a line that names it, then one line of losses for each batch, written at once."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self._head = path, json.dumps({"evenly": "scores", "run": digest})
        self.losses: Losses = self._read()
        self._stream = path.open("a", encoding="utf-8")

    def _read(self) -> Losses:
        """Losses of an earlier run of the same; another run's are thrown away, and a line that was cut off."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        if lines and not lines[0].startswith('{"evenly": "scores"'):
            raise InputError(f"{self.path} is in the way: it was not written by evenly score; move it")
        found: Losses = {}
        kept = [self._head]
        for line in lines[1:] if lines[:1] == [self._head] else []:
            try:
                found |= {int(text): float(loss) for text, loss in json.loads(line)}
            except ValueError:
                break
            kept.append(line)
        self.path.write_text("\n".join(kept) + "\n", encoding="utf-8")
        return found

    def keep(self, losses: Losses) -> None:
        self._stream.write(json.dumps(list(losses.items())) + "\n")
        self._stream.flush()

    def remove(self) -> None:
        self._stream.close()
        self.path.unlink()

    def __enter__(self) -> _Unfinished:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
