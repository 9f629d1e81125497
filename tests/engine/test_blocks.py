"""How work is cut: every row once, in order, and the last slices low."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from evenly.engine.blocks import Blocks


@given(st.integers(0, 20_000), st.integers(1, 4), st.sampled_from([8, 130, 4096]), st.booleans())
def test_slices_cover_all_rows_in_order(count: int, threads: int, rows: int, taper: bool) -> None:
    slices = Blocks(rows=rows, threads=threads).over(count, lambda part: part, taper=taper)
    starts, stops = [part.start for part in slices], [part.stop for part in slices]
    assert [0, *stops] == [*starts, count]
    assert all(0 < part.stop - part.start <= rows for part in slices)


@given(st.integers(1, 20_000), st.integers(2, 4), st.sampled_from([8, 130, 4096]))
def test_tapered_slices_let_no_thread_wait_for_a_high_one(count: int, threads: int, rows: int) -> None:
    slices = Blocks(rows=rows, threads=threads).over(count, lambda part: part, taper=True)
    low = -(-rows // 4)
    assert all(part.stop - part.start <= low for part in slices[-threads:])
    high = [part for part in slices if part.stop - part.start > low]
    assert all(part.stop - part.start == rows for part in high)  # of few shapes


def test_torch_has_as_many_threads_as_before() -> None:
    code = (
        "import torch, numpy as np\n"
        "from threading import Thread\n"
        "from evenly import select\n"
        "before = torch.get_num_threads()\n"
        "select(np.random.default_rng(0).standard_normal((5000, 8)), 10)\n"
        "seen = [torch.get_num_threads()]\n"
        "thread = Thread(target=lambda: seen.append(torch.get_num_threads()))\n"
        "thread.start(), thread.join()\n"
        "assert seen == [before, before], (before, seen)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
