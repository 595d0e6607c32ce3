"""A hub of one model on this machine: as much of its interface as fetching a model takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

MODEL, COMMIT = "someone/tiny-sd", "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files below `folder` as `MODEL` at `COMMIT`; `lies` are files that it cuts short."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.lies: set[str] = set()
        self.gated = False
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """What goes into HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"

    def files(self) -> list[dict[str, Any]]:
        """Each file as the hub tells of it; weights by their SHA-256."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [_facts(path.relative_to(self.folder).as_posix(), path.read_bytes()) for path in found]


def _facts(name: str, content: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": "file", "path": name, "rfilename": name, "size": len(content)}
    facts["oid"] = facts["blobId"] = hashlib.sha1(content).hexdigest()
    if name.endswith(".safetensors"):
        sha256 = hashlib.sha256(content).hexdigest()
        facts["lfs"] = {"oid": sha256, "sha256": sha256, "size": len(content), "pointerSize": 130}
    return facts


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(send=True)

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, send: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if self.server.gated:
            self._send(b"{}", send, code=403, headers={"X-Error-Code": "GatedRepo"})
        elif path in (
            f"/api/models/{MODEL}",
            f"/api/models/{MODEL}/revision/{COMMIT}",
            f"/api/models/{MODEL}/revision/v1",
        ):
            info = {"id": MODEL, "sha": COMMIT, "siblings": self.server.files(), "cardData": {"license": "openrail"}}
            self._send(json.dumps(info).encode(), send)
        elif path.startswith(f"/api/models/{MODEL}/tree/{COMMIT}"):
            self._send(json.dumps(self.server.files()).encode(), send)
        elif path.startswith(f"/{MODEL}/resolve/{COMMIT}/"):
            self._send_file(path.removeprefix(f"/{MODEL}/resolve/{COMMIT}/"), send)
        else:
            code = "RevisionNotFound" if f"/api/models/{MODEL}/" in path else "RepoNotFound"
            self._send(b"{}", send, code=404, headers={"X-Error-Code": code})

    def _send_file(self, name: str, send: bool) -> None:
        content = (self.server.folder / name).read_bytes()
        facts = _facts(name, content)
        if name in self.server.lies:
            content = bytes(len(content))
        etag = facts.get("lfs", {}).get("oid", facts["oid"])
        self._send(content, send, headers={"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def _send(self, content: bytes, send: bool, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if send:
            self.wfile.write(content)


@contextmanager
def hub_of(folder: Path) -> Iterator[Hub]:
    """A running hub."""
    with Hub(folder) as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
