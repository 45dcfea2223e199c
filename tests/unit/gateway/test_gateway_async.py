"""The async queue: accepted at once, one at a time, in order, never retried."""

from __future__ import annotations

import itertools
import json
import time

import pytest
import requests

RECORDER = """
import json, time
def handle(event, context):
    began = time.monotonic()
    print("began", event.body.decode("latin-1")[:20], flush=True)
    time.sleep(0.1)
    print(json.dumps({"record": event.body.decode("latin-1")[:20], "size": len(event.body),
                      "path": event.path, "query": event.query_string, "began": began,
                      "ended": time.monotonic(), "call_id": context.call_id,
                      "callback": event.headers.get("X-Callback-Url")}))
    return {"statusCode": 500 if event.path == "/fail" else 200}
"""


@pytest.fixture
def gateway(project):
    project.add("recorder", RECORDER)
    return project.gateway()


def records(gateway, count: int) -> list[dict]:
    """The recorder's records once there are `count`. One too many is seen before that of a call made later."""
    deadline = time.monotonic() + 10
    while len(found := [json.loads(x) for x in gateway.logs("recorder") if '"record"' in x]) < count:
        assert time.monotonic() < deadline, gateway.logs("recorder")
        time.sleep(0.02)
    return found


def post(gateway, path="recorder", body=b"", **headers):
    return requests.post(f"{gateway.url}/async-function/{path}", data=body, headers=headers, timeout=5)


def test_a_call_is_accepted_at_once_and_calls_run_one_after_the_other_in_order(gateway):
    answers = [post(gateway, f"recorder/p{n}?q={n}", b"body %d" % n) for n in range(4)]
    assert sum('"record"' in line for line in gateway.logs("recorder")) < 4
    assert [answer.status_code for answer in answers] == [202] * 4
    seen = records(gateway, 4)
    assert [(r["record"], r["path"], r["query"]) for r in seen] == [(f"body {n}", f"/p{n}", f"q={n}") for n in range(4)]
    assert all(earlier["ended"] <= later["began"] for earlier, later in itertools.pairwise(seen))


def test_a_failed_call_is_not_tried_again_and_does_not_stop_the_queue(gateway):
    post(gateway, "recorder/fail")
    post(gateway, "nobody")
    post(gateway, "recorder/after")
    records(gateway, 2)
    post(gateway, "recorder/last")
    assert [r["path"] for r in records(gateway, 3)] == ["/fail", "/after", "/last"]


def test_a_body_may_hold_256000_bytes_and_not_one_more(gateway):
    assert post(gateway, body=b"x" * 256_000).status_code == 202
    refused = post(gateway, body=b"x" * 256_001)
    assert refused.status_code == 500
    assert "256000" in refused.text
    post(gateway, body=b"last")
    assert [r["size"] for r in records(gateway, 2)] == [256_000, 4]


def test_even_an_unknown_function_is_accepted_and_only_post_is(gateway):
    assert post(gateway, "nobody").status_code == 202
    assert requests.get(f"{gateway.url}/async-function/recorder", timeout=5).status_code == 405


def test_the_call_id_is_kept_and_a_callback_url_is_not_honoured(gateway):
    answer = post(gateway, **{"X-Call-Id": "mine", "X-Callback-Url": "http://127.0.0.1:1/"})
    assert answer.headers["X-Call-Id"] == "mine"
    (seen,) = records(gateway, 1)
    assert (seen["call_id"], seen["callback"]) == ("mine", None)


def test_with_cold_calls_failing_an_async_call_to_a_cold_function_is_lost(project):
    project.add("recorder", RECORDER)
    gateway = project.gateway(cold_calls="fail")
    assert post(gateway, body=b"lost").status_code == 202
    deadline = time.monotonic() + 10
    while requests.get(f"{gateway.url}/function/recorder/warm", timeout=5).status_code != 200:
        assert time.monotonic() < deadline
    post(gateway, body=b"kept")
    seen = records(gateway, 2)
    assert [r["record"] for r in seen] == ["", "kept"]


def test_the_call_at_hand_is_finished_at_a_stop(gateway):
    requests.get(f"{gateway.url}/function/recorder", timeout=20)
    post(gateway, body=b"at hand")
    deadline = time.monotonic() + 5
    while "began at hand" not in gateway.logs("recorder"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    gateway.stop()
    assert "at hand" in [r["record"] for r in records(gateway, 2)]
