"""The textbook greedy order, one pick at a time: what every fast path is held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Textbook:
    rows: list[int]
    squared_radii: list[float]
    keeper: np.ndarray
    squared_distance: np.ndarray


def halving_sum(values: np.ndarray) -> np.ndarray:
    """Sums the last axis by halving, as the definition of distance asks; (M, d) float64 to (M,)."""
    values = values.copy()
    width = values.shape[1]
    while width > 1:
        half = (width + 1) // 2
        values[:, : width - half] += values[:, half:width]
        width = half
    return values[:, 0]


def squared_distances_to(rows: np.ndarray, point: np.ndarray) -> np.ndarray:
    difference = rows.astype(np.float64) - point.astype(np.float64)
    return halving_sum(difference * difference)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float64)
    squared_length = halving_sum(wide * wide)[:, None]
    unit_already = np.abs(squared_length - 1) <= 2.0**-21
    return np.where(unit_already, wide, wide / np.sqrt(squared_length)).astype(np.float32)


def textbook_order(
    rows: np.ndarray, count: int, start: int | None, anchors: np.ndarray | None = None
) -> Textbook:
    """Greedy max-min: lowest row number among equals, picks stop at distance 0, the earlier keeper stays."""
    number = len(rows)
    squared = np.full(number, np.inf)
    keeper = np.full(number, -1)
    picked: list[int] = []
    radii: list[float] = []

    def cover(point: np.ndarray, label: int) -> None:
        distance = squared_distances_to(rows, point)
        nearer = distance < squared
        squared[nearer] = distance[nearer]
        keeper[nearer] = label
        if label < number:
            squared[label], keeper[label] = 0.0, label

    for i, anchor in enumerate(anchors if anchors is not None else []):
        cover(anchor, number + i)
    if start is not None:
        picked.append(start)
        radii.append(float(squared[start]))
        cover(rows[start], start)
    while len(picked) < count:
        candidates = squared.copy()
        candidates[picked] = -1.0
        row = int(candidates.argmax())
        if candidates[row] <= 0:
            break
        picked.append(row)
        radii.append(float(candidates[row]))
        cover(rows[row], row)
    return Textbook(picked, radii, keeper, squared)
