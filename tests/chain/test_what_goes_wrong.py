"""What goes wrong in shops like this, from their public issue trackers: each by its name, and that it is not here.

Functions die at named points (`pushcart.crash`), hints are lost, the truth moves on; the sandbox's record is the judge.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from local.shop import LocalShop
from pushcart import clock
from pushcart.crash import Point
from pushcart.domain.event import EventStatus
from pushcart.errors import FunctionFailed
from support.customers import WHEEL, Customer, eventually

DAY = 86_400

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400

ONCE = {"invitations": 1, "purchases": 1, "sequences": 1}


def catch_up_until(shop: LocalShop, done: Callable[[], Any]) -> Any:
    """Catch-up runs and time passes until `done` gives something; returns it."""
    for _ in range(12):
        with contextlib.suppress(FunctionFailed):  # the process that dies may be the one that is asked
            shop.catch_up()
        with contextlib.suppress(AssertionError):
            return eventually(done, seconds=2)
        shop.advance(LONG)
    raise AssertionError("catch-up did not bring it about")


def fulfilled(customer: Customer) -> Callable[[], Any]:
    """For `catch_up_until`: the order, once it is fulfilled."""

    def order() -> Any:
        found = customer.order()
        return found if found is not None and found["fulfilment_status"] == "fulfilled" else None

    return order


def delivered_once(customer: Customer) -> None:
    effects = customer.effects()
    assert {name: effects[name] for name in ONCE} == ONCE
    assert len(effects["buyer mails"]) == len(set(effects["buyer mails"])) == 2


@pytest.fixture
def held_back(shop, customer) -> Iterator[Customer]:
    """A buyer whose events the sandbox keeps until a test delivers them."""
    shop.sandbox.stripe.autosend = False
    yield customer
    shop.sandbox.stripe.autosend = True


@pytest.fixture
def crash_at(shop) -> Iterator[Callable[[Point], None]]:
    """The process that next comes to this point is killed there."""
    yield shop.crash_file.write_text
    shop.crash_file.unlink(missing_ok=True)


def completed(shop: LocalShop, customer: Customer) -> dict[str, Any]:
    [event] = shop.sandbox.stripe.events("checkout.session.completed", customer.session)
    return event


def test_webhook_and_browser_return_both_fulfil(shop, held_back):
    """The buyer's return is no trigger, early or late; catch-up and the event, which are, meet in one order."""
    session = held_back.buy(WHEEL)
    back = {"session_id": session["id"]}
    for function in ("stripe-webhook", "order-store", "invite-link"):
        answer = requests.get(f"{shop.gateway.url}/function/{function}", params=back, timeout=20)
        assert answer.status_code in (401, 405), function
    assert held_back.order() is None
    assert shop.sandbox.stripe.deliver(completed(shop, held_back)) == 200
    shop.catch_up()
    held_back.wait(fulfilment="fulfilled")
    for path in ("/", "/orders"):
        assert (
            requests.get(f"{shop.gateway.url}/function/order-store{path}", params=back, timeout=20).status_code == 401
        )
    shop.catch_up()
    delivered_once(held_back)


def test_paid_but_no_order(shop, customer, crash_at):
    """order-store dies with the hint in its hand, and nobody sends another: the next sweep makes the order."""
    crash_at(Point.EVENT_READ)
    customer.buy(WHEEL)
    eventually(lambda: not shop.crash_file.exists())
    assert customer.order() is None
    catch_up_until(shop, fulfilled(customer))
    delivered_once(customer)


def test_a_duplicate_event_fails_on_a_unique_key_and_loops(customer, shop):
    """It is acknowledged, and neither it nor the first is tried again."""
    customer.buy(WHEEL)
    customer.wait(fulfilment="fulfilled")
    before = customer.effects()
    [completed] = [
        e for e in customer.events if shop.sandbox.stripe.find("event", e)["type"] == "checkout.session.completed"
    ]
    for _ in range(3):
        assert shop.sandbox.stripe.deliver(completed) == 200
    shop.catch_up()
    assert customer.effects() == before
    kept = shop.ask(f"/events/stripe:{completed}", method="GET")
    assert (kept["status"], kept["attempts"], kept["due_at"]) == (EventStatus.APPLIED, 0, None)


