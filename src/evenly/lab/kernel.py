"""The empirical tangent kernel of a network at one point of training: Jacobian, spectrum, and what bounds it.

Notation: J (N, P) holds the gradients g_i of the outputs, K = J J^T, r the residuals, L = |r|^2 / (2 N).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.spatial.distance import pdist
from torch import Tensor

from evenly.lab.networks import Network, Values, on
from evenly.types import Float64Array


def jacobian(network: Network, theta: Tensor, x: Values) -> Tensor:
    """J (N, P): row i is the gradient of the output at point i. ``theta`` is (P,), ``x`` (N, d)."""
    points = on(theta, x)
    derivative: Tensor = torch.func.jacrev(lambda parameters: network(parameters, points))(theta)
    return derivative.detach()


def eigenvalues(rows: Tensor) -> Float64Array:
    """The N eigenvalues of K = J J^T, largest first, as squared singular values of J.

    The route matters: forming K first loses every eigenvalue below 1e-16 of the largest; the singular values
    of J keep them down to 1e-32.
    """
    singular = torch.linalg.svdvals(rows).cpu().numpy()
    padded = np.zeros(len(rows))
    padded[: len(singular)] = singular
    return padded**2


def rounding(eigenvalue: Float64Array) -> float:
    """How far lambda_min from `eigenvalues` may lie from its exact value: 2 e sqrt(l_max l_min) + e^2 l_max.

    Here e = 16 N machine epsilons bounds the relative error of the singular values.
    """
    relative = 16 * len(eigenvalue) * np.finfo(np.float64).eps
    return float(2 * relative * np.sqrt(eigenvalue[0] * eigenvalue[-1]) + relative**2 * eigenvalue[0])


def pair_bounds(rows: Tensor) -> Float64Array:
    """|g_i - g_j|^2 / 2 for every pair i < j, (N (N - 1) / 2,): each is at least lambda_min(K).

    Proof: the unit vector v = (e_i - e_j) / sqrt 2 has v^T K v = |J^T v|^2 = |g_i - g_j|^2 / 2. Differences
    are taken before squaring, so a tiny distance keeps its digits.
    """
    squared: Float64Array = pdist(rows.cpu().numpy(), "sqeuclidean")
    return squared / 2.0


def pl_ratio(rows: Tensor, residual: Tensor) -> float:
    """|grad L|^2 / (2 L) = |J^T r|^2 / (N |r|^2), which lies in [lambda_min / N, lambda_max / N]."""
    pulled = rows.T @ residual
    return float(pulled.square().sum() / (len(rows) * residual.square().sum()))


def top_curvature(network: Network, theta: Tensor, x: Values, y: Values, *, magnitude: bool = False) -> float:
    """The top eigenvalue of the Hessian of L at ``theta``: SciPy's Lanczos on Hessian-vector products.

    Args:
        network: the architecture.
        theta: (P,) parameters.
        x: (N, d) points.
        y: (N,) targets.
        magnitude: take the spectral norm, the largest eigenvalue of either sign, instead of the largest.
    """
    points, targets = on(theta, x), on(theta, y)

    def loss(parameters: Tensor) -> Tensor:
        return (network(parameters, points) - targets).square().mean() / 2

    # The Hessian is symmetric: a pull-back through the gradient is a Hessian-vector product, traced once.
    _, pull_back = torch.func.vjp(torch.func.grad(loss), theta)

    def product(vector: Float64Array) -> Float64Array:
        (curved,) = pull_back(torch.as_tensor(vector.reshape(-1), dtype=theta.dtype, device=theta.device))
        result: Float64Array = curved.detach().cpu().numpy()
        return result

    operator = LinearOperator((len(theta), len(theta)), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(len(theta))  # ARPACK's own start is not repeatable
    which = "LM" if magnitude else "LA"
    found = eigsh(operator, k=1, which=which, v0=start, tol=1e-3, return_eigenvectors=False)
    return abs(float(found[0])) if magnitude else float(found[0])
