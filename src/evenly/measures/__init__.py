"""How even a set of rows is, how good that provably is, and whether a claimed order is right."""

from evenly.measures.certificate import Certificate, certificate
from evenly.measures.measure import measure
from evenly.measures.result import Measures
from evenly.measures.verify import Check, Claim, Departures, verify_bound, verify_order

__all__ = [
    "Certificate",
    "Check",
    "Claim",
    "Departures",
    "Measures",
    "certificate",
    "measure",
    "verify_bound",
    "verify_order",
]
