"""What a Checkout Session says about the money, read by the official SDK from a server that says what it is told."""

from __future__ import annotations

import pytest

from pushcart.errors import ProviderUnavailable
from pushcart.providers.stripe_payments import StripePayments


def session(**changes):
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "created": 1_763_712_000,
        "currency": "eur",
        "amount_subtotal": 0,
        "amount_total": 0,
        "livemode": False,
        "mode": "payment",
        "payment_intent": None,
        "line_items": {"object": "list", "data": [], "has_more": False, "url": "/v1/checkout/sessions/cs_1/line_items"},
        **changes,
    }


@pytest.mark.parametrize(
    ("status", "payment_status", "money"),
    [
        ("complete", "no_payment_required", "no_payment_required"),
        ("open", "no_payment_required", "unpaid"),
        ("expired", "no_payment_required", "expired"),
        ("open", "unpaid", "unpaid"),
        ("expired", "unpaid", "expired"),
        ("complete", "paid", "paid"),
    ],
)
def test_a_free_session_counts_only_once_somebody_has_taken_it(wire, status, payment_status, money):
    """Stripe says that no payment is required as soon as the total is 0, also of a session that was left."""
    wire.say(200, session(status=status, payment_status=payment_status))
    assert StripePayments(wire.url, lambda: "sk_test_x", 2).payment("cs_1").money == money


def test_a_paid_session_whose_charge_is_not_there_yet_is_asked_for_again(wire):
    wire.say(200, session(status="complete", payment_status="paid", amount_subtotal=4900, amount_total=4900))
    with pytest.raises(ProviderUnavailable, match="a paid session without its charge"):
        StripePayments(wire.url, lambda: "sk_test_x", 2).payment("cs_1")
