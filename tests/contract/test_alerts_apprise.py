"""Apprise against real servers: what a phone, a push service and a webhook get, and what is said on a failure."""

from __future__ import annotations

import logging
from io import StringIO
from urllib.parse import parse_qs

import pytest

from pushcart.domain.alerting import Level, Text
from pushcart.errors import ProviderRefused, ProviderUnavailable
from pushcart.providers.apprise_push import ApprisePush

TEXT = Text(
    "[Shop] CRITICAL: it burns",
    "It burns.\nRun: pushcart dead <now> & soon",
    "Shop CRITICAL: it burns -> pushcart dead",
)
SID, TOKEN = "AC" + "0" * 32, "f" * 32
PHONE = f"twilio://{SID}:{TOKEN}@48500100200/48500300400"


@pytest.fixture
def push(wire):
    return ApprisePush(f"{wire.url}/twilio")


@pytest.fixture
def our_log():
    """All that a function's log would hold, down to what is only for developers."""
    log, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(log), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield log
    root.removeHandler(handler)
    root.setLevel(level)


def host(wire):
    return wire.url.partition("://")[2]


def test_a_phone_gets_the_short_form_from_twilio(push, wire):
    wire.say(201, {"sid": "SM1"})
    push.send(PHONE, TEXT, Level.CRITICAL)
    [call] = wire.seen
    assert (call.method, call.path) == ("POST", f"/twilio/2010-04-01/Accounts/{SID}/Messages.json")
    form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
    assert form == {"From": "+48500100200", "To": "+48500300400", "Body": TEXT.short}


def test_a_push_service_gets_title_and_text_in_full(push, wire):
    wire.say(200, {"id": "1"})
    push.send(f"ntfy://{host(wire)}/shop", TEXT, Level.WARNING)
    [call] = wire.seen
    assert (call.json["title"], call.json["message"]) == (TEXT.title, TEXT.body)


def test_a_service_of_the_owners_own_gets_json(push, wire):
    wire.say(200, {})
    push.send(f"json://{host(wire)}/push/owner", TEXT, Level.CRITICAL)
    [call] = wire.seen
    assert call.path == "/push/owner"
    assert (call.json["title"], call.json["message"], call.json["type"]) == (TEXT.title, TEXT.body, "failure")


def test_twilio_itself_is_asked_where_nothing_else_is_said(push):
    push.check(PHONE)  # another address of one client is no other's
    service = ApprisePush()._open(PHONE)
    assert service.notify_sms_url.startswith("https://api.twilio.com/2010-04-01/Accounts/")


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (401, {"code": 20003, "message": f"Authenticate +48500300400 {TOKEN}"}, "code 20003"),
        (500, b"oops", "code 500"),
    ],
)
def test_a_refusal_is_told_by_its_code_and_names_no_number_and_no_token(push, wire, our_log, status, answer, reason):
    wire.say(status, answer)
    with pytest.raises(ProviderUnavailable) as error:
        push.send(PHONE, TEXT, Level.CRITICAL)
    assert error.value.message == f"twilio: it refused the message ({reason})"
    told = our_log.getvalue()
    assert "connection" in told, "the log is there"
    assert "48500300400" not in told
    assert TOKEN not in told


def test_a_service_that_cannot_be_reached_is_a_failure_in_a_few_seconds(push, wire):
    wire.do(lambda handler: handler.reset_connection())
    with pytest.raises(ProviderUnavailable, match="twilio: it could not be reached"):
        push.send(PHONE, TEXT, Level.CRITICAL)


@pytest.mark.parametrize("url", ["nonsense://x/y", "twilio://wrong", "syslog://", "dbus://"])
def test_what_reaches_nobody_is_refused(push, url):
    with pytest.raises(ProviderRefused):
        push.check(url)
    with pytest.raises(ProviderRefused):
        push.send(url, TEXT, Level.INFO)


def test_the_same_message_may_be_sent_again(push, wire):
    """Apprise must not take the second try for one that was delivered."""
    wire.say(500, b"").say(201, {"sid": "SM1"})
    with pytest.raises(ProviderUnavailable):
        push.send(PHONE, TEXT, Level.CRITICAL)
    push.send(PHONE, TEXT, Level.CRITICAL)
    push.send(PHONE, TEXT, Level.CRITICAL)
    assert len(wire.seen) == 3
