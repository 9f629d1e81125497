"""Several processes: the loss curve of two is the loss curve of one."""

from __future__ import annotations

import os
import runpy
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
from evenly.train.models import processes
from evenly.train.settings import Training
from evenly.train.single import train_rows

def row(n):
    answer = f"{n + n % 7} is the sum"
    return [{"role": "user", "content": f"add {n} and {n % 7}"}, {"role": "assistant", "content": answer}]

assert processes().num_processes == int(sys.argv[3])
training = Training(rate=5e-3, window=64, batch=10, micro_batch=3, epochs=1.5, precision="fp32")
train_rows([row(n) for n in range(45)], sys.argv[1], training, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    arguments = {count: [str(program), str(model_folder), str(tmp_path / count), count] for count in "12"}
    monkeypatch.setattr(sys, "argv", arguments["1"])
    runpy.run_path(str(program))
    # accelerate launch starts processes on processors through MPI only; torchrun sets the same variables.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launch, *arguments["2"]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (pq.read_table(tmp_path / count / "curve.parquet") for count in arguments)
    assert one["part"].to_pylist() == two["part"].to_pylist()
    assert one["tokens"].to_pylist() == two["tokens"].to_pylist()
    np.testing.assert_allclose(one["loss"].to_numpy(), two["loss"].to_numpy(), atol=2e-5)
    own = one.filter(pc.field("part") == "own")["loss"].to_numpy()
    assert own[-1] < own[0] - 0.2
