"""What a handler gets and what its returns become on the wire."""

from __future__ import annotations

import socket

import pytest
import requests
from werkzeug.datastructures import MultiDict

from unit.template.template_process import TemplateProcess

RETURNS = """
import flask
from decimal import Decimal

class Refused(Exception):
    http_status = 409
    def to_response(self):
        return {"statusCode": 409, "body": {"error": {"code": "conflict"}}, "headers": {"Retry-After": 7}}

class Down(Exception):
    http_status = 503
    def to_response(self):
        return {"statusCode": 503, "body": {"error": {"code": "store_down"}}}

class Broken(Exception):
    http_status = 400
    def to_response(self):
        return {"statusCode": "no"}

def fail(error):
    raise error

CASES = {
    "dict": lambda e: {"body": {"b": 1, "a": "zł"}},
    "list": lambda e: {"body": [1, None, "x"]},
    "text": lambda e: {"body": "héllo"},
    "int": lambda e: {"body": 7},
    "zero": lambda e: {"body": 0},
    "float": lambda e: {"body": 1.5},
    "true": lambda e: {"body": True},
    "false": lambda e: {"body": False},
    "null": lambda e: {"body": None, "statusCode": 204},
    "empty-dict-body": lambda e: {"body": {}},
    "bytes": lambda e: {"body": bytes(range(256))},
    "empty-text": lambda e: {"body": ""},
    "empty-bytes": lambda e: {"body": b""},
    "none": lambda e: None,
    "empty-return": lambda e: {},
    "own-type": lambda e: {"body": "<b>hi</b>", "headers": {"content-type": "text/html"}},
    "header-list": lambda e: {"headers": [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], "body": "x"},
    "header-many": lambda e: {"headers": {"Set-Cookie": ["a=1", "b=2"], "X-Number": 5}, "body": "x"},
    "wrong-length": lambda e: {"headers": {"Content-Length": "3"}, "body": "four"},
    "tuple": lambda e: ({"a": 1}, 201, {"X-A": "1"}),
    "pair": lambda e: ("text", 202),
    "pair-headers": lambda e: ("text", {"X-A": "1"}),
    "flask": lambda e: flask.Response("<p>", status=418, mimetype="text/html"),
    "flask-tuple": lambda e: (flask.jsonify(a=1), 201, {"X-A": "1"}),
    "flask-json": lambda e: flask.jsonify(flask.request.get_json()),
    "plain-text": lambda e: "just text",
    "conflict": lambda e: fail(Refused()),
    "down": lambda e: fail(Down("mongodb refused")),
    "abort": lambda e: flask.abort(404),
    "bug": lambda e: {}["secret-key-name"],
    "exit": lambda e: fail(SystemExit(0)),
    "broken-error": lambda e: fail(Broken("whole")),
    "set": lambda e: {"body": {1, 2}},
    "nested-set": lambda e: {"body": {"x": {1, 2}}},
    "nan": lambda e: {"body": float("nan")},
    "object": lambda e: object(),
    "status-text": lambda e: {"statusCode": "200"},
    "status-high": lambda e: {"statusCode": 700},
    "status-bool": lambda e: {"statusCode": True},
    "status-informational": lambda e: {"statusCode": 101},
    "no-keys": lambda e: {"status": "ok"},
    "long-tuple": lambda e: (1, 2, 3, 4),
    "header-newline": lambda e: {"headers": {"X-A": "a\\r\\nX-B: b"}},
    "header-name": lambda e: {"headers": {"X A": "a"}},
    "header-hop": lambda e: {"headers": {"Connection": "close"}},
    "header-text": lambda e: {"headers": "X-A: 1"},
    "header-unicode": lambda e: {"headers": {"X-A": "\\u20ac"}},
}

def handle(event, context):
    return CASES[event.path.strip("/")](event)
"""

ECHO = """
def handle(event, context):
    return {"body": {
        "method": event.method, "path": event.path, "query": event.query.to_dict(flat=False),
        "query_string": event.query_string, "body": list(event.body), "hostname": context.hostname,
        "call_id": context.call_id, "agent": event.headers["user-AGENT"],
        "headers": dict(event.headers)}}
"""


@pytest.fixture(scope="module")
def module_function(tmp_path_factory):
    started: list[TemplateProcess] = []

    def run(handler: str, environment=None) -> TemplateProcess:
        started.append(TemplateProcess(tmp_path_factory.mktemp("function"), handler, environment))
        return started[-1]

    yield run
    for process in started:
        process.close()


@pytest.fixture(scope="module")
def returns(module_function):
    return module_function(RETURNS)


@pytest.fixture(scope="module")
def echo(module_function):
    return module_function(ECHO, {"HOSTNAME": "sample-host"})


@pytest.mark.parametrize(
    ("case", "status", "body", "content_type"),
    [
        ("dict", 200, '{"b":1,"a":"zł"}'.encode(), "application/json"),
        ("list", 200, b'[1,null,"x"]', "application/json"),
        ("text", 200, "héllo".encode(), "text/plain; charset=utf-8"),
        ("int", 200, b"7", "application/json"),
        ("zero", 200, b"0", "application/json"),
        ("float", 200, b"1.5", "application/json"),
        ("true", 200, b"true", "application/json"),
        ("false", 200, b"false", "application/json"),
        ("null", 204, b"", None),
        ("empty-dict-body", 200, b"{}", "application/json"),
        ("bytes", 200, bytes(range(256)), "application/octet-stream"),
        ("empty-text", 200, b"", None),
        ("empty-bytes", 200, b"", None),
        ("none", 200, b"", None),
        ("empty-return", 200, b"", None),
        ("own-type", 200, b"<b>hi</b>", "text/html"),
        ("wrong-length", 200, b"four", "text/plain; charset=utf-8"),
        ("tuple", 201, b'{"a":1}', "application/json"),
        ("pair", 202, b"text", "text/plain; charset=utf-8"),
        ("pair-headers", 200, b"text", "text/plain; charset=utf-8"),
        ("flask", 418, b"<p>", "text/html; charset=utf-8"),
        ("flask-tuple", 201, b'{"a":1}\n', "application/json"),
        ("plain-text", 200, b"just text", "text/plain; charset=utf-8"),
    ],
)
def test_every_kind_of_return_becomes_the_response_it_means(returns, case, status, body, content_type):
    answer = requests.get(f"{returns.url}/{case}", timeout=5)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("Content-Type") == content_type


