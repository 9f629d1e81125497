"""Archives as sources: read without unpacking them to where they say, and refused in a line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard

from evenly.errors import InputError
from evenly.rows.sources import read_rows
from evenly.rows.writing import write_rows

LINES = b'{"text": "a"}\n{"text": "b"}'
OTHER = b'\xef\xbb\xbf{"text": "c"}\r\n'
PACKERS = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": zstandard.compress,
}


def archive(place: Path, name: str, files: Mapping[str, bytes]) -> str:
    buffer = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            for member, data in files.items():
                packed.writestr(member, data)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for member, data in files.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    pack = next((pack for ending, pack in PACKERS.items() if name.endswith(ending)), bytes)
    (place / name).write_bytes(pack(buffer.getvalue()))
    return str(place / name)


@pytest.mark.parametrize("ending", [".zip", *PACKERS])
def test_lines_of_all_files_are_one_source(tmp_path: Path, ending: str) -> None:
    files = {
        "x/p1.jsonl": LINES,
        "x/p2.jsonl.gz": gzip.compress(OTHER),
        "README.md": b"#",
        "__MACOSX/._p1.jsonl": b"\0",
        "../../out.jsonl": b'{"text": "d"}',
    }
    rows = read_rows([archive(tmp_path, f"a{ending}", files)])
    assert list(rows.texts()) == ["a", "b", "c", "d"]
    write_rows(rows, [1, 2], tmp_path / "kept.jsonl")
    assert (tmp_path / "kept.jsonl").read_bytes() == b'{"text": "b"}\n{"text": "c"}\r\n'
    write_rows(rows, [0], f"{tmp_path}/kept/")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [f"a{ending}.jsonl"]
    assert not (tmp_path.parent.parent / "out.jsonl").exists()


def test_one_file_of_another_format(tmp_path: Path) -> None:
    rows = read_rows([archive(tmp_path, "a.zip", {"d/a.csv": b"text,n\na,1\n", "_SUCCESS": b""})])
    assert (list(rows.texts()), rows.field("n")) == (["a"], ["1"])


def test_archives_that_cannot_be_read(tmp_path: Path) -> None:
    csv = {"a.csv": b"text\na\n", "b.csv": b"text\nb\n"}
    session = (
        b'{"type": "session", "id": "s"}\n{"type": "message", "message": {"role": "user", "content": "q"}}\n'
    )
    (tmp_path / "torn.zip").write_bytes(
        Path(archive(tmp_path, "a.zip", {"a.jsonl": LINES})).read_bytes()[:40]
    )
    (tmp_path / "text.tar").write_bytes(b"text" * 400)
    link = tarfile.TarInfo("a.jsonl")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        tar.addfile(link)
    wrong = {
        archive(
            tmp_path, "two.zip", csv
        ): r"2 files that cannot be joined to one \(a.csv, b.csv …\); unpack it",
        archive(tmp_path, "s.tar", {"a.jsonl": session, "b.jsonl": session}): "cannot be joined to one",
        archive(tmp_path, "none.zip", {"a.txt": b"x"}): "holds no file of rows",
        str(tmp_path / "link.tar"): "holds no file of rows",
        str(tmp_path / "torn.zip"): "cannot be unpacked .*; fetch it again",
        str(tmp_path / "text.tar"): "cannot be unpacked .*; fetch it again",
        str(tmp_path / "gone.zip"): "does not exist",
    }
    for name, said in wrong.items():
        with pytest.raises(InputError, match=said) as caught:
            read_rows([name])
        assert "\n" not in str(caught.value)


def test_an_archive_is_read_before_there_is_a_scratch_folder(tmp_path: Path) -> None:
    source = archive(tmp_path, "a.zip", {"p.jsonl": LINES})
    assert list(read_rows([source], scratch=tmp_path / "cache" / "scratch").texts()) == ["a", "b"]


def test_an_archive_of_more_than_there_is_room_for(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a.jsonl")
    entry.size = 1 << 60
    (tmp_path / "a.tar").write_bytes(entry.tobuf() + LINES.ljust(1 << 16, b"\0"))
    with pytest.raises(InputError, match=r"and there is room for|cannot be unpacked"):
        read_rows([str(tmp_path / "a.tar")])
