"""Where a run works: what the request says of memory and machines."""

from __future__ import annotations

from evenly.embed import Cache
from evenly.errors import InputError
from evenly.pipeline.request import SelectRequest
from evenly.selection.placing import Engine, read_memory


def engine_of(request: SelectRequest) -> Engine:
    """Where selection works, as the request says.

    Raises:
        InputError: a size that is none, or a cluster address without the engine for it.
    """
    if request.ray_address and request.engine != "ray":
        raise InputError("--ray-address is for --engine ray; add it, or leave the address out")
    memory = read_memory(request.memory) if request.memory else None
    return Engine(Cache.open().scratch, memory, request.engine == "ray", request.ray_address)
