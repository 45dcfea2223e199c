"""Lists of Stripe's, asked for through the official SDK: of the sandbox, and of a server that says what it is told."""

from __future__ import annotations

import json

import pytest

from pushcart.clock import system_clock
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.providers.stripe_listing import StripeListing
from pushcart.providers.stripe_payments import StripePayments
from pushcart.repositories import Counters, Inbox
from pushcart.services.stripe_inbox import EVENT_TYPES, StripeInbox

LINK = [{"sku": "mug", "name": "Mug", "unit_amount": 1200, "currency": "EUR"}]


@pytest.fixture
def listing(sandbox):
    payments = StripePayments(f"{sandbox.url}/stripe", lambda: "sk_test_sandbox", 10)
    return StripeListing(payments)


@pytest.fixture
def told(wire):
    """A listing whose Stripe says what the test tells it to."""
    return StripeListing(StripePayments(wire.url, lambda: "sk_test_x", 2))


def now():
    return int(system_clock().timestamp())


def sell(sandbox, times=1):
    """Sales by a payment link; the sessions, oldest first."""
    sandbox.stripe.autosend = False
    link = sandbox.stripe.add_payment_link(LINK)
    return [sandbox.stripe.buy(link["id"], email="ann@example.com").object for _ in range(times)]


def test_events_come_a_page_at_a_time_newest_first_each_once(sandbox, listing):
    sell(sandbox, 105)
    first = listing.events(["checkout.session.completed"], now() - 60, now() + 60)
    second = listing.events(["checkout.session.completed"], now() - 60, now() + 60, first.last)
    assert (len(first.items), first.last, len(second.items), second.last) == (100, first.items[-1].id, 5, None)
    assert len({event.id for event in first.items + second.items}) == 105
    created = [json.loads(event.body)["created"] for event in first.items]
    assert created == sorted(created, reverse=True)


def test_only_events_of_the_types_and_the_time_asked_for_are_listed(sandbox, listing):
    (session,) = sell(sandbox)
    sandbox.stripe.refund(session["id"])
    types = {json.loads(event.body)["type"] for event in listing.events(EVENT_TYPES, now() - 60, now() + 60).items}
    assert types == {"checkout.session.completed", "charge.refunded", "refund.created"}
    assert listing.events(EVENT_TYPES, now() - 600, now() - 300).items == []
    assert listing.events(["charge.dispute.created"], now() - 60, now() + 60).items == []


def test_a_listed_event_goes_into_the_inbox_as_a_webhook_does(sandbox, listing, store):
    (session,) = sell(sandbox)
    inbox = Inbox(store)
    events = StripeInbox(inbox, Counters(store, system_clock), system_clock, livemode=False)
    (event,) = listing.events(["checkout.session.completed"], now() - 60, now() + 60).items
    stored = inbox.require(events.take(event.body, listed=True))
    assert (stored.object_id, stored.payment_intent) == (session["id"], session["payment_intent"])
    assert events.take(event.body, listed=True) is None


def test_sessions_say_what_a_comparison_needs(sandbox, listing):
    (session,) = sell(sandbox)
    sandbox.stripe.refund(session["id"], 500)
    (found,) = listing.sessions(charges=True).items
    assert found.id == session["id"]
    assert (found.paid, found.amount_total, found.currency, found.livemode) == (True, 1200, "EUR", False)
    assert (found.refunded, found.disputed, found.payment_link) == (500, False, session["payment_link"])
    sandbox.stripe.dispute(session["id"])
    assert listing.session(session["id"]).disputed is True
    (plain,) = listing.sessions().items
    assert (plain.refunded, plain.disputed) == (None, None)


def test_only_completed_sessions_of_the_time_asked_for_are_listed(sandbox, listing):
    sandbox.stripe.autosend = False
    link = sandbox.stripe.add_payment_link(LINK)
    sandbox.stripe.open_session(link["id"])
    (session,) = sell(sandbox)
    assert [one.id for one in listing.sessions(since=session["created"], until=session["created"] + 1).items] == [
        session["id"]
    ]
    assert listing.sessions(until=session["created"]).items == []
    assert listing.sessions(since=session["created"] + 1).items == []


def test_a_session_stripe_has_never_heard_of_is_none(listing):
    assert listing.session("cs_test_nobody") is None


def test_a_place_stripe_has_forgotten_is_refused_as_such(listing):
    with pytest.raises(ProviderRefused) as refused:
        listing.events(EVENT_TYPES, now() - 60, now(), "evt_gone")
    assert refused.value.details["reason"] == "resource_missing"


def test_a_rate_limit_says_when_to_come_back(wire, told):
    wire.say(429, {"error": {"message": "slow down", "type": "rate_limit_error"}}, {"Retry-After": "7"})
    with pytest.raises(ProviderBusy) as busy:
        told.sessions()
    assert busy.value.retry_after == 7


def page(*data, more=False):
    return {"object": "list", "data": list(data), "has_more": more, "url": "/v1/x"}


ODD = [{"id": 5}, {}, "text", None, 7, [], {"id": "cs_1", "created": "yesterday"}]


def test_odd_objects_are_counted_and_keep_no_other(wire, told):
    good = {"id": "cs_1", "created": 1, "amount_total": 1, "currency": "eur", "payment_status": "paid"}
    wire.say(200, page(*ODD, {**good, "status": "complete", "livemode": False}))
    found = told.sessions(charges=True)
    assert ([one.id for one in found.items], found.odd) == (["cs_1"], len(ODD))


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b"[]", b'{"data": null, "has_more": false}', b'{"data": [], "has_more": true}',
     b'{"data": [{}], "has_more": true}', b'{"data": [{"id": "a"}]}'],
)  # fmt: skip
@pytest.mark.parametrize("ask", ["events", "sessions"])
def test_an_answer_that_is_no_page_is_asked_for_again(wire, told, body, ask):
    wire.say(200, body, {"Content-Type": "application/json"})
    with pytest.raises(ProviderUnavailable):
        told.sessions() if ask == "sessions" else told.events(EVENT_TYPES, 0, 1)
