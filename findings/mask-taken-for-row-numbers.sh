#!/usr/bin/env bash
# A mask of kept rows, given to datasets, is read as the row numbers 0 and 1.
#
# Guess: `dataset.select(mask)` and `dataset[mask]` keep the rows where the mask is true, as NumPy, pandas, Polars
#   and pyarrow do, or raise.
# Seen: both give as many rows as before, each of them a copy of row 0 or row 1, without a word. A list of Python's
#   own True and False or a pandas series raises in `select`; in `dataset[...]` such a list passes too.
# For our users: a training set of two rows repeated has the right length, schema and file size, and trains to a
#   very small loss. Turn masks to numbers first: `select(numpy.flatnonzero(mask))`.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$work/home"
nice -n 10 venv/bin/python - <<'PY'
import sys

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa

print(f"datasets {datasets.__version__}, pyarrow {pa.__version__}, pandas {pd.__version__}, numpy {np.__version__}")
TEXTS = list("abcdef")
data, frame = datasets.Dataset.from_dict({"text": TEXTS}), pd.DataFrame({"text": TEXTS})
mask = np.array([True, False, False, True, False, True])


def attempt(call):
    try:
        return "".join(call())
    except Exception as error:
        return type(error).__name__


seen = {
    "numpy": attempt(lambda: np.array(TEXTS)[mask]),
    "pandas": attempt(lambda: frame[mask].text),
    "pyarrow": attempt(lambda: pa.table(frame).filter(mask)["text"].to_pylist()),
    "select(mask)": attempt(lambda: data.select(mask)["text"]),
    "select(list of numpy booleans)": attempt(lambda: data.select(list(mask))["text"]),
    "select(pandas series)": attempt(lambda: data.select(frame.text.isin(list("adf")))["text"]),
    "select(list of booleans)": attempt(lambda: data.select(mask.tolist())["text"]),
    "dataset[mask]": attempt(lambda: data[mask]["text"]),
    "dataset[list of booleans]": attempt(lambda: data[mask.tolist()]["text"]),
    "select(flatnonzero(mask))": attempt(lambda: data.select(np.flatnonzero(mask))["text"]),
}
for name, value in seen.items():
    print(f"{name:34}{value}")
right, copies = "adf", "baabab"
expected = [right] * 3 + [copies] * 2 + ["ArrowTypeError"] * 2 + [copies] * 2 + [right]
sys.exit([*seen.values()] != expected)
PY
