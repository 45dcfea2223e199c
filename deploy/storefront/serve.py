"""A small server for the built site on this machine, as a static host would show it."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self


class StaticSite:
    """Serves `folder` at 127.0.0.1; a `port` of 0 takes a free one. The folder may be replaced while it runs.

    Folders show their index.html, what is not there 404.html. Nothing is listed, and nothing may be cached.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Begins to serve and returns the address, such as `http://127.0.0.1:8000`. OSError when the port is taken."""
        folder = str(self.folder)

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=folder)

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self.url

    @property
    def url(self) -> str:
        assert self._server is not None, "it was started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A browser keeps its connections open; nobody waits for them.
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is nothing to tell anybody."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pushcart"
    timeout = 30
    # Said here, because a machine's own table of types may lack some.
    extensions_map: ClassVar[dict[str, str]] = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".xml": "application/xml; charset=utf-8",
        ".txt": "text/plain; charset=utf-8",
        ".svg": "image/svg+xml",
        ".webp": "image/webp",
        ".avif": "image/avif",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".png": "image/png",
        ".gif": "image/gif",
        ".ico": "image/x-icon",
        ".pdf": "application/pdf",
        ".woff2": "font/woff2",
        "": "application/octet-stream",
    }

    def guess_type(self, path: Any) -> str:
        return self.extensions_map.get(Path(path).suffix.lower(), "application/octet-stream")

    def send_head(self) -> Any:
        # Without this a browser that has the page is told that nothing changed.
        del self.headers["If-Modified-Since"]
        try:
            return super().send_head()
        except ValueError:  # a name that no file can have
            return self.send_error(HTTPStatus.NOT_FOUND)

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory, "404.html")
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            return super().send_error(code, message, explain)
        body = page.read_bytes()
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return None

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads a line for each picture."""
