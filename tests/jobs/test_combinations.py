"""Random combinations of flags: 300, or as many as EVENLY_COMBINATIONS says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.jobs.combinations import make_files, random_flags, run_one


@pytest.mark.slow
def test_random_flags_end_in_a_result_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_files(tmp_path)
    rng = np.random.default_rng(int(os.environ.get("EVENLY_COMBINATIONS_SEED", "0")))
    kept = 0
    count = int(os.environ.get("EVENLY_COMBINATIONS", "300"))
    for number in range(count):
        flags = random_flags(rng)
        try:
            kept += run_one(tmp_path, flags, verify=number % 3 == 0) == "kept"
        except Exception as error:
            raise AssertionError(
                f"run {number}: evenly select pool.jsonl {' '.join(flags)}: {error!r}"
            ) from error
        capsys.readouterr()
    assert 0.2 < kept / count < 0.9
