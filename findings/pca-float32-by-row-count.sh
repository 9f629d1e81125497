#!/usr/bin/env bash
# scikit-learn's PCA of float32 rows loses small directions as soon as there are ten rows for each dimension.
#
# Guess: PCA centres the rows first, so a large constant in a coordinate does no harm, and one row more or less
#   changes nothing but the last digits.
# Seen: from 10 rows a dimension on (and at most 1,000 dimensions) the automatic solver is "covariance_eigh". It
#   subtracts the mean's square from X'X, in float32, rather than centring: with one coordinate near 3,000, as the
#   hidden states of language models have, small variances become 0 and whitened rows as large as 10^6, so that
#   almost no row keeps its nearest neighbour. At 639 rows of 64 numbers all do, at 640 almost none. No warning.
# For our users: whitening before a selection makes the selection random. Centre the rows, or ask for float64 or for
#   svd_solver="full".
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
nice -n 10 venv/bin/python - <<'PY'
import sys

import numpy as np
import scipy
import sklearn
from sklearn.decomposition import PCA

print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}")
DIMENSIONS = 64


def rows(count, offset):
    """(count, 64) float32 rows of deviations 1 … 0.2, the first coordinate moved by the offset."""
    made = np.random.default_rng(1).normal(size=(count, DIMENSIONS)) * np.linspace(1, 0.2, DIMENSIONS)
    made[:, 0] += offset
    return made.astype(np.float32)


def nearest(points):
    """The nearest other row of each row."""
    points = points.astype(np.float64)
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    return squared.argmin(1)


def look(name, data, **options):
    model = PCA(whiten=True, **options).fit(data)
    exact = data.astype(np.float64)
    true = PCA(whiten=True, svd_solver="full").fit(exact)
    white = model.transform(data)
    error = abs(model.explained_variance_ / true.explained_variance_ - 1).max()
    same = float((nearest(white) == nearest(true.transform(exact))).mean())
    print(f"{name:42}{model._fit_svd_solver:18}{error:<17.1e}{abs(white).max():<15.3g}{same:.1%}")
    return same


print(f"{'':42}{'solver':18}{'error, variance':17}{'largest value':15}same nearest row")
good = [
    look("639 rows, offset 3,000", rows(639, 3000)),
    look("640 rows, no offset", rows(640, 0)),
    look("640 rows, offset 3,000, solver named", rows(640, 3000), svd_solver="full"),
    look("640 rows, offset 3,000, centred before", rows(640, 3000) - rows(640, 3000).mean(0)),
    look("640 rows, offset 3,000, float64", rows(640, 3000).astype(np.float64)),
]
bad = look("640 rows, offset 3,000", rows(640, 3000))
sys.exit(min(good) < 0.99 or bad > 0.5)
PY
