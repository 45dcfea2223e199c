"""What the thank-you page says of an order that is paid: something has left for the buyer only when it has."""

from __future__ import annotations

import pytest

from pushcart.domain import attention, delivery, payment, steps
from pushcart.services.progress import state
from support import goods, shop
from support.goods import CATALOGUE, GOODS, facts, parcel, placed, read, shirt
from support.shop import NOW, run_all, states

EBOOK = shop.catalogue(
    GOODS.replace(
        "  - sku: shirt\n",
        """  - sku: ebook
    name: E-book
    price: 9.00
    stripe: {price: price_ebook}
    fulfilment:
      - {step: purchase}
      - {step: email, template: your-file}
  - sku: shirt
""",
    )
)


def of(order, catalogue=CATALOGUE) -> str:
    return state(order, catalogue)


def test_a_receipt_and_the_word_to_the_owner_who_packs_bring_nothing_to_the_buyer():
    order = goods.bought(goods.line(1, "apron"))
    assert of(order) == "paid"
    run_all(order)
    assert {states(order)[name] for name in ("receipt", "apron.please-pack")} == {"done"}
    assert of(order) == "paid"


def test_what_printful_has_accepted_and_the_mail_about_it_are_no_parcel():
    order = placed(shirt())
    assert {states(order)[name] for name in ("receipt", "print", "shirt.care")} == {"done"}
    assert of(order) == "paid"
    read(order, facts("inprocess"))
    assert of(order) == "paid"


def test_the_first_parcel_of_several_is_on_its_way_and_the_last_is_the_end():
    order = placed(shirt(1, 2))
    read(order, facts("partial", parcel(1)))
    assert of(order) == "on_its_way"
    read(order, facts("fulfilled", parcel(1), parcel(2)))
    run_all(order)
    assert of(order) == "done"


def test_a_part_that_the_owner_sends_is_on_its_way():
    order = goods.bought(goods.line(1, "apron", 3))
    run_all(order)
    delivery.ship(order, CATALOGUE, NOW, carrier="DHL", pieces={"li_1": 1})
    run_all(order)
    assert of(order) == "on_its_way"
    delivery.ship(order, CATALOGUE, NOW, carrier="DHL")
    run_all(order)
    assert of(order) == "done"


def test_a_parcel_that_came_back_is_not_on_its_way():
    order = placed(shirt(1, 2))
    read(order, facts("partial", parcel(1)))
    read(order, facts("partial", parcel(1, returned_at=NOW, reason="nobody there")))
    assert of(order) == "attention"
    attention.resolve(order, "parcel_returned", None, NOW)
    steps.settle(order, NOW)
    assert of(order) == "paid"


@pytest.mark.parametrize(("failing", "said"), [(["course.invite"], "paid"), (["course.access"], "on_its_way")])
def test_an_invitation_that_was_made_is_on_its_way_before_its_mail_is(failing, said):
    order = shop.bought(text=GOODS)
    run_all(order, failing={name: {} for name in failing})
    assert states(order)["receipt"] == "done"
    assert of(order) == said


@pytest.mark.parametrize(("failing", "said"), [("ebook.your-file", "paid"), ("ebook.purchase", "on_its_way")])
def test_a_products_own_mail_is_its_delivery_when_it_needs_no_parcel(failing, said):
    line = shop.line(1, "price_ebook", 900)
    order = shop.new_order()
    payment.update(order, shop.facts(lines=[line]), EBOOK, NOW, "a look")
    run_all(order, failing={failing: {}})
    assert of(order, EBOOK) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"money": "unpaid"}, "waiting"),
        ({"money": "failed"}, "failed"),
        ({"money": "expired"}, "expired"),
        ({"amount_refunded": 4900}, "refunded"),
        ({"lines": [shop.line(price="price_of_nothing")]}, "attention"),
    ],
)
def test_what_became_of_the_money_is_said_before_anything_else(changes, said):
    assert of(shop.bought(text=GOODS, **changes)) == said