def test_headers_may_be_a_dict_a_list_or_hold_lists(returns):
    listed = requests.get(f"{returns.url}/header-list", timeout=5)
    many = requests.get(f"{returns.url}/header-many", timeout=5)
    assert listed.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert many.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert many.headers["X-Number"] == "5"


def test_a_handler_may_use_flasks_own_request(returns):
    assert requests.post(f"{returns.url}/flask-json", json={"a": 1}, timeout=5).json() == {"a": 1}


@pytest.mark.parametrize(
    "case",
    [
        "set",
        "nested-set",
        "nan",
        "object",
        "status-text",
        "status-high",
        "status-bool",
        "status-informational",
        "no-keys",
        "long-tuple",
        "header-newline",
        "header-name",
        "header-hop",
        "header-text",
        "header-unicode",
    ],
)
def test_an_invalid_return_is_logged_and_answered_with_a_json_500(returns, case):
    answer = requests.get(f"{returns.url}/{case}", headers={"X-Call-Id": f"bad-{case}"}, timeout=5)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert answer.json()["error"]["call_id"] == f"bad-{case}"
    logged = [r for r in returns.records_of(f"bad-{case}") if r["level"] == "error"]
    assert any(r["msg"].startswith("invalid return: ") for r in logged)


@pytest.mark.parametrize("case", ["bug", "exit", "broken-error"])
def test_an_exception_is_a_json_500_without_internals_and_a_logged_traceback(returns, case):
    answer = requests.get(f"{returns.url}/{case}", headers={"X-Call-Id": f"call-{case}"}, timeout=5)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json()["error"]) == {"code", "message", "call_id"}
    assert "secret-key-name" not in answer.text
    assert "Traceback" not in answer.text
    logged = [r for r in returns.records_of(f"call-{case}") if "traceback" in r]
    assert logged
    assert "Traceback (most recent call last)" in logged[-1]["traceback"]


def test_a_typed_error_answers_for_itself_and_only_a_5xx_is_logged(returns):
    conflict = requests.get(f"{returns.url}/conflict", headers={"X-Call-Id": "c409"}, timeout=5)
    down = requests.get(f"{returns.url}/down", headers={"X-Call-Id": "c503"}, timeout=5)
    assert (conflict.status_code, conflict.json()) == (409, {"error": {"code": "conflict"}})
    assert conflict.headers["Retry-After"] == "7"
    assert (down.status_code, down.json()) == (503, {"error": {"code": "store_down"}})
    assert [r["msg"] for r in returns.records_of("c409")] == ["request"]
    assert any("mongodb refused" in r["msg"] for r in returns.records_of("c503"))


def test_flasks_abort_is_answered_in_json(returns):
    answer = requests.get(f"{returns.url}/abort", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/a/b%20c", "/favicon.ico", "/static/x", "/a//b/../c"])
def test_every_method_and_path_reaches_the_handler(echo, method, path):
    request = requests.Request(method, echo.url + "/").prepare()
    request.url = echo.url + path
    with requests.Session() as session:
        seen = session.send(request, timeout=5).json()
    assert (seen["method"], seen["path"]) == (method, path.replace("%20", " "))


def test_head_reaches_the_handler_and_is_answered_without_a_body(echo):
    answer = requests.head(f"{echo.url}/x", timeout=5)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) > 50
    assert answer.content == b""


def test_body_query_headers_and_call_id_arrive_as_sent(echo):
    body = bytes(range(256))
    seen = requests.post(
        f"{echo.url}/p%C4%85th?a=1&a=2&b=%20", data=body, timeout=5, headers={"X-Call-Id": "abc", "User-Agent": "ua"}
    ).json()
    assert bytes(seen["body"]) == body
    assert seen["path"] == "/pąth"
    assert seen["query_string"] == "a=1&a=2&b=%20"
    assert MultiDict(seen["query"]).getlist("a") == ["1", "2"]
    assert (seen["call_id"], seen["agent"], seen["hostname"]) == ("abc", "ua", "sample-host")


def test_a_call_without_an_id_gets_one_that_is_returned(echo):
    answer = requests.get(echo.url, timeout=5)
    assert answer.json()["call_id"] == answer.headers["X-Call-Id"]
    assert len(answer.headers["X-Call-Id"]) == 36


def test_a_bad_request_line_is_refused_in_json_and_logged(echo):
    with socket.create_connection(("127.0.0.1", echo.port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Call-Id: bad-line\r\nbroken header line\r\n\r\n")
        received = connection.makefile("rb").read()
    assert received.startswith(b"HTTP/1.0 400 ") or received.startswith(b"HTTP/1.1 400 ")
    assert b'{"error":{"code":"bad_request"' in received
    assert echo.records_of("bad-line")[-1]["status"] == 400
