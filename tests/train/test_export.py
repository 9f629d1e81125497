"""A selection handed over to training tools, read back by what those tools read with.

One file, though a long one: the readers of the tools stand beside the rows that they are given.
"""

from __future__ import annotations

import ast
import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from evenly.errors import InputError
from evenly.files import file_sha256
from evenly.folder.manifest import Manifest, write_manifest
from evenly.folder.order import ORDER_FILE, ORDER_SCHEMA
from evenly.records import EncoderRecord, OutputRecord
from evenly.rows.sources import read_rows
from evenly.train.export import export
from evenly.train.export_lengths import estimated
from evenly.train.handed import TRAINERS
from evenly.train.models import load_tokenizer
from tests.rows.test_forms import pool

RECORDS = [{"instruction": f"add {n} and 1", "input": "", "output": f"{n + 1} – done"} for n in range(6)]
CALL = {"type": "function", "function": {"name": "look_up", "arguments": '{"topic": "bread", "n": 2}'}}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]
AGENT = {
    "messages": [
        {"role": "user", "content": "what of bread"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c0", **CALL}]},
        {"role": "tool", "tool_call_id": "c0", "content": '{"hits": 1}'},
        {"role": "assistant", "content": "one hit", "reasoning_content": "counted"},
    ],
    "tools": TOOLS,
}
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "what of bread"},
        {"from": "function_call", "value": '{"name": "look_up", "arguments": {"topic": "bread"}}'},
        {"from": "observation", "value": "one"},
        {"from": "gpt", "value": "one hit"},
    ],
    "system": "be brief",
    "tools": json.dumps(TOOLS),
}
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"add {n} and 1"},
            {"role": "assistant", "content": f"{n + 1}"},
        ]
    }
    for n in range(6)
]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""As plain as most: no marks of what is generated."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A selection folder of rows 4 and 1 of six."""
    return write_selection(tmp_path, RECORDS)


