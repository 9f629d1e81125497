"""The page in a real browser: it loads, answers, survives hostile rows, and reads on any screen.

One file, though a long one: one browser and its few pages serve all of it, and starting them costs the most.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from evenly.folder.selection import SelectionFolder
from evenly.report.page import write_report
from tests.report.browser import browser_path, open_browser
from tests.report.folders import small_folder, write_folder

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(browser_path() is None, reason="no chromium or google-chrome on the path")
slow = pytest.mark.slow

HOSTILE = [
    ("<script>window.owned = 1</script>", "</script><script>window.owned = 1</script>"),
    ("<img src=x onerror='window.owned = 1'>", "<svg onload=window.owned=1>"),
    ("</div></section></main></body></html>", "<!-- <plaintext> ]]>"),
    ("\u202eright to left\u202d \u2066isolated", "line\u2028separator\u2029paragraph"),
    ("w" * 1_000_000, "one word"),
    ("{{ 7 * 7 }} ${window.owned = 1} &lt;b&gt;", "\x00\x07\x1b[31m \ufeff"),
    ("Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢" * 20, "שלום עולם"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_folder(tmp_path_factory.mktemp("browser") / "kept.evenly")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def saved(folder: Path) -> SelectionFolder:
    return SelectionFolder.open(folder)


@pytest.fixture
def visit(browser: Any, folder: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page and fails the test if it complained or asked for anything but its own file."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: Path = folder / "report.html", *, view: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.split("#")[0] == path.as_uri()
                else complaints.append(f"asked for {request.url}")
            ),
        )
        page.goto(path.as_uri() + view)
        if options.get("java_script_enabled", True):
            expect_that(page.locator("html")).to_have_attribute("data-ready", "true")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Reading the canvas back is these tests' own doing, not the page's.
    assert [complaint for complaint in complaints if "willReadFrequently" not in complaint] == []


def expect_that(locator: Any) -> Any:
    """Playwright's patient assertions; the page's policy forbids its other waits, which use ``eval``."""
    from playwright.sync_api import expect

    return expect(locator)


def pixels_like(page: Any, variable: str) -> int:
    """How many pixels of the map have about the colour of a CSS variable; dots let paper through."""
    settle(page)
    return int(
        page.evaluate(
            """(name) => {
              const canvas = document.querySelector("#map canvas");
              const wanted = d3.rgb(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              const away = (at) => Math.abs(data[at] - wanted.r) + Math.abs(data[at + 1] - wanted.g)
                + Math.abs(data[at + 2] - wanted.b);
              return d3.range(0, data.length, 4).filter((at) => away(at) < 120).length;
            }""",
            variable,
        )
    )


def picture(page: Any) -> str:
    settle(page)
    return str(page.evaluate("document.querySelector('#map canvas').toDataURL()"))


def settle(page: Any) -> None:
    """Waits until what was asked for is drawn: two frames."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(page: Any, holds: str) -> None:
    """Waits until a script says so; the page's policy forbids playwright's own way to wait."""
    for _ in range(200):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it did not come to hold: {holds}")


def find_dot(page: Any) -> None:
    """Moves the mouse over the map until a row answers."""
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map canvas").bounding_box()
    for step in range(1, 400):
        across, down = step % 20 / 20, step // 20 / 20
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        if page.locator("#tooltip").is_visible():
            return
    pytest.fail("no dot of the map answered the mouse")


def test_it_loads_without_complaint_and_draws_every_figure(visit: Callable[..., Any]) -> None:
    page = visit()
    assert page.title() == "100 of 300 rows, kept evenly"
    assert page.locator("figure svg").count() == 5  # curve, nearest, lengths, topic, score
    assert pixels_like(page, "--kept") > 100


@slow
def test_hovering_shows_the_text_of_the_row(visit: Callable[..., Any], saved: SelectionFolder) -> None:
    page = visit()
    find_dot(page)
    said = page.inner_text("#tooltip")
    row = int(said.split("row ")[1].split()[0])
    assert saved.prompt[row] in said
    page.mouse.move(0, 0)
    assert page.locator("#tooltip").is_hidden()


@slow
def test_searching_lights_up_the_matches(visit: Callable[..., Any], saved: SelectionFolder) -> None:
    page = visit()
    assert pixels_like(page, "--match") == 0
    page.fill("#search", "GARDEN tell")
    texts = [
        f"{p} {r}"
        for p, r in zip(
            *(column.whole().to_pylist() for column in (saved.prompt, saved.response)), strict=True
        )
    ]
    found = [row for row, text in enumerate(texts) if "garden" in text]
    kept = sum(saved.rank[row] >= 0 for row in found)
    told = f"{len(found)} rows match: {kept} kept, {len(found) - kept} dropped."
    expect_that(page.locator("#map-status")).to_have_text(told)
    assert pixels_like(page, "--match") > len(found)
    page.click("#rows summary")
    assert page.locator("#rows tbody tr").first.locator("button").inner_text() == f"row {found[0]}"
    page.fill("#search", "no row says this")
    expect_that(page.locator("#map-status")).to_have_text("0 rows match: 0 kept, 0 dropped.")
    page.fill("#search", "")
    expect_that(page.locator("#map-status")).to_be_empty()
    assert pixels_like(page, "--match") == 0


@slow
def test_every_colouring_draws_and_explains_itself(visit: Callable[..., Any]) -> None:
    page = visit()
    options = page.locator("#colour option").all_inner_texts()
    assert options[-2:] == ["topic", "score"]
    pictures, legends = set(), set()
    for option in options:
        page.select_option("#colour", label=option)
        pictures.add(picture(page))
        legends.add(page.inner_text("#legend"))
    assert len(pictures) == len(legends) == len(options)


@slow
def test_the_keeper_of_a_row_is_found_by_number_and_by_id(
    visit: Callable[..., Any], saved: SelectionFolder
) -> None:
    page = visit()
    row = int(saved.keeper_distance.argmax())
    for asked in (str(row), saved.ids[row]):
        page.fill("#keeper-row", asked)
        page.press("#keeper-row", "Enter")
        said = page.inner_text("#keeper")
        assert f"row {row}" in said
        assert f"row {saved.keeper[row]}" in said
        assert f"at distance {saved.keeper_distance[row]:.3g}" in said
        assert saved.prompt[int(saved.keeper[row])] in said
    page.fill("#keeper-row", "300")
    page.press("#keeper-row", "Enter")
    assert page.inner_text("#keeper") == "No row 300 here: rows are numbered 0 to 299."
    page.click("#keeper-random")
    assert "Kept instead" in page.inner_text("#keeper")


@slow
def test_a_click_on_the_map_shows_the_row_and_what_stands_for_it(visit: Callable[..., Any]) -> None:
    page = visit()
    find_dot(page)
    page.mouse.down()
    page.mouse.up()
    said = page.inner_text("#chosen")
    assert "Kept instead" in said or "This row was kept" in said
    before = picture(page)
    page.mouse.wheel(0, -300)  # the click gave the map the focus, so the wheel zooms
    assert picture(page) != before


@slow
def test_the_map_answers_the_keyboard(visit: Callable[..., Any]) -> None:
    page = visit()
    page.focus("#zoom-reset")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    seen = {picture(page)}
    for key in ("+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        seen.add(picture(page))
    assert len(seen) == 4
    page.keyboard.press("Enter")
    assert "row " in page.inner_text("#chosen")


@slow
def test_the_table_leads_to_the_map(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("#rows summary")
    page.locator("#rows tbody tr").first.wait_for()  # filled once the browser says that it was opened
    assert page.locator("#rows tbody tr").count() == 20
    page.click("#rows-next")
    assert page.inner_text("#rows-page") == "21–40 of 300"
    page.locator("#rows tbody button").nth(2).click()
    assert "row 22" in page.inner_text("#chosen")


@slow
def test_the_curve_says_how_many_rows_a_distance_keeps(
    visit: Callable[..., Any], saved: SelectionFolder
) -> None:
    page = visit()
    radii = saved.radius[saved.picks]
    for size in (2, 40, 99):
        page.fill("#curve-distance", repr(float(radii[size - 1]) * 0.999999))
        told = int(page.inner_text("#curve-answer").split()[0])
        assert told == (radii[1:] >= radii[size - 1] * 0.999999).sum() + 1
    page.fill("#curve-distance", "1000")
    assert page.inner_text("#curve-answer") == "1 row"
    page.fill("#curve-distance", str(radii[-1] / 2))
    assert page.inner_text("#curve-answer").startswith("More than the 100 rows chosen")


def facts(page: Any) -> dict[str, list[str]]:
    """What the slider says: for each label the figure of the kept rows and that of a random set."""
    found = page.evaluate(
        """[...document.querySelectorAll("#size-facts > div")].map((one) =>
          [one.querySelector("dt").textContent, [...one.querySelectorAll("dd")].map((dd) => dd.textContent)])"""
    )
    return dict(found)


@slow
def test_the_slider_grows_the_selection_in_its_order(
    visit: Callable[..., Any], saved: SelectionFolder
) -> None:
    page = visit()
    assert facts(page)["rows"] == ["100", "33 % of the pool"]
    whole, sizes = pixels_like(page, "--kept"), saved.measures["by_size"]
    for size in (34, 100):
        page.fill("#size-number", str(size))
        told = facts(page)
        at = sizes["sizes"].index(size)
        assert told["rows"][0] == str(size)
        letters = saved.characters[saved.picks[:size]].sum() / saved.characters.sum()
        assert told["of all text"][0] == f"{100 * letters:.0f} %"
        assert told["closest two kept rows"][0] == f"{saved.radius[saved.picks[size - 1]]:.3g}"
        nearest = told["from a row to its nearest kept one, on average"]
        assert float(nearest[0]) == pytest.approx(sizes["kept"]["mean"][at], rel=1e-2)
        assert float(nearest[1].split()[-1]) == pytest.approx(sizes["random"]["mean"][at], rel=1e-2)
    page.fill("#size-number", "10")
    settle(page)
    assert pixels_like(page, "--kept") < whole / 4
    page.fill("#size-within", "1000")
    assert facts(page)["of the pool within 1000 of a kept row"] == ["100 %", "random 100 %"]
    page.focus("#size-slider")
    page.keyboard.press("Shift+ArrowRight")
    assert facts(page)["rows"][0] == "11"
    page.keyboard.press("Home")
    assert facts(page)["rows"][0] == "1"
    page.keyboard.press("End")
    assert facts(page)["rows"][0] == "100"


@slow
def test_the_slider_plays_and_stops(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("#size-play")
    until(page, "Number(document.querySelector('#size-slider').value) > 20")
    assert 1 <= int(facts(page)["rows"][0]) < 100
    page.click("#size-play")
    stopped = facts(page)["rows"]
    page.wait_for_timeout(100)
    assert facts(page)["rows"] == stopped


def in_polygon(polygon: np.ndarray, places: np.ndarray) -> np.ndarray:
    """By winding angles, not by crossings."""
    away = polygon[None] - places[:, None]
    angles = np.arctan2(away[..., 1], away[..., 0])
    turned = np.diff(np.concatenate([angles, angles[:, :1]], axis=1), axis=1)
    return np.abs(((turned + np.pi) % (2 * np.pi) - np.pi).sum(axis=1)) > np.pi


@slow
@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_a_shape_drawn_on_the_map_chooses_the_rows_in_it(
    visit: Callable[..., Any], saved: SelectionFolder, tool: str, tmp_path: Path
) -> None:
    page = visit()
    page.select_option("#tool", tool)
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map canvas").bounding_box()
    corners = [(0.3, 0.2), (0.7, 0.35), (0.6, 0.8), (0.35, 0.6)]
    for step, (across, down) in enumerate(corners):
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        if step == 0:
            page.mouse.down()
    page.mouse.up()
    until(page, "location.hash.includes('polygon')")
    hash_of = page.evaluate("JSON.parse(decodeURIComponent(location.hash.slice(6))).polygon")
    chosen = np.flatnonzero(in_polygon(np.array(hash_of), saved.coordinates))
    assert 0 < len(chosen) < len(saved)
    assert page.inner_text("#map-status").startswith(f"{len(chosen)} rows match")
    with page.expect_download() as download:
        page.click("#save-ids")
    download.value.save_as(tmp_path / "rows.txt")
    assert (tmp_path / "rows.txt").read_text().split() == [saved.ids[row] for row in chosen.tolist()]


@slow
def test_filters_count_what_passes_all_of_them(
    visit: Callable[..., Any], saved: SelectionFolder, tmp_path: Path
) -> None:
    page = visit()
    page.select_option("#filter-kept", "dropped")
    page.fill("#filter-least", "100")
    page.fill("#filter-far", "1.5")
    topic = saved.fields["topic"].to_pylist()
    page.select_option("#filter-field", label=topic[0])
    passing = [
        row
        for row in range(len(saved))
        if saved.rank[row] < 0
        and saved.characters[row] >= 100
        and saved.keeper_distance[row] <= 1.5
        and topic[row] == topic[0]
    ]
    assert passing
    expect_that(page.locator("#bench-status")).to_contain_text(f"{len(passing)} row")
    with page.expect_download() as download:
        page.click("#save-lines")
    download.value.save_as(tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == passing
    assert all(line["prompt"] == saved.prompt[line["row"]] for line in lines)
    page.click("#filter-clear")
    expect_that(page.locator("#bench-status")).to_be_empty()


@slow
def test_a_link_shows_the_view_again(visit: Callable[..., Any]) -> None:
    page = visit()
    page.fill("#search", "garden")
    page.select_option("#colour", label="topic")
    page.fill("#size-number", "40")
    page.focus("#map canvas")
    page.keyboard.press("+")
    page.keyboard.press("Enter")
    until(page, "['row', 'at', 'size', 'colour', 'words'].every((name) => location.hash.includes(name))")
    told = [page.inner_text(id) for id in ("#map-status", "#chosen", "#size-facts")]
    link = page.evaluate("location.hash")
    again = visit(view=link)
    assert [again.inner_text(id) for id in ("#map-status", "#chosen", "#size-facts")] == told
    again.wait_for_timeout(400)  # the address is written again a moment after the view has changed
    assert again.evaluate("location.hash") == link


@slow
@pytest.mark.parametrize(
    "view",
    ["{", "null", '{"polygon": [["x"]], "at": [1], "size": "9", "row": -4, "words": 3, "colour": "x"}'],
)
def test_an_address_that_is_none_is_not_followed(visit: Callable[..., Any], view: str) -> None:
    page = visit(view=f"#view={quote(view)}")
    assert facts(page)["rows"][0] == "100"
    assert page.inner_text("#map-status") == ""


@slow
def test_regions_are_listed_with_their_shares_and_lead_to_their_rows(
    visit: Callable[..., Any], saved: SelectionFolder, tmp_path: Path
) -> None:
    texts = [(f"About the {topic} and its {topic} kind", "") for topic in saved.fields["topic"].to_pylist()]
    page = visit(write_report(small_folder(tmp_path / "kept.evenly", texts=texts)))
    listed = page.locator("#regions-table li").all_inner_texts()
    assert len(listed) > 2
    first = page.locator("#regions-more button").first
    first.click()
    name = first.inner_text()
    assert page.locator("#filter-region option:checked").inner_text() == name
    matched = int(page.inner_text("#map-status").split()[0])
    share = 100 * matched / len(saved)
    told = page.locator("#regions-more li").first.inner_text().split("\n")[-1]
    assert told.startswith(f"{share:.1f} %" if share < 9.95 else f"{share:.0f} %")


@slow
def test_hostile_rows_are_text_and_break_nothing(visit: Callable[..., Any], tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly", rows=len(HOSTILE), keep=5, texts=HOSTILE)
    page = visit(write_report(folder))
    page.click("#rows summary")
    page.fill("#search", "window.owned")
    expect_that(page.locator("#map-status")).to_contain_text("3 rows match")
    page.fill("#search", "")
    expect_that(page.locator("#rows-page")).to_have_text("1–7 of 7")
    for row in range(len(HOSTILE)):
        page.fill("#keeper-row", str(row))
        page.press("#keeper-row", "Enter")
        assert f"row {row}" in page.inner_text("#keeper")
    assert page.evaluate("window.owned") is None
    assert page.locator("img, main script, plaintext").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shown = page.locator("#rows tbody .text").all_text_contents()
    assert "<script>window.owned = 1</script>" in shown
    assert "⟨U+202E⟩right to left⟨U+202D⟩ ⟨U+2066⟩isolated" in shown
    assert page.locator("footer").is_visible()


@slow
def test_the_policy_blocks_injected_scripts_and_the_network(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "report.html").as_uri())
    blocked = page.evaluate(
        """async () => {
          const found = [];
          const note = (event) => found.push(event.effectiveDirective);
          document.addEventListener("securitypolicyviolation", note);
          const script = document.createElement("script");
          script.textContent = "window.owned = 1";
          document.body.append(script);
          const image = new Image();
          image.src = "https://example.invalid/x.png";
          await fetch("https://example.invalid/").catch(() => {});
          await new Promise((done) => setTimeout(done, 50));
          return found.sort();
        }"""
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.owned") is None
    page.close()


@slow
def test_it_fits_a_phone(visit: Callable[..., Any]) -> None:
    page = visit(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for control in ("#search", "#colour", "#zoom-in", "#keeper-row"):
        box = page.locator(control).bounding_box()
        assert box["height"] >= 40
        assert box["x"] + box["width"] <= 360
    for drawing in page.locator("figure svg").all():
        assert drawing.bounding_box()["width"] <= 360


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *:not(svg *):not(script):not(style)")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.matches(":disabled")) continue;
    const [front, back] = [light(getComputedStyle(node).color), light(behind(node))];
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) poor.push([node.tagName, node.className, contrast, node.textContent.slice(0, 30)]);
  }
  return poor;
}"""


@slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_either_scheme(visit: Callable[..., Any], tmp_path: Path, scheme: str) -> None:
    folder = small_folder(tmp_path / "kept.evenly", texts=[("\ufffd", "")] * 40)  # shows warnings, too
    page = visit(write_report(folder), color_scheme=scheme)
    page.click("#rows summary")
    page.click("#keeper-random")
    assert page.evaluate(CONTRAST) == []
    paper = page.evaluate("d3.rgb(getComputedStyle(document.body).backgroundColor).r")
    assert (paper < 60) == (scheme == "dark")


@slow
def test_everything_has_a_name_for_screen_readers(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click("#rows summary")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll(
              "button, input, select, canvas, summary, figure > svg, section")]
          .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
            || node.labels?.length || document.getElementById(node.getAttribute("aria-labelledby"))))
          .map((node) => node.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    levels = page.evaluate(
        "[...document.querySelectorAll('main h2, main h3, h1')].map((node) => +node.tagName[1])"
    )
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    broken = page.evaluate(
        """["aria-labelledby", "aria-describedby"].flatMap((name) =>
          [...document.querySelectorAll(`[${name}]`)].flatMap((node) => node.getAttribute(name).split(" ")))
          .filter((id) => !document.getElementById(id))"""
    )
    assert broken == []


@slow
def test_print_shows_the_content_without_the_controls(visit: Callable[..., Any]) -> None:
    page = visit(color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator(".tools").first.is_hidden()
    assert page.locator("#picks-title").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert pixels_like(page, "--paper") > 10_000  # the map, too, is printed on white


@slow
def test_without_scripts_the_texts_are_still_there(visit: Callable[..., Any], saved: SelectionFolder) -> None:
    page = visit(java_script_enabled=False)
    assert saved.prompt[int(saved.picks[0])] in page.inner_text(".picks")
    assert page.locator(".pair").count() >= 10


@slow
def test_a_sample_says_so_and_still_finds_keepers(visit: Callable[..., Any], tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "kept.evenly")
    page = visit(write_report(folder, limit_points=30))
    assert page.inner_text("#sample-note").startswith("The map shows a random 30 of the 300 rows")
    for _ in range(5):
        page.click("#keeper-random")
        assert "Kept instead" in page.inner_text("#keeper")


@slow
def test_pools_without_spread_or_measures_open_too(visit: Callable[..., Any], tmp_path: Path) -> None:
    one = np.array([0]), np.array([np.nan]), np.array([0]), np.array([0.0])
    alone = write_folder(tmp_path / "alone", order=one, texts=[("a", "")], coordinates=np.zeros((1, 2)))
    page = visit(write_report(alone))
    assert page.locator("#keeper-random").is_disabled()
    two = np.array([0]), np.array([np.nan]), np.zeros(3, dtype=int), np.zeros(3)
    equal = write_folder(tmp_path / "equal", order=two, texts=[("a", "b")] * 3, coordinates=np.ones((3, 2)))
    page = visit(write_report(equal))
    page.select_option("#colour", "radius")
    page.select_option("#colour", "distance")
    page.click("#keeper-random")
    assert "at distance 0" in page.inner_text("#keeper")
