"""`evenly report` anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenly.errors import InputError
from evenly.jobs.report import report_folder
from evenly.request import SavedPoolRequest
from tests.report.folders import small_folder


def test_a_umap_map_of_too_few_rows_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=3, keep=2)
    with pytest.raises(InputError, match="takes at least 4 rows, and the pool has 3; use `map=pca`"):
        report_folder(SavedPoolRequest(str(folder)), map="umap")
