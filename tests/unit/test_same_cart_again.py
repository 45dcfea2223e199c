"""The same cart again: the order that is there while it can be paid or is just paid, and never a second charge."""

from __future__ import annotations

import pytest

from pushcart.clock import later
from pushcart.errors import CartRefused, ConfigurationError
from pushcart.services.checkout import SAME_CART, Begun
from pushcart.services.intake import CHECK_AGAIN
from support.till import Till

HOUR = 3600
LOOK = "2026-11-21T09:01:00.000Z"
WAYS = ["stripe", "autopay"]


def by_transfer(till: Till, begun: Begun, pay: str) -> None:
    """The buyer has paid, and the bank takes its time."""
    if pay == "stripe":
        till.sessions.money[f"cs_{begun.order_id}"] = "pending"
        till.until(LOOK)
    else:
        till.hear(till.notice(begun.order_id, "pending"))


@pytest.mark.parametrize("pay", WAYS)
def test_while_the_money_is_on_its_way_nobody_is_asked_for_it_again(till, pay):
    begun = till.begin(pay=pay)
    by_transfer(till, begun, pay)
    till.clock.advance(2 * HOUR)
    again = till.begin(pay=pay)
    assert again.order_id == begun.order_id
    assert again.url == f"https://shop.example/thank-you/#order={begun.order_id}&key={begun.key}"
    assert len(till.orders.list({}).items) == 1


def test_a_cart_that_was_paid_leads_to_its_order_for_a_day_and_is_another_purchase_after_that(till):
    begun = till.begin()
    till.pay(begun)
    till.until(LOOK)
    till.clock.advance(SAME_CART - HOUR)
    assert till.begin().order_id == begun.order_id
    till.clock.advance(2 * HOUR)
    again = till.begin()
    assert again.order_id != begun.order_id
    assert again.url == f"https://pay.example/cs_{again.order_id}"


def test_who_goes_back_to_an_earlier_cart_gets_its_pieces_again_or_is_told(till):
    three = [{"sku": "mug", "quantity": 3}]
    first = till.begin(items=three)
    till.begin("mug")
    assert till.begin(items=three) == first
    till.begin("mug")
    till.begin("mug", token="somebody-elses-cart")
    with pytest.raises(CartRefused) as refused:
        till.begin(items=three)
    assert [(one["code"], one["left"]) for one in refused.value.problems] == [("sold_out", 2)]


def test_a_link_that_is_being_paid_keeps_its_pieces_when_the_cart_changes(till):
    begun = till.begin("mug", pay="autopay")
    till.hear(till.notice(begun.order_id, "pending", amount=1200))
    till.begin("mug", "course", pay="autopay")
    [row] = [row for row in till.stock.listing() if row["sku"] == "mug"]
    assert row["held"] == 2


def test_a_look_that_fails_for_whatever_reason_is_put_off_and_at_last_told(till):
    begun = till.begin("mug")
    till.sessions.error = ConfigurationError(["the secret stripe-api-key is missing"])
    till.until(LOOK)
    assert till.due() == [(later(LOOK, CHECK_AGAIN), begun.order_id)]
    till.clock.advance(15 * 86_400)
    till.process.sweep()
    [attention] = till.order(begun).open_attention()
    assert attention.code == "payment_unknown"
    assert "stripe-api-key" in attention.text


def test_the_pieces_stay_held_while_a_look_is_put_off(till):
    begun = till.begin("mug")
    till.sessions.error = ConfigurationError(["the secret stripe-api-key is missing"])
    till.until(LOOK)
    for _ in range(20):
        till.clock.advance(CHECK_AGAIN)
        till.process.sweep()
    [row] = [row for row in till.stock.listing() if row["sku"] == "mug"]
    assert row["held"] == 1
    assert till.order(begun).payment_status == "unpaid"
