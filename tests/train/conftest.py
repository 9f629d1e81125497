"""Rows that can be learnt, and a model of a few thousand parameters made from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.train.models import Messages, save_tiny_causal_model, tiny_rows


@pytest.fixture(scope="session")
def rows() -> list[Messages]:
    return tiny_rows()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, rows: list[Messages]) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_causal_model(folder, rows)
    return folder


@pytest.fixture(scope="session")
def random() -> np.random.Generator:
    return np.random.default_rng(0)
