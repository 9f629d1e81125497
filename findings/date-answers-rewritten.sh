#!/usr/bin/env bash
# datasets reads JSON Lines in blocks, and rewrites ISO times in a block whose every answer is one.
#
# Guess: a column that holds words in its first rows is a string column, and its strings come back as they
#   are in the file; naming the column's type in `features` makes sure of it.
# Seen: types are inferred block by block (each file, and every 10 MiB of a file), then cast to the column's
#   type. A block in which every value parses as an ISO time is read as times and cast back to text in
#   another form: "2024-01-02T09:30:00+02:00" becomes "2024-01-02 07:30:00", another hour with no zone.
#   The same inside messages, while streaming, and with `features` given. Parquet keeps the strings.
# For our users: a small shard (or the last row of a large file) of date answers trains the model on another
#   answer than the file holds. Rows go to trainers as Parquet, or in blocks that hold some other answer too.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1
export HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1
nice -n 10 venv/bin/python - <<'PY'
import json
import sys

import datasets
import pyarrow
from datasets import Dataset, Features, Value, load_dataset

print(f"datasets {datasets.__version__}, pyarrow {pyarrow.__version__}")
DATE, REWRITTEN = "2024-01-02T09:30:00+02:00", "2024-01-02 07:30:00"
WORDS, DATED = [{"q": "When?", "a": "soon"}], [{"q": "When?", "a": DATE}]
STRINGS = Features({"q": Value("string"), "a": Value("string")})


def last(*files, **options):
    """The last row that load_dataset reads from these files of rows."""
    names = []
    for number, rows in enumerate(files):
        names.append(f"{len(rows)}-{number}.jsonl")
        with open(names[-1], "w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    data = load_dataset("json", data_files=names, split="train", **options)
    return list(data)[-1]


def chat(rows):
    return [{"messages": [{"role": "assistant", "content": row["a"]}]} for row in rows]


long = [{"q": "x" * 1000, "a": "soon"}]
line = len(json.dumps(long[0])) + 1
block = long * (10 * 2**20 // line + 1)  # just past the end of the reader's first block
Dataset.from_list(WORDS).to_parquet("a.parquet")
Dataset.from_list(DATED).to_parquet("b.parquet")

seen = {
    "one file, words and a date": last(WORDS + DATED)["a"],
    "two files, the date alone in one": last(WORDS, DATED)["a"],
    "the same, streaming": last(WORDS, DATED, streaming=True)["a"],
    "the same, features given": last(WORDS, DATED, features=STRINGS)["a"],
    "the same, in messages": last(chat(WORDS), chat(DATED))["messages"][0]["content"],
    "last row of a file of 10 MiB": last(block + DATED)["a"],
    "last row, file one row longer": last(block + long + DATED)["a"],
    "Parquet": load_dataset("parquet", data_files=["a.parquet", "b.parquet"], split="train")[-1]["a"],
}
kept = {"one file, words and a date", "last row, file one row longer", "Parquet"}
expected = {name: DATE if name in kept else REWRITTEN for name in seen}
print(f"{'in the file':34}{DATE}")
for name, value in seen.items():
    print(f"{name:34}{value}")
sys.exit(seen != expected)
PY
