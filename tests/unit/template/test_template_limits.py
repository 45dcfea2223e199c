"""The body limit: JSON 413 with and without a length, before the handler runs; and what is large or many."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

HANDLER = """
calls = 0
def handle(event, context):
    global calls
    calls += 1
    return {"body": {"length": len(event.body), "calls": calls}}
"""


def chunked(body: bytes, size: int = 1000):
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.fixture
def limited(run_function):
    return run_function(HANDLER, {"max_body_bytes": "5000"})


@pytest.mark.parametrize("encode", [bytes, chunked], ids=["length", "chunked"])
def test_a_body_at_the_limit_reaches_the_handler_and_one_byte_more_does_not(limited, encode):
    fits = requests.post(limited.url, data=encode(b"x" * 5000), timeout=5)
    too_large = requests.post(limited.url, data=encode(b"x" * 5001), timeout=5)
    after = requests.post(limited.url, data=b"", timeout=5)
    assert fits.json() == {"length": 5000, "calls": 1}
    assert too_large.status_code == 413
    assert too_large.json()["error"]["code"] == "body_too_large"
    assert "5000 bytes" in too_large.json()["error"]["message"]
    assert after.json()["calls"] == 2


@pytest.mark.parametrize("encode", [bytes, chunked], ids=["length", "chunked"])
def test_a_body_far_over_the_limit_is_refused_while_it_is_sent_and_the_caller_gets_the_json(limited, encode):
    answer = requests.post(
        limited.url + "/big", data=encode(b"x" * 8_000_000), timeout=10, headers={"X-Call-Id": "huge"}
    )
    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "body_too_large",
        "message": "the body may hold 5000 bytes",
        "call_id": "huge",
    }
    line = limited.wait_for("request")
    assert (line["status"], line["path"], line["method"], line["call_id"]) == (413, "/big", "POST", "huge")
    assert requests.post(limited.url, timeout=5).json()["calls"] == 1


def test_a_caller_that_asks_first_is_refused_too(limited):
    connection = http.client.HTTPConnection("127.0.0.1", limited.port, timeout=5)
    connection.putrequest("POST", "/")
    connection.putheader("Expect", "100-continue")
    connection.putheader("Content-Length", "900000")
    connection.endheaders()
    connection.send(b"x" * 900_000)
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"body_too_large" in answer.read()
    connection.close()


def test_the_limit_is_one_mebibyte_unless_set(run_function):
    function = run_function(HANDLER)
    assert requests.post(function.url, data=b"x" * 1048576, timeout=5).json()["length"] == 1048576
    assert requests.post(function.url, data=b"x" * 1048577, timeout=5).status_code == 413


@pytest.mark.parametrize("path", ["/whole", "/stream"])
def test_a_large_answer_arrives_whole_at_a_slow_reader(run_function, path):
    function = run_function(
        "import flask\n"
        "def handle(event, context):\n"
        "    if event.path == '/whole':\n"
        "        return {'body': b'0123456789abcdef' * 3_000_000}\n"
        "    return flask.Response(b'0123456789abcdef' * 1_000 for _ in range(3_000))\n"
    )
    before = time.monotonic()
    answer = requests.get(function.url + path, stream=True, timeout=10)
    time.sleep(0.3)
    received = b"".join(answer.iter_content(1_000_000))
    assert received == b"0123456789abcdef" * 3_000_000
    assert time.monotonic() - before < 10


def test_many_callers_at_once_are_all_answered_without_a_stall(run_function):
    function = run_function(HANDLER)
    with requests.Session() as session, ThreadPoolExecutor(64) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
        url = function.url

        def call(_) -> float:
            before = time.monotonic()
            assert session.post(url, data=b"x" * 500, timeout=30).json()["length"] == 500
            return time.monotonic() - before

        slowest = max(pool.map(call, range(1000)))
    assert slowest < 3
