"""Handing a selection over to training tools: the kept rows in their form, and the configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.folder.selection import SelectionFolder

Target = Literal["trl", "axolotl", "llama-factory", "unsloth"]
TARGETS: tuple[Target, ...] = ("trl", "axolotl", "llama-factory", "unsloth")
DATA_FILE = "kept.jsonl"


def export(kept: Path, target: str, out: Path) -> list[Path]:
    """Writes the rows of a selection and the few lines of configuration that a training tool wants.

    Every row becomes one conversation (``messages`` with role and content), which all of these tools read; a
    plain text becomes ``text``. The values of the configuration are a start, not advice.

    Args:
        kept: the folder that select wrote.
        target: one of `TARGETS`.
        out: a new or empty folder.

    Returns:
        The files written: ``kept.jsonl`` first.

    Raises:
        InputError: no selection there, its sources are gone or have changed, a target that is not known, or
            files in the way.
    """
    if target not in TARGETS:
        raise InputError(f"--to {target} is not known; use one of {', '.join(TARGETS)}")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} holds files; name a new folder with --out")
    conversations = _kept_conversations(kept)
    chat = any(turn["role"] == "assistant" for turn in conversations[0])
    out.mkdir(parents=True, exist_ok=True)
    lines = (
        {"messages": turns} if chat else {"text": "\n\n".join(turn["content"] for turn in turns)}
        for turns in conversations
    )
    write_atomically(out / DATA_FILE, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    files = WRITERS[target](chat)
    for name, text in files.items():
        write_atomically(out / name, text)
    return [out / DATA_FILE, *(out / name for name in files)]


def _kept_conversations(kept: Path) -> list[list[dict[str, str]]]:
    folder = SelectionFolder.open(kept)
    rows = folder.rows()
    return [rows.messages(row) for row in np.sort(folder.picks).tolist()]


def _trl(chat: bool) -> dict[str, str]:
    settings: dict[str, Any] = {
        "model_name_or_path": "MODEL",
        "datasets": [{"path": "json", "data_files": {"train": DATA_FILE}}],
        "output_dir": "trained",
        "max_length": 512,
        "packing": False,
        "learning_rate": 2.0e-5,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 2,
    }
    if chat:
        settings["assistant_only_loss"] = True
    return {"trl.yaml": "# trl sft --config trl.yaml\n" + _yaml(settings)}


def _axolotl(chat: bool) -> dict[str, str]:
    data: dict[str, Any] = {"path": DATA_FILE, "ds_type": "json"}
    if chat:
        data |= {"type": "chat_template", "field_messages": "messages", "roles_to_train": ["assistant"]}
    else:
        data |= {"type": "completion", "field": "text"}
    settings = {
        "base_model": "MODEL",
        "datasets": [data],
        "output_dir": "trained",
        "sequence_len": 512,
        "sample_packing": False,
        "train_on_inputs": False,
        "learning_rate": 2.0e-5,
        "lr_scheduler": "constant_with_warmup",
        "warmup_steps": 2,
        "optimizer": "adamw_torch",
        "micro_batch_size": 8,
        "gradient_accumulation_steps": 8,
        "num_epochs": 4,
    }
    return {"axolotl.yaml": "# axolotl train axolotl.yaml\n" + _yaml(settings)}


def _llama_factory(chat: bool) -> dict[str, str]:
    entry: dict[str, Any] = {"file_name": DATA_FILE}
    if chat:
        tags = {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        }
        entry |= {
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": tags | {"system_tag": "system"},
        }
    else:
        entry |= {"columns": {"prompt": "text"}}
    settings = {
        "model_name_or_path": "MODEL",
        "stage": "sft" if chat else "pt",
        "do_train": True,
        "finetuning_type": "full",
        "dataset_dir": ".",
        "dataset": "kept",
        "template": "default",
        "cutoff_len": 512,
        "output_dir": "trained",
        "learning_rate": 2.0e-5,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 2,
        "num_train_epochs": 4,
    }
    return {
        "dataset_info.json": json.dumps({"kept": entry}, indent=2) + "\n",
        "llama_factory.yaml": "# llamafactory-cli train llama_factory.yaml\n" + _yaml(settings),
    }


def _unsloth(chat: bool) -> dict[str, str]:
    prepare = (
        "dataset = dataset.map(lambda row: {\n"
        '    "text": tokenizer.apply_chat_template(row["messages"], tokenize=False)\n'
        "})\n"
        if chat
        else ""
    )
    text = f'''"""Trains on the kept rows with Unsloth: python unsloth_sft.py"""

from unsloth import FastLanguageModel  # first, so that it can patch the others

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

model, tokenizer = FastLanguageModel.from_pretrained("MODEL", max_seq_length=512)
model = FastLanguageModel.get_peft_model(model, r=16)
dataset = load_dataset("json", data_files="{DATA_FILE}", split="train")
{prepare}settings = SFTConfig(
    output_dir="trained", dataset_text_field="text", max_length=512, learning_rate=2e-5, warmup_steps=2
)
SFTTrainer(model=model, processing_class=tokenizer, train_dataset=dataset, args=settings).train()
'''
    return {"unsloth_sft.py": text}


def _yaml(settings: dict[str, Any]) -> str:
    return str(yaml.safe_dump(settings, sort_keys=False))


WRITERS: dict[str, Callable[[bool], dict[str, str]]] = {
    "trl": _trl,
    "axolotl": _axolotl,
    "llama-factory": _llama_factory,
    "unsloth": _unsloth,
}
