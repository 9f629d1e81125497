"""A model cut in two where its last blocks alone are trained: the blocks below are run once for every row.

What they give for a row never changes, so a comparison of many runs need not make it again for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evenly.errors import InputError
from evenly.files import one_line_errors, write_atomically
from evenly.records import Frozen
from evenly.train.examples import Examples
from evenly.train.head import predict
from evenly.train.row_losses import pad_batch
from evenly.train.states import LowerStates
from evenly.types import Int64Array, Progress, silent

CUT_FILE, STATES_FILE = "cut.json", "states.npy"
ROWS_AT_ONCE = 8
PROBED_ROWS = 3
"""Rows at which the two halves together are held against the whole model."""
PROBE_ERROR = 1 / 64
"""By how much of the largest logit they may differ: some roundings of bfloat16."""


class Cut(Frozen):
    """How a model was cut; ``cut.json`` in the folder of its upper part."""

    model: str  # the whole model
    blocks: str  # name of its list of blocks
    first: int  # the first block of the upper part


def read_cut(folder: str | Path) -> Cut | None:
    """How the model in a folder was cut; None for a whole one."""
    path = Path(folder) / CUT_FILE
    return Cut.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def lower_states(folder: str | Path, examples: Examples) -> LowerStates:
    """The states that `cut_model` left beside the upper part."""
    starts = np.cumsum([0, *examples.lengths().tolist()])
    return LowerStates(np.load(Path(folder) / STATES_FILE, mmap_mode="r"), starts)


def cut_model(
    model: Any, examples: Examples, tokenizer: Any, cut: Cut, folder: Path, progress: Progress = silent
) -> None:
    """Runs the lower blocks of a model on all rows and writes the rest as a model of its own.

    Args:
        model: the whole model, in the precision in which its lower blocks are to run; it is cut.
        examples: all rows.
        tokenizer: of the model, written beside the upper part.
        cut: where.
        folder: where states and upper part go.
        progress: called as rows are passed.

    Raises:
        InputError: the two parts together are not the model, because it does more than run its blocks in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = np.flatnonzero(~examples.dropped)[:PROBED_ROWS]
    whole = _logits(model, examples, probe, None)
    _write_states(model, examples, cut, folder, progress)
    _keep_upper(model, cut)
    found = _logits(model, examples, probe, lower_states(folder, examples))
    if not (found - whole).abs().max() <= PROBE_ERROR * whole.abs().max():
        raise InputError(
            f"the blocks of {cut.model} cannot be run apart, for it does more than run them in turn; leave "
            "`cache_frozen` out"
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_atomically(folder / CUT_FILE, cut.model_dump_json() + "\n")  # last: it says that all is there


def write_uncut(trained: Path, cut: Cut) -> None:
    """Puts trained upper blocks into the whole model, in place of the upper part in the folder."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(cut.model, dtype=torch.float32)
    own = {
        name: value
        for path in sorted(trained.glob("*.safetensors"))
        for name, value in load_file(path).items()
    }
    state = whole.state_dict()
    with torch.no_grad():
        for name, value in own.items():
            before, inside, rest = name.partition(f"{cut.blocks}.")
            if inside:
                number, _, weight = rest.partition(".")
                state[f"{before}{inside}{int(number) + cut.first}.{weight}"].copy_(value)
    for path in trained.glob("*.safetensors*"):
        path.unlink()
    (trained / CUT_FILE).unlink(missing_ok=True)
    whole.save_pretrained(trained)


def _keep_upper(model: Any, cut: Cut) -> None:
    blocks = model.get_submodule(cut.blocks)
    count = len(blocks)
    del blocks[: cut.first]
    config = model.config.get_text_config()
    for name, value in list(config.to_dict().items()):
        if isinstance(value, list) and len(value) == count:  # what each block is like
            setattr(config, name, value[cut.first :])
    config.num_hidden_layers = count - cut.first


class _Stop(Exception):
    """The lower blocks are through."""


@contextmanager
def _caught(model: Any, cut: Cut, found: list[torch.Tensor]) -> Iterator[None]:
    """While it is open, a pass of the model ends before the first upper block, and leaves its input in a list."""

    def stop(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append(arguments[0] if arguments else named["hidden_states"])
        raise _Stop

    hook = model.get_submodule(cut.blocks)[cut.first].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        yield
    except _Stop:
        pass
    finally:
        hook.remove()


def _write_states(model: Any, examples: Examples, cut: Cut, folder: Path, progress: Progress) -> None:
    lengths = examples.lengths()
    starts = np.cumsum([0, *lengths.tolist()])
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    weights = next(model.parameters())
    half, device = weights.dtype == torch.bfloat16, weights.device
    shape = (int(starts[-1]), model.config.get_text_config().hidden_size)
    with one_line_errors(folder):
        states = np.lib.format.open_memmap(
            folder / STATES_FILE, "w+", np.uint16 if half else np.float32, shape
        )
        for at in range(0, len(order), ROWS_AT_ONCE):
            rows = order[at : at + ROWS_AT_ONCE]
            batch = {name: each.to(device) for name, each in pad_batch(examples, rows, 0).items()}
            found: list[torch.Tensor] = []
            with torch.no_grad(), _caught(model, cut, found):
                model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
            given = (found[0].view(torch.uint16) if half else found[0]).cpu().numpy()
            for place, row in enumerate(rows.tolist()):
                states[starts[row] : starts[row + 1]] = given[place, : lengths[row]]
            progress("lower blocks", min(at + ROWS_AT_ONCE, len(order)), len(order))
        states.flush()


def _logits(model: Any, examples: Examples, rows: Int64Array, states: LowerStates | None) -> torch.Tensor:
    device = next(model.parameters()).device
    batch = {name: each.to(device) for name, each in pad_batch(examples, rows, 0).items()}
    below = None if states is None else states.batch(rows, batch["input_ids"].shape[1]).to(device)
    with torch.no_grad():
        found = predict(model, **batch, inputs_embeds=below, most_logits=1 << 40).predicted
    return found if isinstance(found, torch.Tensor) else found[0]
