"""How each trainer is handed rows: the form of its data file, what it cannot take, and its configuration.

Written for trl 1.16.0, axolotl 0.19.0, LLaMA-Factory 0.9.5 and unsloth 2026.10.9; docs/trainers.md says what each
does with what. Learning rate, epochs and batch are left to the trainer wherever it has defaults of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from evenly.rows.chat import with_arguments
from evenly.rows.turns import Turn
from evenly.rows.whole import Kind, WholeRow
from evenly.train.whole_rows import MEDIA

DATA_FILE = "kept.jsonl"
Line = dict[str, Any]


class Refused(Exception):
    """Why a trainer cannot take a row, in words that go behind a count: "turns that do not alternate"."""


@dataclass(frozen=True)
class Trainer:
    """A training tool.

    Attributes:
        lines: what its data file holds of one row, but for the fields that merely come along; raises `Refused`.
        files: its configuration, by file name, for a kind of row, the most tokens of a row, the columns
            there are, and the model.
        kinds: the kinds of rows that it trains on.
        window: what its configuration calls the most tokens of a row.
        unread: fields of the turns of a row that do not reach it.
    """

    lines: Callable[[WholeRow], Iterator[Line]]
    files: Callable[[Kind, int, set[str], str], dict[str, str]]
    kinds: tuple[Kind, ...]
    window: str
    unread: Callable[[WholeRow], set[str]] = lambda row: set()


def _trl_lines(row: WholeRow) -> Iterator[Line]:
    """Answers as prompt and completion, one line for each: the loss is then on it alone, whatever the template."""
    beside = ({"tools": _json(row.tools)} if row.tools else {}) | _media(row)
    objects, chosen, rejected = (
        [with_arguments(turn, as_text=False) for turn in side]
        for side in (row.turns, row.chosen, row.rejected)
    )
    if row.kind == "texts":
        yield {"text": _text(row), **beside}
    elif row.kind == "answers":
        for place in row.answers:
            yield {"prompt": objects[:place], "completion": [objects[place]], **beside}
    elif row.kind == "judged answers":
        yield {"prompt": objects, "completion": chosen, "label": row.more["label"], **beside}
    else:
        yield {"prompt": objects, "chosen": chosen, "rejected": rejected, **beside}


def _trl_files(kind: Kind, tokens: int, columns: set[str], model: str) -> dict[str, str]:
    command = {"pairs": "dpo", "judged answers": "kto"}.get(kind, "sft")
    settings = {
        "model_name_or_path": model,
        "datasets": [{"path": "json", "data_files": {"train": DATA_FILE}}],
        "output_dir": "trained",
        "max_length": tokens,
    }
    return {"trl.yaml": f"# trl {command} --config trl.yaml\n{_yaml(settings)}"}


def _axolotl_lines(row: WholeRow) -> Iterator[Line]:
    media = _media(row)
    if row.kind == "texts":
        yield {"text": _text(row), **media}
    elif row.kind == "answers":
        # Arguments as JSON texts, which axolotl reads: objects of different fields would be filled up with nulls.
        turns = [with_arguments(turn, as_text=True) for turn in row.turns]
        yield {"messages": turns, **({"tools": row.tools} if row.tools else {}), **media}
    elif row.kind == "steps":
        steps = {name: row.more[name] for name in ("completions", "labels")}
        yield {"prompt": "\n".join(_content(turn) for turn in row.turns), **steps, **media}
    else:
        if row.tools or any("tool_calls" in turn for turn in row.every_turn()):
            raise Refused("tool calls in a pair")
        if len(row.chosen) != 1 or len(row.rejected) != 1:
            raise Refused("answers of several turns in a pair")
        yield {"prompt": row.turns, "chosen": row.chosen[0], "rejected": row.rejected[0], **media}


def _axolotl_files(kind: Kind, tokens: int, columns: set[str], model: str) -> dict[str, str]:
    data: dict[str, Any] = {"path": DATA_FILE, "ds_type": "json"}
    data |= {
        "texts": {"type": "completion", "field": "text"},
        "steps": {"type": "stepwise_supervised"},
        "pairs": {
            "type": "chat_template.default",
            "field_messages": "prompt",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        },
    }.get(kind, {"type": "chat_template", "field_messages": "messages", "roles_to_train": ["assistant"]})
    if "tools" in columns:
        data["field_tools"] = "tools"
    if "weight" in columns:
        data["message_field_training"] = "weight"
    settings = {
        "base_model": model,
        **({"rl": "dpo"} if kind == "pairs" else {}),
        **({"process_reward_model": True} if kind == "steps" else {}),
        **({"chat_template": "tokenizer_default"} if kind in ("answers", "pairs") else {}),
        "datasets": [data],
        "output_dir": "trained",
        "sequence_len": tokens,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "learning_rate": 2.0e-5,
    }
    note = "# learning_rate and the batch have no defaults in axolotl: these are a start, not advice.\n"
    return {"axolotl.yaml": f"# axolotl train axolotl.yaml\n{note}{_yaml(settings)}"}


_LLAMA_FACTORY_ROLES = {"tool": "observation"}


def _llama_factory_lines(row: WholeRow) -> Iterator[Line]:
    """Turns of role and content alone, calls and results under the names that LLaMA-Factory has for them."""
    media = _media(row)
    if row.kind == "texts":
        yield {"text": _text(row), **media}
        return
    turns, images = _plain_turns(row.turns)
    if images:
        media["images"] = [*(media.get("images") or []), *images]
    beside = ({"tools": _json(row.tools)} if row.tools else {}) | media
    body = turns[1:] if turns and turns[0]["role"] == "system" else turns
    odd, even = ("user", "observation"), ("assistant", "function_call")
    if any(turn["role"] not in (odd, even)[place % 2] for place, turn in enumerate(body)):
        raise Refused("turns that do not alternate between user (or tool) and assistant")
    if (len(body) % 2 == 0) != (row.kind == "answers"):
        raise Refused(
            "a last turn that is no answer" if row.kind == "answers" else "no prompt that an answer follows"
        )
    if any(turn.get("weight", 1) in (0, False) for turn in row.turns):
        raise Refused("answers of weight 0, which it would train on")
    if row.kind == "answers":
        yield {"messages": turns, **beside}
        return
    if len(row.chosen) != 1 or (row.kind == "pairs" and len(row.rejected) != 1):
        raise Refused("answers of several turns in a pair")
    chosen = _plain_turns(row.chosen)[0][0]
    if row.kind == "judged answers":
        yield {"messages": [*turns, chosen], "kto_tag": row.more["label"], **beside}
        return
    rejected = _plain_turns(row.rejected)[0][0]
    yield {"messages": turns, "chosen": chosen, "rejected": rejected, **beside}


def _plain_turns(turns: list[Turn]) -> tuple[list[Turn], list[Any]]:
    """Turns of role and content, and the images that stood in them."""
    plain, images = [], []
    for turn in turns:
        role = _LLAMA_FACTORY_ROLES.get(turn["role"], turn["role"])
        content = turn["content"]
        if isinstance(content, list):
            pieces = []
            for part in content:
                if isinstance(part, str) or "text" in part:
                    pieces.append(part if isinstance(part, str) else part["text"])
                    continue
                place = part.get("image") or part.get("url") or (part.get("image_url") or {}).get("url")
                if not isinstance(place, str):
                    raise Refused(
                        f"a part of a turn that is no text and no image by name ({part.get('type')})"
                    )
                pieces.append("<image>")
                images.append(place)
            content = "".join(pieces)
        thinking = turn.get("reasoning_content") or turn.get("thinking")
        if thinking:
            content = f"<think>\n{thinking}\n</think>\n\n{content}"
        if turn.get("tool_calls"):
            if content.strip():
                raise Refused("text beside a tool call, of which it takes the call alone")
            role = "function_call"
            calls = [
                call.get("function") or call for call in with_arguments(turn, as_text=False)["tool_calls"]
            ]
            plain_calls = [{"name": call.get("name"), "arguments": call.get("arguments")} for call in calls]
            content = _json(plain_calls if len(plain_calls) > 1 else plain_calls[0])
        plain.append({"role": role, "content": content})
    return plain, images


_LLAMA_FACTORY_READS = {"role", "content", "reasoning_content", "thinking", "tool_calls", "weight"}


def _llama_factory_unread(row: WholeRow) -> set[str]:
    turns = row.every_turn()
    ids = any(call.get("id") for turn in turns for call in turn.get("tool_calls") or ())
    beside = {name for turn in turns for name, value in turn.items() if value is not None}
    return (beside - _LLAMA_FACTORY_READS) | ({"id of tool_calls"} if ids else set())


def _llama_factory_files(kind: Kind, tokens: int, columns: set[str], model: str) -> dict[str, str]:
    entry: dict[str, Any] = {"file_name": DATA_FILE}
    if kind == "texts":
        entry["columns"] = {"prompt": "text"}
    else:
        named = {"messages": "messages"}
        named |= {name: name for name in ("tools", "images", "videos", "audios") if name in columns}
        if kind == "pairs":
            entry["ranking"] = True
            named |= {"chosen": "chosen", "rejected": "rejected"}
        if kind == "judged answers":
            named["kto_tag"] = "kto_tag"
        # All seven: a tag that is left out is none, and rows with such turns are dropped.
        tags = {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        }
        tags |= {"observation_tag": "observation", "function_tag": "function_call", "system_tag": "system"}
        entry |= {"formatting": "sharegpt", "columns": named, "tags": tags}
    stage = {"texts": "pt", "pairs": "dpo", "judged answers": "kto"}.get(kind, "sft")
    # No template: it then reads that of the tokenizer; ``default`` would write "Human:" and "Assistant:".
    settings = {
        "model_name_or_path": model,
        "stage": stage,
        "do_train": True,
        "finetuning_type": "full",
        "dataset_dir": ".",
        "dataset": "kept",
        "cutoff_len": tokens,
        "output_dir": "trained",
    }
    return {
        "dataset_info.json": json.dumps({"kept": entry}, indent=2) + "\n",
        "llama_factory.yaml": f"# llamafactory-cli train llama_factory.yaml\n{_yaml(settings)}",
    }


def _unsloth_files(kind: Kind, tokens: int, columns: set[str], model: str) -> dict[str, str]:
    tokenize = _UNSLOTH_TEXT if kind == "texts" else _UNSLOTH_ANSWERS
    return {
        "unsloth_sft.py": _UNSLOTH.format(
            model=json.dumps(model), tokens=tokens, data=DATA_FILE, tokenize=tokenize
        )
    }


_UNSLOTH = '''"""Trains on the kept rows with Unsloth: python unsloth_sft.py"""

import json

LONGEST = {tokens}


{tokenize}

def main():
    from unsloth import FastLanguageModel  # first, so that it can patch the others

    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = FastLanguageModel.from_pretrained({model}, max_seq_length=LONGEST)
    model = FastLanguageModel.get_peft_model(model, r=16)
    # Not by load_dataset("json"), which makes times of answers that are dates.
    with open("{data}", encoding="utf-8") as lines:
        rows = Dataset.from_list([tokenized(json.loads(line), tokenizer) for line in lines])
    settings = SFTConfig(
        output_dir="trained", max_length=LONGEST, dataset_kwargs={{"skip_prepare_dataset": True}}
    )
    collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100)
    SFTTrainer(
        model=model, processing_class=tokenizer, train_dataset=rows, args=settings, data_collator=collator
    ).train()


if __name__ == "__main__":
    main()
'''
_UNSLOTH_ANSWERS = '''def tokenized(row, tokenizer):
    """Token ids of a row, with labels on its answer alone."""
    tools = json.loads(row["tools"]) if row.get("tools") else None
    prompt = tokenizer.apply_chat_template(
        row["prompt"], tools=tools, add_generation_prompt=True, tokenize=False
    )
    whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tools=tools, tokenize=False)
    if not whole.startswith(prompt):  # a template that opens the answer otherwise when it is there
        prompt = tokenizer.apply_chat_template(row["prompt"], tools=tools, tokenize=False)
    if not whole.startswith(prompt):
        raise SystemExit("the chat template rewrites earlier turns; use another one")
    before = tokenizer(text=prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(text=whole[len(prompt) :], add_special_tokens=False)["input_ids"]
    ids = (before + answer)[:LONGEST]
    labels = ([-100] * len(before) + answer)[:LONGEST]
    return {"input_ids": ids, "labels": labels, "attention_mask": [1] * len(ids)}
'''
_UNSLOTH_TEXT = '''def tokenized(row, tokenizer):
    """Token ids of a text and its end; all of them are trained on."""
    ids = tokenizer(text=row["text"] + tokenizer.eos_token)["input_ids"][:LONGEST]
    return {"input_ids": ids, "labels": list(ids), "attention_mask": [1] * len(ids)}
'''

TRAINERS: dict[str, Trainer] = {
    "trl": Trainer(_trl_lines, _trl_files, ("answers", "texts", "pairs", "judged answers"), "max_length"),
    "axolotl": Trainer(
        _axolotl_lines, _axolotl_files, ("answers", "texts", "pairs", "steps"), "sequence_len"
    ),
    "llama-factory": Trainer(
        _llama_factory_lines,
        _llama_factory_files,
        ("answers", "texts", "pairs", "judged answers"),
        "cutoff_len",
        _llama_factory_unread,
    ),
    "unsloth": Trainer(_trl_lines, _unsloth_files, ("answers", "texts"), "LONGEST"),
}


def _media(row: WholeRow) -> Line:
    return {name: row.more[name] for name in MEDIA if name in row.more}


def _text(row: WholeRow) -> str:
    return "\n\n".join(_content(turn) for turn in row.turns)


def _content(turn: Turn) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else _json(content)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _yaml(settings: dict[str, Any]) -> str:
    return str(yaml.safe_dump(settings, sort_keys=False, width=4096))


def has_media(row: WholeRow) -> bool:
    """Whether images, videos or sounds go with a row."""
    parts = [
        part for turn in row.every_turn() if isinstance(turn["content"], list) for part in turn["content"]
    ]
    return any(row.more.get(name) for name in MEDIA) or any(
        isinstance(part, dict) and "text" not in part for part in parts
    )
