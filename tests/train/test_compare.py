"""Whole comparisons on a tiny model: equal arms, a planted difference, failures, going on, and the page.

One file, though a long one: comparisons are dear, and several tests look at the same one.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenly.errors import InputError
from evenly.files import sole_process
from evenly.train.arms import Arm
from evenly.train.curves import EVEN_TEST, RANDOM_TEST, read_outcomes
from evenly.train.plan import ArmRun, PreparedPool, plan_runs
from evenly.train.recipes import SHIPPED, make_request, read_recipe, shipped_recipes
from evenly.train.result import ComparisonResult, read_result
from evenly.train.settings import Request
from evenly.train.statistics import Judging
from evenly.train.verdict import MAIN_QUESTIONS, judge_variant

SMALL = {"window": 64, "batch": 12, "micro_batch": 6, "epochs": 3, "rate": 8e-3, "precision": "fp32"}


@pytest.fixture(scope="module")
def scrambled_rows(rows: list) -> list:
    """Ninety rows, then the first sixty again with their answers' letters in reverse."""
    wrong = [{"role": "assistant", "content": row[1]["content"][::-1]} for row in rows[:60]]
    return rows + [[row[0], answer] for row, answer in zip(rows[:60], wrong, strict=True)]


def judged(
    folder: Path, model: Path, rows: list, arms: dict[str, list[np.ndarray]], **named: object
) -> tuple[ComparisonResult, list[ArmRun], PreparedPool]:
    """Trains arms given by hand, one list of row numbers per seed, and judges them."""
    from evenly.train.compare import conclude, prepare, run_all

    request = make_request({}, arms=tuple(arms), model=str(model), **{**SMALL, **named})
    folder.mkdir(exist_ok=True)
    prepared = prepare(folder, rows, str(model), request)
    made = [Arm(name, seed, numbers) for name, seeds in arms.items() for seed, numbers in enumerate(seeds)]
    tests = {RANDOM_TEST: np.arange(60, 75), EVEN_TEST: np.arange(75, 90)}
    planned = plan_runs(request, prepared, made, tests, float(request.training.rate))
    run_all(planned, prepared)
    return conclude(request, prepared, planned, rate=8e-3, tests=tests, left_out=0), planned, prepared


@pytest.mark.slow
def test_equal_arms_planted_difference_and_going_on(
    model_folder: Path, scrambled_rows: list, tmp_path: Path
) -> None:
    draws = [np.random.default_rng(seed).permutation(60)[:40] for seed in range(3)]
    worse = [np.concatenate([draw[:20], 90 + draw[20:]]) for draw in draws]
    arms = {"random": draws, "same": draws, "scrambled": worse}
    result, planned, prepared = judged(tmp_path / "c", model_folder, scrambled_rows, arms, to_loss=4.0)
    pairs = {pair.first: pair for pair in result.variants[0].pairs}
    assert {answer.called for answer in pairs["same"].answers} == {"no difference"}
    for answer in pairs["same"].answers:
        assert answer.question.startswith(("seconds", "total")) or answer.value in (0.0, 1.0)
    found = {answer.question: answer.called for answer in pairs["scrambled"].answers}
    assert found["random test at equal steps"] == "higher"
    assert found["random test at equal steps"] == found["even test at equal steps"]
    assert "scrambled against random" in " ".join(result.verdict)
    named = pairs["scrambled"].answer("steps to the named own loss")
    curve = read_outcomes(prepared.folder)[0].own_curve
    assert named is not None
    assert named.second == pytest.approx(curve.reached(4.0, "steps"), rel=0.5)
    assert all(question in found for question in MAIN_QUESTIONS)

    # Asked again, nothing is trained again; a run whose record is lost is, with the same curve.
    before = {each.key: (each.folder / "curve.parquet").stat().st_mtime_ns for each in planned}
    (planned[0].folder / "run.json").unlink()
    curve = [answer.model_dump() for answer in pairs["scrambled"].answers if "seconds" not in answer.question]
    again, _, _ = judged(tmp_path / "c", model_folder, scrambled_rows, arms, to_loss=4.0)
    after = {each.key: (each.folder / "curve.parquet").stat().st_mtime_ns for each in planned}
    assert [key for key in before if before[key] != after[key]] == [planned[0].key]
    repeated = {pair.first: pair for pair in again.variants[0].pairs}["scrambled"].answers
    assert [
        a.model_dump() for a in repeated if "seconds" not in a.question and "total" not in a.question
    ] == [a for a in curve if "total" not in a["question"]]
    assert read_result(prepared.folder) == again

    from evenly.report.comparison import write_comparison_page

    page = write_comparison_page(prepared.folder).read_text(encoding="utf-8")
    assert page.count("<svg") == 12
    assert "scrambled against random" in page
    assert "<script" not in page


