"""alert: its routes, the public page, and what it says about its own settings."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest
from requests.structures import CaseInsensitiveDict
from werkzeug.datastructures import MultiDict

from pushcart import auth
from pushcart.clock import from_instant, system_clock, to_instant
from pushcart.domain.alerting import Level
from pushcart.domain.event import InboxEvent
from pushcart.repositories import Heartbeats, Inbox
from pushcart.services.alerts.incidents import Incidents
from pushcart.store import connect
from support.alerts import condition
from support.doctor import examine
from support.step_calls import INTERNAL_KEY, Context, Event, environment, load_handler
from support.wire import Wire

URGENT = condition("disk.root", Level.CRITICAL, what="the disk is full", lasts=None)


@pytest.fixture
def gateway():
    with Wire() as wire:
        yield wire.say(200, {})


@pytest.fixture
def start(tmp_path, monkeypatch, gateway):
    """Starts the function with these addresses, `unused` unless given."""
    started = []

    def start(alert_urls="unused"):
        secrets = {"internal-key": INTERNAL_KEY, "store-url": f"sqlite:///{tmp_path}/shop.db"}
        secrets["alert-urls"] = alert_urls
        clock_file = str(tmp_path / "clock")
        variables = environment(tmp_path / "secrets", "alert", secrets, gateway_url=gateway.url, clock_file=clock_file)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        handler = load_handler("alert")
        handler.start()
        started.append(handler)
        return handler

    yield start
    for handler in started:
        handler.stop()


@pytest.fixture
def store(tmp_path):
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()


@pytest.fixture
def incidents(store):
    return Incidents(store, system_clock)


def ask(handler, method, path, body=None, **query):
    data = b"" if body is None else msgspec.json.encode(body)
    words = "&".join(f"{name}={value}" for name, value in query.items())
    signature = auth.sign(INTERNAL_KEY, system_clock(), "alert", method, path, words, data)
    headers = CaseInsensitiveDict({auth.HEADER: signature})
    return handler.handle(Event(data, method, path, words, headers, MultiDict(query)), Context())


def page(handler, method="GET"):
    return handler.handle(Event(b"", method, "/health"), Context())


def test_a_watch_mails_what_is_wrong_where_no_address_is_known(start, gateway, incidents):
    incidents.see(URGENT)
    answer = ask(start(), "POST", "/watch")
    assert answer["body"]["told"] == 1
    [call] = gateway.seen
    assert call.path == "/function/email-dispatch/"
    assert call.json["problem"]["text"].startswith("CRITICAL: the disk is full.")


def test_a_watch_sends_to_the_addresses_that_the_secret_names(start, gateway, incidents):
    host = gateway.url.partition("://")[2]
    handler = start(f"critical json://{host}/push/phone\nescalation json://{host}/push/boss\n")
    incidents.see(URGENT)
    ask(handler, "POST", "/watch")
    assert [call.path for call in gateway.seen] == ["/push/phone"]
    assert "TEST" in gateway.seen[0].json["title"], "stripe_mode is test"


def test_incidents_are_listed_and_answered_and_past_ones_on_demand(start, incidents):
    handler = start()
    incidents.see(URGENT)
    incidents.see(condition("failing.Kit"))
    listed = ask(handler, "GET", "/incidents")["body"]["items"]
    assert sorted(item["id"] for item in listed) == ["disk.root", "failing.Kit"]
    assert "telling" not in listed[0]
    answered = ask(handler, "POST", "/incidents/disk.root/answer", {"note": "cleaned"})
    assert (answered["statusCode"], answered["body"]["note"]) == (200, "cleaned")
    assert [item["id"] for item in ask(handler, "GET", "/incidents")["body"]["items"]] == ["failing.Kit"]
    assert len(ask(handler, "GET", "/incidents", all="1")["body"]["items"]) == 2
    assert ask(handler, "POST", "/incidents/disk.root/answer", {})["statusCode"] == 409
    assert ask(handler, "POST", "/incidents/no.such/answer", {})["statusCode"] == 404


def test_a_test_message_goes_to_every_address_of_its_level_and_tells_which_failed(start, gateway):
    host = gateway.url.partition("://")[2]
    handler = start(f"critical json://{host}/push/phone\nwarning ntfy://{host}/chat\nescalation json://{host}/boss\n")
    sent = ask(handler, "POST", "/test", {"level": "critical"})["body"]["sent"]
    assert sorted((one["to"], one["for"], one["ok"]) for one in sent) == [
        ("json", "critical", True),
        ("json", "escalation", True),
        ("ntfy", "warning", True),
    ]
    gateway.say(500, b"").say(500, b"")
    sent = ask(handler, "POST", "/test", {"level": "critical"})["body"]["sent"]
    assert not any(one["ok"] for one in sent[1:])
    assert ask(handler, "POST", "/test", {"level": "loud"})["statusCode"] == 400


def test_a_test_without_addresses_is_a_mail(start, gateway):
    [sent] = ask(start(), "POST", "/test", {})["body"]["sent"]
    assert (sent["to"], sent["ok"]) == ("mail", True)
    assert gateway.seen[0].path == "/function/email-dispatch/"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/watch"), ("GET", "/incidents"), ("POST", "/incidents/a/answer"), ("POST", "/test"), ("GET", "/doctor")],
)
def test_everything_but_the_public_page_has_to_be_signed(start, method, path):
    assert start().handle(Event(b"", method, path), Context())["statusCode"] == 401


# The public page


def test_the_page_passes_when_all_is_well(start, store):
    Heartbeats(store, system_clock).beat("catch-up", {})
    answer = page(start())
    assert (answer["statusCode"], answer["body"]["status"]) == (200, "pass")
    assert answer["headers"]["Content-Type"] == "application/health+json"
    assert page(start(), "HEAD")["statusCode"] == 200
    assert page(start(), "POST")["statusCode"] == 405


def old_event():
    return InboxEvent(
        id="stripe:evt_1",
        source="stripe",
        event_id="evt_1",
        type="x",
        received_at="2026-01-01T00:00:00.000Z",
        body="{}",
    )


def test_the_page_fails_without_a_heartbeat_and_for_an_old_event_and_something_critical(start, store, incidents):
    checks = page(start())["body"]["checks"]
    assert checks["catch-up:heartbeat"][0]["status"] == "fail"
    Heartbeats(store, system_clock).beat("catch-up", {})
    incidents.see(URGENT)
    answer = page(start())
    assert answer["statusCode"] == 503
    assert answer["body"]["checks"]["incidents:critical"] == [{"status": "fail", "observedValue": 1}]
    incidents.answer("disk.root")
    assert page(start())["statusCode"] == 200
    assert Inbox(store).add(old_event())
    failed = page(start())["body"]
    assert failed["checks"]["inbox:oldest"][0]["status"] == "fail"
    assert "evt_1" not in str(failed)


def test_the_page_fails_when_the_store_is_away(start, tmp_path):
    handler = start()
    (tmp_path / "shop.db").unlink(missing_ok=True)
    (tmp_path / "shop.db").mkdir()
    answer = page(handler)
    assert (answer["statusCode"], answer["body"]) == (
        503,
        {"status": "fail", "checks": {"store": [{"status": "fail"}]}},
    )


def test_the_page_is_kept_for_a_few_seconds(start, store):
    Heartbeats(store, system_clock).beat("catch-up", {})
    handler = start()
    assert page(handler)["statusCode"] == 200
    assert Inbox(store).add(old_event())
    assert page(handler)["statusCode"] == 200


# Settings


def test_the_doctor_passes_without_addresses_and_names_one_that_cannot_be_used(start, tmp_path):
    handler = start()
    assert examine(handler, "alert")["alert-urls"]["status"] == "pass"
    (tmp_path / "secrets" / "alert-urls").write_text("critical twilio://SID:TOKEN@1/2\n")
    found = examine(handler, "alert")["alert-urls"]
    assert (found["status"], "twilio" in found["text"]) == ("fail", True)
    assert "TOKEN" not in found["text"]


def test_addresses_that_are_none_are_a_configuration_error_at_the_start(start):
    with pytest.raises(Exception, match="alert-urls should be lines like"):
        start("critical my telephone")


def test_the_function_stops_at_once_though_its_timer_waits(start):
    handler = start()
    began = time.monotonic()
    handler.stop()
    assert time.monotonic() - began < 3
    assert not [thread for thread in threading.enumerate() if thread.name == "watch" and thread.is_alive()]
    assert from_instant(to_instant(system_clock()))
