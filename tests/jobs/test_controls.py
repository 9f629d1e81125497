"""What each control promises, from the command's own road: files in, files and record out.

One file, though a long one: all controls work on the one pool that is made here.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenly.controls.choice import Choice
from evenly.engine.constraints import Constraints
from evenly.engine.greedy import select_prepared
from evenly.engine.points import Points
from evenly.errors import InputError
from evenly.jobs.extend import extend_selection
from evenly.jobs.select import select_sources
from evenly.jobs.slice import slice_selection
from evenly.jobs.split import SplitRequest, split_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from evenly.selecting.run import Recorded
from tests.jobs.files import read_lines, records, write_lines


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_lines(folder / "pool.jsonl", records(60, 0))
    write_lines(folder / "test.jsonl", records(8, 1))
    write_lines(folder / "new.jsonl", records(25, 2))
    return folder


def saved(folder: Path) -> SavedPoolRequest:
    return SavedPoolRequest(folder, use_cache=False)


def run(files: Path, out: Path, keep: str | None, **options: Any) -> Recorded:
    reading = {name: options.pop(name) for name in ("metric", "encoder") if name in options}
    request = SelectRequest(
        pool=PoolRequest(
            [str(files / "pool.jsonl")], **{"encoder": "column:vec", "use_cache": False, **reading}
        ),
        choice=Choice.of(**({} if keep is None else {"keep": keep}), **options),
        out=str(out / "kept.jsonl"),
        random_draws=0,
    )
    outcome = select_sources(request)
    found = verify_folder(saved(outcome.folder))
    assert found.passed, [str(check) for check in found.checks if not check.passed]
    return outcome


def vectors_of(rows: list[dict[str, Any]]) -> np.ndarray:
    return Points.of(np.array([row["vec"] for row in rows])).vectors.astype(np.float64)


def apart(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> np.ndarray:
    return np.square(vectors_of(rows)[:, None] - vectors_of(others)).sum(axis=2) / 2


def test_a_budget_of_characters(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, "chars:700")
    spent = outcome.measures["controls"]["budget"]["spent"]
    larger = run(files, tmp_path, "chars:10k")
    lengths = [len(f"{row['instruction']} {row['output']}") for row in read_lines(files / "pool.jsonl")]
    assert spent <= 700 < spent + max(lengths)
    assert outcome.manifest.kept < larger.manifest.kept


def test_avoided_rows_and_their_near_copies_stay_out(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, "40%", avoid=str(files / "test.jsonl"), distance=0.1)
    assert apart(read_lines(tmp_path / "kept.jsonl"), read_lines(files / "test.jsonl")).min() > 0.1
    near = apart(read_lines(files / "pool.jsonl"), read_lines(files / "test.jsonl")).min(axis=1) <= 0.1
    listed = pq.read_table(outcome.folder / "excluded.parquet")
    assert listed["row"].to_pylist() == np.flatnonzero(near).tolist()
    assert set(listed["reason"].to_pylist()) == {"avoid"}


@pytest.mark.parametrize(
    "controls",
    [{"anchors": "test.jsonl"}, {"guard": "20%"}, {"must": ("gold=True",)}, {"by": "lang", "quota": "equal"}],
    ids=str,
)
def test_the_certificate_claims_no_more_than_holds_under_a_control(
    files: Path, tmp_path: Path, controls: dict[str, Any]
) -> None:
    if "anchors" in controls:
        controls = {"anchors": str(files / "test.jsonl")}
    outcome = run(files, tmp_path, "9", **controls)
    proof, manifest = outcome.measures["certificate"], outcome.manifest
    assert proof["h_min"] == manifest.h_min  # anchors included
    option = next(iter(controls)) if "by" not in controls else "quota"
    assert option in proof["restricted_by"]
    assert f"a free choice without {option}" in proof["text"]
    # The bound is of all sets of that size, so of those that the control allows too.
    rng, rows = np.random.default_rng(0), vectors_of(read_lines(files / "pool.jsonl"))
    for _ in range(200):
        some = rows[rng.choice(len(rows), 9, replace=False)]
        squared = np.square(some[:, None] - some).sum(axis=2)[np.triu_indices(9, 1)]
        assert squared.min() / 2 <= proof["upper_bound"]


@pytest.mark.parametrize("options", [{}, {"strategy": "kmeans"}, {"must": ("gold=True",)}], ids=str)
def test_a_band_keeps_scores_within_its_bounds(files: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    outcome = run(files, tmp_path, "9", band=("score", "2:4"), **options)
    rows = read_lines(files / "pool.jsonl")
    picked = [rows[row] for row in outcome.selection.rows]
    assert all(2 <= row["score"] <= 4 or (options.get("must") and row["gold"]) for row in picked)
    outside = [place for place, row in enumerate(rows) if not 2 <= row["score"] <= 4]
    if "must" not in options:
        assert pq.read_table(outcome.folder / "excluded.parquet")["row"].to_pylist() == outside


def test_a_tampered_share_is_named(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, "9")
    path = outcome.folder / "measures.json"
    measures = json.loads(path.read_text())
    measures["certificate"]["share_of_best"] *= 1.01
    path.write_text(json.dumps(measures))
    failed = [check.name for check in verify_folder(saved(outcome.folder)).checks if not check.passed]
    assert failed == ["measures.json", "certificate, share of the best"]


def test_a_single_kept_row_is_checked_like_any_other(files: Path, tmp_path: Path) -> None:
    assert run(files, tmp_path, "1").manifest.h_min is None
    assert run(files, tmp_path, "1", anchors=str(files / "test.jsonl")).manifest.h_min is not None


def test_near_copies_name_the_kept_row_that_stands_for_them(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, None, dedup=0.05)
    kept = read_lines(tmp_path / "kept.jsonl")
    distance = apart(kept, kept) + 9 * np.eye(len(kept))
    assert distance.min() >= 0.05
    listed = pq.read_table(outcome.folder / "excluded.parquet").to_pylist()
    assert len(listed) == 60 - len(kept)
    assert all(line["reason"] == "dedup" and "which is kept" in line["detail"] for line in listed)


def test_quotas_minimums_and_lengths(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path, None, by="lang", quota="5")
    assert Counter(row["lang"] for row in read_lines(tmp_path / "kept.jsonl")) == {"en": 5, "de": 5, "fr": 5}
    run(files, tmp_path, "14", by="lang", at_least=4)
    assert min(Counter(row["lang"] for row in read_lines(tmp_path / "kept.jsonl")).values()) >= 4
    (tmp_path / "quota.json").write_text(json.dumps({"en": 2, "de": 1}))
    run(files, tmp_path, None, by="lang", quota=str(tmp_path / "quota.json"))
    assert Counter(row["lang"] for row in read_lines(tmp_path / "kept.jsonl")) == {"en": 2, "de": 1}
    outcome = run(files, tmp_path, "50%", match_length=True)
    for group in outcome.measures["controls"]["groups"].values():
        assert abs(group["kept"] - group["pool"] / 2) <= 1


def test_must_rows_and_anchors(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path, "20", must=("gold=True",), guard="10%")
    pool = read_lines(files / "pool.jsonl")
    assert all(row in read_lines(tmp_path / "kept.jsonl") for row in pool if row["gold"])
    run(files, tmp_path, "30", must=("half=2",))  # 2.0 in the file
    assert all(row in read_lines(tmp_path / "kept.jsonl") for row in pool if row["half"] == 2)
    outcome = run(files, tmp_path, "10", anchors=str(files / "test.jsonl"))
    test = read_lines(files / "test.jsonl")
    assert outcome.manifest.h_min is not None
    assert apart(read_lines(tmp_path / "kept.jsonl"), test).min() >= outcome.manifest.h_min - 1e-7


def test_a_part_of_an_order_has_no_knee(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path, "50%")
    with pytest.raises(InputError, match=r"this one holds 30 of 60 rows; select again with `keep=knee`"):
        slice_selection(saved(tmp_path / "kept.evenly"), "knee", str(tmp_path / "cut.jsonl"))
    at_the_knee = run(files, tmp_path, "knee").manifest.kept
    run(files, tmp_path, "100%")
    assert (
        slice_selection(saved(tmp_path / "kept.evenly"), "knee", str(tmp_path / "cut.jsonl")).kept
        == at_the_knee
    )


def test_the_knee_never_cuts_rows_that_must_be_kept(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, "knee", must=("lang=en",))
    wanted = sum(row["lang"] == "en" for row in read_lines(files / "pool.jsonl"))
    assert outcome.manifest.kept >= wanted


def test_the_knee_never_cuts_what_each_group_gives_at_least(files: Path, tmp_path: Path) -> None:
    langs = [row["lang"] for row in read_lines(files / "pool.jsonl")]
    fewest = min(langs, key=langs.count)
    at_the_knee = run(files, tmp_path, "knee").manifest.kept
    outcome = run(files, tmp_path, "knee", by="lang", at_least=langs.count(fewest))
    kept = [row["lang"] for row in read_lines(tmp_path / "kept.jsonl")]
    assert kept.count(fewest) == langs.count(fewest)
    assert at_the_knee < outcome.manifest.kept < len(langs)


def test_near_copies_go_with_weights(files: Path, tmp_path: Path) -> None:
    outcome = run(files, tmp_path, "50%", dedup=0.3, quality="score", weight=1.0)
    assert outcome.manifest.h_min is not None
    assert outcome.manifest.h_min >= 0.3


def test_scores_as_floor_tie_break_and_weight(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path, "30%", quality="score", floor=3.0)
    assert min(row["score"] for row in read_lines(tmp_path / "kept.jsonl")) >= 3
    plain = run(files, tmp_path, "30%").manifest.h_min
    for control in ({"within": 0.05}, {"weight": 1.0}):
        outcome = run(files, tmp_path, "30%", quality="score", **control)
        found = outcome.measures["controls"]["quality"]
        assert found["kept_mean"] > found["dropped_mean"]
        assert outcome.manifest.h_min <= plain


def test_the_dial_goes_from_spread_to_density(files: Path, tmp_path: Path) -> None:
    fills = [run(files, tmp_path, "20%", density=dial).manifest.h_min for dial in (0.0, 0.5, 1.0)]
    assert fills[0] is not None
    assert fills[2] is not None
    assert fills[0] >= fills[2]


def test_the_guard_sets_garbage_aside(tmp_path: Path) -> None:
    rows = records(60, 0)
    for row in rows[:40]:
        row["vec"] = (np.array([1.0, 1, 1, 1]) + 0.1 * np.array(row["vec"])).tolist()
    garbage = [{**row, "vec": (-3 * np.eye(4)[number % 4]).tolist()} for number, row in enumerate(rows[:3])]
    write_lines(tmp_path / "pool.jsonl", [*rows[:40], *garbage])
    guarded = run(tmp_path, tmp_path, "10", guard="7%")
    aside = pq.read_table(guarded.folder / "excluded.parquet")["row"].to_pylist()
    assert aside == [40, 41, 42]


class TestExtend:
    def test_it_equals_a_run_with_the_old_picks_as_anchors(self, files: Path, tmp_path: Path) -> None:
        run(files, tmp_path, "15")
        found = extend_selection(
            saved(tmp_path / "kept.evenly"), [str(files / "new.jsonl")], "30", str(tmp_path / "more.jsonl")
        )
        assert verify_folder(saved(found.outcome.folder)).passed
        order = pq.read_table(tmp_path / "kept.evenly" / "order.parquet").to_pylist()
        old = sorted((line["rank"], line["row"]) for line in order if line["rank"] is not None)
        both = [*read_lines(files / "pool.jsonl"), *read_lines(files / "new.jsonl")]
        points = Points.of(np.array([row["vec"] for row in both]))
        picks = [row for _, row in old]
        expected = select_prepared(points, 15, Constraints(anchors=points.part(picks)))
        order = pq.read_table(found.outcome.folder / "order.parquet").to_pylist()
        new = sorted((line["rank"], line["row"]) for line in order if line["rank"] is not None)
        assert [row for _, row in new] == picks + expected.rows.tolist()
        assert found.added_new + found.added_old == 15
        assert found.before["fill"] >= found.outcome.manifest.fill

    def test_fewer_rows_than_are_kept_are_refused(self, files: Path, tmp_path: Path) -> None:
        run(files, tmp_path, "15")
        with pytest.raises(InputError, match="15 rows must be kept and `keep` 9 gives 9"):
            extend_selection(
                saved(tmp_path / "kept.evenly"), [str(files / "new.jsonl")], "9", str(tmp_path / "x.jsonl")
            )


class TestSlice:
    @pytest.mark.parametrize("keep", ["7", "20%", "chars:300", "distance:0.5"])
    def test_it_equals_a_selection_of_that_size(self, files: Path, tmp_path: Path, keep: str) -> None:
        asked = run(files, tmp_path, keep)
        expected = (tmp_path / "kept.jsonl").read_bytes()
        order = pq.read_table(asked.folder / "order.parquet")
        run(files, tmp_path, "80%")
        slice_selection(saved(tmp_path / "kept.evenly"), keep, str(tmp_path / "cut.jsonl"))
        assert (tmp_path / "cut.jsonl").read_bytes() == expected
        assert pq.read_table(tmp_path / "cut.evenly" / "order.parquet").equals(order)
        assert verify_folder(saved(tmp_path / "cut.evenly")).passed
        assert (tmp_path / "cut.evenly" / "report.html").is_file()

    @pytest.mark.parametrize(
        "controls",
        [{"anchors": True}, {"guard": "10%", "dedup": 0.01}, {"must": ("gold=True",)}, {"density": 0.5}],
        ids=str,
    )
    def test_its_record_verifies_under_controls(
        self, files: Path, tmp_path: Path, controls: dict[str, Any]
    ) -> None:
        if "anchors" in controls:
            controls = {"anchors": str(files / "test.jsonl")}
        run(files, tmp_path, "20", **controls)
        slice_selection(saved(tmp_path / "kept.evenly"), "12", str(tmp_path / "cut.jsonl"))
        again = slice_selection(saved(tmp_path / "cut.evenly"), "11", str(tmp_path / "less.jsonl"))
        for folder in ("cut.evenly", "less.evenly"):
            found = verify_folder(saved(tmp_path / folder))
            assert found.passed, [str(check) for check in found.checks if not check.passed]
        assert again.kept == 11

    def test_the_saved_order_is_never_replaced(self, files: Path, tmp_path: Path) -> None:
        run(files, tmp_path, "10")
        before = (tmp_path / "kept.evenly" / "order.parquet").read_bytes()
        with pytest.raises(InputError, match="the order that is cut; name another file"):
            slice_selection(saved(tmp_path / "kept.evenly"), "5", str(tmp_path / "kept.jsonl"))
        assert (tmp_path / "kept.evenly" / "order.parquet").read_bytes() == before

    def test_more_than_was_saved_and_quotas_are_refused(self, files: Path, tmp_path: Path) -> None:
        run(files, tmp_path, "10")
        with pytest.raises(InputError, match="holds 10 rows"):
            slice_selection(saved(tmp_path / "kept.evenly"), "11", str(tmp_path / "cut.jsonl"))
        run(files, tmp_path, "9", by="lang", quota="equal")
        with pytest.raises(InputError, match="`quota` depends on the size"):
            slice_selection(saved(tmp_path / "kept.evenly"), "3", str(tmp_path / "cut.jsonl"))


class TestSplit:
    def split(self, files: Path, out: Path, **options: Any) -> Any:
        request = SplitRequest(
            PoolRequest([str(files / "pool.jsonl")], encoder="column:vec", use_cache=False),
            out=f"{out}/",
            **options,
        )
        return split_sources(request)

    @pytest.mark.parametrize("both", [False, True])
    def test_parts_are_apart_and_complete(self, files: Path, tmp_path: Path, both: bool) -> None:
        found = self.split(files, tmp_path, test="20%", gap=0.02, both=both)
        train, test = read_lines(tmp_path / "train.jsonl"), read_lines(tmp_path / "test.jsonl")
        assert len(test) == 12
        assert apart(train, test).min() >= 0.02
        assert len(train) + len(test) + found.left_out == 60

    @pytest.mark.parametrize("both", [False, True])
    @pytest.mark.parametrize("gap", [0.0, None])
    def test_no_row_of_train_is_a_copy_of_one_of_test(
        self, files: Path, tmp_path: Path, both: bool, gap: float | None
    ) -> None:
        found = self.split(files, tmp_path, test="40%", both=both, gap=gap)
        train, test = read_lines(tmp_path / "train.jsonl"), read_lines(tmp_path / "test.jsonl")
        distances = apart(train, test)
        assert distances.min() > (0.05 if gap is None else 0)
        assert found.gap_asked == (0.05 if gap is None else 0)
        assert len(train) + len(test) + found.left_out == 60

    def test_folds_share_out_all_rows_and_part_no_copies(self, files: Path, tmp_path: Path) -> None:
        self.split(files, tmp_path, folds=4)
        parts = [read_lines(tmp_path / f"fold{number}.jsonl") for number in range(1, 5)]
        assert sorted(len(part) for part in parts) == [14, 15, 15, 16]
        names = [json.dumps(row) for part in parts for row in part]
        assert sorted(names) == sorted(json.dumps(row) for row in read_lines(files / "pool.jsonl"))
        folds_of: dict[str, set[int]] = {}
        for number, part in enumerate(parts):
            for row in part:
                folds_of.setdefault(str(row["vec"]), set()).add(number)
        assert all(len(found) == 1 for found in folds_of.values())

    def test_rows_of_equal_text_stay_together_whatever_their_vectors_are(self, tmp_path: Path) -> None:
        rows = [{"text": f"t{n // 2}", "vec": [float(np.cos(n)), float(np.sin(n))]} for n in range(12)]
        write_lines(tmp_path / "pool.jsonl", rows)
        self.split(tmp_path, tmp_path / "parts", test="3", gap=0.0)
        texts = [
            {row["text"] for row in read_lines(tmp_path / f"parts/{part}.jsonl")}
            for part in ("train", "test")
        ]
        assert texts[0]
        assert texts[0].isdisjoint(texts[1])

    @pytest.mark.parametrize("options", [{}, {"test": "10%", "folds": 3}, {"test": "90%", "both": True}])
    def test_what_makes_no_sense_is_refused(
        self, files: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        with pytest.raises(InputError):
            self.split(files, tmp_path, **options)


GIST: dict[str, Any] = {"quality": "score", "objective": "gist", "lambda_": 0.5}


@pytest.mark.parametrize(
    ("keep", "controls", "match"),
    [
        (None, {}, "say how much to keep"),
        ("10", {"quota": "equal"}, "need `by`"),
        ("10", {"quality": "score"}, "needs `floor`"),
        ("10", {"quality": "lang", "floor": 1.0}, "not a finite number"),
        ("10", {"quality": "low", "weight": 1.0}, r"scores above 0; row pool.jsonl:1 has -1:"),
        (None, {"by": "lang", "quota": "many"}, "use equal, proportional, a number for each group"),
        ("many", {}, "50%.*5000.*tokens:2M.*knee"),
        ("10", {"encoder": "vectors:"}, "names no file; use vectors:FILE.npy"),
        ("10", {"by": "nofield", "quota": "equal"}, "no record has a field 'nofield'"),
        ("57", {"by": "lang", "quota": "equal"}, "too few rows for the quota"),
        ("10", {"avoid": "test.jsonl", "distance": 2.5}, "every row was excluded"),
        ("10", {"anchors": "wide.npy"}, "have 9 dimensions and the pool has 4"),
        ("tokens:50", {}, "needs a tokenizer"),
        ("10", {"must": ("lang=xx",)}, "no row has this value"),
        ("3", {"must": ("lang=en",)}, "rows must be kept and `keep` 3 gives 3"),
        ("chars:1", {}, "the first pick costs more than the budget"),
        ("10", {"toward": "missing.jsonl"}, "missing.jsonl does not exist"),
        ("10", {"toward": "silent.jsonl"}, "row 1 of .*silent.jsonl has no text"),
        ("10", {"toward": "none.jsonl"}, "none.jsonl is empty"),
        (
            "10",
            {"band": ("score", "4")},
            "must read FIELD LOW:HIGH, for example pass_rate 0.2:0.8; got score 4",
        ),
        ("10", {"band": ("score", "4:2")}, "got score 4:2"),
        ("10", {"band": "score"}, "takes two values"),
        ("10", {"band": ("lang", "1:2")}, "`band` lang: row pool.jsonl:1 has"),
        ("10", {"band": ("score", "8:9")}, "every row was excluded"),
        ("10", {"lambda_": 0.1}, "`lambda_` needs `objective=gist`"),
        ("10", {"objective": "best"}, "`objective` knows gist alone; got 'best'"),
        ("10", {"objective": "gist"}, "needs `quality`"),
        ("10", {"objective": "gist", "quality": "score"}, "needs `lambda_`, a finite number"),
        ("10", GIST | {"quality": "low"}, "scores of at least 0; row pool.jsonl:1 has -1"),
        ("10", GIST | {"lambda_": -1.0}, "of at least 0; got -1"),
        ("10", GIST | {"density": 0.5}, "`density` has an order of its own"),
        ("10", GIST | {"toward": "test.jsonl"}, "`toward` has an order of its own"),
        ("10", GIST | {"allow_copies": True}, "keeps distinct rows"),
        ("chars:100", GIST, "give `keep` a share or a count"),
        ("10", {"toward_share": "10%"}, "`toward_share` needs `toward`"),
        ("10", {"toward": "test.jsonl", "toward_share": "0"}, "`toward_share` must be above 0"),
        ("10", {"toward": "test.jsonl", "toward_share": "2"}, "for example 5% or 0.05; got '2'"),
        ("10", {"toward": "test.jsonl", "density": 0.5}, "`density` changes distances; give `toward_share`"),
        ("10", {"toward": "test.jsonl", "start": 3}, "`start` names another first pick"),
        ("10", {"toward": "test.jsonl", "strategy": "random"}, "`strategy` random has its own"),
        ("knee", {"toward": "test.jsonl"}, "`keep=knee` looks at distances"),
        ("10", {"strategy": "best"}, "is not known"),
        ("10", {"strategy": "random", "dedup": 0.1}, "does not go with `strategy` random"),
    ],
)
def test_what_makes_no_sense_is_refused(
    files: Path, tmp_path: Path, keep: str | None, controls: dict[str, Any], match: str
) -> None:
    np.save(files / "wide.npy", np.ones((2, 9), dtype=np.float32))
    (files / "none.jsonl").write_text("")
    write_lines(files / "silent.jsonl", [{"instruction": "", "output": "", "vec": [1.0, 0.0, 0.0, 0.0]}])
    placed = {
        name: str(files / value) if name in ("avoid", "anchors", "toward") else value
        for name, value in controls.items()
    }
    with pytest.raises(InputError, match=match):
        run(files, tmp_path, keep, **placed)
    assert not (tmp_path / "kept.jsonl").exists()


REORDERING: dict[str, dict[str, Any]] = {
    "anchors": {"anchors": "old.jsonl"},
    "must": {"must": ("lang=en",)},
    "quota": {"by": "lang", "quota": "2"},
    "at_least": {"by": "lang", "at_least": 1},
    "density": {"density": 0.5},
    "within": {"quality": "score", "within": 0.1},
    "weight": {"quality": "score", "weight": 1.0},
    "dedup": {"dedup": 0.1},
    "match_length": {"match_length": True},
    "objective": {"quality": "score", "objective": "gist", "lambda_": 0.5},
}


@pytest.mark.parametrize("option", REORDERING)
@pytest.mark.parametrize(("strategy", "refined"), [("kmeans", False), ("all", False), ("maxmin", True)])
def test_what_changes_the_order_is_refused_by_name_with_a_rival(
    option: str, strategy: str, refined: bool
) -> None:
    asked = REORDERING[option] | {"keep": "50%"}
    with pytest.raises(InputError, match=f"^`{option}` changes the max-min order"):
        Choice.of(**asked, strategy=strategy, refine=refined).check()
    Choice.of(**asked).check()
    Choice.of(keep="50%", by="lang", strategy=strategy, refine=refined).check()


@pytest.mark.parametrize("keep", [None, "tokens:5k", "chars:900", "distance:0.3", "knee"])
@pytest.mark.parametrize(("strategy", "refined"), [("random", False), ("all", False), ("maxmin", True)])
def test_a_rival_keeps_a_number_of_rows(keep: str | None, strategy: str, refined: bool) -> None:
    options = {} if keep is None else {"keep": keep}
    with pytest.raises(InputError, match="give `keep` a share or a count"):
        Choice.of(guard="5%", strategy=strategy, refine=refined, **options).check()
