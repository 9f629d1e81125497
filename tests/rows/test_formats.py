"""What the ending of a name says, and a format that is added by registration alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from evenly.folder.place import selection_folder
from evenly.rows import formats
from evenly.rows.formats import ending_of, kind_of, stem_of
from evenly.rows.json_files import JSON_LINES
from evenly.rows.json_lines import JsonLines
from evenly.rows.sources import read_rows
from evenly.rows.writing import write_rows


@pytest.mark.parametrize("ending", [*(one for each in formats.FORMATS for one in each.endings), ".JSONL"])
@pytest.mark.parametrize("packed", ["", ".gz", ".xz", ".zst", ".GZ"])
def test_every_ending_leaves_the_name(ending: str, packed: str) -> None:
    assert stem_of(f"v1.2/kept.v1.5{ending}{packed}") == "kept.v1.5"
    assert ending_of(f"v1.2/kept.v1.5{ending}{packed}") == ending + packed
    assert selection_folder(f"out/kept{ending}{packed}") == Path("out/kept.evenly")


@pytest.mark.parametrize("name", ["kept", "kept.txt", "kept.gz", ".jsonl", "kept.jsonl.lz4"])
def test_names_without_a_known_ending_stay(name: str) -> None:
    assert (kind_of(name), ending_of(name), stem_of(name)) == (None, "", name)


def test_a_folder_of_kept_files_keeps_its_dots(tmp_path: Path) -> None:
    assert selection_folder("out/kept.v1/") == Path("out/kept.v1.evenly")
    (tmp_path / "kept.v1").mkdir()
    assert selection_folder(str(tmp_path / "kept.v1")) == tmp_path / "kept.v1.evenly"


class Shouted(JsonLines):
    """JSON Lines in capitals."""

    format = "shouted"


TOY = dataclasses.replace(
    JSON_LINES,
    name="shouted",
    endings=(".shout",),
    read=lambda name, data, scratch: Shouted(name, bytes(data).lower()),
)


def test_a_format_is_added_by_its_line_in_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, TOY))
    (tmp_path / "a.shout").write_text('{"TEXT": "ONE"}\n{"TEXT": "TWO"}\n')
    rows = read_rows([str(tmp_path / "a.shout")])
    assert list(rows.texts()) == ["one", "two"]
    for name in ("b.shout.gz", "b.json"):
        write_rows(rows, [1], tmp_path / name)
        assert list(read_rows([str(tmp_path / name)]).texts()) == ["two"]
    assert selection_folder("b.shout.gz") == Path("b.evenly")
