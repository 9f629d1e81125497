"""The file for Embedding Atlas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenly.errors import InputError
from evenly.folder.selection import SelectionFolder
from evenly.report.atlas import write_atlas
from tests.report.folders import small_folder, write_folder


def test_it_holds_every_row_with_its_place_and_keeper(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=50, keep=20)
    saved = SelectionFolder.open(folder)
    table = pq.read_table(write_atlas(folder, tmp_path / "atlas.parquet"))
    assert table.num_rows == 50
    assert table["kept"].to_pylist() == (saved.rank >= 0).tolist()
    assert table["text"][3].as_py() == f"{saved.prompt[3]}\n\n{saved.response[3]}"
    np.testing.assert_array_equal(table["x"].to_numpy(), saved.coordinates[:, 0])
    for row, neighbours in enumerate(table["neighbors"].to_pylist()):
        dropped = saved.rank[row] < 0
        assert neighbours["ids"] == [saved.keeper[row] if dropped else row]
        assert neighbours["distances"] == [saved.keeper_distance[row] if dropped else 0]
    assert table["topic"].to_pylist() == saved.fields["topic"].to_pylist()


def test_a_field_never_hides_a_column_and_anchors_are_no_neighbours(tmp_path: Path) -> None:
    order = np.array([0]), np.array([0.7]), np.array([0, 3, 0]), np.array([0.0, 0.1, 0.2])  # 3 is anchor 0
    folder = write_folder(
        tmp_path / "kept.evenly",
        order=order,
        texts=[("only a prompt", "")] * 3,
        coordinates=np.eye(3)[:, :2],
        fields={"kept": ["mine"] * 3},
    )
    table = pq.read_table(write_atlas(folder, tmp_path / "atlas.parquet"))
    assert table["kept"].to_pylist() == [True, False, False]
    assert table["field_kept"].to_pylist() == ["mine"] * 3
    assert [entry["ids"] for entry in table["neighbors"].to_pylist()] == [[0], [1], [0]]
    assert table["text"].to_pylist() == ["only a prompt"] * 3


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=12, keep=4)
    with pytest.raises(InputError, match=r"must end in \.parquet"):
        write_atlas(folder, tmp_path / "atlas.csv")
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        write_atlas(folder, tmp_path / "nowhere" / "atlas.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.evenly"]