def write_selection(folder: Path, records: list, kept: list[int] | None = None, source: str = "") -> Path:
    """A selection of some rows, with its kept file beside it where ``kept`` names them."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    place = folder / "kept.evenly"
    place.mkdir()
    ranks = {row: rank for rank, row in enumerate([4, 1] if kept is None else kept)}
    order = [{"row": row, "id": str(row), "rank": ranks.get(row), "keeper": 4} for row in range(len(records))]
    pq.write_table(pa.Table.from_pylist(order, ORDER_SCHEMA), place / ORDER_FILE)
    outputs = []
    if kept is not None:
        out = folder / "kept.jsonl"
        out.write_text("".join(json.dumps(records[row]) + "\n" for row in sorted(kept)), encoding="utf-8")
        outputs = [OutputRecord(name="kept.jsonl", sha256=file_sha256(out), rows=len(kept))]
    sources = read_rows([str(path)]).sources
    manifest = Manifest(
        evenly="0",
        created="2026-01-01T00:00:00Z",
        sources=[each.model_copy(update={"name": source or each.name}) for each in sources],
        outputs=outputs,
        encoder=EncoderRecord(name="minilm", identity="x", dimension=384),
        text=None,
        part="all",
        metric="cosine",
        keep="2",
        asked=2,
        kept=len(ranks),
        pool_rows=len(records),
        start=4,
        start_rule="nearest-mean",
        seed=0,
        h_min=0.1,
        fill=0.1,
        order_sha256="x",
        vectors_sha256="x",
        seconds={},
        versions={},
    )
    write_manifest(manifest, place)
    return place


def lines_for(folder: Path, records: list, target: str) -> tuple[list[dict[str, Any]], list[str], Path]:
    """The data file, the notes and the folder of an export of all of some records."""
    done = export(write_selection(folder, records, list(range(len(records)))), target, folder / "out")
    lines = [json.loads(line) for line in (folder / "out" / "kept.jsonl").read_text().splitlines()]
    return lines, done.notes, folder / "out"


def answers(line: dict[str, Any]) -> list[str]:
    turns = line["completion"] if "completion" in line else line["messages"]
    return [turn["content"] for turn in turns if turn["role"] == "assistant"]


@pytest.mark.parametrize("target", TRAINERS)
def test_rows_load_and_the_configuration_parses(target: str, kept: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = export(kept, target, tmp_path / "out").files
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("json", data_files=str(files[0]), split="train", cache_dir=cache)
    assert [answers(row) for row in loaded] == [["2 – done"], ["5 – done"]]
    for path in files[1:]:
        text = path.read_text(encoding="utf-8")
        {".yaml": yaml.safe_load, ".json": json.loads, ".py": ast.parse}[path.suffix](text)


def test_unsloth_labels_the_answers_alone(model_folder: Path, tmp_path: Path) -> None:
    lines, _, out = lines_for(tmp_path, [AGENT, *CHATS], "unsloth")
    tokenized: Callable[..., dict[str, list[int]]] = runpy.run_path(str(out / "unsloth_sft.py"))["tokenized"]
    tokenizer = load_tokenizer(str(model_folder))
    tokenizer.chat_template = TEMPLATE
    for line in lines:
        made = tokenized(line, tokenizer)
        trained = tokenizer.decode([token for token in made["labels"] if token != -100])
        whole = tokenizer.apply_chat_template([*line["prompt"], *line["completion"]], tokenize=False)
        assert tokenizer.decode(made["input_ids"]) == whole
        assert trained.endswith("</assistant>")
        assert whole.endswith(f"<assistant>{trained}")


def test_axolotl_reads_its_configuration(kept: Path, tmp_path: Path) -> None:
    schemas = pytest.importorskip("axolotl.utils.schemas.config", reason="axolotl is not installed")
    settings = yaml.safe_load(export(kept, "axolotl", tmp_path / "out").files[1].read_text())
    schemas.AxolotlInputConfig(**settings)


@pytest.mark.parametrize("record", [AGENT, SHAREGPT], ids=["messages", "sharegpt"])
def test_calls_results_and_tools_reach_every_trainer(record: dict, tmp_path: Path) -> None:
    for target in TRAINERS:
        folder = tmp_path / target
        folder.mkdir()
        lines, notes, out = lines_for(folder, [record], target)
        text = json.dumps(lines, ensure_ascii=False)
        for part in ("look_up", "bread", "one hit"):
            assert part in text, target
        assert not [note for note in notes if "left out" in note]
        turns = lines[-1].get("messages") or [*lines[-1]["prompt"], *lines[-1]["completion"]]
        if target == "llama-factory":
            roles = ["user", "function_call", "observation", "assistant"]
            entry = json.loads((out / "dataset_info.json").read_text())["kept"]
            assert len(entry["tags"]) == 7
            assert entry["columns"]["tools"] == "tools"
            assert json.loads(lines[0]["tools"]) == TOOLS
            assert json.loads(next(turn["content"] for turn in turns if turn["role"] == "function_call"))[
                "name"
            ] == ("look_up")
            assert "template" not in yaml.safe_load((out / "llama_factory.yaml").read_text())
        else:
            roles = ["user", "assistant", "tool", "assistant"]
            (call,) = next(turn["tool_calls"] for turn in turns if "tool_calls" in turn)
            given = call["function"]["arguments"]
            assert isinstance(given, str) == (target == "axolotl")
            assert (json.loads(given) if isinstance(given, str) else given)["topic"] == "bread"
        assert [turn["role"] for turn in turns if turn["role"] != "system"] == roles
        if record is SHAREGPT:
            assert turns[0] == {"role": "system", "content": "be brief"}
        else:
            assert "counted" in text


def test_the_form_is_decided_row_by_row(tmp_path: Path) -> None:
    alone = {"messages": [{"role": "user", "content": "only asked"}]}
    chats = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": f"b{n}"}]}
        for n in "12"
    ]
    lines, notes, out = lines_for(tmp_path, [alone, *chats], "trl")
    assert [answers(line) for line in lines] == [["b1"], ["b2"]]
    assert notes == ["left out, and written to left_out.jsonl: 1 row (1): no answer"]
    assert json.loads((out / "left_out.jsonl").read_text()) == alone


def test_a_name_for_the_one_who_answers_that_nobody_knows(tmp_path: Path) -> None:
    rows = [{"conversations": [{"from": "human", "value": "a"}, {"from": "robot", "value": "b"}]}]
    assert answers(lines_for(tmp_path, rows, "axolotl")[0][0]) == ["b"]


@pytest.mark.parametrize(
    ("record", "roles", "texts"),
    [
        (
            {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]},
            ["system", "user", "assistant", "user", "assistant"],
            ["s", "a", "b", "c", "d"],
        ),
        (
            {
                "prompt": [{"role": "user", "content": "a"}],
                "completion": [{"role": "assistant", "content": "b"}],
            },
            ["user", "assistant"],
            ["a", "b"],
        ),
        (
            {"messages": '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'},
            ["user", "assistant"],
            ["a", "b"],
        ),
        (
            {"messages": None, "prompt": "a", "completion": "b"},
            ["user", "assistant"],
            ["a", "b"],
        ),
    ],
    ids=["alpaca", "lists", "turns as text", "null beside"],
)
def test_turns_of_a_row(record: dict, roles: list[str], texts: list[str]) -> None:
    turns = pool(record).whole(0).turns
    assert [turn["role"] for turn in turns] == roles
    assert [turn["content"] for turn in turns] == texts


PAIRS = [
    {"prompt": "ask", "chosen": "good", "rejected": "bad"},
    {"conversations": [{"from": "human", "value": "ask"}], "chosen": {"from": "gpt", "value": "good"}}
    | {"rejected": {"from": "gpt", "value": "bad"}},
    {
        name: [{"role": "user", "content": "ask"}, {"role": "assistant", "content": text}]
        for name, text in (("chosen", "good"), ("rejected", "bad"))
    },
]


@pytest.mark.parametrize("record", PAIRS, ids=["texts", "sharegpt", "implicit prompt"])
def test_both_answers_of_a_pair_reach_the_trainer(record: dict) -> None:
    row = pool(record).whole(0)
    for target in ("trl", "axolotl", "llama-factory"):
        (line,) = TRAINERS[target].lines(row)
        sides = {
            name: line[name][-1] if isinstance(line[name], list) else line[name]
            for name in ("chosen", "rejected")
        }
        assert {name: side["content"] for name, side in sides.items()} == {
            "chosen": "good",
            "rejected": "bad",
        }
        asked = line.get("prompt") or line["messages"]
        assert [(turn["role"], turn["content"]) for turn in asked] == [("user", "ask")]
    files = {
        target: TRAINERS[target].files("pairs", 256, set(), "MODEL")
        for target in ("trl", "axolotl", "llama-factory")
    }
    assert "trl dpo" in files["trl"]["trl.yaml"]
    assert yaml.safe_load(files["axolotl"]["axolotl.yaml"])["rl"] == "dpo"
    assert json.loads(files["llama-factory"]["dataset_info.json"])["kept"]["ranking"] is True


def test_answers_of_weight_0_are_not_trained_on(tmp_path: Path) -> None:
    record = json.loads(json.dumps(AGENT))
    record["messages"][1]["weight"] = 0
    for target, left in (("trl", 1), ("axolotl", 1), ("llama-factory", 0)):
        folder = tmp_path / target
        folder.mkdir()
        lines, notes, out = lines_for(folder, [record, *CHATS], target)
        assert len(lines) == 6 + left
        if target == "trl":
            assert answers(lines[0]) == ["one hit"]
        elif target == "axolotl":
            data = yaml.safe_load((out / "axolotl.yaml").read_text())["datasets"][0]
            assert data["message_field_training"] == "weight"
        else:
            assert "1 row (1): answers of weight 0" in notes[0]


def test_what_the_trainer_will_make_of_a_row_is_said(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{**record, "id": n, "seen": {"by": 1}} for n, record in enumerate(RECORDS)]
    rows[2]["output"] = ""
    lines, notes, _ = lines_for(tmp_path, rows, "axolotl")
    assert [line["id"] for line in lines] == list(range(6))
    assert "an empty answer in 1 row (3): axolotl trains on nothing there" in notes
    assert any(note.endswith("of no one plain type: seen") for note in notes)


def test_an_export_to_another_trainer_leaves_nothing_of_the_first(kept: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(kept, "llama-factory", out)
    (out / "mine.txt").write_text("stays")
    done = export(kept, "trl", out, overwrite=True)
    assert {path.name for path in out.iterdir()} == {"kept.jsonl", "trl.yaml", "export.json", "mine.txt"}
    assert {path.name for path in done.removed} == {"dataset_info.json", "llama_factory.yaml"}
    record = json.loads((out / "export.json").read_text())
    assert [each["name"] for each in record["outputs"]] == ["kept.jsonl", "trl.yaml"]
    assert all(file_sha256(out / each["name"]) == each["sha256"] for each in record["outputs"])
    assert (record["to"], record["rows"]) == ("trl", 2)


def test_an_export_over_inputs_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    kept = write_selection(tmp_path, RECORDS)
    (tmp_path / "trl.yaml").symlink_to(tmp_path / "rows.jsonl")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"trl\.yaml is the input"):
        export(kept, "trl", tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_llama_factory_does_not_read_of_turns_is_named(tmp_path: Path) -> None:
    lines, notes, _ = lines_for(tmp_path, [*CHATS, AGENT], "llama-factory")
    assert "c0" not in json.dumps(lines)
    assert notes == [
        "fields of turns that llama-factory does not read, in 1 row (7): id of tool_calls, tool_call_id"
    ]


@pytest.mark.parametrize("target", TRAINERS)
def test_fields_that_share_a_name_with_a_column_are_named(target: str, tmp_path: Path) -> None:
    own = {"prompt": "p", "completion": "q", "text": "r", "labels": [1], "system": "s", "weight": 2, "id": 7}
    turns = [{"role": "system", "content": "t"}, *CHATS[0]["messages"]]
    (line,), notes, out = lines_for(tmp_path, [{**own, "messages": turns}], target)
    said = line.get("messages") or [*line["prompt"], *line["completion"]]
    assert said == turns
    assert {name: line[name] for name in ("weight", "id")} == {"weight": 2, "id": 7}
    assert [note.rpartition(": ")[2] for note in notes] == ["completion, labels, prompt, system, text"]
    assert "message_field_training" not in "".join(path.read_text() for path in out.iterdir())


@pytest.mark.parametrize("name", ["label", "kto_tag"])
def test_labels_go_under_the_name_that_the_trainer_has_for_them(name: str, tmp_path: Path) -> None:
    rows = [{**chat, name: number % 2 == 0} for number, chat in enumerate(CHATS)]
    for target, column in (("trl", "label"), ("llama-factory", "kto_tag")):
        (tmp_path / target).mkdir()
        lines, notes, out = lines_for(tmp_path / target, rows, target)
        assert [line[column] for line in lines] == [True, False] * 3
        assert not notes
        if target == "llama-factory":
            entry = json.loads((out / "dataset_info.json").read_text())["kept"]
            assert entry["columns"]["kto_tag"] == "kto_tag"
        else:
            assert "trl kto" in (out / "trl.yaml").read_text()


def test_labels_that_are_numbers_are_answers_and_said_to_be(tmp_path: Path) -> None:
    rows = [{**chat, "label": number % 2} for number, chat in enumerate(CHATS[:2])]
    _, notes, _ = lines_for(tmp_path, rows, "trl")
    assert notes[0].startswith("a label of 0 or 1 in 2 rows (1, 2): trl trains on the answer all the same")


def test_answers_that_are_dates(tmp_path: Path) -> None:
    """What `load_dataset` makes of them is said; the script for unsloth does not read by it."""
    rows = [{"prompt": "when", "completion": f"2024-01-0{n}"} for n in range(1, 4)]
    for target in ("trl", "unsloth"):
        (tmp_path / target).mkdir()
        _, notes, out = lines_for(tmp_path / target, rows, target)
        assert [note.partition(":")[0] for note in notes] == (
            ["every text of completion is a date"] if target == "trl" else []
        )
    assert "from datasets import Dataset\n" in (out / "unsloth_sft.py").read_text()


def test_values_that_have_no_place_in_json_or_utf8(tmp_path: Path) -> None:
    odd = {"score": float("nan"), "far": 2**70, "half": "\ud800"}
    lines, notes, _ = lines_for(tmp_path, [{**RECORDS[0], **odd}, RECORDS[1]], "trl")
    assert lines[0]["half"] == "\ud800"
    assert notes[0].endswith("no one plain type: score, far")


def test_the_longest_row_is_measured(tmp_path: Path) -> None:
    rows = [*RECORDS, {"instruction": "é" * 500, "input": "", "output": "y"}]
    length = export(write_selection(tmp_path, rows, list(range(7))), "trl", tmp_path / "out").lengths
    turns = pool(rows[6]).whole(0).turns
    assert (length.longest, length.turns, length.size) == (
        7,
        2,
        len(json.dumps(turns, ensure_ascii=False).encode()),
    )
    assert length.tokens == -(-length.size // 3) + 32
    assert length.window == -(-length.tokens // 256) * 256


def test_rows_are_measured_by_the_tokenizer_of_a_model(model_folder: Path, tmp_path: Path) -> None:
    """Its own window bounds that of the configuration, and rows beyond it are named."""
    folder = tmp_path / "a: model"
    shutil.copytree(model_folder, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": 40}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": TEMPLATE}))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    long = {"messages": [{"role": "user", "content": "x " * 99}, {"role": "assistant", "content": "y"}]}
    rows = [*CHATS[:2], long]
    tokenizer = load_tokenizer(str(folder))
    for target in TRAINERS:
        (tmp_path / target).mkdir()
        kept = write_selection(tmp_path / target, rows, [0, 1, 2])
        done = export(kept, target, tmp_path / target / "out", model=str(folder))
        text = "<user>" + "x " * 99 + "</user><assistant>y</assistant>"
        tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        assert (done.lengths.longest, done.lengths.tokens, done.lengths.window) == (3, tokens, 40)
        assert "longer than the 40 tokens" in done.notes[0]
        assert "1 row (3)" in done.notes[0]
        written = (tmp_path / target / "out").iterdir()
        settings = next(path.read_text() for path in written if path.suffix in (".yaml", ".py"))
        if target == "unsloth":
            assert f'from_pretrained("{folder}", ' in settings
        else:
            assert str(folder) in yaml.safe_load(settings).values()


def test_a_model_without_a_template_is_refused(model_folder: Path, kept: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no chat template"):
        export(kept, "trl", tmp_path / "out", model=str(model_folder))


def test_the_longest_row_fits_the_window_that_is_set(tmp_path: Path) -> None:
    rows = [*RECORDS, {"instruction": "x" * 9000, "input": "", "output": "y"}]
    _, _, out = lines_for(tmp_path, rows, "llama-factory")
    window = yaml.safe_load((out / "llama_factory.yaml").read_text())["cutoff_len"]
    assert window >= 9000 / 3
    assert window % 256 == 0
    assert estimated({1: pool({"text": "a"}).whole(0)}).window == 256


def test_plain_text_goes_as_text(tmp_path: Path) -> None:
    kept = write_selection(tmp_path, [{"text": f"text {n}"} for n in range(6)])
    lines = export(kept, "axolotl", tmp_path / "out").files[0].read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "text 1"}, {"text": "text 4"}]


def test_kept_rows_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, without the source, from standard input, by the kept file."""
    for source in ("", "-", "gone.jsonl"):
        folder = tmp_path / (source.strip(".-") or f"from{len(source)}")
        folder.mkdir()
        kept = write_selection(folder, RECORDS, [4, 1], source)
        (folder / "rows.jsonl").unlink()
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        by_folder = export(kept, "trl", Path("by-folder")).files[0].read_bytes()
        assert export(kept.with_name("kept.jsonl"), "trl", Path("by-file")).files[0].read_bytes() == by_folder
        assert by_folder.count(b"\n") == 2