@pytest.mark.parametrize("point", [Point.EVENT_STORED, Point.EVENT_APPLIED])
def test_a_crash_between_row_written_and_queued_loses_the_order_for_ever(shop, customer, crash_at, point):
    """The event is in the inbox but nobody was told; or the order is written and none of its steps was started."""
    crash_at(point)
    customer.buy(WHEEL)
    eventually(lambda: not shop.crash_file.exists())
    catch_up_until(shop, fulfilled(customer))
    delivered_once(customer)


@pytest.mark.parametrize("point", [Point.ORDER_WRITTEN, Point.STEP_LEASED, Point.STEP_RECORDED, Point.BEFORE_PROVIDER])
def test_a_crash_between_paid_and_mail_sent_means_no_mail_ever(shop, customer, crash_at, point):
    """The mails are steps of the order like any other: what was not recorded as sent is sent."""
    crash_at(point)
    customer.buy(WHEEL)
    eventually(lambda: not shop.crash_file.exists())
    catch_up_until(shop, fulfilled(customer))
    delivered_once(customer)


def test_a_retry_places_a_second_order_because_it_looks_up_another_id(shop, customer):
    """The answers of Kit and Discourse are lost: the second call asks for what the first made, under the same id."""
    shop.sandbox.fault("kit", "lost_answer", times=1, path="/v4/purchases")
    shop.sandbox.fault("discourse", "lost_answer", times=1, path="/invites.json")
    try:
        customer.buy(WHEEL)
        order = catch_up_until(shop, fulfilled(customer))
    finally:
        shop.sandbox.world.faults.clear()
    calls = [call.json for call in shop.sandbox.calls("kit", "POST", "/v4/purchases")]
    asked = [call.get("purchase", call)["transaction_id"] for call in calls if customer.email in json.dumps(call)]
    assert asked == [f"{order['id']}.wheel-basics.purchase"] * 2
    kept = shop.sandbox.kit.purchases.values()
    assert [one["transaction_id"] for one in kept if one["email_address"] == customer.email] == asked[:1]
    assert [address for address in shop.sandbox.discourse.invites if address == customer.email] == [customer.email]
    assert len(customer.effects()["buyer mails"]) == 2


def test_free_orders_are_never_fulfilled(customer):
    """`no_payment_required` is as good as paid."""
    customer.buy(WHEEL, free=True)
    order = customer.wait(payment="no_payment_required", fulfilment="fulfilled")
    assert order["payment"]["amount_total"] == 0
    assert customer.effects()["invitations"] == 1


def test_a_partial_refund_is_taken_for_a_full_one(customer, shop):
    """A partial one only mails; only the full one cancels what is still to come."""
    session = customer.buy(WHEEL)
    customer.wait(fulfilment="fulfilled")
    shop.sandbox.stripe.refund(session["id"], 1000)
    order = customer.wait(payment="partially_refunded", fulfilment="fulfilled")
    assert next(step for step in order["steps"] if step["name"] == "how-is-it-going")["state"] == "waiting"
    shop.sandbox.stripe.refund(session["id"])
    order = customer.wait(payment="refunded", fulfilment="fulfilled")
    assert next(step for step in order["steps"] if step["name"] == "how-is-it-going")["state"] == "cancelled"
    mails = [mail for mail in shop.sandbox.mails(customer.email) if "refund" in mail.subject.lower()]
    assert len(mails) == 2
    assert "10.00" in mails[0].text
    assert "39.00" in mails[1].text


def test_a_late_event_downgrades_the_state(shop, customer):
    """Stripe repeats an old event after days: the order stays refunded, and nothing is done again."""
    session = customer.buy(WHEEL)
    customer.wait(fulfilment="fulfilled")
    customer.note(shop.sandbox.stripe.refund(session["id"]))
    refunded = customer.wait(payment="refunded")
    before = customer.effects()
    assert shop.sandbox.stripe.deliver(completed(shop, customer)) == 200
    shop.ask(f"/events/stripe:{completed(shop, customer)['id']}/replay")  # as if it had come for the first time
    eventually(lambda: shop.ask(f"/events/stripe:{completed(shop, customer)['id']}", method="GET")["due_at"] is None)
    order = customer.wait(payment="refunded", fulfilment="fulfilled")
    assert (order["history"], order["steps"]) == (refunded["history"], refunded["steps"])
    assert customer.effects() == before


