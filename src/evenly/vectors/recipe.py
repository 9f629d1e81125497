"""How a model folder wants its texts turned into vectors: the settings beside the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from evenly.errors import InputError
from evenly.files import file_sha256

Pooling = Literal["mean", "cls", "max", "lasttoken"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "max", "lasttoken")
_LEGACY_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TOKENIZER_FILES = ("tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "sp", "sentencepiece")


@dataclass(frozen=True)
class Recipe:
    """The settings of a model folder.

    Attributes:
        folder: where the transformer's weights, configuration and tokenizer lie.
        pooling: how token vectors become one vector.
        normalise: whether vectors are scaled to length 1.
        window: most tokens per text, special tokens included; None where only tokenizer and model say it.
        prompt: text the model wants before every text.
        lower: whether texts are lowercased first.
        plain: no sentence-transformers settings were found; mean pooling is our choice, not the model's.
    """

    folder: Path
    pooling: Pooling
    normalise: bool
    window: int | None
    prompt: str
    lower: bool
    plain: bool


def read_recipe(folder: Path) -> Recipe:
    """Reads a sentence-transformers folder, or a plain transformers folder (mean pooling, not normalised).

    Raises:
        InputError: no model there, weights that are not safetensors, or modules this library does not run.
    """
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        check_weights(folder)
        return Recipe(folder, "mean", normalise=False, window=None, prompt="", lower=False, plain=True)
    modules = _read_json(modules_file)
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            f"{folder} chains the modules {', '.join(kinds) or '(none)'}; evenly runs Transformer, Pooling, "
            "Normalize: embed with its own library and give the result as vectors:FILE.npy"
        )
    transformer = folder / modules[0].get("path", "")
    check_weights(transformer)
    settings = _read_json(transformer / "sentence_bert_config.json", missing={})
    prompts = _read_json(folder / "config_sentence_transformers.json", missing={})
    prompt_name = prompts.get("default_prompt_name")
    window = settings.get("max_seq_length")
    return Recipe(
        folder=transformer,
        pooling=_read_pooling(folder / modules[1].get("path", "") / "config.json"),
        normalise=kinds[-1] == "Normalize",
        window=int(window) if window else None,
        prompt=str(prompts.get("prompts", {}).get(prompt_name, "")) if prompt_name else "",
        lower=bool(settings.get("do_lower_case", False)),
        plain=False,
    )


def _read_pooling(path: Path) -> Pooling:
    settings = _read_json(path)
    modes = settings.get("pooling_mode") or [
        mode for flag, mode in _LEGACY_POOLING_FLAGS.items() if settings.get(flag)
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in POOLINGS or not settings.get("include_prompt", True):
        said = "+".join(modes) + ("" if settings.get("include_prompt", True) else " without the prompt")
        raise InputError(
            f"{path} asks for {said or 'no'} pooling; evenly pools by one of {', '.join(POOLINGS)}: embed "
            "with its own library and give the result as vectors:FILE.npy"
        )
    return cast(Pooling, modes[0])


def check_weights(folder: Path) -> None:
    """Refuses a folder without a configuration and weights that are safe to read.

    Raises:
        InputError: says what it lacks.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no config.json; name a folder written by save_pretrained")
    if weight_files(folder):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise InputError(
            f"{folder} holds pickled weights only, which can run code when read; "
            "save it again with save_pretrained(..., safe_serialization=True)"
        )
    raise InputError(f"{folder} holds no *.safetensors; copy the model's weights there")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a transformer folder, by name."""
    return sorted(folder.glob("*.safetensors"))


def has_rotary_positions(folder: Path) -> bool:
    """Whether a transformers folder says so in its configuration."""
    return any("rope" in key or "rotary" in key for key in _read_json(folder / "config.json"))


def fingerprint(folder: Path, *, with_code: bool) -> dict[str, str]:
    """SHA-256 by name of every file that decides a vector: weights, settings, tokenizer, code if it runs."""
    chosen = [*weight_files(folder), folder / "config.json"]
    chosen += [path for path in folder.iterdir() if path.name.startswith(_TOKENIZER_FILES) and path.is_file()]
    chosen += list(folder.glob("*.py")) if with_code else []
    return {path.name: file_sha256(path) for path in sorted(set(chosen))}


def _read_json(path: Path, missing: dict[str, Any] | None = None) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise InputError(f"{path} is missing; the model folder is not complete: copy it again") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error}); copy the model folder again") from None
