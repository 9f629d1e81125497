"""Choosing rows by their vectors: the exact greedy max-min order over any pool."""

from evenly.selection.greedy import select

__all__ = ["select"]
