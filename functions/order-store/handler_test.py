"""order-store: its routes, and a start that refuses what could not work."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest
from requests.structures import CaseInsensitiveDict
from werkzeug.datastructures import MultiDict

from pushcart import auth
from pushcart.clock import system_clock
from pushcart.errors import ConfigurationError
from support.doctor import examine
from support.step_calls import INTERNAL_KEY, Context, Event, environment, load_handler
from support.wire import Wire

SHOP = Path(__file__).parents[2] / "deploy" / "shop" / "shop.yml"


@pytest.fixture
def outside():
    with Wire() as wire:
        yield wire.say(200, {})


def configure(tmp_path, monkeypatch, outside, key="sk_test_abc", **variables):
    secrets = {"internal-key": INTERNAL_KEY, "store-url": f"sqlite:///{tmp_path}/shop.db", "stripe-api-key": key}
    fixed = {"gateway_url": outside.url, "stripe_url": outside.url, "shop_file": str(SHOP)}
    for name, value in environment(tmp_path / "secrets", "order-store", secrets, **{**fixed, **variables}).items():
        monkeypatch.setenv(name, value)
    return load_handler("order-store")


@pytest.fixture
def started(tmp_path, monkeypatch, outside):
    handler = configure(tmp_path, monkeypatch, outside)
    handler.start()
    yield handler
    handler.stop()


def ask(handler, method, path, body=None, query=""):
    data = b"" if body is None else msgspec.json.encode(body)
    signature = auth.sign(INTERNAL_KEY, system_clock(), "order-store", method, path, query, data)
    pairs = MultiDict(part.split("=", 1) for part in query.split("&") if part)
    headers = CaseInsensitiveDict({auth.HEADER: signature})
    return handler.handle(Event(data, method, path, query, headers, pairs), Context())


def test_a_kick_is_accepted_at_once_even_for_an_event_nobody_knows(started):
    assert ask(started, "POST", "/kick", {"events": ["stripe:evt_none"]})["statusCode"] == 202


def test_a_kick_without_an_event_is_a_400(started):
    assert ask(started, "POST", "/kick", {})["statusCode"] == 400


def test_a_sweep_of_an_empty_shop_takes_on_nothing(started):
    answer = ask(started, "POST", "/sweep")
    assert (answer["statusCode"], answer["body"]) == (200, {"events": 0, "orders": 0, "more": False})


def test_an_unknown_route_and_a_wrong_method_are_told_apart(started):
    assert ask(started, "GET", "/nothing")["statusCode"] == 404
    wrong = ask(started, "DELETE", "/orders")
    assert wrong["statusCode"] == 405
    assert wrong["body"]["error"]["message"] == "/orders takes GET, HEAD, not DELETE."


def test_an_empty_shop_lists_no_orders(started):
    assert ask(started, "GET", "/orders", query="limit=5")["body"] == {"items": [], "cursor": None}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"key": "sk_live_abc"}, "stripe_mode is test, but the secret stripe-api-key is a key of the other mode"),
        ({"key": "pk_test_abc"}, "the secret stripe-api-key should be sk_... or rk_..."),
        ({"lease_seconds": "60"}, "lease_seconds should be at least twice step_timeout"),
        ({"shop_file": "/nowhere/shop.yml"}, "shop.yml cannot be read"),
        ({"drive_workers": "none"}, "drive_workers='none' should be a whole number"),
    ],
)
def test_a_start_that_could_not_work_is_refused_with_the_reason(tmp_path, monkeypatch, outside, settings, complaint):
    handler = configure(tmp_path, monkeypatch, outside, **settings)
    with pytest.raises(ConfigurationError, match="Configuration") as error:
        handler.start()
    assert complaint in error.value.message


def test_every_problem_is_reported_at_once(tmp_path, monkeypatch, outside):
    settings = {"key": "sk_live_abc", "lease_seconds": "60", "shop_file": "/nowhere/shop.yml"}
    handler = configure(tmp_path, monkeypatch, outside, **settings)
    with pytest.raises(ConfigurationError) as error:
        handler.start()
    assert len(error.value.problems) == 3


def stripe_at(date):
    """An empty list of Stripe's whose clock says `date`, as bytes on the wire."""
    body = b'{"object": "list", "data": [], "has_more": false, "url": "/v1/x"}'
    head = f"HTTP/1.1 200 OK\r\nDate: {format_datetime(date, usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda handler: handler.wfile.write(head.encode() + body)


@pytest.mark.parametrize(("seconds", "status"), [(0, "pass"), (-100, "warn"), (250, "fail")])
def test_the_doctor_compares_stripes_clock_with_the_machines(tmp_path, monkeypatch, seconds, status):
    """Its own clock may be moved by the local gateway; webhook signatures are compared with the machine's."""
    (tmp_path / "clock").write_text("100000")
    with Wire() as stripe:
        stripe.do(stripe_at(system_clock() + timedelta(seconds=seconds)))
        handler = configure(tmp_path, monkeypatch, stripe, clock_file=str(tmp_path / "clock"))
        handler.start()
        checks = examine(handler, "order-store", system_clock() + timedelta(seconds=100_000))
        handler.stop()
    assert checks["stripe clock"]["status"] == status


def test_in_live_mode_a_missing_webhook_endpoint_is_red(tmp_path, monkeypatch):
    with Wire() as stripe:
        stripe.do(stripe_at(system_clock()))
        handler = configure(tmp_path, monkeypatch, stripe, key="rk_live_abc", stripe_mode="live")
        handler.start()
        check = examine(handler, "order-store")["webhook endpoint"]
        handler.stop()
    assert check["status"] == "fail"
    assert "register one" in check["fix"]


def test_nobody_without_the_key_is_examined(started, outside):
    answer = started.handle(Event(b"", "GET", "/doctor"), Context())
    assert answer["statusCode"] == 401
    assert outside.seen == []
