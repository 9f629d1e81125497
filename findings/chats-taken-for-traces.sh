#!/usr/bin/env bash
# datasets takes a plain chat file with five usual columns for a log of agents, and does not load it.
#
# Guess: JSON Lines with the columns id, source, model, system_prompt and messages, all texts but the turns,
#   load as these five columns; one column more or less makes no difference.
# Seen: load_dataset raises, for want of a package named teich. It takes the five columns (others may stand
#   beside them) for sessions of the agent Hermes and means to replace all columns by its own (harness, trace,
#   num_tool_calls …). Without any one of the five, or with ids that are numbers, the same rows load as they
#   are. So do all rows with `parse_agent_traces=False`, and from Parquet.
# For our users: synthetic chat sets name their maker (model), their origin (source) and their system prompt just so.
#   evenly reads such files itself. What a trainer loads by name goes as Parquet, or with parse_agent_traces off.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1
export HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1
nice -n 10 venv/bin/python - <<'PY'
import json
import sys

import datasets
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetGenerationError

print(f"datasets {datasets.__version__}")
TURNS = [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Pear."}]
ROW = {"id": "a", "source": "s", "model": "m", "system_prompt": "Be brief.", "messages": TURNS}


def columns(row, **options):
    """The columns that load_dataset reads from a file of this row, or the kind of its error."""
    name = f"{abs(hash(json.dumps(row)))}.jsonl"
    with open(name, "w") as stream:
        stream.write(json.dumps(row) + "\n")
    try:
        return sorted(load_dataset("json", data_files=name, split="train", **options).column_names)
    except DatasetGenerationError as error:
        return f"{type(error.__cause__).__name__}: {error.__cause__}"


RAISED = "ImportError: To support decoding agent traces, please install 'teich'."
seen = {"all five": columns(ROW), "and a score": columns({**ROW, "score": 1.5})}
expected = {"all five": RAISED, "and a score": RAISED}
for name in ROW:
    without = {key: value for key, value in ROW.items() if key != name}
    seen[f"without {name}"], expected[f"without {name}"] = columns(without), sorted(without)
seen["ids are numbers"], expected["ids are numbers"] = columns({**ROW, "id": 1}), sorted(ROW)
seen["parse_agent_traces=False"] = columns(ROW, parse_agent_traces=False)
Dataset.from_list([ROW]).to_parquet("a.parquet")
seen["Parquet"] = sorted(load_dataset("parquet", data_files="a.parquet", split="train").column_names)
expected["parse_agent_traces=False"] = expected["Parquet"] = sorted(ROW)
for name, value in seen.items():
    print(f"{name:26}{value if isinstance(value, str) else ', '.join(value)}")
sys.exit(seen != expected)
PY
