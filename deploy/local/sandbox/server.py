"""The one HTTP port: records every call and applies the faults, for all providers in one place."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote_plus

from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.sandbox.faults import Fault
from local.sandbox.records import Call, mask_fields, mask_headers
from local.sandbox.world import Provider, World

_HTML = "<!doctype html><html><head><title>Just a moment</title></head><body><h1>We will be back</h1></body></html>"
_GARBAGE = random.Random(7).randbytes(400)
# Pages meant for people below a provider's prefix: no fault and no record, they are not calls to its API.
_PAGES = ("/pay/", "/c/", "/receipts/", "/invites/", "/welcome/")
StartResponse = Callable[..., Any]


class Edge:
    """WSGI middleware around the Flask app. A dropped connection is a ConnectionError, which the server
    takes for a client that went away and answers with nothing."""

    def __init__(self, app: Flask, world: World, providers: dict[str, Provider]) -> None:
        self.app, self.world, self.providers = app, world, providers

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/":
            # Apprise knows an ntfy server by its host alone and posts to its root.
            environ["PATH_INFO"] = "/ntfy/"
        request = Request(environ)
        name, _, rest = request.path.lstrip("/").partition("/")
        path = f"/{rest}"
        if name not in self.providers or path.startswith(_PAGES):
            return self.app.wsgi_app(environ, start_response)
        fault = self.world.faults.take(name, request.method, path, _said(request))
        response = self._respond(request, name, fault)
        self._record(request, name, path, None if response is None else response.status_code, fault)
        if response is None:
            self._hang_up(environ, fault)
        return response(environ, start_response)  # type: ignore[misc]

    def _respond(self, request: Request, name: str, fault: Fault | None) -> Response | None:
        if fault is None:
            return self._work(request, name)
        done = self._work(request, name) if fault.does_work else None
        # An empty answer has nothing to drip: it is late as a whole.
        if fault.wait and (fault.kind != "slow" or not (done and done.get_data())):
            self.world.stopping.wait(fault.wait)
        if fault.kind in ("timeout", "refused", "lost_answer"):
            return None
        if fault.kind == "status":
            return self._error(name, fault)
        if fault.kind == "html":
            return Response(fault.body or _HTML, fault.status or 200, content_type="text/html; charset=utf-8")
        if fault.kind == "garbage":
            return Response(fault.body or _GARBAGE, fault.status or 200, content_type="application/json")
        assert done is not None, "truncated and slow do their work"
        body = done.get_data()
        if fault.kind == "truncated":
            return _raw(done, iter([body[: len(body) // 2]]), len(body))
        return _raw(done, self._drip(body, fault.wait), len(body))

    def _work(self, request: Request, name: str) -> Response:
        environ = dict(request.environ)
        body = request.get_data()
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.pop("wsgi.input_terminated", None)
        for cached in [key for key in environ if key.startswith("werkzeug.request")]:
            del environ[cached]
        with self.providers[name].lock:
            return Response.from_app(self.app.wsgi_app, environ, buffered=True)

    def _error(self, name: str, fault: Fault) -> Response:
        status = fault.status or 500
        answer = self.providers[name].error(status, fault.retry_after)
        return Response(
            answer.body if fault.body is None else fault.body,
            status,
            content_type=answer.content_type,
            headers=answer.headers,
        )

    def _drip(self, body: bytes, seconds: float) -> Iterator[bytes]:
        for index in range(len(body)):
            if self.world.stopping.wait(seconds / len(body)):
                return
            yield body[index : index + 1]

    @staticmethod
    def _hang_up(environ: dict[str, Any], fault: Fault | None) -> None:
        if fault is not None and fault.kind == "refused":
            connection: socket.socket = environ["werkzeug.socket"]
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Closing the descriptor itself sends the RST at once; a socket with open files would wait.
            os.close(connection.detach())
        raise ConnectionAbortedError("closed without an answer, as a fault asked for")

    def _record(self, request: Request, name: str, path: str, status: int | None, fault: Fault | None) -> None:
        form, data, text = None, None, ""
        if request.mimetype == "application/x-www-form-urlencoded":
            form = {k: v if len(v) > 1 else v[0] for k, v in request.form.lists()}
        elif request.get_data():
            text = request.get_data(as_text=True)
            try:
                data, text = json.loads(text), ""
            except ValueError:
                data = None
        self.world.records.add_call(
            Call(
                provider=name,
                method=request.method,
                path=path,
                query=mask_fields({k: v if len(v) > 1 else v[0] for k, v in request.args.lists()}),
                headers=mask_headers(dict(request.headers)),
                json=mask_fields(data),
                form=mask_fields(form),
                body=text,
                status=status,
                at=self.world.now(),
                fault=fault.kind if fault else None,
            )
        )


def _said(request: Request) -> str:
    """What a fault's `text` is looked for in besides the path: the query, decoded, and the body."""
    query, body = request.query_string.decode("latin-1"), request.get_data(cache=True, as_text=True)
    form = request.mimetype == "application/x-www-form-urlencoded"
    return f"{unquote_plus(query)}\n{unquote_plus(body) if form else body}"


def _raw(response: Response, body: Iterator[bytes], length: int) -> Response:
    """The same answer with a body that comes differently from what its Content-Length says."""
    headers = Headers(response.headers)
    headers["Content-Length"] = str(length)
    return Response(body, response.status_code, headers, direct_passthrough=True)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Calls are kept as records, where they can be looked at; the console stays quiet."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        # HTTP/1.1 would keep the connection open for a next request.
        self.close_connection = True


class HttpServer:
    """A threaded server on 127.0.0.1 that can be stopped quickly, even while it holds connections open.

    Raises OSError when the port is taken.
    """

    def __init__(self, app: Callable[..., Any], port: int) -> None:
        # Werkzeug ends the process when a port is taken, so the port is taken here.
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            self._server = make_server(
                "127.0.0.1", port, app, threaded=True, request_handler=_Handler, fd=listener.fileno()
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="sandbox-http", daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self.close()

    def close(self) -> None:
        """Gives the port back; enough for a server that was never started."""
        self._server.server_close()
