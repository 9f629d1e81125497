"""Choosing rows by their vectors: the exact greedy max-min order over any pool."""

from evenly.engine.greedy import select

__all__ = ["select"]