def test_a_delayed_payment_is_fulfilled_while_unpaid(customer, shop):
    """The completed event of a bank transfer says nothing about the money."""
    session = customer.buy(WHEEL, delayed=True)
    customer.wait(payment="unpaid", fulfilment="none")
    assert customer.effects() == {
        "invitations": 0,
        "purchases": 0,
        "sequences": 0,
        "buyer mails": [],
        "owner mails": [],
    }
    shop.sandbox.stripe.settle(session["id"], success=True)
    customer.wait(payment="paid", fulfilment="fulfilled")
    assert customer.effects()["invitations"] == 1


def test_jpy_times_100(shop, customer):
    """A currency without decimals is neither multiplied nor divided: in the order, at Kit, in the mails."""
    item = {"sku": "wheel-basics", "name": "Throwing on the Wheel", "unit_amount": 4900, "currency": "jpy"}
    link = shop.sandbox.stripe.add_payment_link([{**item, "price_id": "price_1PushcartWheelBasics"}])
    try:
        customer.buy(link["id"])
        order = customer.wait(payment="paid", fulfilment="needs_attention")
        assert "49.00 EUR in shop.yml, but 4900 JPY was asked for" in order["attention"][0]["text"]
        shop.ask(f"/orders/{order['id']}/release")
        order = customer.wait(fulfilment="fulfilled")
    finally:
        shop._put_products_on_sale()
    assert (order["payment"]["amount_total"], order["payment"]["currency"]) == (4900, "JPY")
    [purchase] = [one for one in shop.sandbox.kit.purchases.values() if one["email_address"] == customer.email]
    assert (float(purchase["total"]), purchase["currency"]) == (4900, "JPY")
    [receipt] = [mail for mail in shop.sandbox.mails(customer.email) if "receipt" in mail.subject]
    assert "4,900" in receipt.text
    assert "49.00" not in receipt.text
    assert "490,000" not in receipt.text


def test_fields_are_null_because_the_endpoint_is_on_another_api_version(customer, shop):
    """The event only says where to look; what counts is read at the version of our SDK."""
    current, shop.sandbox.stripe.api_version = shop.sandbox.stripe.api_version, "2020-08-27"
    try:
        customer.buy(WHEEL)
        order = customer.wait(fulfilment="fulfilled")
    finally:
        shop.sandbox.stripe.api_version = current
    assert order["payment"]["amount_total"] == 4900


def test_another_products_events_crash_the_handler(shop):
    """Whatever else the account sells: acknowledged, not kept, and Stripe is not asked about it."""
    before = {call.path for call in shop.sandbox.calls("stripe")}
    outcome = shop.sandbox.stripe.foreign_event("invoice.paid")
    [event] = [event["id"] if isinstance(event, dict) else event for event in outcome.events]
    assert shop.sandbox.stripe.deliver(event) == 200
    assert shop.ask("/events", method="GET", limit="200")["items"] == [
        item for item in shop.ask("/events", method="GET", limit="200")["items"] if item["type"] != "invoice.paid"
    ]
    assert {call.path for call in shop.sandbox.calls("stripe")} == before


def test_revenue_on_the_wrong_day(shop, held_back):
    """Paid today, heard of two days later: the sale and its receipt are of today, whenever we came to know."""
    session = held_back.buy(WHEEL)
    charge = shop.sandbox.stripe.charge_of(session["id"])
    shop.advance(2 * DAY)
    assert shop.sandbox.stripe.deliver(completed(shop, held_back)) == 200
    order = held_back.wait(payment="paid", fulfilment="fulfilled")
    day = clock.from_timestamp(charge["created"])[:10]
    assert (order["paid_at"][:10], order["created_at"][:10]) == (day, clock.from_timestamp(session["created"])[:10])
    assert order["updated_at"][:10] > day
    found = shop.orders(email=held_back.email, since=day, until=clock.later(f"{day}T00:00:00Z", DAY))
    assert [one["id"] for one in found] == [order["id"]]
    [purchase] = [one for one in shop.sandbox.kit.purchases.values() if one["email_address"] == held_back.email]
    assert purchase["transaction_time"][:10] == day
