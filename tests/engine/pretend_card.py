"""A card that is not there: tensors that say they are on CUDA, and fail where real ones would.

The pool's code for cards runs on it on any machine. It shows that every tensor is where an operation needs it; what a
card computes is shown on one alone (`TestMemoryPoolOnCuda`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CARD = torch.device("cuda", 0)
_device = torch.Tensor.device.__get__  # type: ignore[attr-defined]
_crossing = {torch.Tensor.to, torch.Tensor.copy_, torch.Tensor.__setitem__, torch.Tensor.__len__}


class OnCard(torch.Tensor):
    """A tensor that pretends."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _pretend(func, args, dict(kwargs or {}))


class _Factories(TorchFunctionMode):
    """Sees calls that take a device and no tensor."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _pretend(func, args, dict(kwargs or {}))


def _is_card(place: Any) -> bool:
    return isinstance(place, torch.device) and place.type == "cuda"


def _plain(value: Any) -> Any:
    return value.as_subclass(torch.Tensor) if isinstance(value, OnCard) else value


def _pretend(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    with torch._C.DisableTorchFunction():
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        on_card = [one for one in tensors if isinstance(one, OnCard)]
        if func == _device:
            return CARD if on_card else args[0].as_subclass(torch.Tensor).device
        if func is torch.Tensor.numpy and on_card:
            raise TypeError("can't convert a tensor on a card to numpy")
        if on_card and func not in _crossing:
            strangers = [one for one in tensors if not isinstance(one, OnCard) and one.dim() > 0]
            if strangers:
                raise RuntimeError(f"{func} mixes tensors on the card and on the processor")
        asked = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.device)]
        there = any(map(_is_card, asked)) if asked else bool(on_card)
        if func is torch.Tensor.cpu:
            there = False
        if func is torch.Tensor.to and asked and there == bool(on_card):
            return args[0]
        args, kwargs = tree_map(lambda one: torch.device("cpu") if _is_card(one) else one, (args, kwargs))
        made = func(*tree_map(_plain, args), **tree_map(_plain, kwargs))
        if func is torch.Tensor.to:
            made = made.clone()
        if not there or func is torch.Tensor.tolist:
            return made
        return tree_map(lambda one: one.as_subclass(OnCard) if isinstance(one, torch.Tensor) else one, made)


@contextmanager
def pretend_card(room: int = 1 << 40) -> Iterator[None]:
    """A card with so many free bytes, for the time of a ``with`` block."""
    with pytest.MonkeyPatch.context() as patch, _Factories():
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (room, room))
        yield
