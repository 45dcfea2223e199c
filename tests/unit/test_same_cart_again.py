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


def held_mugs(till: Till) -> int:
    [row] = [row for row in till.stock.listing() if row["sku"] == "mug"]
    return row["held"]


@pytest.mark.parametrize("said", [["failed"], ["pending", "failed"], ["failed", "failed"]])
@pytest.mark.parametrize("change", [{"pay": "stripe"}, {"pay": "autopay", "items": [{"sku": "mug", "quantity": 2}]}])
def test_after_a_payment_that_failed_the_changed_cart_takes_its_pieces_over(till, said, change):
    three = [{"sku": "mug", "quantity": 3}]
    begun = till.begin(items=three, pay="autopay")
    for number, status in enumerate(said):
        last = till.notice(begun.order_id, status, "R1" if "pending" in said else f"R{number}", amount=3600)
        till.hear(last)
    assert (till.order(begun).payment_status, held_mugs(till)) == ("failed", 3)
    wanted = {"items": three, **change}
    again = till.begin(**wanted)
    assert again.order_id != begun.order_id
    assert held_mugs(till) == wanted["items"][0]["quantity"]


def test_another_failure_of_what_gave_its_pieces_away_takes_none_of_them_back(till):
    three = [{"sku": "mug", "quantity": 3}]
    begun = till.begin(items=three, pay="autopay")
    till.hear(till.notice(begun.order_id, "failed", "R1", amount=3600))
    again = till.begin(items=three)
    till.hear(till.notice(begun.order_id, "failed", "R2", amount=3600))
    assert held_mugs(till) == 3
    till.pay(again)
    till.until(LOOK)
    assert (till.order(again).payment_status, till.order(again).open_attention()) == ("paid", [])


def test_after_a_payment_that_failed_its_pieces_are_still_not_there_for_others(till):
    begun = till.begin(items=[{"sku": "mug", "quantity": 3}], pay="autopay")
    till.hear(till.notice(begun.order_id, "failed", amount=3600))
    with pytest.raises(CartRefused):
        till.begin("mug", token="somebody-elses-cart")


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
