"""Log lines: one JSON object per line, one line per call, nothing personal."""

from __future__ import annotations

from datetime import UTC, datetime

import requests

HANDLER = """
import logging, threading, warnings
log = logging.getLogger("pushcart.orders")

def handle(event, context):
    if event.path == "/library":
        log.info("applied %s", "evt_1", extra={"order_id": "o-1"})
        logging.getLogger("stripe").info("GET https://api.example/?email=a@b.example")
        logging.getLogger("stripe").warning("slow\\nanswer")
    if event.path == "/warning":
        warnings.warn("old call")
    if event.path == "/thread":
        thread = threading.Thread(target=lambda: 1 / 0, name="pool-1")
        thread.start(); thread.join()
    context.log_fields.update(order_id="o-7", status="forged", args="x", name=object())
    return {"body": "ok", "statusCode": 201}
"""


def test_a_call_is_one_line_with_what_an_owner_searches_for(run_function):
    function = run_function(HANDLER)
    requests.post(
        f"{function.url}/a%0Ab?email=buyer@shop.example",
        data="body-text",
        timeout=5,
        headers={"X-Call-Id": "c-1", "Authorization": "Bearer header-text"},
    )
    line = function.wait_for("request")
    expected = {
        "level": "info",
        "function": "sample",
        "method": "POST",
        "path": "/a\nb",
        "status": 201,
        "call_id": "c-1",
        "order_id": "o-7",
    }
    assert {key: line[key] for key in expected} == expected
    assert 0 <= line["ms"] < 5000
    moment = datetime.fromisoformat(line["time"])
    assert moment.tzinfo == UTC
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    written = "\n".join(function.lines)
    for private in ("buyer@shop.example", "body-text", "header-text"):
        assert private not in written


def test_a_handler_whose_address_is_a_secret_keeps_it_out_of_every_line(run_function):
    function = run_function(HANDLER + "def shown_path(path):\n    return '/...'\n", {"max_body_bytes": "10"})
    requests.post(f"{function.url}/s3cret", data="short", timeout=5)
    requests.post(f"{function.url}/s3cret", data="x" * 100, timeout=5)  # refused before the handler sees it
    requests.get(f"{function.url}/s3cret", headers={"X-Call-Id": "c-3", "Large": "x" * 300_000}, timeout=5)
    function.wait_for("request", count=3)
    assert {line["path"] for line in function.records("request")} == {"/..."}
    assert "s3cret" not in "\n".join(function.lines)


def test_library_loggers_write_json_lines_with_the_call_id_and_sdks_only_from_warning(run_function):
    function = run_function(HANDLER)
    requests.get(f"{function.url}/library", headers={"X-Call-Id": "c-2"}, timeout=5)
    function.wait_for("request")
    applied, slow = function.records("applied evt_1"), function.records("slow\nanswer")
    assert [(r["logger"], r["call_id"], r["order_id"]) for r in applied] == [("pushcart.orders", "c-2", "o-1")]
    assert slow[0]["level"] == "warning"
    assert "a@b.example" not in "\n".join(function.lines)
    assert all(line.startswith("{") for line in function.lines)


def test_warnings_and_dead_threads_come_as_json_lines_too(run_function):
    function = run_function(HANDLER)
    requests.get(f"{function.url}/warning", timeout=5)
    requests.get(f"{function.url}/thread", timeout=5)
    function.wait_for("request", count=2)
    assert any("old call" in r["msg"] for r in function.records())
    died = function.records("the thread pool-1 died")[0]
    assert "ZeroDivisionError" in died["traceback"]
    assert all(line.startswith("{") for line in function.lines)
