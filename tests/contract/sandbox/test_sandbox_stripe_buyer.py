"""What a buyer, a bank and the owner do at Stripe, and the objects and events it leaves behind."""

from __future__ import annotations

import pytest
import requests
import stripe

from local.sandbox import Sandbox, StripeError

PAID = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]


def types(events: list[dict]) -> list[str]:
    return [event["type"] for event in events]


def test_a_purchase_is_paid_and_tells_who_bought(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session, events = sb.stripe.buy(link, email="ada@example.com", name="Ada", locale="pl", country="DE")
    assert types(events) == PAID
    got = api.v1.checkout.sessions.retrieve(session["id"], {"expand": ["payment_intent.latest_charge"]})
    assert (got.status, got.payment_status, got.amount_total, got.locale) == ("complete", "paid", 4900, "pl")
    who = got.customer_details
    assert (who.email, who.name, who.address.country, who.tax_exempt) == ("ada@example.com", "Ada", "DE", "none")
    assert got.url is None
    assert got.collected_information.shipping_details is None
    assert got.payment_intent.status == got.payment_intent.latest_charge.status == "succeeded"
    assert got.payment_intent.amount_received == 4900
    assert not got.payment_intent.latest_charge.refunded


def test_a_session_of_the_cart_is_paid_with_what_it_was_made_with(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "http://127.0.0.1/ok",
            "metadata": {"order_id": "ord_1"},
            "payment_intent_data": {"metadata": {"order_id": "ord_1"}},
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 100, "product_data": {"name": "Tea"}}}
            ],
        }
    )
    session = sb.stripe.buy(session=made.id).object
    assert session["metadata"] == {"order_id": "ord_1"}
    assert session["payment_status"] == "paid"
    intent = api.v1.payment_intents.retrieve(session["payment_intent"], {"expand": ["latest_charge"]})
    assert intent.metadata.to_dict() == intent.latest_charge.metadata.to_dict() == {"order_id": "ord_1"}
    with pytest.raises(StripeError, match="status is complete, not open"):
        sb.stripe.buy(session=made.id)


def test_shipping_is_in_collected_information(sb: Sandbox, api: stripe.StripeClient, shirt: dict) -> None:
    """As since 2025-03-31: not on top of the session. The payment intent and the charge have it too."""
    link = sb.stripe.add_payment_link([shirt], shipping_countries=["PL", "DE"], shipping_amount=1200)["id"]
    where = {"name": "Ada", "address": {"country": "DE", "line1": "Allee 1", "city": "Bonn", "postal_code": "53111"}}
    session = api.v1.checkout.sessions.retrieve(
        sb.stripe.buy(link, shipping=where).object["id"], {"expand": ["payment_intent.latest_charge"]}
    )
    details = session.collected_information.shipping_details
    assert (details.name, details.address.line1, details.address.state) == ("Ada", "Allee 1", None)
    assert session.amount_total == 2 * 2500 + 1200
    assert session.total_details.amount_shipping == 1200
    assert session.payment_intent.latest_charge.shipping.address.city == "Bonn"
    assert "shipping_details" not in session.to_dict()


def test_a_link_that_asks_for_an_address_gets_one(sb: Sandbox, shirt: dict) -> None:
    link = sb.stripe.add_payment_link([shirt], shipping_countries=["PL"])["id"]
    assert sb.stripe.buy(link).object["collected_information"]["shipping_details"]["address"]["country"] == "PL"


def test_a_free_purchase_has_no_payment(sb: Sandbox, link: str) -> None:
    session, events = sb.stripe.buy(link, free=True)
    assert session["payment_status"] == "no_payment_required"
    assert session["payment_intent"] is None
    assert session["amount_total"] == 0
    assert session["total_details"]["amount_discount"] == 4900
    assert types(events) == ["checkout.session.completed"]


