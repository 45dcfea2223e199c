"""The WSGI application around one handler: every method, every path, one log line per call."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable

from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from runtime.contract import Context, Event, InvalidReturn, to_response
from runtime.logs import CALL_ID, log, log_request

Handle = Callable[[Event, Context], object]


def create_app(handle: Handle, max_body_bytes: int) -> Flask:
    """A Flask app that gives every call to `handle` and answers a body over `max_body_bytes` with 413."""
    app = Flask(__name__, static_folder=None)
    hostname = os.environ.get("HOSTNAME") or socket.gethostname()

    # A hook, not a route: routes would answer OPTIONS and unknown methods themselves and redirect "//".
    @app.before_request
    def serve() -> Response:
        started = time.perf_counter()
        context = Context(hostname, call_id_of(request.headers.get("X-Call-Id")))
        token = CALL_ID.set(context.call_id)
        try:
            response = answer(context)
            response.headers.setdefault("X-Call-Id", context.call_id)
            log_request(
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=(time.perf_counter() - started) * 1000,
                call_id=context.call_id,
                fields=context.log_fields,
            )
            return response
        finally:
            CALL_ID.reset(token)

    def answer(context: Context) -> Response:
        if (request.content_length or 0) > max_body_bytes:
            return error_response(413, "body_too_large", too_large(max_body_bytes), context.call_id)
        try:
            return to_response(app, handle(Event(request), context), request.method)
        except InvalidReturn as error:
            log.error("invalid return: %s", error)
            return internal_error(context.call_id)
        except HTTPException as error:
            code = re.sub(r"\W+", "_", error.name.lower())
            return error.response or error_response(error.code, code, error.description, context.call_id)
        # SystemExit too: in a worker thread it would end no process and leave the caller without an answer.
        except (Exception, SystemExit) as error:
            return typed_error(app, error) or unexpected_error(error, context.call_id)

    return app


def typed_error(app: Flask, error: BaseException) -> Response | None:
    """The answer of an error that carries its own (http_status and to_response()), else None."""
    status, convert = getattr(error, "http_status", None), getattr(error, "to_response", None)
    if not isinstance(status, int) or not callable(convert):
        return None
    try:
        response = to_response(app, convert(), request.method)
    except Exception:
        log.exception("the response of %s could not be made", type(error).__name__)
        return None
    if response.status_code >= 500:
        log.error("the handler failed: %s", error, exc_info=error)
    return response


def unexpected_error(error: BaseException, call_id: str) -> Response:
    log.error("the handler raised %s", type(error).__name__, exc_info=error)
    return internal_error(call_id)


def internal_error(call_id: str) -> Response:
    """The 500 that tells the caller nothing but where the owner can look."""
    return error_response(500, "internal", "the function failed; see its log for this call_id", call_id)


def error_response(status: int, code: str, message: str | None, call_id: str) -> Response:
    return Response(error_document(code, message or code, call_id), status=status, content_type="application/json")


def error_document(code: str, message: str, call_id: str) -> bytes:
    """The JSON body of every error the template itself answers."""
    document = {"error": {"code": code, "message": message, "call_id": call_id}}
    return json.dumps(document, separators=(",", ":")).encode()


def too_large(max_body_bytes: int) -> str:
    return f"the body may hold {max_body_bytes} bytes"


def call_id_of(sent: str | None) -> str:
    """The caller's X-Call-Id, cut to a length that fits a log line, or a new one."""
    return (sent or "")[:128] or str(uuid.uuid4())
