#!/usr/bin/env bash
# TRL: a data set's `fraction` of 0.1 keeps all of its rows, or as many as another data set allows.
#
# Guess: `fraction: 0.1` trains on the first tenth of a data set, whatever stands beside it.
# Seen: fractions are divided by their sum first, and then as many rows are taken as no data set runs out of. One data
#   set with 0.1 keeps 1,000 of 1,000 rows. Two of 1,000 rows with 0.1 each keep all 2,000. Beside 0.9 of a set of 10,000
#   the first gives all its rows; beside 0.9 of a set of 90 it gives 10.
# For our users: a tenth of a file is not had by `fraction: 0.1`. Cut the file (`evenly slice --keep 10% --order picked`);
#   in a mixture the sizes of the *other* files decide how many rows of a file are trained on.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 trl==1.16.0 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$work/home"
venv/bin/python - <<'PY' 2>/dev/null
import json
import sys
from pathlib import Path

import trl
from trl import DatasetMixtureConfig, get_dataset
from trl.scripts.utils import DatasetConfig

print(f"trl {trl.__version__}")


def part(name, rows, fraction):
    Path(f"{name}.jsonl").write_text("".join(json.dumps({"text": f"{name} {row}"}) + "\n" for row in range(rows)))
    return DatasetConfig("json", data_files=f"{name}.jsonl", fraction=fraction)


def kept(*parts):
    """How many rows of each data set are in the mixture."""
    rows = get_dataset(DatasetMixtureConfig([part(*one) for one in parts]))["train"]["text"]
    counts = [sum(row.startswith(f"{name} ") for row in rows) for name, _, _ in parts]
    print(", ".join(f"{fraction} of {size:,}" for _, size, fraction in parts), "->", counts)
    return counts


seen = [
    kept(("a", 1000, 0.1)),
    kept(("b", 1000, 0.1), ("c", 1000, 0.1)),
    kept(("d", 1000, 0.1), ("e", 10000, 0.9)),
    kept(("f", 1000, 0.1), ("g", 90, 0.9)),
]
sys.exit(seen != [[1000], [1000, 1000], [1000, 9000], [10, 90]])
PY