def test_a_discount_is_spread_over_the_lines(sb: Sandbox, api: stripe.StripeClient, course: dict, shirt: dict) -> None:
    """To the last cent: 4900 and 5000 with 1001 off."""
    link = sb.stripe.add_payment_link([course, shirt])["id"]
    session = sb.stripe.buy(link, amount_off=1001).object
    lines = api.v1.checkout.sessions.line_items.list(session["id"]).data
    assert session["amount_total"] == 9900 - 1001 == sum(line.amount_total for line in lines)
    assert [line.amount_discount for line in lines] == [495, 506]
    with pytest.raises(ValueError, match="amount_off must be between"):
        sb.stripe.buy(link, amount_off=9901)


def test_a_delayed_payment_arrives(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    """Completed but unpaid first, paid after it was settled."""
    session, events = sb.stripe.buy(link, delayed=True)
    assert types(events)[-1] == "checkout.session.completed"
    assert "charge.succeeded" not in types(events)
    assert events[-1]["data"]["object"]["payment_status"] == session["payment_status"] == "unpaid"
    assert api.v1.payment_intents.retrieve(session["payment_intent"]).status == "processing"
    paid, later = sb.stripe.settle(session)
    assert types(later) == ["charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"]
    assert paid["payment_status"] == "paid"
    assert api.v1.payment_intents.retrieve(session["payment_intent"]).status == "succeeded"
    with pytest.raises(StripeError, match="only a processing one"):
        sb.stripe.settle(session)


def test_a_delayed_payment_fails(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session = sb.stripe.buy(link, delayed=True).object
    failed, events = sb.stripe.settle(session, success=False)
    assert types(events)[-1] == "checkout.session.async_payment_failed"
    assert failed["payment_status"] == "unpaid"
    assert failed["status"] == "complete"
    intent = api.v1.payment_intents.retrieve(session["payment_intent"], {"expand": ["latest_charge"]})
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.message
    assert intent.latest_charge.status == "failed"
    assert not intent.latest_charge.paid


def test_a_declined_card_leaves_the_session_open(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    """The next card pays the same payment intent."""
    opened = sb.stripe.open_session(link)
    declined, events = sb.stripe.decline(opened)
    assert declined["status"] == "open"
    assert types(events)[-1] == "payment_intent.payment_failed"
    paid = sb.stripe.buy(session=opened).object
    assert paid["payment_intent"] == declined["payment_intent"]
    statuses = {c.status for c in api.v1.charges.list({"payment_intent": paid["payment_intent"]}).data}
    assert statuses == {"failed", "succeeded"}


def test_a_session_expires_by_itself_after_a_day(sb: Sandbox, api: stripe.StripeClient, clock, link: str) -> None:
    opened = sb.stripe.open_session(link)
    clock.advance(86399)
    assert api.v1.checkout.sessions.retrieve(opened["id"]).status == "open"
    clock.advance(1)
    assert api.v1.checkout.sessions.retrieve(opened["id"]).status == "expired"
    assert types(sb.stripe.events(about=opened)) == ["checkout.session.expired"]


def test_a_session_can_be_expired(sb: Sandbox, link: str) -> None:
    expired, events = sb.stripe.expire(sb.stripe.open_session(link))
    assert expired["status"] == "expired"
    assert types(events) == ["checkout.session.expired"]
    assert expired["payment_status"] == "unpaid"
    assert expired["url"] is None


def test_partial_refunds_add_up(sb: Sandbox, link: str) -> None:
    session = sb.stripe.buy(link).object
    first, events = sb.stripe.refund(session, 1000)
    assert types(events) == ["charge.refunded", "refund.created"]
    assert first["status"] == "succeeded"
    charge = events[0]["data"]["object"]
    assert (charge["amount_refunded"], charge["refunded"]) == (1000, False)
    assert "refunds" not in charge
    assert events[0]["data"]["previous_attributes"] == {"amount_refunded": 0}
    rest, events = sb.stripe.refund(session["payment_intent"], updated=True)
    assert rest["amount"] == 3900
    assert events[0]["data"]["object"]["refunded"] is True
    assert types(events) == ["charge.refunded", "refund.created", "refund.updated"]
    with pytest.raises(StripeError, match="already been refunded"):
        sb.stripe.refund(session)


def test_a_refund_that_fails_counts_no_more(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session = sb.stripe.buy(link).object
    refund = sb.stripe.refund(session).object
    failed, events = sb.stripe.refund_fails(refund)
    assert failed["status"] == "failed"
    assert "refund.failed" in types(events)
    charge = api.v1.charges.retrieve(refund["charge"])
    assert charge.amount_refunded == 0
    assert charge.refunded is False
    with pytest.raises(StripeError, match="cannot fail any more"):
        sb.stripe.refund_fails(refund)


@pytest.mark.parametrize(("won", "status"), [(True, "won"), (False, "lost")])
def test_a_dispute_is_opened_and_closed(
    sb: Sandbox, api: stripe.StripeClient, link: str, won: bool, status: str
) -> None:
    session = sb.stripe.buy(link).object
    dispute, events = sb.stripe.dispute(session, "product_not_received")
    assert types(events)[0] == "charge.dispute.created"
    assert dispute["status"] == "needs_response"
    assert api.v1.charges.retrieve(dispute["charge"]).disputed is True
    with pytest.raises(StripeError, match="charged back"):
        sb.stripe.refund(session)
    closed, events = sb.stripe.close_dispute(dispute, won=won)
    assert closed["status"] == status
    assert types(events)[0] == "charge.dispute.closed"
    assert api.v1.disputes.retrieve(dispute["id"]).status == status
    with pytest.raises(StripeError, match="already closed"):
        sb.stripe.close_dispute(dispute)


def test_events_of_other_products_and_of_live_mode(sb: Sandbox) -> None:
    invoice, events = sb.stripe.foreign_event("invoice.paid")
    assert invoice["object"] == "invoice"
    assert invoice["id"].startswith("in_")
    assert types(events) == ["invoice.paid"]
    assert events[0]["livemode"] is False
    assert sb.stripe.foreign_event("customer.created", livemode=True).events[0]["livemode"] is True


def test_stripe_never_generates_some_events(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    """The session is paid all the same: whoever lists the sessions finds it."""
    session, events = sb.stripe.buy(link, silent=True)
    assert events == []
    assert api.v1.events.list().data == []
    assert api.v1.checkout.sessions.list({"status": "complete"}).data[0].id == session["id"]


def test_every_action_can_be_asked_for_over_http(sb: Sandbox, course: dict) -> None:
    """For tests in another process; the answer holds the object and the events."""

    def do(action: str, **fields: object) -> dict:
        answer = requests.post(f"{sb.url}/_sandbox/stripe/{action}", json=fields, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    link = do("add_payment_link", items=[course], link_id="plink_course")["object"]["id"]
    assert link == "plink_course"
    later = do("buy", payment_link=link, delayed=True)["object"]["id"]
    assert do("settle", session=later, success=True)["events"][-1]["type"].endswith("async_payment_succeeded")
    refund = do("refund", payment=later, amount=100)["object"]["id"]
    assert do("refund_fails", refund=refund)["object"]["status"] == "failed"
    dispute = do("dispute", payment=later, reason="fraudulent")["object"]["id"]
    assert do("close_dispute", dispute=dispute, won=False)["object"]["status"] == "lost"
    opened = do("open_session", payment_link=link)["object"]["id"]
    assert do("decline", session=opened)["object"]["status"] == "open"
    assert do("expire", session=opened)["object"]["status"] == "expired"
    assert do("foreign_event", type="customer.created")["events"][0]["type"] == "customer.created"


@pytest.mark.parametrize(
    ("action", "fields", "status", "words"),
    [
        ("buy", {}, 400, "either a payment_link or a session"),
        ("settle", {}, 400, "needs session"),
        ("buy", {"payment_link": "plink_none"}, 404, "No such payment link"),
        ("buy", {"colour": "red"}, 400, "colour"),
        ("steal", {}, 404, "there are: stripe/add_payment_link"),
    ],
)
def test_an_action_that_cannot_be_done_says_why(
    sb: Sandbox, action: str, fields: dict, status: int, words: str
) -> None:
    answer = requests.post(f"{sb.url}/_sandbox/stripe/{action}", json=fields, timeout=5)
    assert answer.status_code == status
    assert words in answer.json()["error"]
