"""What goes wrong with a print at its provider, and money that goes back: told once, ended when its cause is gone."""

from __future__ import annotations

from pushcart.clock import later
from pushcart.domain import delivery, steps
from pushcart.domain.order import Dispute, FulfilmentStatus
from pushcart.domain.parcels import Print, PrintNews
from support import goods
from support.goods import bought, facts, open_codes, parcel, placed, read
from support.shop import NOW, run_all, states


def print_of(order) -> Print:
    [made] = order.prints
    return made


# Drafts, failures, holds, cancellations


def test_an_order_that_falls_back_to_a_draft_is_confirmed_again_by_the_same_step():
    order = placed()
    read(order, facts("draft", at=1))
    assert run_all(order) == ["print"]
    assert order.step("print").key == "o-1.print"
    read(order, facts("pending", at=2))
    assert (states(order)["print"], open_codes(order)) == ("done", [])


def test_a_draft_that_is_told_twice_is_confirmed_once():
    order = placed()
    read(order, facts("draft", at=1))
    read(order, facts("draft", at=1), event_id="another")
    assert print_of(order).drafts == 1
    assert run_all(order) == ["print"]


def test_an_order_that_keeps_falling_back_to_a_draft_needs_the_owner_at_last():
    order = placed()
    for number in range(delivery.MOST_DRAFTS):
        read(order, facts("draft", at=number))
        assert run_all(order) == ["print"], number
    read(order, facts("draft", at=100))
    assert (states(order)["print"], open_codes(order)) == ("dead", ["dead_step"])
    assert "keeps falling back to a draft" in order.step("print").error
    steps.retry(order, "print", NOW)
    goods.finish(order)
    read(order, facts("pending", at=200))
    assert (states(order)["print"], open_codes(order)) == ("done", [])


def test_a_draft_of_an_order_that_is_owed_no_more_is_left_alone():
    order = placed()
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    read(order, facts("draft", at=1))
    assert (states(order)["print"], print_of(order).drafts) == ("done", 0)


def test_a_failure_is_a_dead_step_with_printfuls_words_and_holds_up_what_needs_it():
    order = bought()
    run_all(order, failing={"shirt.care": {"permanent": False}})
    read(order, facts("failed", error="the address has no house number"))
    assert states(order)["print"] == "dead"
    assert order.fulfilment_status is FulfilmentStatus.NEEDS_ATTENTION
    [item] = order.open_attention()
    assert (item.code, item.subject) == ("dead_step", "print")
    assert "the address has no house number" in item.text


def test_a_failure_that_the_owner_mended_and_retried_goes_on():
    order = placed()
    read(order, facts("failed", at=1, error="no funds"))
    steps.retry(order, "print", NOW)
    assert "print" in goods.finish(order)
    read(order, facts("pending", at=2))
    assert (states(order)["print"], open_codes(order), print_of(order).error) == ("done", [], None)


def test_a_failure_that_was_mended_at_printful_itself_ends_the_alarm():
    order = placed()
    read(order, facts("failed", at=1))
    read(order, facts("inprocess", at=2))
    assert (states(order)["print"], open_codes(order)) == ("done", [])
    assert any("Printful goes on with it" in entry.what for entry in order.history)


def test_a_retry_after_which_it_still_fails_is_told_again():
    order = placed()
    read(order, facts("failed", at=1))
    steps.retry(order, "print", NOW)
    goods.finish(order)
    read(order, facts("failed", at=1))
    assert (states(order)["print"], open_codes(order)) == ("dead", ["dead_step"])


def test_a_failure_told_twice_or_while_it_is_retried_raises_one_alarm():
    order = placed()
    for number in (1, 2):
        read(order, facts("failed", at=1), event_id=f"e{number}")
    steps.retry(order, "print", NOW)
    read(order, facts("failed", at=1), event_id="late")
    assert (states(order)["print"], open_codes(order)) == ("due", [])
    assert len([item for item in order.attention if item.code == "dead_step"]) == 1


def test_a_failed_print_that_the_owner_dealt_with_holds_up_nothing_more():
    order = placed()
    read(order, facts("failed"))
    steps.handled(order, NOW, "printed it round the corner")
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED
    read(order, facts("failed"))
    assert open_codes(order) == []


def test_a_print_that_goes_on_after_all_although_the_owner_let_it_go_is_waited_for():
    order = placed()
    read(order, facts("failed", at=1))
    steps.handled(order, NOW, "")
    read(order, facts("inprocess", at=2))
    assert order.fulfilment_status is FulfilmentStatus.IN_PROGRESS


