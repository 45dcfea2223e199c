"""A small real HTTP server that says what a test tells it to, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """One request: `query` has the first value of each name, `json` is None without a JSON body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


#: Writes an answer, or does worse to the connection.
Behaviour = Callable[["_Handler"], None]


class Wire:
    """Answers requests in the order of `say` and `do`; the last one is repeated. Use as a context manager."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.wire = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, status: int = 200, body: Any = b"", headers: dict[str, str] | None = None) -> Wire:
        """Answers with `body`: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        return self.do(lambda handler: handler.answer(status, data, {**kind, **(headers or {})}))

    def do(self, behaviour: Behaviour) -> Wire:
        self._script.append(behaviour)
        return self

    def next(self, seen: Seen) -> Behaviour:
        with self._lock:
            self.seen.append(seen)
            return self._script.popleft() if len(self._script) > 1 else self._script[0]


class _Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reset_connection(self) -> None:
        """Drops the connection as a crashed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def wait(self, seconds: float) -> bool:
        """True when the test is over before that."""
        return bool(self.server.wire.stopped.wait(seconds))  # type: ignore[attr-defined]

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        wire: Wire = self.server.wire  # type: ignore[attr-defined]
        wire.next(Seen(self.command, parts.path, query, dict(self.headers), body))(self)

    do_GET = do_POST = do_PUT = _any

    def log_message(self, format: str, *args: Any) -> None:
        """What was asked is in `Wire.seen`."""

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True
