"""What was delivered stays delivered, a parcel is never lost, and each is told once, in whatever order news comes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushcart.clock import later
from pushcart.domain import delivery, steps
from pushcart.domain.order import FulfilmentStatus
from pushcart.domain.parcels import ENDED, Print, PrintNews, order_of
from support import goods
from support.goods import bought, facts, open_codes, parcel, placed, read
from support.shop import NOW, run_all, states

LATE = later(NOW, 3600)


def print_of(order) -> Print:
    [made] = order.prints
    return made


# What Printful says, from the order to the parcel


def test_an_order_is_fulfilled_only_when_what_is_printed_was_sent():
    order = placed()
    assert order.fulfilment_status is FulfilmentStatus.IN_PROGRESS
    for status in ("pending", "inprocess", "partial"):
        read(order, facts(status))
        assert order.fulfilment_status is FulfilmentStatus.IN_PROGRESS
    read(order, facts("fulfilled", parcel()))
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_what_the_print_costs_and_what_the_buyer_paid_for_it_is_kept():
    order = placed(goods.shirt(1, 2), goods.line(2, "course"))
    made = print_of(order)
    assert (made.costs.total, made.costs.currency, made.retail) == (1300, "EUR", 5000)
    read(order, facts("inprocess", costs=None))
    assert made.costs.total == 1300


STATUSES = ("draft", "pending", "failed", "canceled", "inprocess", "onhold", "partial", "fulfilled", "archived")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(STATUSES), st.sets(st.integers(1, 4)), st.integers(0, 30), st.sampled_from([None, 1, 4])
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_whatever_is_read_a_delivery_is_not_undone_no_parcel_is_lost_and_each_is_planned_once(looks, refund):
    """Reads in any order, older ones after newer ones, with the step running in between and the money going back."""
    order, seen, delivered = bought(), set(), False
    for number, (status, numbers, at, returned) in enumerate(looks):
        if number % 3 == 0:
            run_all(order)
        if refund and number == 5:
            goods.pay(order, goods.shirt(), amount_refunded=2500)
        came_back = parcel(returned, returned_at=NOW, reason="unclaimed") if returned else None
        newest = not order.prints or later(NOW, at) >= print_of(order).updated_at
        news = PrintNews(type="package_returned", parcel=came_back)
        read(order, facts(status, *map(parcel, sorted(numbers)), at=at), news=news, event_id=f"e{number}")
        seen |= {f"printful-{one}" for one in numbers}  # a return of what the order never listed is no parcel
        delivered = delivered or (newest and status in ("fulfilled", "archived"))
        assert {one.key for one in order.parcels} == seen
        assert not delivered or print_of(order).status in ("fulfilled", "archived")
        assert len(order.parcels) == len(seen)
    told = goods.mails_of_parcels(order)
    assert len(told) == len(set(told))
    back = {one.key for one in order.parcels if one.returned_at}
    assert seen - back <= set(told) <= seen
    assert ("parcel_returned" in {item.code for item in order.attention}) == bool(back)


def test_late_and_repeated_news_in_any_order_end_in_the_same_delivery():
    """Each message makes us read the order as it is by then, or, when its answer hung, as it was before."""
    looks = [
        facts("pending", at=1),
        facts("inprocess", at=2),
        facts("partial", parcel(1), at=3),
        facts("fulfilled", parcel(1), parcel(2), at=4),
    ]
    ends = set()
    for sequence in itertools.permutations([*looks, looks[1]]):
        order = placed()
        for look in sequence:
            read(order, look)
        made = print_of(order)
        keys = tuple(sorted(one.key for one in order.parcels))
        ends.add((made.status, keys, tuple(sorted(goods.mails_of_parcels(order))), order.fulfilment_status))
    both = ("printful-1", "printful-2")
    assert ends == {("fulfilled", both, both, "fulfilled")}


def test_news_that_is_older_than_what_is_known_changes_no_status_but_its_parcels_count():
    order = placed()
    read(order, facts("canceled", at=20))
    read(order, facts("partial", parcel(), at=10))
    assert print_of(order).status == "canceled"
    assert goods.mails_of_parcels(order) == ["printful-1"]


def test_a_failure_that_was_heard_of_before_the_step_had_its_answer_is_not_forgotten():
    """Printful's message was faster than the answer of the function, which still says pending."""
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "token", NOW, 60)
    read(order, facts("failed", at=5, error="no such street"))
    assert states(order)["print"] == "running"
    steps.succeed(order, "print", {}, "", NOW)
    read(order, facts("pending", at=0))
    assert states(order)["print"] == "dead"
    assert "no such street" in order.open_attention()[0].text


# Parcels


