#!/usr/bin/env bash
# Rows whose score is NaN pass or fail a filter by which row group of the Parquet file they lie in.
#
# Guess: NaN > 0.5 is false, as in IEEE and NumPy, so `score > 0.5` drops rows without a score everywhere; and a
#   filter keeps the same rows whether it reads the file or a table in memory.
# Seen: in Polars and DuckDB NaN is the largest number, so the filter keeps every NaN. But DuckDB skips row groups
#   by their maximum, which writers take without NaN: from the file it keeps only NaNs that share a group with a
#   good score, from a table all of them. pyarrow's dataset does the same with `~(score <= 0.5)`.
#   The same Polars expression over a pyarrow dataset drops every NaN again, and DuckDB over pandas drops them too,
#   as pandas' NaN counts as null there.
# For our users: unscored rows slip into "the good part", and how many changes when the same rows are written again
#   with another row group size. Turn NaN to null, or filter it out by name, before any quality threshold.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q polars==2.1.0 duckdb==2.0.1 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
nice -n 10 venv/bin/python - <<'PY'
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print(*(f"{module.__name__} {module.__version__}" for module in (pl, duckdb, pa, pd)), sep=", ")
SCORES = [0.9, 0.2, np.nan, 0.1, 0.3, np.nan, 0.8, np.nan]
rows = pa.table({"row": range(8), "score": SCORES})
high, not_low = pl.col("score") > 0.5, ~(ds.field("score") <= 0.5)


def duck(source):
    frame = source if not isinstance(source, str) else None  # DuckDB finds it by this name
    name = f"'{source}'" if frame is None else "frame"
    return [row for (row,) in duckdb.sql(f"select row from {name} where score > 0.5 order by row").fetchall()]


def seen(size):
    """Rows that each way keeps, of one file with row groups of this size."""
    file = f"{size}.parquet"
    pq.write_table(rows, file, row_group_size=size)
    frame = pd.read_parquet(file)
    return {
        "pandas": frame[frame.score > 0.5].row.tolist(),
        "pyarrow, filters=": pq.read_table(file, filters=[("score", ">", 0.5)])["row"].to_pylist(),
        "Polars scan": pl.scan_parquet(file).filter(high).collect()["row"].to_list(),
        "Polars on a pyarrow dataset": pl.scan_pyarrow_dataset(ds.dataset(file)).filter(high).collect()["row"].to_list(),
        "DuckDB, pandas frame": duck(frame),
        "DuckDB, Arrow table": duck(pq.read_table(file)),
        "DuckDB, Parquet file": duck(file),
        "pyarrow ~(<=), table": pq.read_table(file).filter(not_low)["row"].to_pylist(),
        "pyarrow ~(<=), Parquet file": ds.dataset(file).to_table(filter=not_low)["row"].to_pylist(),
    }


one, two = seen(8), seen(2)
print("scores", SCORES)
print(f"{'rows kept by score > 0.5':30}{'one row group':22}row groups of two")
for name in one:
    print(f"{name:30}{str(one[name]):22}{two[name]}")
without, every, some = [0, 6], [0, 2, 5, 6, 7], [0, 6, 7]
expected = [without, without, every, without, without, every, every, every, every]
assert pl.from_arrow(rows)["score"].max() == 0.9  # the same library's maximum leaves NaN out
changed = expected[:6] + [some, every, some]
sys.exit([*one.values()] != expected or [*two.values()] != changed)
PY
