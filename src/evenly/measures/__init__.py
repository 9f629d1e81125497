"""How even a set of rows is, how good that provably is, and whether a claimed order is right."""

from evenly.measures.measure import measure
from evenly.measures.result import Measures

__all__ = ["Measures", "measure"]
