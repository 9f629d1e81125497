"""The comparison from sources to verdict: where data, embedding, selection and training meet for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenly.checks import check_keep
from evenly.errors import InputError
from evenly.files import write_table
from evenly.folder.manifest import MANIFEST_FILE, ORDER_FILE, read_manifest
from evenly.jobs.arms import ArmMaker, TestParts, set_tests_aside
from evenly.rows.rows import Rows
from evenly.rows.sources import read_rows
from evenly.train.arms import Arm, load_arms, save_arms
from evenly.train.plan import Prepared, Request, plan_runs
from evenly.train.result import ComparisonResult
from evenly.types import Float32Array, Int64Array, Progress, silent

WARM_UP_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows of a comparison and those outside it.

    Attributes:
        rows: all rows of the sources.
        members: (P,) int64 row numbers of the sources that make the pool; pool row i is row members[i].
        outside: row numbers of the sources that are in no arm and no test, for warming up the proxy.
    """

    rows: Rows
    members: Int64Array
    outside: Int64Array

    def messages(self, numbers: Int64Array) -> list[list[dict[str, str]]]:
        return [self.rows.messages(int(number)) for number in numbers]


def open_pool(sources: Sequence[str], pool_rows: int | None, progress: Progress = silent) -> Pool:
    """Reads sources and draws the pool from them, always the same for the same sources and size."""
    if not sources:
        raise InputError(
            "no source was named; name a file, a folder or a dataset id, or put sources into the recipe"
        )
    rows = read_rows(sources, progress=progress)
    count = len(rows) if pool_rows is None else pool_rows
    if not 1 <= count <= len(rows):
        raise InputError(f"--pool {count} must lie between 1 and the {len(rows)} rows of the sources")
    order = np.random.default_rng([0, 7]).permutation(len(rows))
    members = np.sort(order[:count])
    return Pool(rows, members, order[count : count + WARM_UP_ROWS])


def compare(
    request: Request, folder: Path, *, workers: int = 1, progress: Progress = silent
) -> ComparisonResult:
    """Makes the arms, trains them, and judges them; goes on where an earlier call with the same request
    stopped.

    Args:
        request: what to compare.
        folder: where everything is kept.
        workers: processes that train at the same time.
        progress: called with the stages read, embed, tokenise, measure rows, train and runs.

    Returns:
        The result, as in ``comparison.json``.

    Raises:
        InputError: see `open_pool`, `evenly.train.compare.open_folder`, `set_tests_aside`, `ArmMaker.make`.
    """
    from evenly.train.compare import conclude, open_folder, prepare, run_all
    from evenly.train.processes import processes
    from evenly.train.rate import find_rate

    pool = open_pool(request.sources, request.pool, progress)
    hashes = tuple(source.sha256 for source in pool.rows.sources)
    request = request.model_copy(update={"sources_sha256": hashes})
    launched = processes()
    if launched.num_processes > 1 and request.model is None:
        raise InputError("the default proxy needs no launcher; name a --model for several processes")
    # What the first process has written to the folder the others read from it.
    with launched.main_process_first():
        open_folder(folder, request)
        model = request.model or str(_proxy(pool, folder, request, progress))
        prepared = prepare(folder, pool.messages(pool.members), model, request.training, progress)
        arms, tests = _arms(request, pool, prepared, progress)
    rate = request.training.rate
    if rate == "auto":
        first = plan_runs(request, prepared, arms, tests.parts, 1.0)
        reference = next(each for each in first if each.record.arm == request.reference)
        unseen = np.setdiff1d(tests.candidates, reference.run.rows)
        rate = find_rate(reference, prepared, unseen, workers=workers, progress=progress)
    planned = plan_runs(request, prepared, arms, tests.parts, rate)
    run_all(planned, prepared, workers=workers, progress=progress)
    return conclude(request, prepared, planned, rate=rate, tests=tests.parts, left_out=len(tests.left_out))


def _proxy(pool: Pool, folder: Path, request: Request, progress: Progress) -> Path:
    from evenly.train.proxy import make_proxy

    texts = [turn["content"] for messages in pool.messages(pool.members) for turn in messages]
    held = set(texts)
    # A row outside the pool may still be a copy of a test row.
    outside = [row for row in pool.messages(pool.outside) if row[-1]["content"] not in held]
    return make_proxy(folder / "proxy", texts, outside, window=request.training.window, progress=progress)