@pytest.mark.slow
def test_twenty_pairs_of_seeds_without_and_with_a_difference(
    model_folder: Path, scrambled_rows: list, tmp_path: Path
) -> None:
    """Arms drawn alike from the same rows are told apart by at most one of twenty pairs of seeds; one whose
    answers are half scrambled is found."""
    draws = [np.random.default_rng(seed).permutation(60)[:30] for seed in range(14)]
    worse = [np.concatenate([draw[:15], 90 + draw[15:]]) for draw in draws[:7]]
    arms = {"random": draws[:7], "alike": draws[7:], "scrambled": worse}
    _, _, prepared = judged(tmp_path / "c", model_folder, scrambled_rows, arms, epochs=1.5)
    outcomes = read_outcomes(prepared.folder)
    pairs = [("alike", "random"), ("scrambled", "random")]
    called_different = 0
    for seeds in list(itertools.combinations(range(7), 2))[:20]:
        alike = judge_variant("", [each for each in outcomes if each.record.seed in seeds], pairs).pairs[0]
        called_different += {answer.called for answer in alike.answers} != {"no difference"}
    assert called_different <= 1
    scrambled = judge_variant("", outcomes, pairs).pairs[1]
    for question in ("random test at equal steps", "even test at equal steps"):
        answer = scrambled.answer(question)
        assert answer is not None
        assert answer.called == "higher"


@pytest.mark.slow
def test_one_arm_that_fails_leaves_the_others(model_folder: Path, rows: list, tmp_path: Path) -> None:
    long = [{"role": "user", "content": "x " * 200}, {"role": "assistant", "content": "y"}]
    pool = [*rows, *([long] * 20)]
    draws = [np.arange(seed, seed + 40) for seed in range(2)]
    arms = {"random": draws, "uniform": [draw + 5 for draw in draws], "lost": [np.arange(90, 110)] * 2}
    result, planned, _ = judged(tmp_path / "c", model_folder, pool, arms, batch_by="rows")
    variant = result.variants[0]
    assert [arm.arm for arm in variant.arms] == ["random", "uniform"]
    assert len(variant.failed) == 2
    assert "lost, seed 0: empty: none of its rows has a response inside the window" in variant.failed[0]
    assert {each.record.dropped for each in planned} == {0, 20}
    with pytest.raises(InputError, match="no run of the comparison finished: diverged: the loss became"):
        judged(
            tmp_path / "nan",
            model_folder,
            rows,
            {"random": draws},
            loss="l2",
            optimizer="sgd",
            rate=1e30,
            clip=0.0,
        )


