"""What controls cost beside plain selection of the same size, on a real training file. Ratios within one run.

From prepared vectors to picks: what a control needs before picking (nearest neighbours for the guard, bands for the
quotas, costs of rows) is counted, reading and embedding are not. Then whole commands, with vectors cached.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import CLOCKS, Clock, command_seconds, in_turns, machine, median_ratio, report, save, seconds

from evenly.controls.choice import Choice
from evenly.controls.prepared import prepare
from evenly.opened import OpenedPool, open_pool
from evenly.request import PoolRequest
from evenly.selecting.picking import pick

REPEATS = 5
COMMAND_REPEATS = 3
AIM = 1.5
CASES: dict[str, dict[str, Any]] = {
    "plain, half of the rows": {"keep": "50%"},
    "guard 5%": {"keep": "50%", "guard": "5%"},
    "quotas (match-length)": {"keep": "50%", "match_length": True},
    "budget chars:9M": {"keep": "chars:9M"},
    "budget distance:0.386": {"keep": "distance:0.386"},
    "dedup 0.05": {"keep": "50%", "dedup": 0.05},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="../shared/data/alpaca_data.json.gz")
    source = parser.parse_args().source
    with open_pool(PoolRequest([source])) as pool:
        run_cases(source, pool)


def run_cases(source: str, pool: OpenedPool) -> None:
    found: dict[str, Any] = {
        "machine": machine(),
        "source": Path(source).name,
        "rows": len(pool),
        "cases": measured(source, pool),
    }
    save("controls", found)
    note = f"{found['source']}, {len(pool):,} rows; aim at most {AIM} times plain; {found['machine']}"
    report("controls", found["cases"], note)


def measured(source: str, pool: OpenedPool) -> list[dict[str, Any]]:
    """Every case in turn, several times by each clock; medians, and the medians of the ratios to the plain one."""
    kept: dict[str, int] = {}

    def spent(name: str, clock: Clock) -> float:
        def work() -> None:
            kept[name] = len(pick(prepare(Choice.of(**CASES[name]), pool), use_saved=False))

        return seconds(work, clock)

    for name in CASES:
        spent(name, time.perf_counter)  # loads what it needs
    figures = {name: {"control": name, "rows kept": kept[name]} for name in CASES}
    for clock, now in CLOCKS.items():
        taken = in_turns({name: partial(spent, name, now) for name in CASES}, REPEATS)
        plain = next(iter(taken.values()))
        for name, ours in taken.items():
            figures[name][f"{clock} seconds"] = round(statistics.median(ours), 2)
            figures[name][f"{clock}, times plain"] = round(median_ratio(ours, plain), 2)
    commands = {name: partial(command_seconds, source, *flags(options)) for name, options in CASES.items()}
    taken = in_turns(commands, COMMAND_REPEATS)
    plain = next(iter(taken.values()))
    for name, ours in taken.items():
        figures[name]["whole command, times plain"] = round(median_ratio(ours, plain), 2)
    return list(figures.values())


def flags(options: dict[str, Any]) -> list[str]:
    """The options as they are typed."""
    typed = []
    for name, value in options.items():
        typed += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return typed


if __name__ == "__main__":
    main()
