"""What `evenly push` sends to the hub, by a server that speaks its protocol, and what comes back."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from evenly.controls.choice import Choice
from evenly.errors import InputError
from evenly.jobs.push import push_selection
from evenly.jobs.select import select_sources
from evenly.jobs.verify import verify_folder
from evenly.request import PoolRequest, SavedPoolRequest
from evenly.selecting.request import SelectRequest
from tests.jobs.files import read_lines, records, write_lines


class Hub(ThreadingHTTPServer):
    """As much of the hub as one push needs: repositories with files, and what was asked of it."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = dict(files or {})
        self.asked: list[tuple[str, str, Any]] = []
        self.commits = 0


class Answers(BaseHTTPRequestHandler):
    """What the hub answers."""

    server: Hub

    def log_message(self, format: str, *values: Any) -> None:
        pass

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, said in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), said)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_HEAD(self) -> None:
        name = self.path.partition("/resolve/main/")[2]
        if name in self.server.files:
            self.answer(200, ETag='"x"', X_Repo_Commit="0" * 40)
        else:
            self.answer(404, X_Error_Code="EntryNotFound")

    def do_GET(self) -> None:
        self.answer(200, {"id": "someone/kept", "sha": "0" * 40, "siblings": [], "name": "someone"})

    def do_POST(self) -> None:
        body = self.body()
        if self.path == "/api/repos/create":
            self.server.asked.append(("create", self.path, json.loads(body)))
            self.answer(
                200, {"url": f"http://{self.headers['Host']}/datasets/someone/kept", "name": "someone/kept"}
            )
        elif self.path.endswith("/preupload/main"):
            wanted = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self.answer(200, {"files": wanted})
        elif self.path.endswith("/commit/main"):
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    self.server.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
            self.server.commits += 1
            own = f"http://{self.headers['Host']}/datasets/someone/kept"
            self.answer(
                200, {"commitUrl": f"{own}/commit/{'1' * 40}", "commitOid": "1" * 40, "hookOutput": ""}
            )
        else:
            self.answer(200, {"errors": [], "warnings": []})


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    source = write_lines(tmp_path / "pool.jsonl", records(30, 0))
    pool = PoolRequest([str(source)], encoder="column:vec", use_cache=False)
    return select_sources(
        SelectRequest(pool, Choice.of(keep="50%", guard="10%"), str(tmp_path / "kept.jsonl"), order="picked")
    ).folder


def push(hub: Hub, *arguments: str, token: str | None = "hf_of_a_test") -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    own |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": own["EVENLY_CACHE"],
    }
    own |= {} if token is None else {"HF_TOKEN": token}
    command = [sys.executable, "-m", "evenly", "push", *arguments]
    return subprocess.run(command, env=own, capture_output=True, text=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_push_is_one_commit_of_what_the_dry_run_writes(hub: Hub, kept: Path, tmp_path: Path) -> None:
    done = push(hub, str(kept), "--to", "someone/kept", "--private")
    assert done.returncode == 0, done.stderr
    assert hub.commits == 1
    assert [asked["visibility"] for what, _, asked in hub.asked if what == "create"] == ["private"]
    push_selection(kept, "someone/kept", dry_run=tmp_path / "dry")
    assert hub.files == files_of(tmp_path / "dry")
    again = push(hub, str(kept), "--to", "someone/kept")
    assert again.returncode == 2
    assert "someone/kept has a card already" in again.stderr
    assert hub.commits == 1


def test_what_is_pulled_loads_and_verifies(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "hub" / "datasets--someone--kept"
    (place / "refs").mkdir(parents=True)
    (place / "snapshots").mkdir()
    (place / "refs" / "main").write_text("1" * 40)
    pushed = push_selection(kept, "someone/kept", dry_run=place / "snapshots" / ("1" * 40))
    rows = datasets.load_dataset(pushed.place, split="train", cache_dir=str(tmp_path / "cache"))
    assert [dict(row)["instruction"] for row in rows] == [
        row["instruction"] for row in read_lines(tmp_path / "kept.jsonl")
    ]
    source = tmp_path / "elsewhere.jsonl"
    (tmp_path / "pool.jsonl").rename(source)
    for path in (tmp_path / "kept.jsonl", *kept.iterdir()):
        path.unlink()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    found = verify_folder(SavedPoolRequest(Path("someone/kept"), source=(str(source),), use_cache=False))
    assert found.passed
    assert not found.unchecked


def test_the_card_says_what_it_is_how_even_and_how_to_check_it(kept: Path, tmp_path: Path) -> None:
    push_selection(kept, "someone/kept", dry_run=tmp_path / "dry")
    card = (tmp_path / "dry/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["configs"] == [{"config_name": "default", "data_files": "kept.jsonl"}]
    for said in (
        "15 of 30 rows (50 %)",
        "proven at least",
        "evenly verify someone/kept",
        "`guard` | 10%",
        "Licence",
    ):
        assert said in card
    assert "the first k of them are the selection of size k" in card
    assert str(tmp_path) not in card


def test_parquet_of_several_sources_keeps_its_types(tmp_path: Path) -> None:
    for name in "ab":
        table = pa.table({"text": [f"{name} {n}" for n in range(9)], "n": pa.array(range(9), pa.uint8())})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((18, 3)).astype(np.float32))
    pool = PoolRequest([f"{tmp_path}/*.parquet"], encoder=f"vectors:{tmp_path / 'v.npy'}", use_cache=False)
    done = select_sources(SelectRequest(pool, Choice.of(keep=9), f"{tmp_path}/kept/", random_draws=0))
    pushed = push_selection(done.folder, "kept", dry_run=tmp_path / "dry")
    counts = {output.name: output.rows for output in done.manifest.outputs}
    for name in "ab":
        rows = datasets.load_dataset(pushed.place, name, split="train", cache_dir=str(tmp_path / "cache"))
        assert rows.features["n"] == datasets.Value("uint8")
        assert len(rows) == counts[f"kept/{name}.parquet"]


def test_what_cannot_be_pushed_is_one_line_and_nothing_is_sent(hub: Hub, kept: Path, tmp_path: Path) -> None:
    without = push(hub, str(kept), "--to", "someone/kept", token=None)
    assert (without.returncode, without.stderr.count("\n")) == (2, 1)
    assert "no token for the hub" in without.stderr
    with pytest.raises(InputError, match="must be NAME or OWNER/NAME"):
        push_selection(kept, "some one/../kept", dry_run=tmp_path / "dry")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="is there; name a new folder"):
        push_selection(kept, "someone/kept", dry_run=tmp_path / "there")
    with (tmp_path / "kept.jsonl").open("a") as stream:
        stream.write("{}\n")
    changed = push(hub, str(kept), "--to", "someone/kept")
    assert changed.returncode == 2
    assert "was changed since" in changed.stderr
    assert (hub.commits, hub.asked) == (0, [])
