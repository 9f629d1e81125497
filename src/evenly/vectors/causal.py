"""Causal language models that read rows: the model, rows as token ids with their answers marked, batch by batch."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from evenly.errors import InputError
from evenly.request import PoolRequest
from evenly.rows.chat import RewrittenError, tokenised, training_template
from evenly.types import Float32Array, Int64Array
from evenly.vectors.kind import Encoded, Encoder, Precision
from evenly.vectors.language_model import LanguageModelKind, read_conversation
from evenly.vectors.loading import loading
from evenly.vectors.recipe import fingerprint
from evenly.vectors.running import choose_device, choose_precision, describe_runtime, run_jobs
from evenly.vectors.tokens import Shapes, plan_batches

if TYPE_CHECKING:
    BoolArray = npt.NDArray[np.bool_]

MOST_TOKENS = 4096
"""Of a row: as much as trainers commonly take in. Twice as many would ask four times the memory of attention."""

TEXTS_PER_BLOCK = 2048
"""Rows tokenised before their batches run: enough that batches of one length fill, and seconds of tokenising."""

PLACES_PER_BATCH = {"cpu": 256, "cuda": 8192}
"""Tokens of a batch: so many that reading the weights costs little beside multiplying with them; beyond, the rows of a
small pool pay for fillers. Measured on two cores with 270 million parameters: 1024 are no faster for each token."""

PLAIN_NOTE = "the model has no chat template: a plain one is used (### Instruction, ### Response)"
NO_END_NOTE = "its tokenizer has no end token, so answers end without one"


@dataclass(frozen=True, eq=False)
class CausalModel:
    """A model and its tokenizer, loaded.

    Attributes:
        network: the transformers model, frozen and ready to run.
        tokenizer: a fast one.
        device: where the network lies.
    """

    network: Any
    tokenizer: Any
    device: torch.device

    @property
    def body(self) -> Any:
        """The network without its head: gives the last hidden state."""
        return self.network.base_model

    @cached_property
    def blocks(self) -> list[Any]:
        """The blocks of the network in order, of which hidden states are counted."""
        wanted = text_config(self.network.config).num_hidden_layers
        lists = [one for one in self.body.modules() if isinstance(one, torch.nn.ModuleList)]
        return list(next(one for one in lists if len(one) == wanted))


@dataclass(frozen=True, eq=False)
class RowTokens:
    """One row as the model reads it.

    Attributes:
        ids: (T,) int32 token ids.
        answer: (T,) bool, which of them are of an answer.
        whole: tokens of the row before it was cut to the window.
    """

    ids: npt.NDArray[np.int32]
    answer: BoolArray
    whole: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one padded length, fillers last.

    Attributes:
        ids: (R, T) int64, padded on the right whatever side the tokenizer names.
        tokens: (R,) int64, how many are real.
        answer: (R, T) bool, which are of an answer; of a filler none.
        rows: how many of the R rows are no fillers.
    """

    ids: torch.Tensor
    tokens: torch.Tensor
    answer: torch.Tensor
    rows: int

    @cached_property
    def mask(self) -> torch.Tensor:
        """(R, T) bool, which tokens are real."""
        return torch.arange(self.ids.shape[1], device=self.ids.device)[None, :] < self.tokens[:, None]

    def inputs(self) -> dict[str, Any]:
        """What the network's body takes."""
        return {"input_ids": self.ids, "attention_mask": self.mask.long(), "use_cache": False}


