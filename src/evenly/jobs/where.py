"""Where a run works: what the request says of memory and machines."""

from __future__ import annotations

from evenly.engine.placing import PROCESSOR, Engine, read_memory
from evenly.errors import InputError
from evenly.jobs.request import SelectRequest
from evenly.vectors import Cache
from evenly.vectors.running import choose_device


def engine_of(request: SelectRequest) -> Engine:
    """Where selection works, as the request says: its products on the card that embeds, if there is one.

    Raises:
        InputError: a size that is none, a cluster address without the engine for it, or no such device.
    """
    if request.ray_address and request.engine != "ray":
        raise InputError("--ray-address is for --engine ray; add it, or leave the address out")
    memory = read_memory(request.memory) if request.memory else None
    device = choose_device(request.device)
    products = device if device.type == "cuda" else PROCESSOR  # others lack the float64 of exact distances
    return Engine(Cache.open().scratch, memory, request.engine == "ray", request.ray_address, products)
