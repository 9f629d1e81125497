"""A model folder served on this machine as the Hugging Face hub serves one: the calls that fetching makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serves folders under their ids; gives the address, and the files that were fetched so far."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.split("?")[0]
            for name, folder in models.items():
                if path.startswith(f"/api/models/{name}/"):
                    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
                    paths = [one.relative_to(folder).as_posix() for one in files]
                    info = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": path} for path in paths]}
                    tree = [
                        {"type": "file", "path": path, "size": one.stat().st_size, "oid": COMMIT}
                        for path, one in zip(paths, files, strict=True)
                    ]
                    self.send(json.dumps(tree if "/tree/" in self.path else info).encode(), body=body)
                    return
                if path.startswith(f"/{name}/resolve/{COMMIT}/"):
                    file = folder / path.split(f"/resolve/{COMMIT}/")[1]
                    if body:
                        fetched.append(file.name)
                    self.send(file.read_bytes(), body=body)
                    return
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, content: bytes, *, body: bool) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        server.shutdown()
        server.server_close()
