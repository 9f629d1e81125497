"""The processes that a launcher has started together."""

from __future__ import annotations

from typing import Any


def processes() -> Any:
    """This process among those of ``accelerate launch`` or ``torchrun``, as accelerate's ``PartialState``.

    Without a GPU accelerate must be told that processors are meant, or each process thinks itself alone.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
