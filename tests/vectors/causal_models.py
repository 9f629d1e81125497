"""Tiny causal language models with random weights, and the plainest way to their hidden states and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

SIZES = {
    "llama": {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 2, "num_key_value_heads": 1},
    "gemma2": {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 12,
        "final_logit_softcapping": 0.5,
        "query_pre_attn_scalar": 12,
    },
    "gpt2": {"n_embd": 24, "n_head": 2, "n_layer": 3, "n_positions": 256},
    "cohere": {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "logit_scale": 0.25,
    },
    "mamba": {"hidden_size": 24, "state_size": 4, "num_hidden_layers": 3},
}


def tiny_tokenizer(*, end: bool = True) -> Any:
    """Byte-level, one token a byte, with a token to begin with and mostly one to end with."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", *letters])}
    core = Tokenizer(models.BPE(words, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    ends = {"eos_token": "</s>"} if end else {}
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<s>", **ends)


def save_causal(
    folder: Path, kind: str = "llama", *, template: str | None = None, end: bool = True, **config: Any
) -> Path:
    """A model of three blocks and its tokenizer as a folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny_tokenizer(end=end)
    tokenizer.chat_template = template
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 3, "max_position_embeddings": 256, **SIZES[kind], **config}
    if kind in ("gpt2", "mamba"):
        sizes = {**SIZES[kind], **config}
    made = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes
    )
    model = AutoModelForCausalLM.from_config(made, dtype=torch.float32)
    with torch.no_grad():  # as they start, tiny models hardly tell their inputs apart
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(6 if "embed" not in name and "wte" not in name else 3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


ROWS = [
    {
        "instruction": f"add {number} and {number * 7 % 5}",
        "input": "please" * (number % 3),
        "output": f"{number} " * (1 + number % 4),
    }
    for number in range(12)
]


def save_rows(path: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS if rows is None else rows)))
    return path


class PlainCausal:
    """One row at a time in float32, as transformers runs it: no batches, no padding."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def read(self, row: dict[str, Any]) -> tuple[list[int], list[bool]]:
        """Token ids of a row in the plain template, and which are of the answer."""
        asked = "\n".join(filter(None, [row["instruction"], row["input"]]))
        prompt = f"### Instruction:\n{asked}\n\n### Response:\n"
        answer = row["output"] + (self.tokenizer.eos_token or "")
        first, last = (
            self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, answer)
        )
        return [1, *first, *last], [False] * (1 + len(first)) + [True] * len(last)

    def states(self, ids: list[int], layer: int) -> np.ndarray:
        """(T, d) hidden states after so many blocks."""
        import torch

        with torch.no_grad():
            found = self.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        return np.asarray(found[layer][0].numpy())

    def loss(self, ids: list[int], answer: list[bool]) -> Any:
        """The mean loss over the answer, with a graph."""
        import torch

        logits = self.model(input_ids=torch.tensor([ids])).logits[0].float()
        of = torch.tensor([place for place, wanted in enumerate(answer) if wanted])
        return torch.nn.functional.cross_entropy(logits[of - 1], torch.tensor(ids)[of])
