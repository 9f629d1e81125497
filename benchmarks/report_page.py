"""Size and speed of the report page for a pool of 52,002 rows with texts as long as excerpts get.

Run: ``python benchmarks/report_page.py [ROWS]``. Prints one JSON object. Needs a Chromium on the path.

The order is made up (the page draws saved results, whatever they are); texts are random words, 280 characters
of prompt and of answer, which is more than real instruction data holds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from evenly.report.page import write_report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.report.browser import open_browser
from tests.report.folders import write_folder

PAN = """() => new Promise((done) => {
  const canvas = document.querySelector("#map canvas"), times = [];
  let before = performance.now(), step = 0;
  const frame = () => {
    const now = performance.now();
    times.push(now - before);
    before = now;
    if (++step > 60) return done(times.slice(1).sort((a, b) => a - b));
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: step % 20 < 10 ? "ArrowLeft" : "ArrowRight" }));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def made_up_folder(folder: Path, pool_rows: int) -> Path:
    rng = np.random.default_rng(0)
    kept = pool_rows // 2
    picks = rng.permutation(pool_rows)[:kept]
    radii = np.concatenate([[np.nan], np.sort(rng.uniform(0.2, 1.0, kept - 1))[::-1]])
    keeper = picks[rng.integers(0, kept, pool_rows)]
    keeper[picks] = picks
    distance = rng.uniform(0.0, 0.2, pool_rows)
    distance[picks] = 0.0
    words = np.array(["loremlorem", "ipsumdolor", "sitamet", "cafénaïve", "東京東京", "marsmars"])
    texts = [(" ".join(rng.choice(words, 40))[:280].ljust(280, "x"),) * 2 for _ in range(pool_rows)]
    fields = {
        "topic": rng.choice(["code", "maths", "history", "cooking"], pool_rows).tolist(),
        "score": rng.normal(size=pool_rows).tolist(),
        "turns": rng.integers(1, 9, pool_rows).tolist(),
    }
    return write_folder(
        folder,
        order=(picks, radii, keeper, distance),
        texts=texts,
        coordinates=rng.normal(size=(pool_rows, 2)),
        fields=fields,
        measures={},
    )


def main(pool_rows: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, open_browser() as browser:
        folder = made_up_folder(Path(scratch) / "kept.evenly", pool_rows)
        began = time.perf_counter()
        page_file = write_report(folder)
        written = time.perf_counter() - began
        opened = []
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            page.goto(page_file.as_uri())
            page.locator("html[data-ready]").wait_for()
            # Two frames: the second starts when the first is on the screen.
            page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            opened.append(time.perf_counter() - began)
            frames = page.evaluate(PAN)
            page.close()
        print(
            json.dumps(
                {
                    "rows": pool_rows,
                    "megabytes": round(page_file.stat().st_size / 1e6, 2),
                    "seconds_to_write": round(written, 2),
                    "seconds_to_open": [round(seconds, 2) for seconds in opened],
                    "pan_frame_ms": {
                        "median": round(frames[len(frames) // 2], 1),
                        "worst": round(frames[-1], 1),
                    },
                    "browser": browser.version,
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 52_002)
