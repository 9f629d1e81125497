"""Diversity scores from the literature. Equations, sources and what each misses: docs/measures.md."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenly.engine.blocks import on_all_cores
from evenly.engine.distance import squared_distances
from evenly.engine.neighbours import nearest
from evenly.measures.result import Diversity
from evenly.measures.sets import RowSet
from evenly.types import Float64Array, Int64Array, Progress, metric_distance, silent

PAIRS = 20_000_000
"""Pairs summed for energy, uniformity and NovelSum: all of a set of 4,400, else all pairs of some rows."""

CLUSTERS = 100
"""Part of the definition of the cluster entropy: at most log2(100) bits."""

CLUSTER_ROUNDS = 20
"""Part of the definition: Lloyd's rounds, whether or not they have settled."""

CLUSTER_SAMPLE = 20_000
"""Part of the definition: 200 rows for each centre."""

NOVELSUM_NEIGHBOURS = 10
"""The setting of its authors' code."""

_ROWS = 256
"""Rows whose distances to all are held at once on each core: 205 MB for 100,000 rows in float64."""


def vendi_score(rows: Tensor) -> float | None:
    """The Vendi score: exp of the entropy of the eigenvalues of K / n, K the cosine similarities.

    Source: Friedman & Dieng 2023, TMLR. K / n = X X^T / n has the eigenvalues of the d x d matrix X^T X / n,
        so the smaller of the two is taken:
    exact either way. Cost: n d min(n, d). None where a row is zero.

    Args:
        rows: (n, d) float32; divided by their lengths here.
    """
    count, width = rows.shape
    kernel = torch.zeros(min(count, width), min(count, width), dtype=torch.float64)
    for block in rows.split(count if count <= width else 4096):
        unit = block.double()
        length = unit.norm(dim=1, keepdim=True)
        if not bool(length.all()):
            return None
        unit /= length
        kernel += unit @ unit.T if count <= width else unit.T @ unit
    shares = torch.linalg.eigvalsh(kernel / count).clamp(min=0.0).numpy()
    shares = shares[shares > 0] / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def pair_rows(count: int, pairs: int, seed: int) -> Int64Array:
    """Rows whose pairs with the whole set are summed: all of a small set, else as many as the pairs allow."""
    wanted = max(pairs // count, 2)
    if wanted >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, wanted, replace=False))


def squared_distances_to_all(rows: Tensor, at: Int64Array) -> Tensor:
    """Squared distances of a few rows to all, from a float64 product, the small ones again by subtraction.

    A product loses about 1e-15 of the squared lengths; pairs nearer than a millionth of them are recomputed.

    Args:
        rows: (n, d) float32.
        at: (m,) int64.

    Returns:
        (m, n) float64; exactly 0 for equal rows.
    """
    centre = rows.double().mean(0) if len(rows) <= 4096 else rows[:4096].double().mean(0)
    picked = rows[torch.from_numpy(at)].double() - centre
    squared = torch.empty(len(at), len(rows), dtype=torch.float64)
    for start in range(0, len(rows), 4096):
        block = rows[start : start + 4096].double() - centre
        lengths = block.square().sum(1) + picked.square().sum(1)[:, None]
        part = lengths - 2 * (picked @ block.T)
        where, which = (part <= 1e-6 * lengths).nonzero(as_tuple=True)
        part[where, which] = squared_distances(rows, torch.from_numpy(at)[where], rows, which + start)
        squared[:, start : start + 4096] = part
    return squared


