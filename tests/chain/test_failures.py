"""Functions die, hints are lost, providers fail: the order still ends fulfilled, once."""

from __future__ import annotations

import contextlib
import json

import pytest

from local.shop import LocalShop
from pushcart.errors import FunctionFailed
from support.customers import PLANS, WHEEL, eventually

FUNCTIONS = ("order-store", "invite-link", "mailing-list", "email-dispatch")

#: Longer than any lease and any wait of the first attempts.
LONG = 400


def drain(shop, customer):
    """Catch-up runs, and when that does not help by itself, time passes, until the order is fulfilled."""

    def fulfilled():
        order = customer.order()
        return order if order is not None and order["fulfilment_status"] == "fulfilled" else None

    for _ in range(12):
        with contextlib.suppress(FunctionFailed):  # the process that was killed may be the one that is asked
            shop.catch_up()
        with contextlib.suppress(AssertionError):
            return eventually(fulfilled, seconds=2)
        shop.advance(LONG)
    raise AssertionError(json.dumps(customer.order(), indent=1))


@pytest.mark.parametrize("victim", FUNCTIONS)
def test_a_function_killed_in_the_middle_of_an_order_costs_nothing_but_time(shop, customer, victim):
    customer.buy(WHEEL)
    eventually(lambda: customer.order() is not None)
    shop.gateway.kill(victim)
    drain(shop, customer)
    effects = customer.effects()
    assert (effects["purchases"], effects["sequences"]) == (1, 1)
    assert [address for address in shop.sandbox.discourse.invites if address == customer.email] == [customer.email]
    assert len(set(effects["buyer mails"])) == 2


def test_a_hint_to_a_cold_order_store_is_lost_and_catch_up_finds_the_order(tmp_path):
    """As on faasd: the queue drops a call to a function that does not listen yet."""
    with LocalShop(tmp_path / "state", cold_calls="fail", catch_up=False) as shop:
        eventually(lambda: shop.gateway.pid("stripe-webhook") or _warm(shop, "stripe-webhook"))
        shop.sandbox.stripe.buy(PLANS, email="cold@example.com")
        eventually(lambda: any(d.acknowledged for d in shop.sandbox.stripe.deliveries))
        shop.sandbox.stripe.wait_idle()

        def fulfilled():
            shop.advance(30)
            shop.catch_up()
            orders = shop.orders()
            return orders and orders[0]["fulfilment_status"] == "fulfilled"

        eventually(fulfilled, seconds=40)
        assert len(shop.sandbox.mails("cold@example.com")) == 2


def _warm(shop, name):
    import requests

    requests.get(f"{shop.gateway.url}/function/{name}", timeout=20)
    return None


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        ("stripe", {"kind": "status", "status": 500}),
        ("stripe", {"kind": "status", "status": 429}),
        ("stripe", {"kind": "refused"}),
        ("stripe", {"kind": "truncated"}),
        ("stripe", {"kind": "html", "status": 200}),
        ("discourse", {"kind": "status", "status": 503}),
        ("discourse", {"kind": "lost_answer"}),
        ("kit", {"kind": "lost_answer", "path": "/v4/purchases"}),
        ("kit", {"kind": "status", "status": 429}),
        ("sendgrid", {"kind": "status", "status": 500}),
        ("sendgrid", {"kind": "refused"}),
    ],
)
def test_a_provider_that_fails_for_a_while_delays_the_order_and_repeats_nothing(shop, customer, provider, fault):
    fault = dict(fault)
    shop.sandbox.fault(provider, fault.pop("kind"), times=2, **fault)
    try:
        customer.buy(WHEEL)
        drain(shop, customer)
    finally:
        shop.sandbox.world.faults.clear()
    assert len(shop.sandbox.mails(customer.email)) == 2
    assert len([p for p in shop.sandbox.kit.purchases.values() if p["email_address"] == customer.email]) == 1
    assert len([i for address, i in shop.sandbox.discourse.invites.items() if address == customer.email]) == 1


def test_an_event_that_can_never_be_applied_ends_dead_and_the_owner_is_told(shop, customer):
    """Stripe refuses the key for days: nothing is dropped, the event waits for the owner's replay."""
    shop.sandbox.fault("stripe", "status", status=401, times=None, path="/v1/.*")
    try:
        customer.buy(WHEEL)
        [event] = shop.sandbox.stripe.events("checkout.session.completed", customer.session)

        def dead():
            shop.catch_up()
            shop.advance(100_000)
            found = shop.ask(f"/events/stripe:{event['id']}", method="GET")
            return found if found["status"] == "dead" and found["told_owner"] else None

        found = eventually(dead)
    finally:
        shop.sandbox.world.faults.clear()
    assert "stripe-api-key" in found["error"]
    first, last = [m for m in shop.sandbox.mails("owner@meadow-pottery.example") if event["id"] in m.text]
    assert "is tried again for two days" in first.text.replace("\n", " ")
    assert f"POST /events/stripe:{event['id']}/replay" in last.text
    shop.ask(f"/events/stripe:{event['id']}/replay")
    customer.wait(fulfilment="fulfilled")


def test_catch_up_leaves_a_heartbeat(shop):
    shop.catch_up()
    last = shop.client.call("catch-up", "/", method="GET")["last"]
    assert set(last["result"]) == {"events", "orders", "more"}
