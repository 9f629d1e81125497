"""What the page says and carries: pure functions on saved selections."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.controls import CONTROLS
from evenly.errors import InputError
from evenly.folder.excluded import EXCLUDED_FILE, EXCLUDED_SCHEMA
from evenly.folder.manifest import Options
from evenly.folder.reading import TextColumn
from evenly.folder.selection import SelectionFolder
from evenly.folder.view import shown_rows
from evenly.report import content, figures, points
from evenly.report import page as page_module
from evenly.words import duration, percent, quantity
from tests.report.folders import small_folder, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_folder(tmp_path_factory.mktemp("report") / "kept.evenly")


@pytest.fixture(scope="module")
def saved(folder: Path) -> SelectionFolder:
    return SelectionFolder.open(folder)


def sentence(marked: str) -> str:
    assert marked.count("**") % 2 == 0
    return marked.replace("**", "")


# --- sentences and numbers ---


def with_measures(
    saved: SelectionFolder, measures: dict[str, Any], folder: Path, **manifest: Any
) -> SelectionFolder:
    """A copy of a selection that says something else."""
    shutil.copytree(saved.path, folder)
    (folder / "measures.json").write_text(json.dumps(measures))
    return SelectionFolder(folder, saved.manifest.model_copy(update=manifest))


def test_the_lead_says_kept_even_certified_and_cost(saved: SelectionFolder) -> None:
    said = sentence(content.lead(saved))
    assert said.startswith("Kept 100 of 300 rows (33 %). A kept row is ")
    assert " from its nearest kept neighbour on average; in a random set of this size, " in said
    assert " (median of 20). No row of the pool is farther than " in said
    assert " from a kept one; from a random set, " in said
    assert "The closest two kept rows are " in said
    assert "at least 62 % of the best possible" in said  # 1/1.6, rounded down


def test_the_lead_promises_nothing_that_was_not_measured(tmp_path: Path) -> None:
    one = np.array([0]), np.array([np.nan]), np.array([0, 0]), np.array([0.0, 2.0])
    folder = write_folder(tmp_path / "one", order=one, texts=[("a", ""), ("b", "")], coordinates=np.eye(2))
    said = sentence(content.lead(SelectionFolder.open(folder)))
    assert said == "Kept 1 of 2 rows (50 %)."


def test_kept_copies_and_a_pool_that_ran_out_are_said(saved: SelectionFolder) -> None:
    copies = saved.manifest.model_copy(update={"h_min": 0.0, "asked": 120, "exhausted": True})
    said = sentence(content.lead(dataclasses.replace(saved, manifest=copies)))
    assert "120 were asked for, but no further row differs from those kept." in said
    assert "The kept rows hold rows of equal vectors." in said


def test_the_certificate_is_rounded_down_and_said_in_both_units() -> None:
    proof = {"upper_bound": 0.5, "share_of_best": 0.409, "euclidean_share": 0.6399}
    said = sentence(content._certificate(proof, "cosine"))
    assert "at least 40 % of the best possible (63 % in Euclidean distance)." in said
    assert "Euclidean" not in sentence(content._certificate(proof, "euclidean"))
    assert content._certificate({**proof, "upper_bound": "inf"}, "cosine") == ""


def test_sampled_neighbours_are_said(saved: SelectionFolder, tmp_path: Path) -> None:
    sampled = with_measures(saved, {**saved.measures, "sampled_rows": 20_000}, tmp_path / "sampled.evenly")
    assert "(median of 20, by 20,000 rows of each)" in sentence(content.lead(sampled))
    page = "".join(page_module.render(sampled, 1000, "pca", sampled.coordinates))
    assert "neighbours are those of 20,000 rows of each set" in page
    assert "Closest in the pool, of 20,000 rows drawn at random" in page
    assert "drawn at random" not in "".join(page_module.render(saved, 1000, "pca", saved.coordinates))


def test_what_was_not_measured_is_not_said(saved: SelectionFolder) -> None:
    words = sentence(content._evenness(saved.manifest, {"kept": {}, "random": {}}))
    assert "random" not in words
    assert "on average" not in words
    assert words.startswith("No row of the pool is farther than ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (float("inf"), "–"),
        (0.0, "0"),
        (0.041234, "0.0412"),
        (1.5, "1.50"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (3.21e-7, "3.21 × 10⁻⁷"),
        (4.5e12, "4.50 × 10¹²"),
    ],
)
def test_quantities_read_as_people_write_them(value: float | None, said: str) -> None:
    assert quantity(value) == said


def test_durations_and_percentages() -> None:
    assert [duration(s) for s in (0.42, 31.4, 250, 7500)] == [
        "0.42 s",
        "31 s",
        "4 min 10 s",
        "2 h 5 min",
    ]
    assert [percent(p) for p in (0.5, 0.004, 0.9999, 1.0)] == ["50 %", "0.4 %", "99.9 %", "100 %"]


# --- untrusted text ---


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_script_json_holds_nothing_that_html_could_read(value: object) -> None:
    written = points.script_json(value)
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == value
    nested = {"a": {"b": value, "<c>": {}}, "d": [value] * 5000, "e": []}
    assert "".join(points.script_json_pieces(nested)) == points.script_json(nested)


@given(st.text())
def test_visible_text_holds_no_mark_that_reorders_or_hides(text: str) -> None:
    shown = points.visible(text)
    assert not set(shown) & set(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0xFEFF, 0]))
    assert points.visible(shown) == shown


def test_visible_text_names_what_it_replaces_and_keeps_the_rest() -> None:
    assert points.visible("a\u202eb\x00\n\tשלום") == "a⟨U+202E⟩b⟨U+0000⟩\n\tשלום"


def test_a_cut_text_shows_that_it_was_cut() -> None:
    assert points.excerpt("x" * 1_000_000, 5) == "xxxx…"
    assert points.excerpt("xxxxx", 5) == "xxxxx"


# --- rows ---


@given(st.integers(1, 500), st.integers(1, 500))
def test_the_map_shows_all_rows_or_a_sample_of_the_limit(pool_rows: int, limit: int) -> None:
    rows = shown_rows(pool_rows, limit)
    assert len(rows) == min(pool_rows, limit)
    assert (np.diff(rows) > 0).all()
    assert np.isin(rows, np.arange(pool_rows)).all()


def test_a_sample_carries_the_keepers_and_the_named_rows(saved: SelectionFolder) -> None:
    mapped = shown_rows(len(saved), 20)
    rows = points.carried_rows(saved, mapped, content.named_rows(saved))
    assert rows[:20].tolist() == mapped.tolist()
    assert len(set(rows.tolist())) == len(rows)
    assert set(saved.keeper[mapped]) | set(content.named_rows(saved)) <= set(rows)


def test_row_columns_are_the_saved_values(saved: SelectionFolder) -> None:
    columns = points.row_columns(saved, np.arange(len(saved)), saved.coordinates)
    assert columns["rank"] == saved.rank.tolist()
    assert columns["keeper"] == saved.keeper.tolist()
    np.testing.assert_allclose(columns["distance"], saved.keeper_distance, rtol=1e-4)
    assert sum(columns["covers"]) == len(saved)
    topic, score = columns["fields"]
    assert (topic["kind"], score["kind"]) == ("category", "number")
    assert [topic["values"][code] for code in topic["codes"]] == saved.fields["topic"].to_pylist()


def test_long_texts_are_cut_to_the_budget_and_the_cut_is_said(saved: SelectionFolder) -> None:
    columns = points.row_columns(saved, np.arange(len(saved)), saved.coordinates, text_bytes=20_000)
    assert columns["excerpt"] == 20
    assert max(map(len, columns["prompt"])) == 20


def test_missing_and_many_values_have_names() -> None:
    column = pa.chunked_array([["a", None, "a", "b\u202e"]])
    words = points.field_words(column)
    assert words.to_pylist() == ["a", "(none)", "a", "b\u202e"]
    values, distinct = points.common_words(words, 2)
    assert (values.to_pylist(), distinct) == (["a", "(none)"], 3)
    shown = points._field("f", column, np.array([3, 1, 0]))
    assert [shown["values"][code] for code in shown["codes"]] == ["b⟨U+202E⟩", "(none)", "a"]
    flags = pa.chunked_array([[True, None], [False]])
    assert points.field_words(flags).to_pylist() == ["True", "(none)", "False"]


@given(st.lists(st.sampled_from(["a", "b", "c", "c\u202e", "", None]), min_size=1, max_size=30), st.data())
def test_shares_of_values_are_those_of_counting(values: list[str | None], data: st.DataObject) -> None:
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    kept[0] = True
    found = figures._compare_values(pa.chunked_array([pa.array(values, pa.string())]), kept)
    words = ["(none)" if value is None else points.visible(value) for value in values]
    own = [word for word, is_kept in zip(words, kept, strict=True) if is_kept]
    assert found["unseen"] == 0
    assert set(found["values"]) == set(words)
    for word, pool, share in zip(found["values"], found["pool"], found["kept"], strict=True):
        assert pool == pytest.approx(words.count(word) / len(words), abs=1e-5)
        assert share == pytest.approx(own.count(word) / len(own), abs=1e-5)


# --- figures ---


def test_the_curve_is_the_radii_in_order(saved: SelectionFolder) -> None:
    curve = figures.radius_curve(saved)
    assert curve is not None
    assert curve["exact"]
    assert curve["sizes"] == list(range(2, 101))
    assert curve["radii"] == sorted(curve["radii"], reverse=True)
    assert curve["radii"][-1] == pytest.approx(saved.manifest.h_min)


@given(st.integers(1, 2000), st.integers(2, 100))
def test_thinning_keeps_both_ends(count: int, limit: int) -> None:
    kept = figures.thin(count, limit)
    assert kept[0] == 0
    assert kept[-1] == count - 1
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(count if count <= limit else 0, limit + 1)


def test_histograms_are_shares_of_what_was_measured(saved: SelectionFolder) -> None:
    found = figures.nearest_histograms(saved.measures)
    assert [one["of"] for one in found] == ["pool", "random", "kept"]
    assert all(0.9 < sum(one["shares"]) <= 1.001 for one in found)
    assert figures.nearest_histograms({}) == []


def test_lengths_and_fields_hold_kept_against_pool(saved: SelectionFolder) -> None:
    lengths = figures.length_comparison(saved)
    assert sum(lengths["pool"]) == pytest.approx(1, abs=1e-3)
    assert sum(lengths["kept"]) == pytest.approx(1, abs=1e-3)
    assert lengths["medians"]["pool"] == np.median(saved.characters)
    topic, score = figures.field_comparisons(saved)
    assert sum(topic["pool"]) == pytest.approx(1, abs=1e-3)
    assert topic["unseen"] == 0
    assert sum(score["kept"]) == pytest.approx(1, abs=1e-3)


def test_texts_of_one_length_and_fields_without_numbers_have_figures(tmp_path: Path) -> None:
    order = np.array([0, 1]), np.array([np.nan, 1.0]), np.array([0, 1, 1]), np.array([0.0, 0.0, 0.5])
    empty = pa.nulls(3, pa.float64()).to_pylist()
    folder = write_folder(
        tmp_path / "flat",
        order=order,
        texts=[("", "")] * 3,
        coordinates=np.zeros((3, 2)),
        fields={"empty": pa.array(empty, pa.float64()), "same": [7, 7, 7]},
    )
    saved = SelectionFolder.open(folder)
    assert sum(figures.length_comparison(saved)["pool"]) == pytest.approx(1)
    nothing, same = figures.field_comparisons(saved)
    assert nothing["missing"] == 3
    assert sum(nothing["pool"]) == 0
    assert sum(same["kept"]) == pytest.approx(1)


# --- tables ---


def test_pairs_and_picks_show_the_rows_they_name(saved: SelectionFolder) -> None:
    [first, *_] = content.closest_pairs(saved, "kept")
    assert all(row.kept for row in first.rows)
    picks = content.first_picks(saved)
    assert [pick.row.number for pick in picks] == saved.picks[:20].tolist()
    assert picks[0].radius == "–"
    lonely = content.loneliest(saved)
    dropped = [pair.rows[0] for pair in lonely]
    assert not any(row.kept for row in dropped)
    assert saved.keeper_distance[dropped[0].number] == saved.keeper_distance.max()


def test_noise_among_the_first_picks_is_said(saved: SelectionFolder, tmp_path: Path) -> None:
    """As the run judged it: given rows were not chosen, and what was not judged is not called clean."""
    given, fourth = 3, int(saved.picks[6])
    noise = {"first_picks": 20, "noisy": {saved.ids[fourth]: "empty <b>"}}
    measures = {**saved.measures, "controls": {"lengths": {}, "noise": noise}}
    options = Options(given=given)
    judged = with_measures(saved, measures, tmp_path / "judged.evenly", options=options)
    picks = content.first_picks(judged)
    assert [pick.row.number for pick in picks] == saved.picks[given : given + 20].tolist()
    assert {pick.place: pick.noise for pick in picks if pick.noise} == {7: "empty <b>"}
    page = "".join(page_module.render(judged, 1000, "pca", judged.coordinates))
    assert "1 of the first 20 picks looks like noise." in page
    assert "Looks like noise: empty &lt;b&gt;" in page
    page = "".join(page_module.render(saved, 1000, "pca", saved.coordinates))
    assert "They were not looked through for noise." in page


def test_provenance_names_every_source_and_hash(saved: SelectionFolder) -> None:
    facts = dict(content.provenance(saved.manifest))
    assert facts["Source"] == "pool.jsonl: 300 rows, alpaca (instruction, input, output)"
    assert facts["SHA-256 of kept.jsonl"] == "b" * 64


# --- reading ---


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no selection; name the folder"):
        SelectionFolder.open(tmp_path)
    folder = small_folder(tmp_path / "kept.evenly", rows=12, keep=4)
    (folder / "view.parquet").unlink()
    with pytest.raises(InputError, match=r"no view\.parquet; run select again"):
        page_module.write_report(folder)
    (folder / "view.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="is not a Parquet file"):
        page_module.write_report(folder)


def test_files_of_different_runs_are_refused(tmp_path: Path) -> None:
    first = small_folder(tmp_path / "a", rows=12, keep=4)
    second = small_folder(tmp_path / "b", rows=13, keep=4)
    (second / "view.parquet").replace(first / "view.parquet")
    with pytest.raises(InputError, match="holds 13 rows, the manifest says 12"):
        page_module.write_report(first)


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "must hold a JSON object")])
def test_measures_that_are_no_measures_are_refused(tmp_path: Path, text: str, said: str) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=12, keep=4)
    (folder / "measures.json").write_text(text)
    with pytest.raises(InputError, match=said):
        page_module.write_report(folder)


# --- controls and excluded rows ---


def test_controls_and_excluded_rows_are_told(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly")
    table = pa.table(
        [
            [3, 7, *range(20, 40)],
            [f"pool.jsonl:{row + 1}" for row in (3, 7, *range(20, 40))],
            ["guard", "guard", *["avoid"] * 20],
            ["neighbour 10 is 0.7 away", "<b>far</b>", *["0.1 from row 1 of test.jsonl"] * 20],
        ],
        schema=EXCLUDED_SCHEMA,
    )
    pq.write_table(table, folder / EXCLUDED_FILE)
    saved = SelectionFolder.open(folder)
    guard, avoid = content.excluded(saved)
    assert (guard.count, guard.reason) == (2, "guard: among the loneliest")
    assert [(one.number, detail) for one, detail in guard.rows] == [
        (3, "neighbour 10 is 0.7 away"),
        (7, "<b>far</b>"),
    ]
    assert (avoid.count, len(avoid.rows)) == (20, content.EXCLUDED)
    assert set(range(20, 30)) <= set(content.named_rows(saved).tolist())
    options = Options(
        controls={
            "guard": "5%",
            "avoid": "test.jsonl",
            "distance": 0.1,
            "must": ["gold=True"],
            "match_length": True,
        }
    )
    found = {
        "avoid": {"rows": 1319, "nearest_left": 0.25},
        "budget": {"unit": "tokens", "amount": 60_000.0, "spent": 59_901},
        "groups": {f"g{number}": {"kept": 1, "pool": 2} for number in range(40)},
    }
    certificate = {"upper_bound": 1, "share_of_best": 0.5, "restricted_by": ["--guard"]}
    measures = {"controls": found, "certificate": certificate}
    asked = with_measures(saved, measures, tmp_path / "asked.evenly", options=options)
    told = dict(content.controls(asked))
    assert told["Loneliest rows excluded"] == "5%"
    assert told["Rows to stay away from"] == "test.jsonl"
    near = "no kept row lies within 0.1 of the 1,319 rows of test.jsonl; the nearest row left is 0.25 away"
    assert told["Avoid"] == near
    assert told["Rows that must be kept"] == "gold=True"
    assert told["Budget"] == "59,901 of 60,000 tokens spent"
    assert told["Groups"].startswith("g0 1 of 2, g1 1 of 2, ")
    assert told["Groups"].endswith("g29 1 of 2, and 10 more groups")
    assert "measured against a free choice without --guard" in sentence(content.lead(asked))
    page = "".join(page_module.render(asked, 1000, "pca", asked.coordinates))
    assert "20 rows excluded, avoid: too near a row to stay away from" in page
    assert "&lt;b&gt;far&lt;/b&gt;" in page


def test_a_changed_table_of_excluded_rows_is_one_line(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly")
    (folder / EXCLUDED_FILE).write_text("no table")
    with pytest.raises(InputError, match=r"excluded\.parquet is not a Parquet file"):
        page_module.write_report(folder)
    pq.write_table(pa.table([[300], ["x"], ["guard"], ["y"]], schema=EXCLUDED_SCHEMA), folder / EXCLUDED_FILE)
    with pytest.raises(InputError, match="names rows outside the pool of 300"):
        page_module.write_report(folder)


def test_every_option_of_a_control_has_a_name_on_the_page() -> None:
    options = [one for control in CONTROLS for one in dataclasses.fields(control) if one.name != "keep"]
    assert all(one.metadata["option"].label for one in options)


def test_texts_are_read_where_they_lie_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    texts = [None if row % 7 == 0 else f"text {row}" for row in range(50)]
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=8)
    column = TextColumn(path, "text")
    asked = np.array([49, 0, 7, 13, 8, 13, 48])
    assert column.take(asked) == [texts[row] or "" for row in asked.tolist()]
    assert column[14] == ""
    assert column.take(np.empty(0, dtype=np.int64)) == []
    assert column.whole().to_pylist() == [text or "" for text in texts]
