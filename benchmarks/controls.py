"""What controls cost beside plain selection of the same size, on a real training file. Ratios within one run.

From prepared vectors to picks: what a control needs before picking (nearest neighbours for the guard, bands for the
quotas, costs of rows) is counted, reading and embedding are not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import machine, save, seconds, write_table

from evenly.data.rows import Rows
from evenly.data.sources import read_rows
from evenly.embed import Cache
from evenly.pipeline.control_request import ControlRequest
from evenly.pipeline.request import SelectRequest
from evenly.pipeline.select import embed_rows, selection_parts
from evenly.pipeline.vectors import PoolVectors

REPEATS = 3
AIM = 1.5
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
CASES: dict[str, tuple[str, ControlRequest]] = {
    "plain, half of the rows": ("50%", ControlRequest()),
    "guard 5%": ("50%", ControlRequest(guard="5%")),
    "quotas (match-length)": ("50%", ControlRequest(match_length=True)),
    "budget chars:9M": ("chars:9M", ControlRequest()),
    "budget distance:0.386": ("distance:0.386", ControlRequest()),
    "dedup 0.05": ("50%", ControlRequest(dedup=0.05)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="../shared/data/alpaca_data.json.gz")
    source = parser.parse_args().source
    rows = read_rows([source])
    request = SelectRequest(sources=[source], keep="50%", out="", use_cache=False)
    vectors = embed_rows(request, rows, Cache.open())
    found = {
        "machine": machine(),
        "source": Path(source).name,
        "rows": len(rows),
        "cases": measured(source, rows, vectors),
    }
    save("controls", found)
    report(found)


def measured(source: str, rows: Rows, vectors: PoolVectors) -> list[dict[str, Any]]:
    """Every case in turn, several times by each clock; medians, and their ratio to the first, the plain one."""
    taken: dict[str, dict[str, list[float]]] = {name: {clock: [] for clock in CLOCKS} for name in CASES}
    kept: dict[str, int] = {}
    for repeat in range(REPEATS + 1):
        for name, (keep, controls) in CASES.items():
            request = SelectRequest(sources=[source], keep=keep, out="", use_cache=False, controls=controls)
            for clock, now in CLOCKS.items():

                def work(name: str = name, request: SelectRequest = request) -> None:
                    _, prepared, picker = selection_parts(request, rows, vectors, "cosine", None)
                    kept[name] = len(picker.pick(prepared))

                spent = seconds(work, now)
                if repeat:  # the first round loads what the others need
                    taken[name][clock].append(spent)
    plain = next(iter(CASES))
    figures = []
    for name, of_clock in taken.items():
        figure: dict[str, Any] = {"control": name, "rows kept": kept[name]}
        for clock, spent_each in of_clock.items():
            ours = statistics.median(spent_each)
            figure[f"{clock} seconds"] = round(ours, 2)
            figure[f"{clock}, times plain"] = round(ours / statistics.median(taken[plain][clock]), 2)
        figures.append(figure)
    return figures


def report(found: dict[str, Any]) -> None:
    """Prints the figures and puts them into docs/benchmarks.md."""
    rows = [tuple(figure.values()) for figure in found["cases"]]
    note = f"{found['source']}, {found['rows']:,} rows; aim at most {AIM} times plain; {found['machine']}"
    write_table("controls", tuple(found["cases"][0]), rows, note)
    for row in rows:
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
