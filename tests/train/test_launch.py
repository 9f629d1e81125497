"""Several processes: the loss curve of two is the loss curve of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

PROGRAM = """
import sys
from pathlib import Path
from accelerate import PartialState
from evenly.train.settings import Training
from evenly.train.single import train_rows

def row(n):
    answer = f"{n + n % 7} is the sum"
    return [{"role": "user", "content": f"add {n} and {n % 7}"}, {"role": "assistant", "content": answer}]

assert PartialState().num_processes == int(sys.argv[3])
training = Training(rate=5e-3, window=64, batch=10, micro_batch=3, epochs=1.5, precision="fp32")
train_rows([row(n) for n in range(45)], sys.argv[1], training, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(model_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_machines",
        "1",
        "--num_processes",
    ]
    for count in (1, 2):
        command = [
            *launch,
            str(count),
            str(program),
            str(model_folder),
            str(tmp_path / str(count)),
            str(count),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (pq.read_table(tmp_path / str(count) / "curve.parquet") for count in (1, 2))
    assert one["part"].to_pylist() == two["part"].to_pylist()
    assert one["tokens"].to_pylist() == two["tokens"].to_pylist()
    np.testing.assert_allclose(one["loss"].to_numpy(), two["loss"].to_numpy(), atol=2e-5)
    own = one.filter(pc.field("part") == "own")["loss"].to_numpy()
    assert own[-1] < own[0] - 0.2
