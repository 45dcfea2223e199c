"""A payment of which there is no word any more: one that had come in is not taken back, a slow one is asked about."""

from __future__ import annotations

import pytest

from pushcart.clock import later
from pushcart.domain import payment, steps
from pushcart.domain.order import FulfilmentStatus, PaymentStatus, Phase
from support.shop import LATER, NOW, SHOP, bought, catalogue, facts, read_again, run_all


@pytest.mark.parametrize("money", ["unpaid", "failed", "expired"])
def test_money_that_came_in_never_becomes_money_that_did_not_and_what_is_owed_waits_for_a_human(money):
    order = bought()
    read_again(order, money=money, amount_received=None)
    assert order.payment_status is PaymentStatus.PAID
    (gone,) = order.open_attention()
    assert (gone.code, gone.text) == (
        "payment_gone",
        f"the order counts as paid, but its provider says now that the payment is {money}",
    )
    assert [order.step(name).phase for name in run_all(order, LATER)] == [Phase.ATTENTION]
    assert order.fulfilment_status is FulfilmentStatus.NEEDS_ATTENTION
    read_again(order, money=money, amount_received=None)
    assert len(order.attention) == 1


def test_a_payment_that_was_gone_and_is_there_again_is_delivered_without_anybody():
    order = bought()
    read_again(order, money="unpaid", amount_received=None)
    read_again(order)
    assert order.open_attention() == []
    run_all(order, LATER)
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_payment_that_is_gone_is_delivered_when_the_owner_says_so():
    order = bought()
    read_again(order, money="unpaid", amount_received=None)
    steps.handled(order, LATER, "the bank says it is fine")
    read_again(order, money="unpaid", amount_received=None)
    run_all(order, LATER)
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


@pytest.mark.parametrize(("pending", "looks"), [(True, [later(LATER, 6 * 3600)]), (False, [])])
def test_a_slow_payment_by_a_payment_link_is_looked_at_although_no_event_tells_of_it(pending, looks):
    """For two weeks; a link that was opened and left is not looked at."""
    order = bought(money="unpaid", amount_received=None, paid_at=None, pending=pending)
    read_again(order, money="unpaid", amount_received=None, paid_at=None, pending=pending)
    assert [at for at in (order.check_at, order.due_at) if at] == looks * 2
    payment.update(
        order,
        facts(money="unpaid", amount_received=None, paid_at=None, pending=pending),
        catalogue(SHOP),
        later(NOW, payment.CHECK_FOR),
        "again",
    )
    assert order.check_at is None
