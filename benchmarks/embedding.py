"""Rows per second of embedding, against the same model elsewhere, and the share of the processor's peak.

Run: ``python benchmarks/embedding.py [--source FILE] [--rows 2000] [--repeats 3]``. Without a source the rows
are documentation strings found on this machine. Needs the extra ``offline`` and sentence-transformers.

Every contender embeds the same rows from text to vectors; contenders take turns within each repeat, and
ratios are taken within a repeat. The peak is measured in every repeat too: bfloat16 products of 2048 x 2048
matrices, one thread per core as the encoder works. Work counts the linear layers and the attention of real
tokens, without padding. The load of the machine is recorded: where other work holds the cores, contenders
whose threads wait for each other within a layer lose more than ours, and OMP_NUM_THREADS=1 gives the fairer
ratio.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from evenly.rows.documentation import documentation_rows
from evenly.rows.sources import read_rows
from evenly.vectors.embedding import embed_texts
from evenly.vectors.folders import find_folder
from evenly.vectors.registry import load_encoder

RESULT = Path(__file__).parent / "results" / "embedding.json"
OURS, BASE = "evenly", "SentenceTransformer.encode"
PEAK_SIDE, PEAK_PRODUCTS = 2048, 4
Run = Callable[[list[str]], np.ndarray]


def sample_texts(source: str | None, rows: int) -> list[str]:
    """``rows`` texts drawn without replacement, seed 0."""
    if source:
        texts = read_rows([source]).texts()
    else:
        texts = [
            f"{row['instruction']}\n{row['output']}" for row in documentation_rows(limit=max(rows, 5000))
        ]
    drawn = np.random.default_rng(0).permutation(len(texts))[:rows]
    return [texts[row] for row in drawn]


def contenders() -> tuple[dict[str, Run], dict[str, str]]:
    """Those that can run here, ours first, and why the others cannot."""
    encoders = {OURS: load_encoder(), "evenly, float32": load_encoder(precision="float32")}
    runs: dict[str, Run] = {
        name: lambda texts, encoder=encoder: embed_texts(texts, encoder, cache=None).vectors
        for name, encoder in encoders.items()
    }
    absent = {}
    packages = {BASE: "sentence_transformers", "OpenVINO": "openvino", "ONNX Runtime": "onnxruntime"}
    for name, package in packages.items():
        if importlib.util.find_spec(package) is None:
            absent[name] = "not installed"
        else:
            runs[name] = sentence_transformers_run(package)
    return runs, absent


def sentence_transformers_run(package: str) -> Run:
    """The packaged model through sentence-transformers, all settings at their defaults."""
    from sentence_transformers import SentenceTransformer

    backend = {"openvino": "openvino", "onnxruntime": "onnx"}.get(package, "torch")
    model = SentenceTransformer(
        str(find_folder("minilm")), device="cpu", backend=backend, local_files_only=True
    )
    return lambda texts: np.asarray(model.encode(texts))


def measured_peak() -> float:
    """bfloat16 operations per second of all cores together, each multiplying matrices of its own."""
    workers = torch.get_num_threads()
    matrices = [torch.randn(PEAK_SIDE, PEAK_SIDE).bfloat16() for _ in range(workers)]

    def multiply(matrix: torch.Tensor) -> None:
        for _ in range(PEAK_PRODUCTS):
            matrix @ matrix

    with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1)) as pool:
        list(pool.map(multiply, matrices))
        started = time.perf_counter()
        list(pool.map(multiply, matrices))
        seconds = time.perf_counter() - started
    torch.set_num_threads(workers)
    return workers * PEAK_PRODUCTS * 2 * PEAK_SIDE**3 / seconds


def operations(encoder: Any, texts: list[str]) -> tuple[float, float]:
    """Operations the texts need, and their mean tokens (both after cutting to the window)."""
    parts = encoder.encode(texts, np.arange(len(texts)))
    tokens = np.concatenate([part.tokens for part in parts]).clip(max=encoder.window).astype(float)
    model = encoder.model.network
    linear = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    per_token = 2.0 * sum(module.weight.numel() for module in linear)
    attention = 4.0 * encoder.dimension * model.config.num_hidden_layers * (tokens**2).sum()
    return float(per_token * tokens.sum() + attention), float(tokens.mean())


def measure(
    texts: list[str], runs: dict[str, Run], repeats: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each contender and the peak, by repeat; who goes first turns round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peaks = []
    names = list(runs)
    for repeat in range(repeats):
        peaks.append(measured_peak())
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            started = time.perf_counter()
            runs[name](texts)
            seconds[name].append(time.perf_counter() - started)
    return seconds, peaks


def summarise(texts: list[str], runs: dict[str, Run], repeats: int) -> Iterator[tuple[str, Any]]:
    work, mean_tokens = operations(load_encoder(), texts)
    exact = runs["evenly, float32"](texts[:256])
    errors = {name: float(np.max(1 - np.sum(run(texts[:256]) * exact, axis=1))) for name, run in runs.items()}
    seconds, peaks = measure(texts, runs, repeats)
    yield "rows", len(texts)
    yield "mean_tokens", round(mean_tokens, 1)
    yield "operations_per_row", work / len(texts)
    yield "peak_bfloat16_operations_per_second", median(peaks)
    for name, took in seconds.items():
        base = seconds.get(BASE)
        yield (
            name,
            {
                "rows_per_second": [round(len(texts) / one, 1) for one in took],
                "times_sentence_transformers": base
                and round(median(b / t for b, t in zip(base, took, strict=True)), 2),
                "share_of_bfloat16_peak": round(
                    median(work / t / p for t, p in zip(took, peaks, strict=True)), 3
                ),
                "largest_cosine_error": errors[name],
            },
        )


def processor() -> str:
    """What the system calls its processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", help="a training file; documentation strings without it")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    runs, absent = contenders()
    encoder = load_encoder()
    result = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load_average_at_start": round(os.getloadavg()[0], 1),
        "runtime": encoder.runtime,
        "precision": encoder.precision,
        "source": Path(asked.source).name if asked.source else "documentation strings",
        **dict(summarise(sample_texts(asked.source, asked.rows), runs, asked.repeats)),
        **absent,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
