"""What a handler is given and what it may return: OpenFaaS's python3-http contract, mended.

A handler returns None (200, empty), a dict with statusCode, body and headers, a Flask response, or what
Flask takes: a body, or a tuple of body, status and headers. A body is any JSON value, text or bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Flask, Request
from werkzeug.http import is_hop_by_hop_header
from werkzeug.wrappers import Response

KEYS = {"statusCode", "body", "headers"}
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class InvalidReturn(Exception):
    """The handler returned something that is no HTTP response; the message says what and where."""


class Event:
    """One request: body (bytes), headers, method, query (MultiDict), query_string (raw), path (decoded)."""

    def __init__(self, request: Request) -> None:
        self.body = request.get_data()
        self.headers = request.headers
        self.method = request.method
        self.query = request.args
        self.query_string: str = request.environ.get("QUERY_STRING", "")
        self.path = request.path


@dataclass
class Context:
    """hostname and call_id of this call; what the handler puts into log_fields goes into its log line."""

    hostname: str
    call_id: str
    log_fields: dict = field(default_factory=dict)


def to_response(app: Flask, result: object, method: str) -> Response:
    """Turn a handler's return into a response; raises InvalidReturn."""
    if isinstance(result, Response):
        return result
    if isinstance(result, tuple) and result and isinstance(result[0], Response):
        try:
            return app.make_response(result)
        except (TypeError, ValueError) as error:
            raise InvalidReturn(f"the handler returned a bad tuple: {error}") from error
    body, status, headers = _parts(result)
    data, content_type = _encode(app, body)
    response = Response(data, status=_status(status))
    del response.headers["Content-Type"]
    for name, value in _pairs(headers):
        if name.lower() == "content-length" and method != "HEAD":
            continue
        response.headers.add(name, value)
    if content_type and "Content-Type" not in response.headers:
        response.headers["Content-Type"] = content_type
    return response


def _parts(result: object) -> tuple[object, object, object]:
    if isinstance(result, dict):
        if result and not KEYS & result.keys():
            raise InvalidReturn(
                "the handler returned a dict without statusCode, body or headers, but with "
                f"{', '.join(map(repr, result))}; put it into 'body'"
            )
        return result.get("body"), result.get("statusCode", 200), result.get("headers")
    if isinstance(result, tuple):
        if len(result) == 3:
            return result
        if len(result) == 2:
            return (result[0], 200, result[1]) if isinstance(result[1], (dict, list)) else (*result, None)
        raise InvalidReturn(f"the handler returned a tuple of {len(result)} parts; it takes 2 or 3")
    return result, 200, None


def _status(status: object) -> int:
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise InvalidReturn(f"statusCode must be a whole number from 200 to 599, not {status!r}")
    return int(status)


def _encode(app: Flask, body: object) -> tuple[bytes, str | None]:
    if body is None or body == "" or body == b"":
        return b"", None
    if isinstance(body, (bytes, bytearray)):
        return bytes(body), "application/octet-stream"
    try:
        if isinstance(body, str):
            return body.encode(), "text/plain; charset=utf-8"
        if isinstance(body, (dict, list, int, float)):
            text = app.json.dumps(body, ensure_ascii=False, allow_nan=False, sort_keys=False, separators=(",", ":"))
            return text.encode(), "application/json"
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidReturn(f"the handler's body cannot be encoded: {error}") from error
    kind = type(body).__name__
    raise InvalidReturn(f"the handler's body is a {kind}; it must be a JSON value, text or bytes")


def _pairs(headers: object) -> list[tuple[str, str]]:
    if headers is None:
        return []
    if isinstance(headers, Mapping):
        headers = [
            (name, value)
            for name, values in headers.items()
            for value in (values if isinstance(values, (list, tuple)) else [values])
        ]
    try:
        pairs = [(str(name), str(value)) for name, value in headers]
    except (TypeError, ValueError) as error:
        raise InvalidReturn("headers must be a dict, or a list of (name, value) pairs") from error
    for name, value in pairs:
        if not TOKEN.fullmatch(name) or is_hop_by_hop_header(name):
            raise InvalidReturn(f"the handler may not set a header named {name!r}")
        if not value.isprintable() or any(ord(letter) > 255 for letter in value):
            raise InvalidReturn(f"the value of the header {name} holds what no header can hold")
    return pairs
