"""Rows to tokens and labels: what the loss is on, what is cut, what is dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.rows.chat import Conversation
from evenly.train.examples import Examples, encode
from evenly.train.losses import IGNORED
from evenly.train.models import load_tokenizer

CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def response_text(examples: Examples, row: int, tokenizer: object) -> str:
    ids = examples.labels[row][examples.labels[row] != IGNORED]
    return tokenizer.decode(ids)  # type: ignore[attr-defined, no-any-return]


def test_plain_template_puts_the_loss_on_the_response_and_its_end(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    row = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "add 1 and 2"},
        {"role": "assistant", "content": "3 is"},
        {"role": "user", "content": "and 3"},
        {"role": "assistant", "content": "6"},
    ]
    examples = encode([row], tokenizer, 512)
    assert response_text(examples, 0, tokenizer) == "3 is</s>6</s>"
    text = tokenizer.decode(examples.tokens[0])
    assert text.startswith("<s>be brief\n\n### Instruction:\nadd 1 and 2\n\n### Response:\n3 is</s>")
    assert examples.response_tokens[0] == (examples.labels[0] != IGNORED).sum()


def test_chat_template_puts_the_loss_on_assistant_turns(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = CHATML
    row = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "bc"},
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": "e"},
    ]
    examples = encode([row], tokenizer, 512)
    assert response_text(examples, 0, tokenizer) == "bc</assistant>e</assistant>"
    assert tokenizer.decode(examples.tokens[0]) == tokenizer.apply_chat_template(row, tokenize=False)


def test_template_that_rewrites_turns_is_refused(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = "{{ messages | length }}{{ messages[-1].content }}"
    row = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(InputError, match="rewrites earlier turns"):
        encode([row], tokenizer, 64)
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match="roles must alternate"):
        encode([[row[0], *row]], tokenizer, 64)


AGENT = [
    {"role": "user", "content": "a"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "f", "arguments": '{"x": 1}'}}],
    },
    {"role": "tool", "content": "12"},
    {"role": "assistant", "content": "bc"},
]


def test_calls_and_tools_are_written_by_the_template_and_trained_on(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = "{% if tools %}[{{ tools[0].name }}]{% endif %}" + CHATML.replace(
        "{{ m.content }}",
        "{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}",
    )
    examples = encode([Conversation(AGENT, [{"name": "f"}])], tokenizer, 512)
    assert response_text(examples, 0, tokenizer) == (
        '{"name": "f", "arguments": {"x": 1}}</assistant>bc</assistant>'
    )
    assert tokenizer.decode(examples.tokens[0]).startswith("[f]<user>a</user>")
    weighed = [{**turn, "weight": 0} if "tool_calls" in turn else turn for turn in AGENT]
    assert response_text(encode([weighed], tokenizer, 512), 0, tokenizer) == "bc</assistant>"


def test_a_result_that_the_template_writes_as_json_is_there(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = CHATML.replace("{{ m.content }}", "{{ m.content | tojson }}")
    result = {"role": "tool", "content": '{"hits": "é"}'}
    assert encode([[AGENT[0], result, AGENT[-1]]], tokenizer, 512).response_tokens[0] > 0


@pytest.mark.parametrize(
    ("left_out", "said"), [("tool", "the text of turn 3, by tool"), ("", "a call of turn 2")]
)
def test_a_turn_that_the_template_leaves_out_is_named(model_folder: Path, left_out: str, said: str) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    calls = "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}" if left_out else ""
    tokenizer.chat_template = CHATML.replace("{{ m.content }}", "{{ m.content }}" + calls).replace(
        "{% for m in messages %}", f"{{% for m in messages if m.role != '{left_out}' %}}"
    )
    chat = [AGENT[0], AGENT[-1]]
    with pytest.raises(InputError, match=f"row 2: the model's chat template leaves out {said}"):
        encode([chat, AGENT], tokenizer, 512)


def test_qwen3_is_trained_with_the_variant_of_its_template_for_training(model_folder: Path) -> None:
    """By itself the template writes an answer otherwise once another follows it."""
    from trl.chat_template_utils import qwen3_chat_template

    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = qwen3_chat_template
    row = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "why"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    trained = response_text(encode([row], tokenizer, 512), 0, tokenizer)
    assert trained.replace("\n", "") == ("<think>why</think>b<|im_end|><think></think>d<|im_end|>")
    assert tokenizer.chat_template == qwen3_chat_template


def test_plain_text_has_the_loss_on_all_but_its_first_token(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    examples = encode([[{"role": "user", "content": "just text"}]], tokenizer, 64)
    assert response_text(examples, 0, tokenizer) == "just text</s>"
    assert examples.labels[0][0] == IGNORED


def test_cut_and_dropped_rows_are_counted(model_folder: Path, rows: list) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    long_prompt = [{"role": "user", "content": "x" * 500}, {"role": "assistant", "content": "y"}]
    long_answer = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y z " * 200}]
    examples = encode([rows[0], long_prompt, long_answer], tokenizer, 48)
    assert examples.truncated.tolist() == [False, True, True]
    assert examples.dropped.tolist() == [False, True, False]
    assert examples.lengths().max() == 48
    with pytest.raises(InputError, match="none of 1 rows has a response within 48 tokens"):
        encode([long_prompt], tokenizer, 48)


def test_save_and_load(model_folder: Path, rows: list, tmp_path: Path) -> None:
    examples = encode(rows, load_tokenizer(str(model_folder)), 48)
    examples.save(tmp_path / "examples.parquet")
    again = Examples.load(tmp_path / "examples.parquet")
    assert again.window == 48
    for name in ("response_tokens", "truncated", "dropped"):
        np.testing.assert_array_equal(getattr(again, name), getattr(examples, name))
    for name in ("tokens", "labels"):
        for ours, theirs in zip(getattr(again, name), getattr(examples, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_model_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no tokenizer"):
        load_tokenizer(str(tmp_path))
