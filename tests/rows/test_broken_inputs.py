"""A thousand random and broken inputs: each is read right, or refused in one clear line."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from evenly.errors import InputError
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


def test_names_of_fields_do_not_break_a_message() -> None:
    with pytest.raises(InputError, match=r"found: 'pro\\nmpt'. Name the field") as caught:
        pool({"pro\nmpt": "x"})
    assert "\n" not in str(caught.value)


def test_steps_that_are_no_list_are_no_steps() -> None:
    assert pool({"prompt": None, "completions": None, "labels": [True], "text": "t"}).texts()[0] == "t"
    with pytest.raises(InputError, match="row 1 of standard input has no text"):
        pool({"prompt": None, "completions": None, "labels": None})