def test_a_parcel_that_is_known_loses_nothing_that_a_later_look_leaves_out():
    order = placed()
    read(order, facts("partial", parcel(service="Classic")))
    read(order, facts("partial", parcel(carrier="", tracking_number=None, tracking_url=None, items=[])))
    [kept] = order.parcels
    assert (kept.carrier, kept.service, kept.tracking_number) == ("DPD", "Classic", "13491")
    assert (kept.tracking_url, len(kept.items)) == ("https://track.example/13491", 1)


def test_a_tracking_number_that_comes_later_is_added_and_no_second_mail_is_planned():
    order = placed()
    read(order, facts("partial", parcel(tracking_number=None)))
    read(order, facts("partial", parcel()))
    assert order.parcels[0].tracking_number == "13491"
    assert goods.mails_of_parcels(order) == ["printful-1"]


def test_a_parcel_says_whether_more_of_the_order_follows():
    order = placed(goods.shirt(1), goods.line(2, "apron"))
    read(order, facts("partial", parcel(1)))
    read(order, facts("fulfilled", parcel(1), parcel(2)))
    delivery.ship(order, goods.CATALOGUE, NOW, carrier="GLS")
    assert [one.more for one in order.parcels] == [True, True, False]
    alone = placed()
    read(alone, facts("fulfilled", parcel()))
    assert [one.more for one in alone.parcels] == [False]


def test_of_two_parcels_that_are_heard_of_together_only_the_last_ends_the_order():
    order = placed()
    read(order, facts("fulfilled", parcel(1), parcel(2)))
    assert [one.more for one in order.parcels] == [True, False]


def test_a_parcel_that_left_while_the_step_has_no_answer_yet_does_not_promise_another():
    order = bought()
    steps.lease(order, steps.runnable(order, NOW), "token", NOW, 60)
    read(order, facts("fulfilled", parcel()))
    assert order.parcels[0].more is False


def test_a_reshipment_is_a_parcel_of_its_own_told_once_and_the_order_stays_fulfilled():
    order = placed()
    read(order, facts("fulfilled", parcel(1)))
    finish = goods.finish(order)
    again = facts("inprocess", parcel(1), parcel(2, reshipment=True), at=90)
    read(order, again)
    read(order, again)
    assert finish == ["parcel-printful-1.your-parcel"]
    assert goods.mails_of_parcels(order) == ["printful-1", "printful-2"]
    assert (print_of(order).status, order.fulfilment_status) == ("fulfilled", FulfilmentStatus.FULFILLED)
    assert any("a reshipment is on its way: DPD 13492" in entry.what for entry in order.history)


def test_a_parcel_that_came_back_needs_the_owner_once_and_says_why():
    order = placed()
    read(order, facts("fulfilled", parcel()))
    back = PrintNews(type="package_returned", parcel=parcel(returned_at=LATE, reason="unclaimed"))
    for number in (1, 2):
        read(order, facts("fulfilled", parcel()), news=back, event_id=f"e{number}")
    assert [item.text for item in order.open_attention()] == ["the parcel 13491 came back: unclaimed"]
    steps.handled(order, LATE, "sent again by hand")
    read(order, facts("fulfilled", parcel()), now=LATE)
    assert order.open_attention() == []
    assert order.parcels[0].returned_at == LATE


def test_the_buyer_is_not_told_that_a_parcel_is_coming_which_came_back_already():
    order = placed()
    back = PrintNews(type="package_returned", parcel=parcel(returned_at=LATE))
    read(order, facts("fulfilled", parcel()), news=back)
    assert goods.mails_of_parcels(order) == []
    assert open_codes(order) == ["parcel_returned"]


# Names


@pytest.mark.parametrize(
    ("name", "order_id"),
    [
        ("o-1", "o-1"),
        ("o-abc", "o-abc"),
        ("o-abc-2", "o-abc"),
        ("o-abc-12", "o-abc"),
        ("o-abc-123", "o-abc-123"),
        ("o-abc-x", "o-abc-x"),
        ("o-abc-", "o-abc-"),
        ("", None),
        (None, None),
    ],
)
def test_a_name_at_printful_leads_to_the_order_with_or_without_a_number(name, order_id):
    assert order_of(name) == order_id


def test_the_second_print_of_an_order_is_known_by_its_own_name():
    order = bought(goods.shirt(1))
    goods.pay(order, goods.shirt(1), goods.line(2, "poster"))
    assert delivery.print_step(order, "o-1").id == "print"
    assert delivery.print_step(order, "o-1-2").id == "print-2"
    for name in ("o-1-1", "o-1-3", "o-2", "", None):
        assert delivery.print_step(order, name) is None


def test_every_end_of_a_print_is_known_as_one():
    assert {"fulfilled", "canceled", "archived"} == ENDED
    order = placed()
    for status in STATUSES:
        fresh = print_of(order)
        fresh.status = status
        assert fresh.open == (status not in ENDED)
        assert fresh.under_way <= fresh.open
