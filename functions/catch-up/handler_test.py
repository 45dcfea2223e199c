"""catch-up: one run at a time, a heartbeat after each, a lock that a dead run cannot keep; and what runs ask for."""

from __future__ import annotations

import json
import threading

import pytest
from requests.structures import CaseInsensitiveDict

from pushcart import auth
from pushcart.clock import system_clock
from pushcart.repositories import Locks
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.upkeep import doctors as catchup_doctors
from pushcart.store import connect
from support.doctor import examine
from support.step_calls import INTERNAL_KEY, Context, Event, environment, load_handler
from support.wire import Wire

SWEPT = {"events": 1, "orders": 2, "more": False}


NOTHING = {"object": "list", "data": [], "has_more": False}
SESSION = {
    "id": "cs_test_1",
    "object": "checkout.session",
    "created": 1_763_712_000,
    "amount_total": 4900,
    "currency": "eur",
    "payment_status": "paid",
    "status": "complete",
    "livemode": False,
    "metadata": {"pushcart_order": "o-1"},
}


class Gateway(Wire):
    """The other functions: `sweeps` are order-store's answers, one after the other; all else is answered well."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps = []
        self.do(self._answer)

    def swept(self, status=200, body=SWEPT):
        self.sweeps.append((status, body))
        return self

    def calls(self, function):
        return [seen for seen in self.seen if seen.path.split("/")[2] == function]

    def _answer(self, handler):
        status, body = 200, {"checks": []}
        if handler.path.startswith("/async-function"):
            status = 202
        elif handler.path.endswith("/sweep"):
            status, body = self.sweeps.pop(0) if len(self.sweeps) > 1 else self.sweeps[0]
        handler.answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def order_store():
    with Gateway() as gateway:
        yield gateway


@pytest.fixture
def stripe():
    with Wire() as wire:
        yield wire.say(200, NOTHING)


@pytest.fixture
def started(tmp_path, monkeypatch, order_store, stripe):
    secrets = {
        "internal-key": INTERNAL_KEY,
        "store-url": f"sqlite:///{tmp_path}/shop.db",
        "stripe-api-key": "sk_test_1",
    }
    clock_file = tmp_path / "clock"
    variables = environment(
        tmp_path / "secrets",
        "catch-up",
        secrets,
        gateway_url=order_store.url,
        stripe_url=stripe.url,
        clock_file=str(clock_file),
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


def signed(handler, method, path="/", body=b""):
    signature = auth.sign(INTERNAL_KEY, handler.app._clock(), "catch-up", method, path, "", body)
    return handler.handle(Event(body, method, path, headers=CaseInsensitiveDict({auth.HEADER: signature})), Context())


def heartbeat(handler):
    return signed(handler, "GET")["body"]["last"]


def test_cron_starts_a_run_and_is_told_nothing(started, order_store):
    order_store.swept()
    assert cron(started) == {"statusCode": 202}
    assert heartbeat(started)["result"] == SWEPT


def test_an_unsigned_post_with_a_body_is_refused(started, order_store):
    assert cron(started, b'{"a": 1}')["statusCode"] == 401
    assert order_store.seen == []


@pytest.mark.parametrize(("method", "path"), [("POST", "/recover"), ("GET", "/recover"), ("GET", "/")])
def test_an_unsigned_call_for_anything_else_is_refused(started, order_store, stripe, method, path):
    assert started.handle(Event(b"", method, path), Context())["statusCode"] == 401
    assert order_store.seen == stripe.seen == []


def test_a_run_sweeps_asks_stripe_has_the_owner_told_and_leaves_a_heartbeat(started, order_store, stripe):
    order_store.swept()
    found = {"events": 0, "skipped": 0, "errors": {}}
    assert signed(started, "POST")["body"] == {"swept": SWEPT, "found": found}
    assert [call.path for call in order_store.seen] == ["/function/order-store/sweep", "/function/alert/watch"]
    assert [call.path for call in stripe.seen][:2] == ["/v1/events", "/v1/checkout/sessions"]
    assert heartbeat(started)["result"] == SWEPT


def test_a_paid_session_without_an_order_is_found_and_order_store_is_told(started, order_store, stripe):
    order_store.swept()
    stripe.say(200, {**NOTHING, "data": [SESSION]}).say(200, NOTHING)
    assert signed(started, "POST")["body"]["found"]["events"] == 1
    kick = next(call for call in order_store.seen if call.path == "/async-function/order-store/kick")
    assert kick.json == {"events": ["stripe:seen.cs_test_1.paid"]}


def test_a_failed_sweep_leaves_no_heartbeat_and_frees_the_lock_but_stripe_is_asked(started, order_store, stripe):
    order_store.swept(503, {"error": {"code": "store_unavailable", "message": "The store is down"}}).swept()
    assert cron(started)["statusCode"] == 502
    assert heartbeat(started) is None
    assert stripe.seen[0].path == "/v1/events"
    assert cron(started)["statusCode"] == 202


def test_a_stripe_that_does_not_answer_spoils_no_run(started, order_store, stripe):
    order_store.swept()
    stripe.do(lambda handler: handler.answer(500, b"{}", {})).do(lambda handler: handler.answer(500, b"{}", {}))
    stripe._script.popleft()
    found = signed(started, "POST")["body"]["found"]
    assert set(found["errors"]) == {"stripe events", "stripe sessions", "recovery"}
    assert heartbeat(started)["result"] == SWEPT
    assert order_store.calls("alert")


def test_a_key_that_may_not_look_at_something_is_told_to_the_owner(started, order_store, stripe):
    order_store.swept()
    stripe._script.clear()
    stripe.say(403, {"error": {"message": "The key may not read Events", "type": "invalid_request_error"}})
    cron(started)
    told = {incident.id: incident.what for incident in Incidents(started.app._store, system_clock).open()}
    assert set(told) == {"catch-up.stripe-events", "catch-up.stripe-sessions", "catch-up.recovery"}
    assert "may not read Events" in told["catch-up.stripe-events"]


def test_after_an_hour_every_function_is_asked_what_it_sees_wrong(started, order_store, tmp_path):
    order_store.swept()
    cron(started)
    (tmp_path / "clock").write_text("3601")
    cron(started)
    asked = [call.path.split("/")[2] for call in order_store.seen if call.path.endswith("/doctor")]
    assert asked == list(catchup_doctors.INTERNAL)
    cron(started)
    assert len([call for call in order_store.seen if call.path.endswith("/doctor")]) == len(asked)


def test_two_runs_at_once_sweep_once(started, order_store):
    order_store.swept()
    entered, go_on = threading.Event(), threading.Event()

    def slowly(handler):
        entered.set()
        go_on.wait(10)
        handler.answer(200, json.dumps(SWEPT).encode(), {})

    order_store._script.appendleft(slowly)
    first = threading.Thread(target=cron, args=(started,))
    first.start()
    assert entered.wait(10)
    assert signed(started, "POST")["body"] == {"running": True}
    go_on.set()
    first.join()
    assert len(order_store.calls("order-store")) == 1


def test_a_run_that_died_keeps_its_lock_only_until_it_runs_out(started, order_store, tmp_path):
    order_store.swept()
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert Locks(store, system_clock).acquire("catch-up", 60)
    assert signed(started, "POST")["body"] == {"running": True}
    (tmp_path / "clock").write_text("61")
    assert cron(started)["statusCode"] == 202
    assert len(order_store.calls("order-store")) == 1
    store.close()


def test_the_recovery_of_the_last_start_can_be_looked_at(started, order_store):
    order_store.swept()
    assert signed(started, "GET", "/recover")["body"] == {"last": None}
    cron(started)
    assert signed(started, "GET", "/recover")["body"]["last"]["finished_at"]


def test_a_slice_of_a_recovery_finds_and_changes_nothing_unless_it_is_to(started, order_store, stripe):
    stripe.say(200, NOTHING)
    part = signed(started, "POST", "/recover", b'{"cursor": null}')["body"]
    assert (part["findings"], part["cursor"], part["orders"]) == ([], None, 0)
    assert signed(started, "POST", "/recover", b'{"cursor": "nonsense"}')["statusCode"] == 400
    assert signed(started, "POST", "/recover", b'{"aply": true}')["statusCode"] == 400


def test_the_doctor_misses_a_heartbeat_that_never_was_or_is_old(started, order_store, tmp_path):
    never = examine(started, "catch-up")["heartbeat"]
    assert (never["status"], never["text"]) == ("fail", "cron has never had a run finish")
    order_store.swept()
    cron(started)
    assert {check["status"] for check in examine(started, "catch-up").values()} == {"pass", "skip"}
    (tmp_path / "clock").write_text("200")
    old = examine(started, "catch-up")["heartbeat"]
    assert old["status"] == "fail"
    assert "the last run ended 20" in old["text"]
    assert "cron-connector" in old["fix"]


def test_the_doctor_takes_signed_calls_only(started):
    assert started.handle(Event(b"", "GET", "/doctor"), Context())["statusCode"] == 401