def _arms(
    request: Request, pool: Pool, prepared: Prepared, progress: Progress
) -> tuple[list[Arm], TestParts]:
    arms_path, tests_path = prepared.folder / "arms.parquet", prepared.folder / "tests.parquet"
    if arms_path.exists() and tests_path.exists():
        return load_arms(arms_path), _load_tests(tests_path, len(pool.members))
    vectors, seconds = _embed(request, pool, progress)
    tests = set_tests_aside(vectors, request.test, request.near_copy)
    usable = ~prepared.examples.dropped
    parts = {name: rows[usable[rows]] for name, rows in tests.parts.items()}
    if not all(len(rows) for rows in parts.values()):
        raise InputError("no test row has a response inside the window; widen --window")
    tests = TestParts(parts, tests.left_out, tests.candidates[usable[tests.candidates]])
    maker = _maker(request, prepared, tests, vectors, seconds)
    arms = maker.make(request.arms, request.seeds)
    arms += [arm for named in request.saved for arm in _saved_arms(named, request, pool, tests.candidates)]
    members = pa.table({"row": np.arange(len(pool.members)), "source_row": pool.members})
    write_table(prepared.folder / "pool.parquet", members)
    _save_tests(tests, tests_path)
    save_arms(arms, arms_path)
    return arms, tests


def _maker(
    request: Request, prepared: Prepared, tests: TestParts, vectors: Float32Array, seconds: float
) -> ArmMaker:
    candidates = tests.candidates
    initial = prepared.initial
    place = np.searchsorted(initial.rows, candidates)
    return ArmMaker(
        candidates=candidates,
        vectors=vectors[candidates],
        row_loss=initial.loss_sum[place] / initial.tokens[place],
        response_tokens=initial.tokens[place],
        keep=check_keep(request.keep, len(candidates)),
        embed_seconds=seconds * len(candidates) / len(vectors),
        match_length=request.match_length,
    )


def _embed(request: Request, pool: Pool, progress: Progress) -> tuple[Float32Array, float]:
    """The pool's vectors and what they cost; the cache is not used, so that the seconds are real."""
    from evenly.vectors import embed_texts, load_encoder

    rows = pool.rows
    texts = {"all": rows.texts, "prompt": rows.prompts, "response": rows.responses}[request.part]()
    chosen = [texts[int(number)] for number in pool.members]
    started = time.perf_counter()
    embedded = embed_texts(chosen, load_encoder(request.encoder), cache=None, progress=progress)
    return embedded.vectors, time.perf_counter() - started


def _saved_arms(named: str, request: Request, pool: Pool, candidates: Int64Array) -> list[Arm]:
    """A selection folder as an arm: its rows in the order of picks, less those that may not be trained on."""
    name, separator, place = named.partition("=")
    if not separator:
        raise InputError(f"--saved {named} must read NAME=FOLDER, e.g. knn=kept.evenly/")
    manifest = read_manifest(Path(place))
    if [source.sha256 for source in manifest.sources] != list(request.sources_sha256):
        raise InputError(
            f"{Path(place) / MANIFEST_FILE} is a selection from other sources; select from these first"
        )
    table = pq.read_table(Path(place) / ORDER_FILE, columns=["row", "rank"]).to_pydict()
    ranked = sorted(
        (rank, row) for row, rank in zip(table["row"], table["rank"], strict=True) if rank is not None
    )
    position = {int(number): at for at, number in enumerate(pool.members)}
    allowed = set(candidates.tolist())
    rows = [position[row] for _, row in ranked if position.get(row) in allowed]
    cost = sum(manifest.seconds.get(stage, 0.0) for stage in ("embed", "select"))
    return [Arm(name, seed, np.array(rows, dtype=np.int64), cost) for seed in range(request.seeds)]


def _save_tests(tests: TestParts, path: Path) -> None:
    named = {**tests.parts, "left out": tests.left_out}
    columns = {
        "row": np.concatenate(list(named.values())),
        "part": np.concatenate([np.full(len(rows), name, dtype=object) for name, rows in named.items()]),
    }
    write_table(path, pa.table(columns))


def _load_tests(path: Path, pool_rows: int) -> TestParts:
    table = pq.read_table(path).to_pydict()
    rows, names = np.array(table["row"], dtype=np.int64), np.array(table["part"])
    parts = {str(name): rows[names == name] for name in dict.fromkeys(table["part"]) if name != "left out"}
    return TestParts(parts, rows[names == "left out"], np.setdiff1d(np.arange(pool_rows), rows))
