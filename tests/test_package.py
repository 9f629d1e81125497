"""The package as it is published: built from its own source archive, tried where nothing else of it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import evenly

ROOT = Path(__file__).parents[1]
BACKEND = (
    "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
)
NOT_PUBLISHED = {".pyc", ".nbi", ".nbc"}


def build(source: Path, what: str, out: Path) -> Path:
    """Asks the build backend of pyproject.toml, as any front end does, with the setuptools that is here."""
    done = subprocess.run(
        [sys.executable, "-c", BACKEND, f"build_{what}", str(out)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from what is in it."""
    place = tmp_path_factory.mktemp("package")
    copy = shutil.copytree(
        ROOT, place / "copy", ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "shared")
    )
    sdist = build(copy, "sdist", place)
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return sdist, build(unpacked, "wheel", place)


@pytest.mark.slow
def test_everything_comes_along(archives: tuple[Path, Path]) -> None:
    source = Path(evenly.__file__).parent
    here = {
        f"evenly/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and path.suffix not in NOT_PUBLISHED
    }
    names = set(zipfile.ZipFile(archives[1]).namelist())
    assert here - names == set()
    assert {name for name in names if ".dist-info/" not in name} - here == set()
    assert any(name.endswith("/LICENSE") for name in names)
    with tarfile.open(archives[0]) as sdist:
        top = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= top


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(archives: tuple[Path, Path], tmp_path: Path) -> None:
    """Its requirements are lent by this environment, whose own `evenly` stays outside."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(archives[1])], check=True)
    vectors = np.random.default_rng(0).standard_normal((20, 4)).round(3).tolist()
    rows = [{"text": f"row {number}", "v": vector} for number, vector in enumerate(vectors)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def call(program: str, *arguments: str) -> str:
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [programs / program, *arguments], cwd=tmp_path, env=alone, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = Path(call("python", "-c", "import evenly; print(evenly.__file__)").strip())
    assert where.is_relative_to(tmp_path)
    assert call("evenly", "--version") == f"evenly {evenly.__version__}\n"
    assert "select" in call("evenly", "--help")
    assert "kept 10 of 20 rows" in call(
        "evenly", "select", "pool.jsonl", "--keep", "50%", "--out", "kept.jsonl", "--encoder", "column:v"
    )
    assert (tmp_path / "kept.evenly" / "report.html").stat().st_size > 100_000
    assert "all checks passed" in call("evenly", "verify", "kept.evenly")
    recipe = "from evenly.train.recipes import read_recipe; print(read_recipe('small/ce'))"
    assert "cross-entropy" in call("python", "-c", recipe)


def test_the_version_is_said_once() -> None:
    said = [
        path
        for path in [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *(ROOT / "src").rglob("*.py")]
        if evenly.__version__ in path.read_text(encoding="utf-8")
    ]
    assert said == [Path(evenly.__file__)]