def test_what_cannot_be_exported_is_one_line(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use trl, axolotl"):
        export(kept, "keras", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for place in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(InputError, match="holds files"):
            export(kept, "trl", place)
    with pytest.raises(InputError, match="is no selection"):
        export(tmp_path / "rows.jsonl", "trl", tmp_path / "out")
    (kept.parent / "rows.jsonl").write_text(json.dumps(RECORDS[0]) + "\n")
    with pytest.raises(InputError, match=r"rows\.jsonl was changed since"):
        export(kept, "trl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_kept_file_is_not_exported(tmp_path: Path) -> None:
    kept = write_selection(tmp_path, RECORDS, [4, 1], "-")
    kept.with_name("kept.jsonl").write_text(json.dumps(RECORDS[0]) + "\n")
    # Standard input that was saved beside the folder is found by its hash.
    assert export(kept, "trl", tmp_path / "from-source").rows == 2
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(InputError, match=r"kept.jsonl was changed since .* standard input"):
        export(kept, "trl", tmp_path / "out")


def test_rows_that_a_trainer_does_not_train_on_are_refused(tmp_path: Path) -> None:
    prompts = [{"messages": [{"role": "user", "content": f"ask {n}"}]} for n in range(6)]
    with pytest.raises(InputError, match=r"trl trains on answers, plain text.* the kept rows hold no answer"):
        export(write_selection(tmp_path, prompts), "trl", tmp_path / "out")