def test_a_print_that_took_the_place_of_a_failed_one_decides_alone():
    """The owner removed it at Printful; the retry found none of that name and placed another."""
    order = placed()
    read(order, facts("failed", at=1))
    steps.retry(order, "print", NOW)
    goods.finish(order)
    read(order, facts("pending", number="101", at=10))
    read(order, facts("failed", at=2, error="an old message"))
    assert (states(order)["print"], open_codes(order)) == ("done", [])
    read(order, facts("fulfilled", parcel(), number="101", at=20))
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_hold_needs_the_owner_until_it_is_released():
    order = placed()
    held = PrintNews(type="order_put_hold", reason="the picture is too small")
    read(order, facts("onhold", at=1), news=held)
    assert [item.text for item in order.open_attention()] == ["Printful holds the order: the picture is too small"]
    read(order, facts("inprocess", at=2))
    assert open_codes(order) == []
    read(order, facts("onhold", at=3))
    assert open_codes(order) == ["print_on_hold"]


def test_a_hold_that_the_owner_dealt_with_is_not_told_again_at_every_look():
    order = placed()
    read(order, facts("onhold", at=1))
    steps.handled(order, NOW, "a new picture is there")
    for number in range(3):
        read(order, facts("onhold", at=1), event_id=f"look {number}")
    assert open_codes(order) == []
    assert len([step for step in order.steps if step.phase == "attention"]) == 1


def test_a_cancellation_needs_the_owner_while_the_order_is_owed():
    order = placed()
    read(order, facts("canceled"), news=PrintNews(type="order_canceled", reason="out of stock"))
    assert [item.text for item in order.open_attention()] == ["Printful cancelled its order 100: out of stock"]
    steps.handled(order, NOW, "gave the money back")
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_cancellation_after_a_refund_is_as_it_should_be():
    order = placed()
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    for item in order.open_attention():
        item.handled_at = NOW
    read(order, facts("canceled", at=1))
    assert "print_cancelled" not in {item.code for item in order.attention}


# Money that goes back


def test_a_refund_is_the_answer_to_a_cancellation():
    order = placed()
    read(order, facts("canceled", at=1))
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    delivery.called_off(order, goods.CATALOGUE, NOW)
    assert open_codes(order) == []


def test_an_order_refunded_while_printful_makes_it_needs_the_owner_until_it_is_cancelled_there():
    order = placed()
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    assert open_codes(order) == ["print_goes_on"]
    read(order, facts("inprocess", at=1))
    assert open_codes(order) == ["print_goes_on"]
    read(order, facts("canceled", at=2))
    assert open_codes(order) == []


def test_an_order_refunded_while_its_print_is_being_placed_is_told_as_well():
    order = bought()
    steps.lease(order, steps.runnable(order, NOW), "token", NOW, 60)
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    assert open_codes(order) == []
    steps.succeed(order, "print", {}, "", NOW)
    read(order)
    assert open_codes(order) == ["print_goes_on"]


def test_what_a_product_sends_in_spite_of_a_refund_goes_on_in_peace():
    order = bought(goods.line(1, "poster"))
    goods.finish(order, later(NOW, 7200))
    goods.pay(order, goods.line(1, "poster"), amount_refunded=1500)
    for item in order.open_attention():
        item.handled_at = NOW
    read(order, facts("inprocess"))
    assert open_codes(order) == []


def test_a_failure_at_printful_of_a_refunded_order_troubles_nobody():
    order = placed()
    goods.pay(order, goods.shirt(), amount_refunded=2500)
    read(order, facts("failed", at=1, error="no funds"))
    assert open_codes(order) == []


def test_a_part_of_the_money_back_changes_nothing_about_the_print():
    order = placed()
    goods.pay(order, goods.shirt(), amount_refunded=500)
    read(order, facts("draft", at=1))
    assert (open_codes(order), states(order)["print"]) == ([], "due")


def test_what_printful_gives_back_is_counted_once_for_each_message():
    order = placed()
    for event, amount in (("a", 300), ("b", 200), ("a", 300)):
        read(order, news=PrintNews(type="order_refunded", refunded=amount), event_id=event)
    assert print_of(order).refunds == {"a": 300, "b": 200}
    assert len([entry for entry in order.history if "back to the shop" in entry.what]) == 2


# Somebody with the key


