"""How work is cut: every row once, and as much for each thread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evenly.selection.tiles import Tiles, blocks


@given(st.integers(1, 100_000), st.integers(1, 8), st.sampled_from([8, 128, 4096]))
def test_shared_tiles_cover_all_rows_and_leave_no_thread_a_tile_more(
    count: int, threads: int, rows: int
) -> None:
    tiles = Tiles(rows=rows, threads=threads).shared(count)
    assert tiles.rows <= rows
    tiles_of_busiest = -(-len(list(blocks(count, tiles.rows))) // threads)
    assert tiles_of_busiest <= -(-count // (rows * threads))
