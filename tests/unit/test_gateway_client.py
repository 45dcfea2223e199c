"""Calls between functions: cold starts are waited for, mails are not sent twice for it, and nothing takes for ever."""

from __future__ import annotations

import time

import pytest

from pushcart.clock import system_clock
from pushcart.errors import ConfigurationError, FunctionFailed
from pushcart.gateway import Gateway, Hints
from support.wire import Wire

COLD = {"X-OpenFaaS-Internal": "proxy"}


@pytest.fixture
def wire():
    with Wire() as wire:
        yield wire


def client(wire, *, timeout=5.0, key=lambda: "k" * 32):
    return Gateway(wire.url, key, system_clock, timeout=timeout, sleep=lambda seconds: None)


def slow_refusal(handler):
    handler.wait(0.2)
    handler.answer(500, b"", COLD)


def test_a_function_that_is_still_starting_is_called_again(wire):
    wire.say(500, b"", COLD).say(503, b"", COLD).say(200, {"ok": True})
    assert client(wire).call("invite-link", "/", {}) == {"ok": True}
    assert len(wire.seen) == 3


def test_a_call_that_may_have_sent_a_mail_is_not_made_again(wire):
    wire.do(slow_refusal).say(200, {"ok": True})
    with pytest.raises(FunctionFailed, match="not answering"):
        client(wire).call("email-dispatch", "/", {}, repeatable=False)
    assert len(wire.seen) == 1


def test_a_mail_is_sent_after_a_refusal_so_quick_that_nothing_was_done(wire):
    wire.say(500, b"", COLD).say(200, {"ok": True})
    assert client(wire).call("email-dispatch", "/", {}, repeatable=False) == {"ok": True}


def test_all_attempts_together_take_no_longer_than_the_timeout(wire):
    wire.do(slow_refusal)
    started = time.monotonic()
    gateway = Gateway(wire.url, lambda: "k" * 32, system_clock, timeout=1.0)
    with pytest.raises(FunctionFailed):
        gateway.call("invite-link", "/", {})
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("status", "permanent", "busy"),
    [
        (400, True, False),
        (401, False, False),
        (422, True, False),
        (429, False, True),
        (409, False, False),
        (503, False, False),
    ],
)
def test_a_functions_own_error_keeps_its_words_and_its_meaning(wire, status, permanent, busy):
    wire.say(status, {"error": {"code": "x", "message": "Kit: no"}}, {"Retry-After": "7"})
    with pytest.raises(FunctionFailed) as error:
        client(wire).call("mailing-list", "/", {})
    assert (error.value.message, error.value.permanent, error.value.busy) == ("Kit: no", permanent, busy)
    assert error.value.retry_after == 7


@pytest.mark.parametrize(("status", "body"), [(404, b"not found"), (502, b"<html>"), (200, b"<html>"), (200, b"{")])
def test_an_answer_that_is_no_functions_can_be_tried_again(wire, status, body):
    wire.say(status, body)
    with pytest.raises(FunctionFailed) as error:
        client(wire).call("mailing-list", "/", {})
    assert not error.value.permanent


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError(["the secret internal-key is missing"]),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "half written"),
    ],
)
def test_whatever_goes_wrong_with_one_hint_does_not_end_the_thread_that_sends_them(wire, error):
    keys = iter([error, "k" * 32])

    def key():
        found = next(keys)
        if isinstance(found, Exception):
            raise found
        return found

    wire.say(202)
    hints = Hints(client(wire, key=key), "order-store", "/kick")
    hints.send("lost")
    time.sleep(0.05)
    hints.send("sent")
    hints.close()
    assert [call.json for call in wire.seen] == [{"events": ["sent"]}]


def test_hints_that_come_together_go_together_and_none_is_forgotten(wire):
    """A burst of webhooks costs a few calls, not one for each; what waits at the end is still sent."""
    wire.say(202)
    hints = Hints(client(wire, timeout=5), "order-store", "/kick")
    ids = [f"evt_{number}" for number in range(1200)]
    for event_id in ids:
        hints.send(event_id)
    hints.close()
    told = [call.json["events"] for call in wire.seen]
    assert [event_id for events in told for event_id in events] == ids
    assert len(told) <= 6


def test_hints_beyond_the_limit_are_dropped_and_said_so(wire, caplog):
    wire.do(lambda handler: handler.wait(0.5) or handler.answer(202, b"", {}))
    hints = Hints(client(wire, timeout=5), "order-store", "/kick", limit=2)
    hints.send("first")
    time.sleep(0.05)
    for event_id in ("second", "third", "fourth"):
        hints.send(event_id)
    assert "the next sweep does the work" in caplog.text
    hints.close()
    assert [call.json["events"] for call in wire.seen] == [["first"], ["second", "third"]]
