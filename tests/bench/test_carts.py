"""The measurement of the checkout believes no 200 that is not exactly one order."""

from __future__ import annotations

import json

import pytest

from bench import checkout, load
from pushcart.domain.order import Intent, Order, Payment
from pushcart.repositories import Orders
from pushcart.store import connect

NOW = "2026-11-21T12:00:00.000Z"


def order(id, provider, place):
    intent = Intent(currency="EUR", amount_subtotal=1, key="k", url=f"https://pay.example/{place}" if place else None)
    payment = Payment(provider=provider, session_id=place, currency="EUR", amount_subtotal=1, amount_total=1)
    named = {"session_id": place or None, "intent": intent, "payment": payment}
    return Order(id=id, created_at=NOW, updated_at=NOW, **named)


def judge(folder, *orders):
    url = f"sqlite:///{folder}/shop.db"
    store = connect(url)
    for one in orders:
        assert Orders(store).add(one)
    store.close()
    checkout._one_order_each(url, by_stripe=2, by_link=1)


TWO = order("o1", "stripe", "cs_1"), order("o3", "autopay", "o3")


def test_one_order_for_each_cart_is_what_is_asked_for(tmp_path):
    judge(tmp_path, order("o2", "stripe", "cs_2"), *TWO)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [order("o2", "stripe", "cs_1")],
        [order("o2", "stripe", "")],
        [order("o2", "stripe", "cs_2"), order("o4", "stripe", "")],
        [order("o2", "autopay", "o2")],
    ],
    ids=["one is missing", "two have one session", "one cannot be paid", "one too many", "paid in another way"],
)
def test_anything_else_is_no_measurement(tmp_path, others):
    with pytest.raises(load.Refused):
        judge(tmp_path, *others, *TWO)


def test_every_cart_is_another_buyers():
    carts = [json.loads(text) for text in checkout.Carts("stripe").take(20)]
    assert len({cart["token"] for cart in carts}) == 20
