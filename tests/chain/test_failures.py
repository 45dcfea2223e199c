"""Hints are lost, events cannot be applied: the order still ends fulfilled, and the owner knows.

Providers that fail are in `test_every_fault`, a store that is away in `test_store_away`, processes that die in
`tests/crash`.
"""

from __future__ import annotations

import requests

from local.shop import LocalShop
from support.customers import PLANS, WHEEL, eventually


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
    requests.get(f"{shop.gateway.url}/function/{name}", timeout=20)
    return None


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
    assert f"pushcart events replay stripe:{event['id']}" in last.text
    shop.ask(f"/events/stripe:{event['id']}/replay")
    customer.wait(fulfilment="fulfilled")


def test_catch_up_leaves_a_heartbeat(shop):
    shop.catch_up()
    last = shop.client.call("catch-up", "/", method="GET")["last"]
    assert set(last["result"]) == {"events", "orders", "more"}
