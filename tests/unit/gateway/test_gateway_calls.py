"""What a call and its answer look like on their way through the gateway."""

from __future__ import annotations

import http.client
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

ECHO = """
import flask
def handle(event, context):
    if event.path == "/raw":
        return {"body": event.body}
    if event.path == "/headers":
        return {"statusCode": 207, "body": "x", "headers": [
            ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/csv"), ("X-A", "1")]}
    if event.path == "/stream":
        return flask.Response((bytes([n]) * 100_000 for n in range(30)), mimetype="application/octet-stream")
    if event.path == "/large":
        return {"body": bytes(range(256)) * 20_000}
    if event.path == "/nothing":
        return {"statusCode": 204}
    return {"body": {"method": event.method, "path": event.path, "query": event.query_string,
                     "headers": {name.lower(): value for name, value in event.headers.items()}}}
"""


@pytest.fixture
def gateway(project):
    project.add("echo", ECHO)
    return project.gateway()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_function_with_its_path_and_query(gateway, method):
    url = f"{gateway.url}/function/echo/a/b%20%C4%85/?q=1%202&q=x"
    seen = requests.request(method, url, timeout=20).json()
    assert (seen["method"], seen["path"], seen["query"]) == (method, "/a/b ą/", "q=1%202&q=x")


def test_the_functions_name_alone_is_its_root(gateway):
    for path in ("/function/echo", "/function/echo/", "/function/echo.openfaas-fn"):
        assert requests.get(gateway.url + path, timeout=20).json()["path"] == "/"


def test_head_is_answered_with_the_length_and_no_body(gateway):
    answer = requests.head(f"{gateway.url}/function/echo/raw2", timeout=20)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) > 20
    assert answer.content == b""


@pytest.mark.parametrize(
    "body", [b"", b"\x00", bytes(range(256)), b"\x00\r\n\xff" * 75_000], ids=["empty", "zero", "all", "300k"]
)
@pytest.mark.parametrize("encoding", ["length", "chunked"])
def test_bodies_pass_byte_for_byte_both_ways(gateway, body, encoding):
    sent = body if encoding == "length" else iter([body[:100], body[100:]] if len(body) > 100 else [body])
    answer = requests.post(f"{gateway.url}/function/echo/raw", data=sent, timeout=20)
    assert answer.content == body


def test_streamed_and_large_answers_arrive_whole(gateway):
    streamed = requests.get(f"{gateway.url}/function/echo/stream", timeout=20)
    assert streamed.content == b"".join(bytes([n]) * 100_000 for n in range(30))
    large = requests.get(f"{gateway.url}/function/echo/large", timeout=20)
    assert large.content == bytes(range(256)) * 20_000


def test_status_and_headers_of_the_answer_pass_with_duplicates_and_without_additions(gateway):
    answer = requests.get(f"{gateway.url}/function/echo/headers", timeout=20)
    assert answer.status_code == 207
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert set(answer.headers) == {
        "Set-Cookie",
        "Content-Type",
        "X-A",
        "Content-Length",
        "Date",
        "X-Call-Id",
        "X-Start-Time",
    }
    assert answer.headers["Content-Type"] == "text/csv"
    nothing = requests.get(f"{gateway.url}/function/echo/nothing", timeout=20)
    assert (nothing.status_code, nothing.content, nothing.headers.get("Content-Type")) == (204, b"", None)


def test_the_function_sees_the_callers_headers_but_none_of_its_connection_or_whereabouts(gateway):
    sent = {
        "Authorization": "Bearer x",
        "X-Custom": "1",
        "X-Real-IP": "192.0.2.1",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=192.0.2.1",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "TE": "trailers",
        "Accept-Encoding": "gzip",
        "User-Agent": "caller/1",
    }
    seen = requests.get(f"{gateway.url}/function/echo", headers=sent, timeout=20).json()["headers"]
    for name in ("authorization", "x-custom", "x-real-ip", "accept-encoding", "user-agent"):
        assert seen[name] == {key.lower(): value for key, value in sent.items()}[name]
    for name in ("x-forwarded-for", "x-forwarded-proto", "forwarded", "x-hop", "te", "connection"):
        assert name not in seen
    assert seen["host"] != gateway.url.removeprefix("http://")
    assert re.fullmatch(r"\d{19}", seen["x-start-time"])
    assert abs(int(seen["x-start-time"]) / 1e9 - time.time()) < 60


def test_nothing_is_added_for_a_caller_that_names_no_client(gateway):
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=20)
    connection.putrequest("GET", "/function/echo", skip_accept_encoding=True)
    connection.endheaders()
    body = connection.getresponse().read().decode()
    connection.close()
    assert "user-agent" not in body
    assert "accept-encoding" not in body


def test_a_call_id_is_kept_when_sent_and_made_otherwise(gateway):
    kept = requests.get(f"{gateway.url}/function/echo", headers={"X-Call-Id": "mine"}, timeout=20)
    made = requests.get(f"{gateway.url}/function/echo", timeout=20)
    assert kept.json()["headers"]["x-call-id"] == kept.headers["X-Call-Id"] == "mine"
    assert made.json()["headers"]["x-call-id"] == made.headers["X-Call-Id"]
    assert len(made.headers["X-Call-Id"]) == 36


def test_an_unknown_function_is_404(gateway):
    answer = requests.get(f"{gateway.url}/function/nobody", timeout=5)
    assert answer.status_code == 404
    assert "error finding function nobody" in answer.text


def test_what_openfaas_does_not_pass_on_does_not_pass_here(gateway):
    def get(path, method="GET"):
        connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=20)
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers.get("Location")

    assert get("/function/echo/a//b?x=1") == (301, "/function/echo/a/b?x=1")
    assert get("/function/echo/a/../b") == (301, "/function/echo/b")
    assert get("/function/echo/a%25b")[0] == 400
    assert get("/function/echo", "PROPFIND")[0] == 405


def test_sixty_four_calls_at_once_are_all_answered(gateway):
    with requests.Session() as session, ThreadPoolExecutor(64) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
        bodies = [b"%d" % n * 1000 for n in range(256)]
        url = f"{gateway.url}/function/echo/raw"
        answers = list(pool.map(lambda body: session.post(url, data=body, timeout=30).content, bodies))
    assert answers == bodies


def test_a_function_may_call_another_through_the_gateway_by_its_faasd_name(project):
    project.add("inner", "def handle(event, context):\n    return {'body': b'inner ' + event.body}\n")
    project.add(
        "outer",
        "import os, urllib.request\n"
        "def handle(event, context):\n"
        "    url = os.environ['gateway_url'] + '/function/inner'\n"
        "    return {'body': urllib.request.urlopen(url, event.body).read()}\n",
        environment={"gateway_url": "http://gateway:8080"},
    )
    gateway = project.gateway()
    assert requests.post(f"{gateway.url}/function/outer", data=b"hi", timeout=20).content == b"inner hi"


def test_a_function_that_does_not_answer_in_time_is_a_504(project):
    project.add("stuck", "import time\ndef handle(event, context):\n    time.sleep(1.5)\n")
    gateway = project.gateway(upstream_seconds=0.3)
    answer = requests.get(f"{gateway.url}/function/stuck", timeout=20)
    assert answer.status_code == 504
    assert answer.headers["X-OpenFaaS-Internal"] == "proxy"
