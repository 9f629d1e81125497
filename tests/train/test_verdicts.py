"""docs/verdicts.md says what the saved results say, and neither names a machine."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("verdicts", ROOT / "benchmarks" / "verdicts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "verdicts", module)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_what_the_results_make(verdicts: ModuleType) -> None:
    assert verdicts.DOCUMENT.read_text(encoding="utf-8") == verdicts.document()


def test_results_are_taken_in_without_paths(verdicts: ModuleType, tmp_path: Path) -> None:
    taken = sorted(verdicts.RESULTS.glob("*.json"))
    assert taken
    for path in taken:
        assert "/tmp/" not in path.read_text(encoding="utf-8")
    record = json.loads(taken[0].read_text(encoding="utf-8"))
    request = record["result"]["request"]
    request |= {"model": "/some/where/model", "sources": ["/some/where/rows.jsonl"]}
    record["result"]["verdict"] = ["Measured with /some/where/model."]
    (tmp_path / "comparison.json").write_text(json.dumps(record["result"]), encoding="utf-8")
    found = verdicts.without_paths(tmp_path, "A model")
    assert found["request"]["model"] == "A model"
    assert found["request"]["sources"] == ["rows.jsonl"]
    assert found["verdict"] == ["Measured with A model."]
