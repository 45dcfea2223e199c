"""What the buyer chose is noted at Stripe: a store that was lost must still know which shirt was bought."""

from __future__ import annotations

import pytest

from pushcart.providers.stripe_payments import OPTIONS_KEY, StripePayments
from support.till import Till

SHOP = """
shop: {name: Test Shop, url: https://shop.example, currency: EUR, support: help@shop.example,
  sender: shop@shop.example, admins: [owner@shop.example]}
products:
  - {sku: course, name: Course, price: 49.00}
  - {sku: apron, name: Apron, price: 34.00, options: [{name: Size, values: [S, M]}]}
"""


@pytest.fixture
def till(sandbox, store):
    till = Till(store, SHOP, StripePayments(f"{sandbox.url}/stripe", lambda: "sk_test_sandbox", 5))
    till.clock.now = sandbox.now()
    return till


def test_the_choice_comes_back_although_the_order_that_knew_it_is_gone(till, sandbox, store):
    begun = till.begin("apron M", "course")
    session_id = till.order(begun).session_id
    sandbox.stripe.buy(session=session_id)
    store.delete("orders", begun.order_id)
    found = till.process.intake.sync("stripe", session_id, "a recovery")
    assert {line.sku: line.options for line in found.lines} == {"apron": {"Size": "M"}, "course": {}}


@pytest.mark.parametrize("noted", [None, "", "M", "[1]", '{"Size": 1}', "{"])
def test_a_note_that_is_none_of_ours_is_no_choice(wire, noted):
    """Whoever has the key can write there what they like."""
    product = {"id": "prod_1", "object": "product", "name": "Apron", "metadata": {OPTIONS_KEY: noted} if noted else {}}
    line = {
        "id": "li_1",
        "object": "item",
        "description": "Apron",
        "quantity": 1,
        **dict.fromkeys(("amount_subtotal", "amount_discount", "amount_tax", "amount_total"), 0),
        "currency": "eur",
        "price": {"id": "price_1", "object": "price", "product": product, "unit_amount": 0, "currency": "eur"},
    }
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "created": 1_763_712_000,
        "currency": "eur",
        "amount_subtotal": 0,
        "amount_total": 0,
        "livemode": False,
        "mode": "payment",
        "status": "complete",
        "payment_status": "no_payment_required",
        "payment_intent": None,
        "line_items": {"object": "list", "data": [line], "has_more": False, "url": "/v1/x"},
    }
    wire.say(200, session)
    assert [one.options for one in StripePayments(wire.url, lambda: "sk_test_x", 2).payment("cs_1").lines] == [{}]
