#!/usr/bin/env bash
# A resumed GRPO run of trl begins with the order of the first epoch again.
#
# Guess: going on from a checkpoint trains on the prompts that the uninterrupted run would have had next, as
#   Transformers' Trainer sees to.
# Seen: trl's sampler for groups draws every epoch from one generator that starts anew with each process, while the
#   resumed trainer only skips to the step within the epoch. A run of three epochs resumed after the first sees the
#   orders of epochs 1 and 2 for its epochs 2 and 3. Resumed in mid-epoch, it goes on in another order than it
#   began: some prompts come twice in that epoch, as many not at all. Prompts beyond a whole number of steps are left
#   out of every epoch; after resuming it is the same ones again. Nothing is logged.
# For our users: "every selected prompt once per epoch" fails for resumed runs, and an interrupted arm is not
#   comparable with one that ran through. Give the rest of the run another `seed`, or count prompts in the reward.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 trl==1.16.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1
nice -n 10 venv/bin/python - 2>errors <<'PY' || { code=$?; tail -5 errors; exit $code; }
import sys

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

print(f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}")
PROMPTS = 9  # 4 a step, so 8 in an epoch of 2 steps
words = {"<pad>": 0, "<eos>": 1, **{f"w{number}": number + 2 for number in range(20)}}
plain = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>")
tiny = LlamaConfig(vocab_size=22, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
data = Dataset.from_list([{"prompt": f"w{number}"} for number in range(PROMPTS)])


def steps(folder, resume=None):
    """The prompts of each step of a run."""
    seen = []

    def reward(prompts, completions, **_):
        seen.append(tuple(int(prompt[1:]) for prompt in prompts[::2]))
        return [float(len(text)) for text in completions]

    arguments = GRPOConfig(
        output_dir=folder, seed=0, num_train_epochs=3, per_device_train_batch_size=8, num_generations=2, use_cpu=True,
        bf16=False, max_completion_length=2, save_steps=1, report_to=[], disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = GRPOTrainer(LlamaForCausalLM(tiny), reward, args=arguments, train_dataset=data, processing_class=tokenizer)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    return seen


whole = steps("whole")
ended, halfway = steps("a", "whole/checkpoint-2"), steps("b", "whole/checkpoint-3")
print("uninterrupted       ", *whole)
print("resumed after step 2", *ended)
print("resumed after step 3", *halfway)
mixed = whole[2] + halfway[0]
print(f"second epoch, resumed after its first half: {len(set(mixed))} of 8 prompts")
sys.exit(ended != whole[:4] or halfway != whole[1:4] or len(set(whole[2] + whole[3])) != 8 or len(set(mixed)) == 8)
PY
