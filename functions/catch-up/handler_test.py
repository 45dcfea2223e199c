"""catch-up: one sweep at a time, a heartbeat after each, and a lock that a dead run cannot keep."""

from __future__ import annotations

import threading

import pytest
from requests.structures import CaseInsensitiveDict

from pushcart import auth
from pushcart.clock import system_clock
from pushcart.repositories import Locks
from pushcart.store import connect
from support.doctor import examine
from support.step_calls import INTERNAL_KEY, Context, Event, environment, load_handler
from support.wire import Wire

SWEPT = {"events": 1, "orders": 2, "more": False}


@pytest.fixture
def order_store():
    with Wire() as wire:
        yield wire


@pytest.fixture
def started(tmp_path, monkeypatch, order_store):
    secrets = {"internal-key": INTERNAL_KEY, "store-url": f"sqlite:///{tmp_path}/shop.db"}
    clock_file = tmp_path / "clock"
    variables = environment(
        tmp_path / "secrets", "catch-up", secrets, gateway_url=order_store.url, clock_file=str(clock_file)
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    handler = load_handler("catch-up")
    handler.start()
    yield handler
    handler.stop()


def cron(handler, body=b""):
    """What cron-connector does: an empty POST without a signature."""
    return handler.handle(Event(body), Context())


def signed(handler, method):
    signature = auth.sign(INTERNAL_KEY, system_clock(), "catch-up", method, "/", "", b"")
    return handler.handle(Event(b"", method, headers=CaseInsensitiveDict({auth.HEADER: signature})), Context())


def heartbeat(handler):
    return signed(handler, "GET")["body"]["last"]


def test_cron_starts_a_sweep_and_is_told_nothing(started, order_store):
    order_store.say(200, SWEPT)
    assert cron(started) == {"statusCode": 202}
    assert heartbeat(started)["result"] == SWEPT


def test_an_unsigned_post_with_a_body_is_refused(started, order_store):
    assert cron(started, b'{"a": 1}')["statusCode"] == 401
    assert order_store.seen == []


def test_a_run_sweeps_and_leaves_a_heartbeat(started, order_store):
    order_store.say(200, SWEPT)
    assert signed(started, "POST")["body"] == {"swept": SWEPT}
    assert [call.path for call in order_store.seen] == ["/function/order-store/sweep"]
    assert heartbeat(started)["result"] == SWEPT


def test_a_failed_sweep_leaves_no_heartbeat_and_frees_the_lock(started, order_store):
    order_store.say(503, {"error": {"code": "store_unavailable", "message": "The store is down"}}).say(200, SWEPT)
    assert cron(started)["statusCode"] == 502
    assert heartbeat(started) is None
    assert cron(started)["statusCode"] == 202


def test_two_runs_at_once_sweep_once(started, order_store):
    entered, go_on = threading.Event(), threading.Event()

    def slowly(handler):
        entered.set()
        go_on.wait(10)
        handler.answer(200, SWEPT)

    order_store.do(slowly)
    first = threading.Thread(target=cron, args=(started,))
    first.start()
    assert entered.wait(10)
    assert signed(started, "POST")["body"] == {"running": True}
    go_on.set()
    first.join()
    assert len(order_store.seen) == 1


def test_a_run_that_died_keeps_its_lock_only_until_it_runs_out(started, order_store, tmp_path):
    order_store.say(200, SWEPT)
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert Locks(store, system_clock).acquire("catch-up", 60)
    assert signed(started, "POST")["body"] == {"running": True}
    (tmp_path / "clock").write_text("61")
    assert cron(started)["statusCode"] == 202
    assert len(order_store.seen) == 1
    store.close()


def test_the_doctor_misses_a_heartbeat_that_never_was_or_is_old(started, order_store, tmp_path):
    never = examine(started, "catch-up")["heartbeat"]
    assert (never["status"], never["text"]) == ("fail", "cron has never had a run finish")
    order_store.say(200, SWEPT)
    cron(started)
    assert {check["status"] for check in examine(started, "catch-up").values()} == {"pass", "skip"}
    (tmp_path / "clock").write_text("200")
    old = examine(started, "catch-up")["heartbeat"]
    assert old["status"] == "fail"
    assert "the last run ended 20" in old["text"]
    assert "cron-connector" in old["fix"]


def test_the_doctor_takes_signed_calls_only(started):
    assert started.handle(Event(b"", "GET", "/doctor"), Context())["statusCode"] == 401
