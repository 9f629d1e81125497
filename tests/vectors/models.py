"""A tiny random BERT in a folder, an encoder made of hashes, and the plainest way to embed a text."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evenly.types import Float32Array, Int64Array
from evenly.vectors.kind import Encoded, Encoder

WORDS = [
    "the",
    "even",
    "half",
    "of",
    "row",
    "far",
    "##ther",
    "near",
    "##est",
    "pick",
    "one",
    "two",
    "!",
    "?",
    ".",
]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WINDOW, POSITIONS = 24, 64


def save_tiny_model(folder: Path, *, positions: int = POSITIONS, seed: int = 0) -> None:
    """A BERT of two layers and 32 dimensions with random weights, and a small WordPiece tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *WORDS,
        *LETTERS,
        *(f"##{letter}" for letter in LETTERS),
    ]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=positions,
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)


def write_sentence_settings(
    folder: Path,
    *,
    pooling: str = "pooling_mode_mean_tokens",
    normalise: bool = True,
    window: int = WINDOW,
    modules: Sequence[str] | None = None,
) -> None:
    """The JSON files that make a transformers folder a sentence-transformers folder."""
    kinds = modules or ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, pooling: True})
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": window}))


class Oracle:
    """One text at a time through transformers in float32: no batches, no padding, no cache."""

    def __init__(
        self, folder: Path, *, pooling: str = "mean", normalise: bool = True, window: int = WINDOW
    ) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModel.from_pretrained(folder).eval()
        self.pooling, self.normalise, self.window = pooling, normalise, window

    def tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def embed(self, text: str, long: str = "cut") -> Float32Array:
        room = self.window - 2
        content = self.tokens(text)
        windows = [content[start : start + room] for start in range(0, max(1, len(content)), room)]
        used = windows if long == "mean" else windows[:1]
        weights = [len(window) for window in used] if len(used) > 1 else [1]
        vector = np.average([self._pooled(window) for window in used], axis=0, weights=weights)
        return np.asarray(vector / np.linalg.norm(vector) if self.normalise else vector, dtype=np.float32)

    def _pooled(self, content: list[int]) -> Float32Array:
        import torch

        ids = [self.tokenizer.cls_token_id, *content, self.tokenizer.sep_token_id]
        with torch.inference_mode():
            hidden = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        pooled = {"mean": hidden.mean(0), "max": hidden.amax(0), "cls": hidden[0], "lasttoken": hidden[-1]}
        return np.asarray(pooled[self.pooling].numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class HashEncoder(Encoder):
    """Vectors from hashes of texts, one token a character: an encoder without a model.

    Attributes:
        stop_after: raise KeyboardInterrupt after so many texts.
        together: texts embedded at a time.
        pause: seconds before each of these parts.
        asked: the texts it was given.
    """

    name: str = "hash"
    identity: str = "hash"
    runtime: str = "any"
    dimension: int = 8
    window: int = 10
    stop_after: int | None = None
    together: int = 7
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)

    def vector(self, text: str) -> Float32Array:
        digest = hashlib.sha256(f"{self.long}{text}".encode()).digest()
        return np.frombuffer(digest, dtype="<u4").astype(np.float32)

    def encode(self, texts: Sequence[str], rows: Int64Array) -> Iterator[Encoded]:
        for start in range(0, len(rows), self.together):
            part = rows[start : start + self.together]
            time.sleep(self.pause)
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            some = [texts[row] for row in part.tolist()]
            self.asked.extend(some)
            vectors = np.array([self.vector(text) for text in some])
            yield Encoded(part, vectors, np.array([len(text) for text in some], dtype=np.int64))
