#!/usr/bin/env bash
# Transformers' Trainer: seed 1 begins with the second epoch of seed 0.
#
# Guess: three seeds of three epochs see the rows in nine unrelated orders.
# Seen: accelerate's sampler shuffles epoch e with the seed s + e. Seed 1 sees in its first two epochs what seed 0 saw
#   in its last two, row by row; three seeds of three epochs hold five orders, one of them in all three runs. The
#   same with `data_seed`. Seeds ten apart share none.
# For our users: repeats over seeds 0, 1, 2 do not vary the order as much as their spread is taken to say, and arms
#   compared over such seeds share the luck of an order. Take seeds further apart than the number of epochs.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$work/home"
nice -n 10 venv/bin/python - <<'PY'
import sys

import accelerate
import torch
import transformers
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

print(f"torch {torch.__version__}, transformers {transformers.__version__}, accelerate {accelerate.__version__}")
transformers.logging.set_verbosity_error()
ROWS, EPOCHS = 12, 3
tiny = LlamaConfig(vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
data = Dataset.from_list([{"row": row, "input_ids": [row, 30, 31], "labels": [row, 30, 31]} for row in range(ROWS)])


def orders(seed, **options):
    """The order of rows in each epoch of a run."""
    rows = []

    def collate(batch):
        rows.extend(row["row"] for row in batch)
        return {name: torch.tensor([row[name] for row in batch]) for name in ("input_ids", "labels")}

    arguments = TrainingArguments(
        output_dir="out", seed=seed, num_train_epochs=EPOCHS, per_device_train_batch_size=2, use_cpu=True,
        save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
        **options,
    )  # fmt: skip
    trainer = Trainer(LlamaForCausalLM(tiny), arguments, train_dataset=data, data_collator=collate)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return [tuple(rows[start : start + ROWS]) for start in range(0, len(rows), ROWS)]


near = [orders(seed) for seed in (0, 1, 2)]
for seed, epochs in enumerate(near):
    for number, order in enumerate(epochs):
        print(f"seed {seed} epoch {number}: {order}")
apart = [orders(seed) for seed in (0, 10, 20)]
named = orders(7, data_seed=0)
distinct = [len({order for epochs in runs for order in epochs}) for runs in (near, apart)]
print(f"distinct orders in nine epochs: {distinct[0]} for seeds 0, 1, 2 and {distinct[1]} for seeds 0, 10, 20")
print(f"seed 7 with data_seed 0 is as seed 0: {named == near[0]}")
shifted = near[1][:2] == near[0][1:] and near[2][:2] == near[1][1:]
sys.exit(not shifted or distinct != [5, 9] or named != near[0])
PY
