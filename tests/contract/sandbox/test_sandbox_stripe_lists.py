"""Stripe's lists as a catch-up walks them, through the official SDK: hundreds of sales, page by page."""

from __future__ import annotations

import pytest
import stripe

from local.sandbox import Sandbox

SALES = 230


@pytest.fixture
def sold(sb: Sandbox, clock, link: str) -> list[str]:
    """The sessions of many sales, a second apart, oldest first."""
    sessions = []
    for n in range(SALES):
        sessions.append(sb.stripe.buy(link, email=f"buyer{n}@example.com").object["id"])
        clock.advance(1)
    return sessions


def pages(listing, **params: object) -> list[list]:
    """Every page of a list, asked for by its last id, with at most 100 a page."""
    found, after = [], {}
    while True:
        page = listing({"limit": 100, **params, **after})
        found.append(page.data)
        if not page.has_more:
            return found
        after = {"starting_after": page.data[-1].id}


def test_a_catch_up_walks_all_sessions_with_their_charges(
    sb: Sandbox, api: stripe.StripeClient, clock, link: str, sold: list[str]
) -> None:
    sb.stripe.open_session(link)
    other = sb.stripe.add_payment_link([{"sku": "b", "name": "B", "unit_amount": 100, "currency": "eur"}])["id"]
    elsewhere = sb.stripe.buy(other).object["id"]
    expand = ["data.payment_intent.latest_charge"]
    walked = pages(api.v1.checkout.sessions.list, status="complete", payment_link=link, expand=expand)
    assert [len(page) for page in walked] == [100, 100, 30]
    everything = [session for page in walked for session in page]
    assert [session.id for session in everything] == sold[::-1]
    assert all(s.payment_intent.latest_charge.amount == 4900 for s in everything)
    start = everything[-1].created
    between = {"gte": start + 10, "lt": start + 20}
    assert [s.id for s in pages(api.v1.checkout.sessions.list, created=between)[0]] == sold[19:9:-1]
    [last] = pages(api.v1.checkout.sessions.list, created={"gt": start + SALES - 2, "lte": start + SALES - 1})[0]
    assert last.id == sold[-1]
    newest = api.v1.checkout.sessions.list({"ending_before": sold[-3], "status": "complete", "limit": 2})
    assert ([s.id for s in newest.data], newest.has_more) == ([sold[-1], sold[-2]], True)
    assert elsewhere in {s.id for s in api.v1.checkout.sessions.list({"ending_before": sold[-3]}).data}
    [one] = api.v1.checkout.sessions.list({"customer_details": {"email": "Buyer7@example.com"}}).data
    assert one.id == sold[7]


def test_a_catch_up_walks_all_events_of_its_types_in_a_window(
    sb: Sandbox, api: stripe.StripeClient, sold: list[str]
) -> None:
    refunded = [sb.stripe.refund(session).object["charge"] for session in sold[:3]]
    kinds = ["checkout.session.completed", "charge.refunded"]
    walked = pages(api.v1.events.list, types=kinds, created={"gte": 1})
    assert [len(page) for page in walked] == [100, 100, SALES + 3 - 200]
    ids = [event.data.object["id"] for page in walked for event in page]
    assert ids == [*refunded[::-1], *sold[::-1]]
    groups = api.v1.events.list({"types": ["charge.refunded", "charge.dispute.*"]}).data
    assert {event.type for event in groups} == {"charge.refunded"}
    start = walked[-1][-1].created
    window = {"gte": start + 5, "lte": start + 6}
    assert [e.data.object["id"] for e in pages(api.v1.events.list, types=kinds, created=window)[0]] == sold[6:4:-1]


def test_a_page_may_be_asked_for_after_one_that_no_longer_matches(
    sb: Sandbox, api: stripe.StripeClient, link: str
) -> None:
    """Its place in the list counts, not whether it is shown: a session may change between two pages."""
    first = sb.stripe.buy(link).object["id"]
    waiting = sb.stripe.open_session(link)["id"]
    after = api.v1.checkout.sessions.list({"status": "complete", "starting_after": waiting})
    assert [session.id for session in after.data] == [first]
    with pytest.raises(stripe.InvalidRequestError, match="No such object: 'cs_none'"):
        api.v1.checkout.sessions.list({"starting_after": "cs_none"})
