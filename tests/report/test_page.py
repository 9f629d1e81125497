"""The page as a file: what is in it, what must never be, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from evenly.errors import InputError
from evenly.report.page import write_report
from tests.report.folders import small_folder

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_folder(
        tmp_path_factory.mktemp("page") / "kept.evenly", rows=60, keep=25, texts=[(HOSTILE, HOSTILE)] * 60
    )


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def scripts(html: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)


def test_the_policy_allows_exactly_the_scripts_of_the_page(html: str) -> None:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    policy = found.group(1).replace("&#39;", "'")
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in scripts(html)
    ]
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src {' '.join(hashes)};" in policy
    assert "unsafe-eval" not in policy


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    own = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(?:link|img|iframe|object|embed)\b|\bsrc=[\"']?http|url\(|@import", own)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', own))


def test_row_text_is_never_markup(html: str) -> None:
    assert "<img" not in html
    assert "<script>document.title" not in html
    assert len(scripts(html)) == 3


def test_the_data_block_is_json(html: str) -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert found is not None
    data = json.loads(found.group(1))
    assert data["pool"] == 60
    assert data["rows"]["prompt"][0] == HOSTILE


def test_the_page_comes_after_the_order_of_what_matters(html: str) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert titles == [
        "The pool, and what was kept of it",
        "Before, at random, after",
        "Look closer",
        "How far apart, at every size",
        "Distance to the nearest other row",
        "The closest pairs",
        "Why was this row dropped?",
        "The first picks",
        "Lengths and columns, kept against pool",
        "How it was made",
    ]


def test_the_same_folder_gives_the_same_page(folder: Path, html: str) -> None:
    assert write_report(folder).read_text(encoding="utf-8") == html


def test_a_page_without_measures_leaves_their_sections_out(folder: Path, tmp_path: Path) -> None:
    bare = small_folder(tmp_path / "bare", rows=20, keep=1)
    (bare / "measures.json").unlink()
    html = write_report(bare).read_text(encoding="utf-8")
    assert 'id="nearest-title"' not in html
    assert 'id="curve-title"' not in html
    assert 'id="picks-title"' in html


def test_a_sample_is_said(folder: Path, tmp_path: Path) -> None:
    html = write_report(small_folder(tmp_path / "many", rows=50, keep=20), limit_points=10).read_text(
        encoding="utf-8"
    )
    assert 'id="sample-note"' in html
    assert '"mapped":10' in html


def test_umap_shows_the_coordinates_it_is_given(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=10, keep=4)
    page = write_report(folder, map="umap", coordinates=np.arange(20.0).reshape(10, 2))
    html = page.read_text(encoding="utf-8")
    assert "a UMAP projection" in html
    assert '"x":[0.0,2.0,4.0' in html


def test_what_does_not_fit_is_refused_and_the_old_page_stays(folder: Path, html: str) -> None:
    with pytest.raises(InputError, match="`map` 'tsne' is not known"):
        write_report(folder, map="tsne")
    with pytest.raises(InputError, match="coordinates belong to a map"):
        write_report(folder, map="umap")
    with pytest.raises(InputError, match="coordinates belong to a map"):
        write_report(folder, coordinates=np.zeros((60, 2)))
    with pytest.raises(InputError, match=r"shape \(60, 2\); got shape \(3, 2\)"):
        write_report(folder, map="umap", coordinates=np.zeros((3, 2)))
    with pytest.raises(InputError, match="limit_points must be at least 1"):
        write_report(folder, limit_points=0)
    assert (folder / "report.html").read_text(encoding="utf-8") == html
    assert not list(folder.glob(".*.tmp"))


def test_the_libraries_are_the_ones_that_were_published() -> None:
    vendor = files("evenly.report").joinpath("vendor")
    for library in json.loads(vendor.joinpath("vendor.json").read_text()):
        source = vendor.joinpath(library["file"]).read_bytes()
        assert hashlib.sha256(source).hexdigest() == library["sha256"]
        assert b"</script" not in source.lower()
        assert b"eval(" not in source
        assert library["notice"].startswith("Copyright")
