"""A model of a few thousand parameters with its own tokenizer, and rows it can learn."""

from __future__ import annotations

import logging
from pathlib import Path

Messages = list[dict[str, str]]


def tiny_rows() -> list[Messages]:
    """Ninety rows of arithmetic: short ones first, with answers that can be learnt."""
    return [
        [
            {"role": "user", "content": f"add {number} and {number % 7}"},
            {"role": "assistant", "content": f"{number + number % 7} is the sum" + " so" * (number % 5)},
        ]
        for number in range(90)
    ]


def save_tiny_causal_model(folder: Path, rows: list[Messages]) -> None:
    """A llama of one layer and its tokenizer, trained on the rows' texts, saved as any model is."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    logging.getLogger("transformers").setLevel(logging.ERROR)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator((turn["content"] for row in rows for turn in row), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
