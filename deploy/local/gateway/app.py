"""The gateway's HTTP routes, as OpenFaaS's gateway has them."""

from __future__ import annotations

import json
import posixpath
import time
import uuid
from urllib.parse import quote

from flask import Flask, Response, jsonify, redirect, request

from local.gateway.errors import UnknownFunction
from local.gateway.proxy import Answer, Call, Proxy
from local.gateway.queue import MAX_BODY_BYTES, AsyncQueue
from local.gateway.supervisor import Supervisor

# The provider answers any other method with 405.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NAMESPACE = ".openfaas-fn"
SAFE = "/:@!$&'()*+,;="
CHUNK = 65536
OURS = {"x-call-id", "x-start-time"}


def create_app(supervisor: Supervisor, proxy: Proxy, queue: AsyncQueue) -> Flask:
    """The routes over the functions' processes, the proxy to them and the async queue."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False

    # A hook, not a route: routes would answer OPTIONS themselves and know no other methods.
    @app.before_request
    def calls() -> Response | None:
        kind, _, rest = request.environ["PATH_INFO"].lstrip("/").partition("/")
        if kind not in ("function", "async-function"):
            return None
        if refused := _refused():
            return refused
        identity = {
            "X-Call-Id": request.headers.get("X-Call-Id") or str(uuid.uuid4()),
            "X-Start-Time": str(time.time_ns()),
        }
        call = _call(rest, identity)
        if kind == "function":
            return _respond(_invoke(proxy, call), identity)
        return _enqueue(queue, call, identity)

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("OK\n", mimetype="text/plain")

    @app.get("/system/functions")
    def functions() -> Response:
        return jsonify([_describe(supervisor, name) for name in supervisor.stack.functions])

    @app.get("/system/function/<name>")
    def function(name: str) -> Response:
        return jsonify(_describe(supervisor, name))

    @app.get("/system/logs")
    def logs() -> Response:
        """`name` and `tail` (lines, 0 for all that is kept) as OpenFaaS has them; it never follows."""
        tail = request.args.get("tail", 0, int)
        log = supervisor.log(request.args.get("name", ""))
        lines = log.tail(tail) if tail > 0 else log.tail()
        return Response("".join(json.dumps(line.to_json()) + "\n" for line in lines), mimetype="application/x-ndjson")

    @app.errorhandler(UnknownFunction)
    def unknown(error: UnknownFunction) -> Response:
        return _text(404, str(error))

    return app


def _refused() -> Response | None:
    """What the real gateway does not let through, so that nobody relies on it here."""
    path = request.path
    if request.method not in METHODS:
        return _text(405, f"OpenFaaS does not pass {request.method} on")
    clean = posixpath.normpath(path) + ("/" if path.endswith("/") else "")
    if "//" in request.environ.get("REQUEST_URI", "").partition("?")[0] or clean != path:
        query = request.environ.get("QUERY_STRING", "")
        return redirect(quote(clean.replace("//", "/")) + (f"?{query}" if query else ""), 301)
    if "%" in path:
        return _text(400, "OpenFaaS drops a connection whose path holds %25; use the query or the body")
    return None


def _call(target: str, identity: dict[str, str]) -> Call:
    """The call that a request to NAME/any/path stands for."""
    name, _, path = target.partition("/")
    return Call(
        name.removesuffix(NAMESPACE),
        request.method,
        "/" + quote(path.encode("latin-1"), safe=SAFE),
        request.environ.get("QUERY_STRING", ""),
        _headers(identity),
        request.get_data(cache=False),
    )


def _headers(identity: dict[str, str]) -> tuple[tuple[str, str], ...]:
    ours = {name.lower() for name in identity}
    sent = ((name, value) for name, value in request.headers.items() if name.lower() not in ours)
    return (*sent, *identity.items())


def _invoke(proxy: Proxy, call: Call) -> Answer:
    try:
        return proxy.forward(call)
    except UnknownFunction as error:
        message = f"error finding function {call.name}: {error}\n".encode()
        return Answer(404, [("Content-Type", "text/plain; charset=utf-8")], message)


def _respond(answer: Answer, identity: dict[str, str]) -> Response:
    upstream = answer.upstream
    response = Response(
        upstream.stream(CHUNK, decode_content=False) if upstream else answer.body,
        status=f"{answer.status} {answer.reason}" if answer.reason else answer.status,
    )
    response.headers.clear()
    response.headers.extend((name, value) for name, value in answer.headers if name.lower() not in OURS)
    response.headers.extend(identity)
    if upstream:
        response.call_on_close(upstream.close)
    return response


def _enqueue(queue: AsyncQueue, call: Call, identity: dict[str, str]) -> Response:
    if call.method != "POST":
        return _text(405, "an async call must be a POST")
    if len(call.body) > MAX_BODY_BYTES:
        held = len(call.body)
        return _text(500, f"an async call's body may hold {MAX_BODY_BYTES} bytes, this one holds {held}")
    # Honoured, it would let anonymous callers send requests from inside.
    headers = tuple(pair for pair in call.headers if pair[0].lower() != "x-callback-url")
    queue.put(Call(call.name, call.method, call.path, call.query, headers, call.body))
    return Response(status=202, headers=identity)


def _describe(supervisor: Supervisor, name: str) -> dict:
    spec, process = supervisor.spec(name), supervisor.running(name)
    return {
        "name": spec.name,
        "namespace": "openfaas-fn",
        "image": spec.image,
        "replicas": 1,
        "availableReplicas": int(bool(process and process.listening)),
        "invocationCount": supervisor.invocations[name],
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "secrets": list(spec.secrets),
        "envVars": dict(spec.environment),
    }


def _text(status: int, message: str) -> Response:
    return Response(message + "\n", status=status, mimetype="text/plain")
