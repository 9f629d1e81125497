"""A thousand random and broken inputs: each is read right, or refused in one clear line."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from evenly.errors import InputError
from evenly.rows.sources import read_rows
from evenly.rows.writing import write_rows
from tests.rows.test_forms import pool

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "broken_inputs.py"
COUNT = 1000 if os.environ.get("EVENLY_EXAMPLES") == "ci" else 200


def test_inputs_are_read_right_or_refused_in_a_line() -> None:
    spec = importlib.util.spec_from_file_location("broken_inputs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["broken_inputs"] = script
    spec.loader.exec_module(script)
    said = [script.run(number) for number in range(COUNT)]
    assert 0.1 * COUNT < said.count("read") < COUNT


def test_turns_with_a_field_of_nulls_alone_are_written(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "q", "name": None},
        {"role": "assistant", "content": "a", "name": None},
    ]
    table = pa.Table.from_pylist([{"messages": turns}, {"messages": turns[:1]}])
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    write_rows(read_rows([str(tmp_path / "a.arrow")]), [0], tmp_path / "kept.arrow")
    kept = pa.ipc.open_file(tmp_path / "kept.arrow").read_all()
    assert (kept.schema, kept.to_pylist()) == (table.schema, table.to_pylist()[:1])


def test_null_and_nan_are_one_value() -> None:
    found = pool({"text": "t", "n": None}, {"text": "t", "n": float("nan")}, {"text": "t", "n": 1}).same_text
    assert (found.rows.tolist(), found.copies, found.fields) == ([2], 1, {"n": 1})


def test_names_of_fields_do_not_break_a_message() -> None:
    with pytest.raises(InputError, match=r"found: 'pro\\nmpt'. Name the field") as caught:
        pool({"pro\nmpt": "x"})
    assert "\n" not in str(caught.value)


def test_steps_that_are_no_list_are_no_steps() -> None:
    assert pool({"prompt": None, "completions": None, "labels": [True], "text": "t"}).texts()[0] == "t"
    with pytest.raises(InputError, match="row 1 of standard input has no text"):
        pool({"prompt": None, "completions": None, "labels": None})
