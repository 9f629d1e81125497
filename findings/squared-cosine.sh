#!/usr/bin/env bash
# apricot's "cosine" is the square of the cosine: opposite vectors count as copies.
#
# Guess: FacilityLocationSelection(metric="cosine") works on the cosine, or cuts negative values at 0; three groups of
#   vectors, one opposite to the first and one at right angles, give three picks, one from each.
# Seen: the similarity is cos squared. A row at -1 gains as much as a copy, so no pick ever comes from the opposite
#   group; the whole gain is used up after two picks. A group at 120 degrees (cosine -0.5) counts as similar as one
#   at 60. "euclidean" takes one of each.
# For our users: harmless where all cosines are positive, as for most texts; for centred or whitened vectors and for
#   gradients, where half of the pairs are negative, whole sides of the pool stay out. Give cosines precomputed.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q apricot-select==0.6.1 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 numba==0.68.1
nice -n 10 venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from apricot import FacilityLocationSelection

print(*(f"{name} {version(name)}" for name in ("apricot-select", "numpy", "scikit-learn", "numba")), sep=", ")
GROUP = 20
NAMES = ("east", "west", "north")


def pool(*angles):
    """20 unit vectors about each angle in degrees, within a degree of it."""
    spread = np.random.default_rng(0).uniform(-1, 1, size=(len(angles), GROUP))
    turned = np.radians(np.array(angles)[:, None] + spread).ravel()
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


def picks(vectors, count, metric):
    found = FacilityLocationSelection(count, metric=metric).fit(vectors)
    return found.ranking // GROUP, found.gains


opposite = pool(0, 180, 90)
seen, gains = {}, {}
seen["cosine"], gains["cosine"] = picks(opposite, 3, "cosine")
seen["euclidean"], gains["euclidean"] = picks(opposite, 3, "euclidean")
seen["precomputed 1 + cosine"], gains["precomputed 1 + cosine"] = picks(1 + opposite @ opposite.T, 3, "precomputed")
for name, groups in seen.items():
    print(f"{name:24}{' '.join(NAMES[group] for group in groups):20}gains {np.round(gains[name], 3)}")
# One pick of three equal groups: what it gains from the others is their similarity to it.
wide, narrow = (picks(pool(0, angle), 1, "cosine")[1][0] / GROUP - 1 for angle in (120, 60))
print(f"similarity of a group at 120 degrees {wide:.2f}, at 60 degrees {narrow:.2f}, cosines -0.50 and 0.50")
others = [set(map(int, groups)) for name, groups in seen.items() if name != "cosine"]
alike = abs(wide - 0.25) < 0.02 and abs(narrow - 0.25) < 0.02
sides = {0, 1} <= set(map(int, seen["cosine"]))
sys.exit(sides or gains["cosine"][2] > 0.1 or not alike or any(found != {0, 1, 2} for found in others))
PY
