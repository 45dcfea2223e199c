"""A form sent twice, with no token to know it by: one order where there are pieces for one, and never another's."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from pushcart.domain.cart import Cart
from pushcart.errors import CartRefused, PaymentUnavailable, ProviderUnavailable
from pushcart.services.forms import MOST, MOST_TIMES, TWICE, Forms
from support.races import at_once
from support.till import Till


@pytest.fixture
def forms(till) -> Forms:
    return forms_of(till)


def forms_of(till: Till) -> Forms:
    numbers = count(1)
    return Forms(till.checkout.begin, till.clock, lambda: f"form-{next(numbers):016d}")


def mugs(quantity: int, **more: Any) -> Cart:
    return msgspec.convert({"items": [{"sku": "mug", "quantity": quantity}], **more}, Cart)


def left(till: Till) -> int:
    [row] = [row for row in till.stock.listing() if row["sku"] == "mug"]
    return row["left"]


@pytest.mark.parametrize("quantity", [2, 3])
def test_where_pieces_lack_for_two_the_second_form_leads_to_the_first_ones_order(till, forms, quantity):
    first = forms.begin(mugs(quantity), "ann")
    assert [forms.begin(mugs(quantity), "ann") for _ in range(3)] == [first] * 3
    assert (len(till.orders.list({}).items), left(till)) == (1, 3 - quantity)


@pytest.mark.parametrize("sender", ["bob", ""])
def test_another_buyer_and_one_who_may_be_anybody_get_nobodys_order(till, forms, sender):
    forms.begin(mugs(2), "ann" if sender else "")
    with pytest.raises(CartRefused):
        forms.begin(mugs(2), sender)
    assert len(till.orders.list({}).items) == 1


def test_where_there_is_enough_for_both_each_is_an_order_of_its_own(till, forms):
    assert forms.begin(mugs(1), "ann").order_id != forms.begin(mugs(1), "ann").order_id
    assert left(till) == 1


@pytest.mark.parametrize(("seconds", "same"), [(TWICE - 1, True), (TWICE, False)])
def test_after_a_while_the_same_form_is_another_wish(till, forms, seconds, same):
    first = forms.begin(mugs(2), "ann")
    till.clock.advance(seconds)
    if same:
        assert forms.begin(mugs(2), "ann") == first
    else:
        with pytest.raises(CartRefused):
            forms.begin(mugs(2), "ann")


def test_who_tries_again_after_a_provider_that_did_not_answer_pays_the_order_that_has_the_pieces(till, forms):
    till.sessions.error = ProviderUnavailable("Stripe", "could not be reached")
    with pytest.raises(PaymentUnavailable):
        forms.begin(mugs(2), "ann")
    till.sessions.error = None
    [order] = till.orders.list({}).items
    assert forms.begin(mugs(2), "ann").order_id == order.id


def test_a_form_that_brings_a_token_is_a_cart_like_any_other(till, forms):
    first = forms.begin(mugs(1, token="cart-of-a-form-0001"), "ann")
    assert forms.begin(mugs(1, token="cart-of-a-form-0001"), "bob") == first


def test_a_form_that_is_wrong_is_refused_as_often_as_it_comes(forms):
    forms.begin(mugs(1), "ann")
    for _ in range(2):
        with pytest.raises(CartRefused) as refused:
            forms.begin(mugs(1, currency="JPY"), "ann")
        assert [one["code"] for one in refused.value.problems] == ["wrong_currency"]


@pytest.mark.parametrize("times", [2, MOST_TIMES])
def test_sent_at_once_it_is_one_order_and_every_answer_leads_there(till, forms, times):
    begun = at_once([lambda: forms.begin(mugs(2), "ann")] * times)
    assert len(set(begun)) == 1
    assert len(till.orders.list({}).items) == 1


def test_a_flood_of_forms_leaves_the_last_ones_known(till, forms):
    first = forms.begin(mugs(2), "ann")
    for number in range(MOST):
        with pytest.raises(CartRefused):
            forms.begin(mugs(2), f"eve {number}")
        if number == MOST // 2:
            assert forms.begin(mugs(2), "ann") == first
    assert forms.begin(mugs(2), "ann") == first
    for number in range(MOST):
        with pytest.raises(CartRefused):
            forms.begin(mugs(2), f"mallory {number}")
    with pytest.raises(CartRefused):
        forms.begin(mugs(2), "ann")
