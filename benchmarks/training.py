"""Tokens a second of a training step of `evenly compare` beside a bare forward and backward pass of the same model.

    python benchmarks/training.py --model MODEL-FOLDER --out training.json

The bare pass is ``model(input_ids, labels=…).loss.backward()`` in the same precision on the same rows. Both are run in
turns, so that other work on the machine slows both alike; figures are of processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from evenly.rows.documentation import documentation_rows
from evenly.train.examples import Examples, encode
from evenly.train.head import predict
from evenly.train.models import choose_precision, load_model, load_tokenizer, load_trainable
from evenly.train.row_losses import autocast, pad_batch
from evenly.train.settings import Lora, Training

WAYS = {
    "all weights": Training(),
    "adapters of rank 16": Training(lora=Lora(rank=16)),
    "last 4 blocks": Training(last_blocks=4),
}


def rows_of(tokenizer: object, count: int, window: int) -> tuple[Examples, np.ndarray]:
    """Documentation strings as rows, and those of middling length."""
    rows = [
        [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
        for row in documentation_rows(400)
    ]
    examples = encode(rows, tokenizer, window)
    order = np.argsort(examples.lengths())
    return examples, order[len(order) // 2 :][:count]


def timed(step: Callable[[], None]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--window", type=int, default=128)
    asked = parser.parse_args()
    tokenizer = load_tokenizer(asked.model)
    examples, rows = rows_of(tokenizer, asked.rows, asked.window)
    tokens = int(examples.lengths()[rows].sum())
    batch = pad_batch(examples, rows, int(tokenizer.pad_token_id))
    precision = choose_precision("auto")
    found = {}
    for name, training in WAYS.items():
        whole, ours = load_model(asked.model), load_trainable(asked.model, training)
        if training.lora or training.last_blocks:
            # The bare model has the same weights to train.
            whole = load_trainable(asked.model, training)

        def bare(model: object = whole) -> None:
            with autocast("cpu", precision):
                loss = model(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    labels=batch["labels"],
                ).loss
            loss.backward()

        def step(model: object = ours) -> None:
            with autocast("cpu", precision):
                loss = predict(model, **batch).loss("cross-entropy", 100)
            loss.backward()

        bare(), step()  # kernels are made at the first
        seconds = [(timed(bare), timed(step)) for _ in range(asked.rounds)]
        plain, own = (tokens / min(each) for each in zip(*seconds, strict=True))
        found[name] = {"bare": round(plain), "evenly": round(own), "ratio": round(own / plain, 2)}
        print(
            f"{name}: {plain:,.0f} tokens a second bare, {own:,.0f} here, {own / plain:.2f} times", flush=True
        )
    record = {
        "model": Path(asked.model).name,
        "vocabulary": len(tokenizer),
        "tokens": tokens,
        "response_tokens": int(examples.response_tokens[rows].sum()),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "tokens_a_second": found,
    }
    asked.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