@dataclass(frozen=True, eq=False, kw_only=True)
class RowEncoder(Encoder):
    """A causal language model that turns conversations, as JSON, into vectors. It is loaded when first needed.

    Attributes:
        template: whether the model's own chat template is used.
    """

    template: bool
    _places: int = field(repr=False)
    _load: Callable[[], CausalModel] = field(repr=False)

    @cached_property
    def model(self) -> CausalModel:
        """The network and its tokenizer."""
        return self._load()

    @property
    def memory(self) -> int:
        """Of the weights alone: a batch is small beside them."""
        return sum(each.nbytes for each in self.model.network.parameters())

    def begin(self) -> None:
        """Called once before batches are run, on one thread."""

    @abstractmethod
    def run(self, batch: Batch) -> Float32Array:
        """The vectors, (rows, d), of the rows of a batch."""

    def check_row(self, row: RowTokens, number: int) -> None:
        """Refuses a row that has no vector.

        Raises:
            InputError: names it.
        """

    def _tokens_of(self, text: str) -> RowTokens:
        """A conversation as token ids, cut to the window.

        It is cut at its end, as trainers cut it; where that leaves nothing of the answer, at its beginning, so that
        the answer's beginning is the last thing in it.

        Raises:
            InputError: the model's chat template refuses it.
        """
        ids, marked = self._tokenised(read_conversation(text))
        answer = np.array(marked, dtype=bool)
        start = 0
        if len(ids) > self.window and answer.any() and not answer[: self.window].any():
            first = int(np.argmax(answer))
            start = min(first - self.window // 2, len(ids) - self.window)
        kept = slice(start, start + self.window)
        return RowTokens(np.array(ids[kept], dtype=np.int32), answer[kept], len(ids))

    def _tokenised(self, messages: Any) -> tuple[list[int], list[bool]]:
        tokenizer = self.model.tokenizer
        template = tokenizer.chat_template if self.template else None
        try:
            return tokenised(messages, tokenizer, template)
        except RewrittenError:
            variant = training_template(tokenizer)
            if variant is None:
                raise
            return tokenised(messages, tokenizer, variant)

    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        for start in range(0, len(rows), TEXTS_PER_BLOCK):
            yield from self._encode_block(texts, rows[start : start + TEXTS_PER_BLOCK])

    def _encode_block(self, texts: Sequence[str], asked: Int64Array) -> Iterator[Encoded]:
        read = [self.read_row(texts[row], row) for row in asked.tolist()]
        whole = np.array([one.whole for one in read], dtype=np.int64)

        def work(job: tuple[Int64Array, Batch]) -> tuple[Int64Array, Float32Array]:
            return job[0], self.run(job[1])

        self.begin()
        for members, vectors in run_jobs(self.batches(read), work, self.model.device):
            finite = np.isfinite(vectors).all(axis=1)
            if not finite.all():
                raise InputError(
                    f"the vector of row {asked[members[~finite][0]]} from {self.name} in {self.precision} is not "
                    "finite; load the model with precision float32, or leave that row out"
                )
            yield Encoded(asked[members], vectors, whole[members])

    def read_row(self, text: str, number: int) -> RowTokens:
        """A conversation as token ids.

        Raises:
            InputError: the model's chat template refuses it, or it has no vector; names it by its number.
        """
        try:
            row = self._tokens_of(text)
        except InputError as error:
            raise InputError(f"row {number}: {error}") from None
        if not len(row.ids):
            raise InputError(f"row {number} has no tokens; remove it or fill it")
        self.check_row(row, number)
        return row

    def batches(self, read: Sequence[RowTokens]) -> Iterator[tuple[Int64Array, Batch]]:
        """Batches of rows, with their places in what was given."""
        shapes = Shapes(self._places, self.window + 1)
        for length, members in plan_batches(np.array([len(one.ids) for one in read], dtype=np.int64), shapes):
            yield (
                members,
                self._batch([read[row] for row in members.tolist()], length, shapes.rows(length)[0]),
            )

    def _batch(self, members: Sequence[RowTokens], length: int, rows: int) -> Batch:
        """Rows padded to one length, on the model's device; fillers are one token long."""
        ids = np.zeros((rows, length), dtype=np.int64)
        tokens = np.ones(rows, dtype=np.int64)
        answer = np.zeros((rows, length), dtype=bool)
        for place, row in enumerate(members):
            tokens[place] = len(row.ids)
            ids[place, : tokens[place]] = row.ids
            answer[place, : tokens[place]] = row.answer
        device = self.model.device
        made = [torch.from_numpy(each).to(device) for each in (ids, tokens, answer)]
        return Batch(made[0], made[1], made[2], len(members))


def text_config(config: Any) -> Any:
    """Of a model that also sees or hears, the configuration of what reads text."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


@dataclass(frozen=True, eq=False)
class Setting:
    """What is known of a model before its weights are read.

    Attributes:
        config: of what reads text.
        shared: the fields of every `RowEncoder` on this model, all but name, dimension and identity.
        identity: what decides a vector as far as the model does: files, precision, window, template.
    """

    config: Any
    shared: dict[str, Any]
    identity: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What a user should know of how rows are read."""
        return list(self.identity["notes"])


def set_up(kind: LanguageModelKind, request: PoolRequest) -> Setting:
    """Looks at a model's folder.

    Raises:
        InputError: no such model, or device; one that cannot be run.
    """
    kind.check()
    folder = kind.tokenizer()
    device = choose_device(request.device)
    precision = choose_precision(request.precision, device)
    options = {"local_files_only": True, "trust_remote_code": request.trust_remote_code}
    with loading(f"the model in {folder}"):
        config = AutoConfig.from_pretrained(folder, **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **options)
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{folder} is an encoder-decoder; give a causal language model")
    template = bool(tokenizer.chat_template)
    notes = [] if template else [PLAIN_NOTE]
    notes += [] if template or tokenizer.eos_token else [NO_END_NOTE]
    window = min(
        int(getattr(text_config(config), "max_position_embeddings", None) or MOST_TOKENS), MOST_TOKENS
    )
    places = PLACES_PER_BATCH["cpu" if device.type == "cpu" else "cuda"]
    files = fingerprint(folder, with_code=request.trust_remote_code)
    identity = {
        "files": files,
        "template": tokenizer.chat_template,
        "precision": precision,
        "window": window,
        "part": request.part,
        "notes": notes,
    }
    shared = {
        "runtime": f"{describe_runtime(device)}; batches of {places}",
        "window": window,
        "precision": precision,
        "device": str(device),
        "template": template,
        "_places": places,
        "_load": lambda: load_causal(folder, tokenizer, precision, device, request.trust_remote_code),
    }
    return Setting(text_config(config), shared, identity)


def identity_of(settings: dict[str, Any]) -> str:
    """SHA-256 over what decides a vector."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def load_causal(
    folder: Path, tokenizer: Any, precision: Precision, device: torch.device, trust_remote_code: bool
) -> CausalModel:
    """Loads the network.

    It is read in its precision rather than turned into it: the tables of positions stay float32 then.

    Raises:
        InputError: it cannot be loaded, is no causal language model, or lacks weights.
    """
    with loading(f"the causal language model in {folder}"):
        network, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, precision),
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
        )
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{folder} lacks {len(missing)} of the model's weights ({missing[0]} …), which would stay random; "
            "give a whole causal language model"
        )
    return CausalModel(network.eval().requires_grad_(False).to(device), tokenizer, device)
