"""Causal language models and their tokenizers: loading them, naming their bytes, choosing a precision."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch

from evenly.errors import InputError, first_line
from evenly.hub import answer, cached_model
from evenly.train.settings import Precision, Training

_NO_WINDOW = 10**9
"""Tokenizers that know of no window name a number far beyond it."""


def load_tokenizer(model: str, *, plain_template: bool = False) -> Any:
    """Loads the tokenizer of a model folder or hub id.

    Raises:
        InputError: the folder has none, or its files cannot be read.
    """
    from transformers import AutoTokenizer

    _check_reach(model)
    if (
        Path(model).is_dir()
        and not list(Path(model).glob("tokenizer*"))
        and not (Path(model) / "vocab.json").exists()
    ):
        raise InputError(
            f"{model} holds no tokenizer (tokenizer.json, tokenizer.model or vocab.json); "
            "save the tokenizer beside the model"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise InputError(f"no tokenizer could be loaded from {model}: {first_line(error)}") from None
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise InputError(
                f"the tokenizer of {model} has neither a padding nor an end token; add one to it"
            )
        tokenizer.pad_token = tokenizer.eos_token
    if plain_template:
        tokenizer.chat_template = None
    return tokenizer


def load_model(model: str) -> Any:
    """Loads a causal language model in float32.

    Raises:
        InputError: no model there, or not a causal language model.
    """
    from transformers import AutoModelForCausalLM

    try:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no causal language model could be loaded from {model}: {first_line(error)}"
        ) from None
    loaded.config.use_cache = False
    return loaded


def load_trainable(model: str, training: Training, seed: int = 0) -> Any:
    """Loads a model with the part of it to be trained: all, fresh adapters, or its last blocks.

    Weights that are trained are held in float32 and arithmetic runs in the precision of the training (autocast), so
    that small updates are not rounded away. Weights that stay as they are need no more than that precision.

    Args:
        model: folder or hub id.
        training: says which part, and the precision.
        seed: adapters start from it.

    Raises:
        InputError: as `load_model`, or fewer blocks than are to be trained.
    """
    loaded = load_model(model)
    lora, last = training.lora, training.last_blocks
    if lora is None and last is None:
        return loaded
    for weights in loaded.parameters():
        weights.requires_grad_(False)
    if choose_precision(training.precision) == "bf16":
        loaded.to(torch.bfloat16)
    if lora is None:
        for block in blocks_of(loaded, model, last or 0)[1][-(last or 0) :]:
            block.float().requires_grad_(True)
        return loaded
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    adapters = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(loaded, adapters)


def blocks_of(loaded: Any, model: str, last: int) -> tuple[str, list[Any]]:
    """Name and members of the list of blocks of a model: the one that is as long as its configuration says.

    Raises:
        InputError: there is none, or it has fewer than ``last`` blocks.
    """
    count = loaded.config.get_text_config().num_hidden_layers
    for name, part in loaded.named_modules():
        if isinstance(part, torch.nn.ModuleList) and len(part) == count:
            if last > count:
                raise InputError(
                    f"`last_blocks` {last} is more than the {count} blocks of {model}; name fewer"
                )
            return name, list(part)
    raise InputError(f"`last_blocks`: no list of {count} blocks was found in {model}; use `lora`")


def base_model(model: str) -> str | None:
    """The model that a folder of adapters was trained on, as peft recorded it; None for a model of its own.

    Raises:
        InputError: the record cannot be read.
    """
    path = Path(model) / "adapter_config.json"
    if not path.exists():
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str):
        raise InputError(f"{path} does not say which model its adapters belong to; save them again")
    return base


def check_model(model: str) -> None:
    """Raises InputError where there is no model, or none that its adapters belong to; loads no weights."""
    from transformers import AutoConfig

    base = base_model(model)
    of = f" for the adapters in {model}" if base else ""
    _check_reach(base or model, of)
    try:
        AutoConfig.from_pretrained(base or model)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no causal language model could be loaded from {base or model}{of}: {first_line(error)}"
        ) from None


def _check_reach(model: str, of: str = "") -> None:
    """Refuses a name that is no folder, nor in the hub's local cache, nor on the hub, before loaders ask for long."""
    if Path(model).is_dir() or cached_model(model):
        return
    if error := answer("model", model):
        raise InputError(
            f"no causal language model could be loaded from {model}{of}: it is no folder, and the hub does not give it "
            f"({type(error).__name__}); check the name, or where there is a network run: hf download {model} "
            "--local-dir FOLDER, and name the folder"
        )


def context_window(model: str, tokenizer: Any) -> int | None:
    """Tokens that a model takes at once, by its configuration or its tokenizer; None where neither says."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model).get_text_config()
    names = ("n_positions", "max_position_embeddings", "n_ctx")
    found = next((value for name in names if isinstance(value := getattr(config, name, None), int)), None)
    said = tokenizer.model_max_length
    return found if found is not None else int(said) if said < _NO_WINDOW else None


def model_identity(model: str) -> str:
    """SHA-256 over names and bytes of a model folder's configuration and weights; a hub id stays itself.

    Adapters count with the model that they belong to.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    if base := base_model(model):
        digest.update(model_identity(base).encode() + b"\0")
    kinds = ("*.json", "*.safetensors", "*.bin", "*.model")
    for path in sorted(path for kind in kinds for path in folder.glob(kind)):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def choose_precision(asked: Literal["auto", "bf16", "fp16", "fp32"]) -> Precision:
    """Resolves ``auto``: bf16 where the device has units for it, else float32."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    capability = torch.backends.cpu.get_cpu_capability()
    return "bf16" if capability == "AVX512" and _processor_has("amx_bf16", "avx512_bf16") else "fp32"


def memory_remedy(error: BaseException, training: Training) -> str | None:
    """What to do about an error, where it says that memory ran out; None for any other."""
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "memory" not in str(error).lower():
        return None
    return (
        f"out of memory; lower `micro_batch` (now {training.micro_batch}) or `window` (now {training.window}), "
        "or use `gradient_checkpointing` or `lora`"
    )


def _processor_has(*flags: str) -> bool:
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in known for flag in flags)


def processes() -> Any:
    """This process among those of ``accelerate launch`` or ``torchrun``, as accelerate's ``PartialState``.

    Without a GPU accelerate must be told that processors are meant, or each process thinks itself alone.
    """
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
