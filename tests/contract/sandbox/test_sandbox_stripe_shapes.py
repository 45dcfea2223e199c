"""The sandbox's objects have the fields that the SDK, generated from Stripe's own description, declares."""

from __future__ import annotations

import typing

import pytest
import stripe

from local.sandbox import Sandbox

# Declared as always there, but really only in some cases: embedded pages, Connect, a failed refund.
RARE = {
    "OBJECT_NAME",
    "redirect_on_completion",
    "payment_record",
    "transfer",
    "failure_balance_transaction",
    "pending_reason",
    "context",
}
# Sent by the API though not declared any more, as recorded payloads of 2025 show.
UNDECLARED = {"charge": {"destination", "dispute", "order"}}


@pytest.fixture
def objects(sb: Sandbox, api: stripe.StripeClient, link: str) -> dict[str, dict]:
    session = sb.stripe.buy(link).object
    refund = sb.stripe.refund(session, 100).object
    dispute = sb.stripe.dispute(session).object
    price = api.v1.checkout.sessions.line_items.list(session["id"]).data[0].price
    return {
        obj.to_dict()["object"]: obj.to_dict()
        for obj in (
            api.v1.checkout.sessions.retrieve(session["id"]),
            api.v1.payment_intents.retrieve(session["payment_intent"]),
            api.v1.charges.retrieve(refund["charge"]),
            api.v1.refunds.retrieve(refund["id"]),
            api.v1.disputes.retrieve(dispute["id"]),
            api.v1.payment_links.retrieve(link),
            api.v1.prices.retrieve(price.id),
            api.v1.products.retrieve(price.product),
            api.v1.checkout.sessions.line_items.list(session["id"]).data[0],
            api.v1.events.list().data[0],
        )
    }


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("checkout.session", stripe.checkout.Session),
        ("payment_intent", stripe.PaymentIntent),
        ("charge", stripe.Charge),
        ("refund", stripe.Refund),
        ("dispute", stripe.Dispute),
        ("payment_link", stripe.PaymentLink),
        ("price", stripe.Price),
        ("product", stripe.Product),
        ("item", stripe.LineItem),
        ("event", stripe.Event),
    ],
)
def test_fields_are_those_the_sdk_declares(objects: dict[str, dict], kind: str, declared: type) -> None:
    fields = {
        name: text.__forward_arg__ if isinstance(text, typing.ForwardRef) else str(text)
        for name, text in declared.__annotations__.items()
    }
    always = {name for name, text in fields.items() if "Optional[" not in text or "ExpandableField" in text}
    sent = set(objects[kind])
    assert sent - set(fields) == UNDECLARED.get(kind, set())
    assert always - sent - RARE == set()