def test_runs_that_fail_say_why_and_the_others_go_on(
    model_folder: Path, rows: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evenly.train import trainer
    from evenly.train.compare import prepare, run_all
    from evenly.train.plan import Run

    failures = {
        "full": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        "random": trainer.DivergedError(7, float("nan")),
        "clumped": RuntimeError("the disk is full\nand more"),
    }

    def train_run(run: Run, *_: object, **__: object) -> None:
        if error := failures.get(run.key.split("-")[0]):
            raise error

    monkeypatch.setattr(trainer, "train_run", train_run)
    request = make_request({}, arms=(*failures, "uniform"), model=str(model_folder), **SMALL)
    prepared = prepare(tmp_path, rows, str(model_folder), request)
    tests = {RANDOM_TEST: np.arange(60, 75), EVEN_TEST: np.arange(75, 90)}
    arms = [Arm(name, 0, np.arange(60)) for name in request.arms]
    outcomes = run_all(plan_runs(request, prepared, arms, tests, 1e-3), prepared)
    status = {each.record.arm: each.record.status for each in outcomes}
    assert status == {
        "full": "failed: out of memory; lower `micro_batch` (now 6) or `window` (now 64), or use "
        "`gradient_checkpointing` or `lora`",
        "random": "diverged: the loss became nan at step 7; lower the `rate` or clip harder",
        "clumped": "failed: the disk is full",
        "uniform": "done",
    }


@pytest.mark.slow
def test_from_source_to_verdict(model_folder: Path, rows: list, tmp_path: Path) -> None:
    from evenly.jobs import compare as pipeline
    from evenly.jobs.dry_run import dry_run
    from evenly.train.compare import REQUEST_FILE, open_folder

    source = with_vectors(tmp_path, rows * 2)
    lines = source.read_text().splitlines(keepends=True)
    sources = (str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"))
    for place, part in zip(sources, (lines[:100], lines[100:]), strict=True):
        Path(place).write_text("".join(part))
    arms = ("full", "random", "uniform", "clumped", "matched")
    named = {"sources": sources, "model": str(model_folder), "arms": arms, "seeds": 1, "test": 12}
    named["encoder"] = "column:v"
    request = make_request({}, **named, **SMALL, schedules=("shuffled", "growing"), save_models=True)
    planned = dry_run(request)
    assert len(planned.runs) == 10
    assert planned.training_seconds > 0
    result = pipeline.compare(request, tmp_path / "out")
    assert [variant.variant for variant in result.variants] == ["batch 12, shuffled", "batch 12, growing"]
    assert [arm.arm for arm in result.variants[0].arms] == sorted(
        arms, key=["clumped", "full", "matched", "random", "uniform"].index
    )
    assert {(pair.first, pair.second) for pair in result.variants[0].pairs} >= {
        ("uniform", "random"),
        ("uniform", "full"),
    }
    uniform = next(arm for arm in result.variants[0].arms if arm.arm == "uniform")
    assert uniform.cost_seconds[0] > 0.0
    check_looks(tmp_path / "out", result)
    assert len(list((tmp_path / "out").glob("runs/*/model/model.safetensors"))) == 10
    assert pipeline.compare(request, tmp_path / "out").verdict == result.verdict
    with (
        sole_process(tmp_path / "out" / REQUEST_FILE),
        pytest.raises(InputError, match="another run is at work in"),
    ):
        pipeline.compare(request, tmp_path / "out")
    with pytest.raises(InputError, match="holds a comparison with other options"):
        pipeline.compare(request.model_copy(update={"seeds": 2}), tmp_path / "out")
    with pytest.raises(InputError, match="holds other files"):
        open_folder(tmp_path, request)


@pytest.mark.slow
def test_seeds_are_added_until_every_pair_has_its_answer(
    model_folder: Path, rows: list, tmp_path: Path
) -> None:
    """Half of the rows have their answers' letters in reverse: a saved arm of these alone is soon told apart."""
    from evenly.jobs.compare import compare
    from evenly.train.compare import is_settled

    wrong = [[row[0], {**row[1], "content": row[1]["content"][::-1]}] for row in rows]
    source = with_vectors(tmp_path, rows + wrong)
    request = make_request(
        {},
        sources=(str(source),),
        model=str(model_folder),
        arms=("random",),
        select=("long=--strategy longest",),
        seeds="auto",
        test=12,
        encoder="column:v",
        keep="40",
        **SMALL,
    )
    result = compare(request, tmp_path / "out")
    seeds = len(result.variants[0].arms[0].seeds)
    assert 3 <= seeds <= 12
    assert is_settled(result.variants) or seeds == 12
    assert f"after {seeds}" in result.verdict[-1]
    trained = {path.name for path in (tmp_path / "out" / "runs").iterdir()}
    assert len(trained) == 2 * seeds


def test_a_share_is_read_as_people_type_it() -> None:
    assert make_request({}, until="1%", seeds="auto").rule == Judging(0.01, anytime=True)
    assert make_request({}, seeds="4").most_seeds == 4


def check_looks(folder: Path, result: ComparisonResult) -> None:
    """Zero-shot, sources and equal answer tokens against the tables of the runs, added up by hand."""
    variant = result.variants[0]

    def table(path: str) -> list[dict]:
        return pq.read_table(folder / path).to_pylist()

    def loss(found: list[dict]) -> float:
        return sum(row["loss_sum"] for row in found) / sum(row["tokens"] for row in found)

    random = {row["row"] for row in table("tests.parquet") if row["part"] == RANDOM_TEST}
    source_of = {row["row"]: row["source"] for row in table("pool.parquet")}
    before = loss([row for row in table("initial.parquet") if row["row"] in random])
    assert variant.zero_shot is not None
    assert variant.zero_shot.random_test == pytest.approx(before)
    assert set(variant.zero_shot.by_source) == {"one.jsonl", "two.jsonl"}
    for arm in variant.arms:
        place = f"runs/{arm.arm}-s0-b12-shuffled"
        record = json.loads((folder / place / "run.json").read_text())
        found = [row for row in table(f"{place}/rows.parquet") if row["part"] == RANDOM_TEST]
        last = [row for row in found if row["step"] == record["steps"]]
        for source, losses in arm.by_source.items():
            assert losses[0] == pytest.approx(loss([row for row in last if source_of[row["row"]] == source]))
        then = [row for row in found if row["step"] == record["answer_step"]]
        assert arm.random_test_answers[0] == pytest.approx(loss(then))
        answers = record["answer_step"] * record["batch"] * record["response_tokens_per_row"]
        assert answers == pytest.approx(min(each.answers[0] for each in variant.arms), rel=0.15)


def with_vectors(folder: Path, rows: list) -> Path:
    """A file of the rows, each with twelve numbers in its field v; the same numbers in v.npy beside it."""
    vectors = np.random.default_rng(0).normal(size=(len(rows), 12)).astype(np.float32)
    np.save(folder / "v.npy", vectors)
    lines = [json.dumps({"messages": row, "v": v.tolist()}) for row, v in zip(rows, vectors, strict=True)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "rows.jsonl"


@pytest.mark.parametrize("encoder", ["column:v", "vectors:v.npy"])
def test_vectors_that_the_user_brings_are_those_of_the_drawn_rows(
    encoder: str, rows: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evenly.jobs.drawn import draw_pool

    monkeypatch.chdir(tmp_path)
    source = with_vectors(tmp_path, rows)
    pool = draw_pool(make_request({}, sources=(str(source),), pool=40, encoder=encoder))
    with pool.open() as (opened, seconds):
        assert len(pool.members) == 40
        own = np.load("v.npy")[pool.members]
        unit = own / np.linalg.norm(own, axis=1, keepdims=True)
        np.testing.assert_allclose(opened.points.vectors, unit, atol=1e-6)
        assert seconds > 0.0


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"encoder": "column:w"}, "no record has a field 'w'"),
        ({"encoder": "vectors:w.npy"}, "w.npy"),
        ({"encoder": "no/such/folder"}, "no/such/folder"),
        ({"arms": ("full", "lucky")}, "arm 'lucky' is not known"),
        ({"saved": ("knn=rows.jsonl",)}, r"rows.jsonl is no selection"),
        ({"saved": ("knn",)}, "must read NAME=FOLDER"),
        ({"saved": ("full=rows.jsonl",)}, "another arm is called full"),
        ({"saved": ("Knn=rows.jsonl",)}, "small letters"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_done(
    named: dict, message: str, rows: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model the proxy would be warmed up first."""
    from evenly.jobs.compare import compare

    monkeypatch.chdir(tmp_path)
    with_vectors(tmp_path, rows)
    stages: list[str] = []
    with pytest.raises(InputError, match=message):
        compare(
            make_request({}, sources=("rows.jsonl",), test=8, **named),
            tmp_path / "out",
            progress=lambda stage, done, total: stages.append(stage),
        )
    assert set(stages) <= {"read"}
    assert not (tmp_path / "out").exists()


def test_a_kept_file_stands_for_the_selection_beside_it(
    rows: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evenly.controls.choice import Choice
    from evenly.files import file_sha256
    from evenly.jobs.chosen_arms import saved_selections
    from evenly.jobs.select import select_sources
    from evenly.request import PoolRequest
    from evenly.selecting.request import SelectRequest

    monkeypatch.chdir(tmp_path)
    source = with_vectors(tmp_path, rows)
    pool = PoolRequest((str(source),), encoder="column:v", use_cache=False)
    select_sources(SelectRequest(pool, Choice.of(keep="20"), "kept.jsonl"))
    by_file, by_folder = saved_selections(make_request({}, saved=("a=kept.jsonl", "b=kept.evenly")))
    assert by_file.folder.path == Path("kept.evenly")
    assert by_file.folder.picks.tolist() == by_folder.folder.picks.tolist()
    by_file.check_sources([file_sha256(source)])
    lines = Path("kept.jsonl").read_text().splitlines()
    everything = source.read_text().splitlines()
    assert {everything[row] for row in by_file.folder.picks} == set(lines)
    wanted, missing = np.arange(0, 90, 2), by_file.rows_among(np.arange(90), np.arange(0, 90, 2))
    assert set(missing) == set(by_file.folder.picks) & set(wanted)


@pytest.mark.slow
def test_rate_is_found_where_the_loss_falls_fastest(model_folder: Path, rows: list, tmp_path: Path) -> None:
    from evenly.train.compare import prepare
    from evenly.train.rate import find_rate

    request = make_request({}, **{**SMALL, "rate": "auto"})
    prepared = prepare(tmp_path, rows, str(model_folder), request)
    tests = {RANDOM_TEST: np.arange(60, 75), EVEN_TEST: np.arange(75, 90)}
    planned = plan_runs(request, prepared, [Arm("random", 0, np.arange(40))], tests, 1.0)[0]
    unseen = np.arange(40, 60)
    rate = find_rate(planned, prepared, unseen)
    sweep = json.loads((tmp_path / "rate.json").read_text())["sweep"]
    best = min((loss, name) for name, loss in sweep.items() if loss is not None)[1]
    assert rate == float(best)
    assert len(sweep) >= 5
    assert find_rate(planned, prepared, unseen) == rate


def test_recipe_values_and_what_wins(tmp_path: Path) -> None:
    recipe = {
        "keep": "100",
        "arms": ["full", "random"],
        "training": {"loss": "l2", "optimizer": "sgd", "rate": 3},
    }
    request = make_request(recipe, keep="50%", rate=None, epochs=5)
    assert (request.keep, request.training.rate, request.training.epochs) == ("50%", 3.0, 5.0)
    with pytest.raises(InputError, match="keeep: Extra inputs are not permitted"):
        make_request({"keeep": 3})


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = make_request(read_recipe(name))
    assert isinstance(request, Request)
    if not name.startswith("paper/"):
        return
    training = request.training
    assert (training.rate, training.warmup_steps, training.window, training.batch) == (2e-5, 2, 512, 64)
    assert (training.precision, training.gradient_checkpointing, training.momentum) == ("fp16", True, 0.0)
    epochs = {
        ("cross-entropy", "4500"): 4,
        ("cross-entropy", "10000"): 2,
        ("l2", "4500"): 2,
        ("l2", "10000"): 1,
    }
    assert training.epochs == epochs[training.loss, request.keep]
    assert training.optimizer == {"cross-entropy": "adamw", "l2": "sgd"}[training.loss]


def test_all_recipes_are_shipped() -> None:
    assert {name.split("/")[0] for name in shipped_recipes()} == {"paper", "small"}
    assert len(shipped_recipes()) == 10


@pytest.mark.parametrize(("name", "kind"), [("zero3", "DEEPSPEED"), ("fsdp", "FSDP")])
def test_accelerate_takes_the_launcher_configurations(name: str, kind: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(SHIPPED / "accelerate" / f"{name}.yaml"))
    assert config.distributed_type.value == kind


def test_recipe_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text, message in (("a: [", "is not YAML"), ("- a", "must hold names and values")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_recipe(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(str(tmp_path))
    with pytest.raises(InputError, match=r"recipe small/cd is neither a file .* small/ce, small/l2"):
        read_recipe("small/cd")


def test_what_a_killed_run_left_first_is_no_other_file(tmp_path: Path) -> None:
    from evenly.train.compare import check_folder

    request = make_request({}, sources=("rows.jsonl",))
    (tmp_path / f".request.json.{2**22 + 1}.0123abcd.tmp").write_text("{")
    check_folder(tmp_path, request)
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        check_folder(tmp_path, request)