def test_an_order_of_somebody_elses_under_our_number_is_told_and_nothing_of_it_reaches_the_buyer():
    order = bought()
    read(order, facts("fulfilled", parcel(), pieces={"99": 40}))
    assert (order.prints, order.parcels, goods.mails_of_parcels(order)) == ([], [], [])
    [item] = order.open_attention()
    assert (item.code, item.subject) == ("print_not_ours", "100")
    assert states(order)["print"] == "due"


def test_our_own_order_is_taken_before_its_answer_arrived_and_what_the_owner_changes_there_later_as_well():
    order = bought()
    read(order, facts("pending", pieces={"11": 1}))
    assert print_of(order).status == "pending"
    read(order, facts("fulfilled", parcel(), at=9, pieces={"12": 1}))
    assert goods.mails_of_parcels(order) == ["printful-1"]
    assert open_codes(order) == []


def test_a_print_that_goes_on_after_a_lost_dispute_is_told_until_it_ends():
    order = placed()
    lost = Dispute(id="dp_1", status="lost", amount=2500)
    goods.pay(order, goods.shirt(), dispute=lost)
    assert open_codes(order) == ["print_goes_on"]
    read(order, facts("canceled", at=3))
    assert open_codes(order) == []


def test_an_order_of_catalogue_variants_under_our_number_is_somebody_elses_too():
    order = bought()
    read(order, facts("fulfilled", parcel(), pieces={"variant-4011": 1}))
    assert (open_codes(order), order.parcels) == (["print_not_ours"], [])


def test_what_happened_to_a_print_during_a_dispute_counts_once_the_dispute_is_won():
    for status, expected in (("canceled", ["print_cancelled"]), ("failed", ["dead_step"]), ("draft", [])):
        order = placed()
        goods.pay(order, goods.shirt(), dispute=Dispute(id="dp_1", status="needs_response", amount=2500))
        read(order, facts(status, at=1))
        goods.pay(order, goods.shirt(), dispute=Dispute(id="dp_1", status="won", amount=2500))
        assert [code for code in open_codes(order) if code != "dispute"] == expected, status
        assert order.fulfilment_status is not FulfilmentStatus.FULFILLED
        assert ("print" in run_all(order)) is (status == "draft"), status


def test_a_print_that_fails_once_more_after_the_owner_dealt_with_it_is_told_again():
    order = placed()
    read(order, facts("failed", at=1, error="no ink"))
    steps.handled(order, NOW, "confirmed at Printful")
    read(order, facts("pending", at=2))
    read(order, facts("failed", at=3, error="no paper"))
    [item] = order.open_attention()
    assert (item.code, "no paper" in item.text) == ("dead_step", True)


def test_printfuls_reason_reaches_the_owner_also_when_it_comes_after_the_fact():
    for status, type, code in (("failed", "order_failed", "dead_step"), ("onhold", "order_put_hold", "print_on_hold")):
        order = placed()
        read(order, facts(status, at=1))
        [item] = order.open_attention()
        assert "it gives no reason" in item.text
        read(order, facts(status, at=1), news=PrintNews(type=type, reason="the file is too small"), event_id="e2")
        [item] = order.open_attention()
        assert (item.code, "the file is too small" in item.text) == (code, True)


def test_a_hold_that_is_told_late_leaves_no_reason_on_an_order_that_goes_on():
    order = placed()
    read(order, facts("inprocess", at=1), news=PrintNews(type="order_put_hold", reason="too late"))
    assert print_of(order).error is None


# Messages that nobody signed


def test_a_returned_parcel_that_the_order_does_not_list_and_a_refund_above_its_costs_are_not_believed():
    order = placed()
    forged = parcel(7, returned_at=NOW, reason="call this number")
    read(order, facts("inprocess", at=1), news=PrintNews(type="package_returned", parcel=forged), event_id="e1")
    read(order, facts("inprocess", at=1), news=PrintNews(type="order_refunded", refunded=1301), event_id="e2")
    assert (order.parcels, print_of(order).refunds, open_codes(order)) == ([], {}, [])
    read(order, facts("fulfilled", parcel(7), at=2))
    assert goods.mails_of_parcels(order) == ["printful-7"]


def test_a_time_of_printfuls_in_the_far_future_does_not_freeze_the_print():
    order = placed()
    read(order, facts("inprocess", updated_at="9999-12-31T00:00:00.000Z"))
    read(order, facts("canceled", at=5))
    assert print_of(order).status == "canceled"
