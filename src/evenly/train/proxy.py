"""The model a comparison trains where none is named: small, of the llama architecture, made from the pool
itself.

It is a stand-in. It shows how sets of rows train *against each other* on a model of its size; it says nothing
about how good a large model would become.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenly.rows.chat import Messages
from evenly.rows.documentation import documentation_rows
from evenly.train.examples import encode
from evenly.train.plan import Run
from evenly.train.settings import Training
from evenly.types import Progress, silent

VOCABULARY = 4096
HIDDEN, LAYERS, HEADS = 128, 4, 2
"""1.4 million parameters: 13,000 tokens a second on one core with bfloat16 units."""
WARM_UP_TOKENS = 600_000
ENOUGH_ROWS = 1000
DOCUMENTATION_ROWS = 4000
WARM_UP_RATE = 2e-3
WARM_UP_BATCH = 32


def make_proxy(
    folder: Path,
    texts: Iterable[str],
    warm_up: Sequence[Messages],
    *,
    window: int = 512,
    tokens: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """Makes the proxy, unless ``folder`` holds it already.

    Args:
        folder: where the model goes.
        texts: the pool's texts, for the tokenizer.
        warm_up: rows outside all arms to train it on first, so that arms start from a model that has seen
            language; few or none are made up with the documentation strings of Python on this machine.
        window: tokens of a row.
        tokens: how much to warm up on, about; None takes `WARM_UP_TOKENS`.
        seed: of weights and shuffles.

    Returns:
        The folder of the warm model.
    """
    model = folder / "model"
    if model.exists():
        return model
    cold, tokenizer = make_cold_proxy(folder, texts, seed)
    rows = list(warm_up) if len(warm_up) >= ENOUGH_ROWS else [*warm_up, *_documentation()]
    examples = encode(rows, tokenizer, window)
    usable = np.flatnonzero(~examples.dropped)
    steps = max(
        1, round((tokens or WARM_UP_TOKENS) / (WARM_UP_BATCH * float(examples.lengths()[usable].mean())))
    )

    from evenly.train.trainer import train_run

    training = Training(rate=WARM_UP_RATE, window=window, micro_batch=16, warmup_steps=20)
    warm = folder / "warm-up"
    run = Run("proxy", str(cold), usable, seed, WARM_UP_BATCH, steps, training, warm, save_model=True)
    train_run(run, examples, tokenizer, progress=progress)
    (warm / "model").rename(model)
    return model


def make_cold_proxy(folder: Path, texts: Iterable[str], seed: int = 0) -> tuple[Path, Any]:
    """Makes the proxy without its warm-up: its folder, and its tokenizer."""
    tokenizer = _train_tokenizer(texts)
    torch.manual_seed(seed)
    _cold_model(tokenizer).save_pretrained(folder / "cold")
    tokenizer.save_pretrained(folder / "cold")
    return folder / "cold", tokenizer


def _documentation() -> list[Messages]:
    return [
        [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
        for row in documentation_rows(DOCUMENTATION_ROWS)
    ]


def _train_tokenizer(texts: Iterable[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def _cold_model(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)