def pair_means(rows: Tensor, at: Int64Array) -> tuple[Float64Array, Float64Array]:
    """For each of some rows, the means over all other rows of 1 / r^2 and of exp(-2 r^2), (m,) each."""

    def work(part: Int64Array) -> tuple[Float64Array, Float64Array]:
        squared = squared_distances_to_all(rows, part).numpy()
        squared[np.arange(len(part)), part] = np.inf
        with np.errstate(divide="ignore"):
            energy = (1.0 / squared).sum(axis=1)
        return energy / (len(rows) - 1), np.exp(-2.0 * squared).sum(axis=1) / (len(rows) - 1)

    parts = on_all_cores(work, np.array_split(at, -(-len(at) // _ROWS)))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def mean_and_error(values: Float64Array, population: int) -> tuple[float, float]:
    """Mean of a sample of rows, and its standard error: 0 where the sample is everything."""
    mean = float(values.mean())
    if len(values) == population or not math.isfinite(mean):
        return mean, 0.0 if len(values) == population else math.inf
    return mean, float(values.std(ddof=1)) / math.sqrt(len(values)) * math.sqrt(1 - len(values) / population)


class PoolClusters:
    """k-means clusters of a pool (Lloyd's rounds from random rows, on at most 20,000 rows)."""

    def __init__(self, pool: Tensor, seed: int) -> None:
        random = np.random.default_rng(seed)
        sample = pool
        if len(pool) > CLUSTER_SAMPLE:
            picked = np.sort(random.choice(len(pool), CLUSTER_SAMPLE, replace=False))
            sample = pool[torch.from_numpy(picked)]
        self.count = min(CLUSTERS, len(pool))
        self.centres = sample[torch.from_numpy(random.choice(len(sample), self.count, replace=False))].clone()
        for _ in range(CLUSTER_ROUNDS):
            member = torch.from_numpy(self.members(sample))
            sizes = torch.bincount(member, minlength=self.count)
            sums = torch.zeros(self.centres.shape, dtype=torch.float64)
            sums.index_add_(0, member, sample.double())
            # A centre that lost all its rows stays where it is.
            self.centres[sizes > 0] = (sums[sizes > 0] / sizes[sizes > 0, None]).float()

    def members(self, rows: Tensor) -> Int64Array:
        """Number of the nearest centre, (n,) int64."""
        half = self.centres.double().square().sum(1).float() / 2
        nearest_centre = torch.cat([(block @ self.centres.T - half).argmax(1) for block in rows.split(4096)])
        member: Int64Array = nearest_centre.numpy()
        return member


def entropy_bits(member: Int64Array) -> float:
    """Entropy in bits of the shares of each value."""
    sizes = np.unique(member, return_counts=True)[1]
    shares = sizes / sizes.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def novelsum(chosen: RowSet, at: Int64Array, progress: Progress = silent) -> Float64Array:
    """Terms of NovelSum for some rows of the set, (m,) (Yang et al. 2025, with the settings of their code).

    Row i's term is sigma_i^(1/2) * sum_r d_(r) / r / sum_r 1 / r: its distances to the set in ascending
    order, itself included as the first, weighted by 1 / rank, times the root of its density sigma_i, one over
    the mean squared distance to its ten nearest distinct pool rows. The score is the mean over the set.
    """
    rows = chosen.set_rows
    distinct = chosen.points.distinct
    own = np.searchsorted(distinct, chosen.points.first_equal[chosen.rows[at]])
    neighbours = min(NOVELSUM_NEIGHBOURS, len(distinct) - 1)
    queries, keys = chosen.points.coded_of(chosen.rows[at]), chosen.points.coded_of(distinct)
    found = nearest(queries, keys, neighbours, own=own, progress=progress, stage="density")
    density = 1.0 / (found.squared_distance.mean(axis=1) + 1e-9)
    weights = 1.0 / np.arange(1, len(rows) + 1)
    weights /= weights.sum()

    def work(part: Int64Array) -> Float64Array:
        squared = squared_distances_to_all(rows, part).clamp_(min=0.0)
        novelty: Float64Array = (
            metric_distance(np.sort(squared.numpy(), axis=1), chosen.points.metric) @ weights
        )
        return novelty

    parts = on_all_cores(work, np.array_split(at, -(-len(at) // _ROWS)), progress, "NovelSum")
    terms: Float64Array = np.sqrt(density) * np.concatenate(parts)
    return terms


def cheap_scores(rows: Tensor, clusters: PoolClusters, pairs: int, seed: int) -> dict[str, float | None]:
    """The scores that random subsets are held against, and errors of two, by the names of `Diversity`."""
    scores: dict[str, float | None] = {"vendi": vendi_score(rows)}
    scores["cluster_entropy"] = entropy_bits(clusters.members(rows))
    if len(rows) > 1:
        energies, potentials = pair_means(rows, pair_rows(len(rows), pairs, seed))
        energy, energy_error = mean_and_error(energies, len(rows))
        potential, potential_error = mean_and_error(potentials, len(rows))
        scores |= {"riesz_energy": energy, "riesz_energy_error": energy_error}
        scores["uniformity"] = math.log(potential) if potential > 0 else -math.inf
        scores["uniformity_error"] = potential_error / potential if potential > 0 else 0.0
    return scores


def diversity_measures(
    chosen: RowSet, clusters: PoolClusters, seed: int, progress: Progress = silent
) -> Diversity:
    """All diversity scores of a set; see `evenly.measures.result.Diversity`."""
    rows = chosen.set_rows
    scores = cheap_scores(rows, clusters, PAIRS, seed)
    at = pair_rows(len(rows), PAIRS, seed)
    novelty = novelty_error = None
    if len(rows) > 1 and len(chosen.points.distinct) > 1:
        novelty, novelty_error = mean_and_error(novelsum(chosen, at, progress), len(rows))
    return Diversity(
        vendi=scores["vendi"],
        riesz_energy=scores.get("riesz_energy"),
        riesz_energy_error=scores.get("riesz_energy_error"),
        uniformity=scores.get("uniformity"),
        uniformity_error=scores.get("uniformity_error"),
        cluster_entropy=entropy_bits(clusters.members(rows)),
        clusters=clusters.count,
        novelsum=novelty,
        novelsum_error=novelty_error,
        pair_rows=len(at),
    )
