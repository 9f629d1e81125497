"""The tables of a comparison from its result as JSON: what stands in them, and what older results lack."""

from __future__ import annotations

from typing import Any

from evenly.report.comparison_tables import arm_rows, look_rows, source_rows


def variant(**more: Any) -> dict[str, Any]:
    arm = {
        "arm": "random",
        "rows": [30, 30],
        "tokens_per_row": 50.0,
        "truncated": 0.0,
        "initial_loss": [3.0, 3.0],
        "own_loss": [1.0, 1.2],
        "random_test": [1.5, 1.7],
        "even_test": [1.6, 1.8],
        "seconds": [2.0, 2.0],
        "cost_seconds": [0.0, 0.0],
    }
    return {"arms": [arm | more], "zero_shot": None}


def test_the_untrained_model_stands_first_in_every_table() -> None:
    zero = {"random_test": 3.1, "even_test": 3.2, "by_source": {"a": 2.0, "b": 4.0}}
    looks = {
        f"{part}_{look}": [1.0, 1.5]
        for part in ("random_test", "even_test")
        for look in ("epochs", "answers")
    }
    found = variant(**looks, answers=[900, 1100], by_source={"a": [1.0, 1.0], "b": [2.0, 2.2]})
    found["zero_shot"] = zero
    tables = arm_rows(found), look_rows(found), look_rows(found, "even_test"), source_rows(found)
    assert [table[1][0] for table in tables] == ["zero-shot"] * 4
    assert [table[2][0] for table in tables] == ["random"] * 4
    assert tables[0][1][6:8] == ["3.1000", "3.2000"]
    assert tables[1][2] == ["random", "1,000", "1.6000 ± 0.1414", "1.2500 ± 0.3536", "1.2500 ± 0.3536"]
    assert tables[3][0] == ["arm", "a", "b"]
    assert tables[3][2] == ["random", "1.0000 ± 0.0000", "2.1000 ± 0.1414"]
    assert all(len({len(row) for row in table}) == 1 for table in tables)


def test_a_result_of_an_older_version_has_the_tables_it_had() -> None:
    found = variant()
    assert [row[0] for row in arm_rows(found)] == ["arm", "random"]
    assert look_rows(found) == source_rows(found) == []
