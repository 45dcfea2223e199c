"""What the owner packs waits for the owner, goes out in as many parcels as it takes, and never more than was bought."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pushcart.clock import later
from pushcart.domain import delivery
from pushcart.domain.order import FulfilmentStatus
from pushcart.domain.parcels import ParcelItem
from support import goods
from support.goods import bought
from support.shop import NOW, run_all, states

LATE = later(NOW, 3600)


def test_a_thing_to_pack_waits_for_the_owner_however_long_it_takes():
    order = bought(goods.line(1, "apron", 2))
    assert "apron.pack" not in run_all(order)
    assert run_all(order, later(NOW, 10**7)) == []
    assert (states(order)["apron.pack"], states(order)["apron.thanks"]) == ("due", "waiting")
    assert (order.fulfilment_status, order.due_at) == (FulfilmentStatus.IN_PROGRESS, None)


def test_sending_it_ends_the_step_frees_what_needs_it_and_tells_the_buyer():
    order = bought(goods.line(1, "apron", 2))
    run_all(order)
    sent = delivery.ship(
        order, goods.CATALOGUE, LATE, carrier="DHL", tracking_number="0034", tracking_url="https://x/1"
    )
    assert (sent.key, sent.shipped_at, sent.more) == ("owner-1", LATE, False)
    assert sent.items == [ParcelItem(name="Apron", quantity=2, line="li_1")]
    assert run_all(order, LATE) == ["apron.thanks", "parcel-owner-1.your-parcel"]
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_parcels_of_any_size_add_up_to_what_was_bought(first, second, dice: random.Random):
    order = bought(goods.line(1, "apron", first), goods.line(2, "apron", second), goods.shirt(3))
    run_all(order)
    sent = {"li_1": 0, "li_2": 0}
    while left := delivery.to_pack(order):
        assert states(order)["apron.pack"] == "due"
        pieces = {id: dice.randint(1, count) for id, count in left.items() if dice.random() < 0.8} or None
        parcel = delivery.ship(order, goods.CATALOGUE, NOW, carrier="DHL", pieces=pieces)
        for item in parcel.items:
            sent[item.line] += item.quantity
    assert sent == {"li_1": first, "li_2": second}
    assert states(order)["apron.pack"] == "done"
    keys = [one.key for one in order.parcels]
    assert goods.mails_of_parcels(order) == keys == [f"owner-{number}" for number in range(1, len(keys) + 1)]


def test_nothing_is_to_be_packed_of_what_others_make_or_what_has_no_parcel():
    assert delivery.to_pack(bought(goods.shirt(1), goods.line(2, "course"))) == {}


def test_a_refund_calls_off_the_packing():
    order = bought(goods.line(1, "apron"))
    goods.pay(order, goods.line(1, "apron"), amount_refunded=3400)
    assert (states(order)["apron.pack"], delivery.to_pack(order)) == ("cancelled", {})
