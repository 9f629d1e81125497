"""The rows of the demo: real, parsed without importing, and the same every time."""

from __future__ import annotations

import sys

from evenly.rows.documentation import documentation_rows


def test_documentation_rows() -> None:
    before = set(sys.modules)
    seen: list[int] = []
    rows = documentation_rows(300, progress=lambda stage, done, total: seen.append(done))
    assert len(rows) == 300
    assert rows == documentation_rows(300)
    assert seen == [100, 200, 300, 300]
    assert not {"this", "antigravity", "turtle"} & (set(sys.modules) - before)
    assert all(set(row) == {"instruction", "input", "output", "module"} for row in rows)
    assert all(row["instruction"].startswith("Document the ") and len(row["output"]) >= 40 for row in rows)
