"""What the provider says decides; the same facts in any number and order end in the same order."""

from __future__ import annotations

import copy
import random

import pytest

from pushcart.clock import later
from pushcart.domain import payment, steps
from pushcart.domain.order import Dispute, FulfilmentStatus, Intent, PaymentStatus
from support.shop import LATER, NOW, SHOP, bought, catalogue, facts, line, new_order, read_again, run_all, states


def dispute(status: str) -> Dispute:
    return Dispute(id="dp_1", status=status, reason="fraudulent", amount=4900, evidence_due="2026-12-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"money": "unpaid"}, PaymentStatus.UNPAID),
        ({"money": "failed"}, PaymentStatus.FAILED),
        ({"money": "expired"}, PaymentStatus.EXPIRED),
        ({}, PaymentStatus.PAID),
        ({"money": "no_payment_required"}, PaymentStatus.NO_PAYMENT_REQUIRED),
        ({"amount_refunded": 1000}, PaymentStatus.PARTIALLY_REFUNDED),
        ({"amount_refunded": 4900}, PaymentStatus.REFUNDED),
        ({"dispute": dispute("needs_response")}, PaymentStatus.DISPUTED),
        ({"dispute": dispute("lost"), "amount_refunded": 4900}, PaymentStatus.DISPUTED),
        ({"dispute": dispute("won")}, PaymentStatus.PAID),
        ({"dispute": dispute("warning_closed"), "amount_refunded": 10}, PaymentStatus.PARTIALLY_REFUNDED),
    ],
)
def test_the_status_follows_from_the_facts(changes, status):
    assert payment.status_of(facts(**changes)) is status


def test_reading_the_same_payment_again_changes_nothing_but_the_time():
    order = bought()
    again = read_again(copy.deepcopy(order))
    again.updated_at = order.updated_at
    # What was due at once has meanwhile been noticed as due; the plan is the same.
    assert [step.key for step in again.steps] == [step.key for step in order.steps]
    assert again.history == order.history


@pytest.mark.parametrize("money", ["unpaid", "failed", "expired"])
def test_nothing_is_delivered_while_the_money_is_not_in(money):
    order = bought(money=money, amount_received=0, paid_at=None)
    assert (order.steps, order.fulfilment_status, order.paid_at) == ([], FulfilmentStatus.NONE, None)


def test_a_delayed_payment_is_delivered_when_it_arrives():
    order = bought(money="unpaid", amount_received=0, paid_at=None)
    read_again(order)
    assert run_all(order, LATER) != []
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_free_order_is_delivered():
    order = bought(money="no_payment_required", amount_received=None, payment_intent=None, paid_at=None)
    assert "course.invite" in states(order)
    assert order.paid_at == NOW


def test_the_day_of_the_sale_is_the_providers_not_the_day_we_heard_of_it():
    assert bought(now=later(NOW, 3 * 86_400)).paid_at == NOW


def test_a_product_bought_twice_in_two_lines_is_delivered_once():
    order = bought(lines=[line(1), line(2)])
    assert [step.lines for step in order.steps if step.id == "course.invite"] == [["li_1", "li_2"]]


def test_two_products_each_get_their_steps_and_the_order_one_receipt():
    order = bought(lines=[line(1), line(2, "price_book", 2000)])
    assert set(states(order)) == {
        "course.invite",
        "course.purchase",
        "course.access",
        "course.later",
        "book.purchase",
        "receipt",
    }


def test_an_unknown_product_is_kept_and_a_human_told_while_the_rest_is_delivered():
    order = bought(lines=[line(1), line(2, "price_other", 100)])
    assert "course.invite" in states(order)
    assert [(item.code, item.subject) for item in order.open_attention()] == [("unknown_product", "li_2")]


def test_an_order_of_unknown_products_alone_sends_no_receipt():
    order = bought(lines=[line(1, "price_other")])
    assert list(states(order)) == ["attention.unknown-product-li-1-1"]
    assert order.fulfilment_status is FulfilmentStatus.NEEDS_ATTENTION


def test_an_unknown_product_is_delivered_once_shop_yml_knows_it():
    order = bought(lines=[line(1, "price_other")])
    read_again(order, SHOP.replace("price_course", "price_other"), lines=[line(1, "price_other")])
    assert order.open_attention() == []
    assert "course.invite" in states(order)


def test_a_step_added_to_shop_yml_later_does_not_reach_old_orders():
    order = bought()
    planned = list(states(order))
    extra = "      - {step: email, template: new, id: new}\n    on_refund:\n      steps:"
    read_again(order, SHOP.replace("    on_refund:\n      steps:", extra, 1))
    assert list(states(order)) == planned


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": [line(amount=100)]},
        {"amount_received": 100},
        {"currency": "USD"},
    ],
)
def test_a_wrong_amount_delivers_nothing_and_tells_a_human(changes):
    order = bought(**changes)
    assert [item.code for item in order.open_attention()] == ["wrong_amount"]
    assert all(step.startswith("attention.") for step in states(order))


def test_a_wrong_amount_that_was_marked_as_handled_is_still_not_delivered_later():
    order = bought(lines=[line(amount=100)])
    steps.handled(order, NOW, "sent the rest by hand")
    read_again(order, lines=[line(amount=100)])
    assert "course.invite" not in states(order)


def test_a_wrong_amount_is_delivered_when_the_owner_releases_it():
    order = bought(lines=[line(amount=100)])
    order.released = True
    read_again(order, lines=[line(amount=100)])
    assert "course.invite" in states(order)
    assert order.open_attention() == []


def test_a_checkouts_own_price_is_what_the_session_has_to_ask_for():
    order = new_order()
    order.intent = Intent(currency="EUR", amount_subtotal=4900)
    payment.update(order, facts(lines=[line(amount=4800)]), catalogue(), NOW, "event")
    assert [item.text for item in order.open_attention()] == [
        "the checkout asked for 49.00 EUR, but 48.00 EUR was paid"
    ]


def test_a_discount_is_no_wrong_amount():
    order = bought(amount_discount=4900, amount_total=0, amount_received=None, money="no_payment_required")
    assert order.open_attention() == []


def test_a_partial_refund_is_not_a_full_one():
    order = bought()
    run_all(order)
    read_again(order, amount_refunded=1000)
    assert order.payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert run_all(order, LATER) == ["refund-1.refund"]
    assert states(order)["course.later"] == "waiting"


def test_each_refund_has_its_own_mail_with_its_own_amount():
    order = bought()
    run_all(order)
    read_again(order, amount_refunded=1000)
    read_again(order, amount_refunded=1000)
    read_again(order, amount_refunded=4900)
    refunds = [(step.id, step.refund) for step in order.steps if step.id.endswith(".refund")]
    assert refunds == [("refund-1.refund", 1000), ("refund-2.refund", 3900)]


def test_a_full_refund_cancels_what_has_not_run_and_runs_the_products_own_steps():
    order = bought()
    run_all(order)
    read_again(order, amount_refunded=4900)
    assert states(order)["course.later"] == "cancelled"
    assert run_all(order, LATER) == ["refund-1.refund", "course.refund.sorry"]
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_full_refund_before_anything_ran_cancels_the_order():
    order = bought()
    read_again(order, amount_refunded=4900)
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED
    assert run_all(order, LATER) == ["refund-1.refund", "course.refund.sorry"]


def test_a_product_whose_policy_says_so_is_delivered_in_spite_of_a_refund():
    order = bought(lines=[line(1, "price_book", 2000)])
    read_again(order, lines=[line(1, "price_book", 2000)], amount_refunded=2000)
    assert "book.purchase" in run_all(order, LATER)


def test_a_refund_that_was_there_before_we_first_looked_delivers_nothing():
    order = bought(amount_refunded=4900)
    assert set(states(order)) == {"refund-1.refund"}
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED


def test_a_step_in_flight_during_a_refund_may_finish_but_is_not_tried_again():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "token", NOW, 60)
    read_again(order, amount_refunded=4900)
    steps.fail(order, step.id, "token", "no", LATER, random.Random(0))
    assert states(order)[step.id] == "cancelled"


def test_a_refund_that_fails_at_the_bank_is_raised_to_a_human():
    order = bought()
    run_all(order)
    read_again(order, amount_refunded=1000)
    read_again(order, amount_refunded=0)
    assert order.payment_status is PaymentStatus.PAID
    assert [item.code for item in order.open_attention()] == ["refund_failed"]


def test_a_dispute_pauses_what_is_owed_and_names_its_deadline():
    order = bought()
    read_again(order, dispute=dispute("needs_response"))
    assert run_all(order, LATER) == ["attention.dispute-dp-1-1"]
    assert order.fulfilment_status is FulfilmentStatus.NEEDS_ATTENTION
    assert "2026-12-01" in order.open_attention()[0].text


def test_a_dispute_that_is_won_lets_the_order_go_on():
    order = bought()
    read_again(order, dispute=dispute("needs_response"))
    run_all(order, LATER)
    read_again(order, dispute=dispute("won"))
    assert order.payment_status is PaymentStatus.PAID
    assert "course.invite" in run_all(order, LATER)
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_dispute_that_is_lost_cancels_what_is_owed():
    order = bought()
    read_again(order, dispute=dispute("needs_response"))
    run_all(order, LATER)
    read_again(order, dispute=dispute("lost"))
    assert order.payment_status is PaymentStatus.DISPUTED
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED
    assert run_all(order, LATER) == []


def test_a_later_event_does_not_erase_what_was_done():
    order = bought()
    run_all(order)
    results = [step.result for step in order.steps]
    read_again(order)
    assert [step.result for step in order.steps] == results


def test_a_refund_during_an_inquiry_calls_the_order_off_when_the_inquiry_is_closed():
    order = bought()
    read_again(order, dispute=dispute("warning_needs_response"))
    read_again(order, dispute=dispute("warning_needs_response"), amount_refunded=4900)
    read_again(order, dispute=dispute("warning_closed"), amount_refunded=4900)
    assert order.payment_status is PaymentStatus.REFUNDED
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED
    assert not {"course.invite", "receipt"} & set(run_all(order, LATER))


def test_a_given_up_step_whose_process_died_is_not_run_again():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "token", NOW, 30)
    read_again(order, amount_refunded=4900)
    steps.settle(order, LATER)
    assert states(order)[step.id] == "cancelled"
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED


def test_a_step_that_died_during_a_dispute_ends_with_the_dispute():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "token", NOW, 30)
    read_again(order, dispute=dispute("needs_response"))
    steps.settle(order, LATER)
    assert step.id not in run_all(order, LATER)
    read_again(order, dispute=dispute("lost"))
    assert (states(order)[step.id], order.due_at) == ("cancelled", None)


def test_a_refund_after_one_that_failed_is_mailed_with_its_own_amount():
    order = bought()
    for refunded in (1000, 0, 2000, 0, 1000):
        read_again(order, amount_refunded=refunded)
    refunds = [(step.id, step.refund) for step in order.steps if step.refund]
    assert refunds == [("refund-1.refund", 1000), ("refund-2.refund", 2000), ("refund-3.refund", 1000)]


def test_after_a_full_refund_that_failed_the_owner_can_have_the_rest_delivered():
    order = bought()
    read_again(order, amount_refunded=4900)
    read_again(order, amount_refunded=0)
    steps.retry(order, "course.invite", LATER)
    assert "course.invite" in run_all(order, LATER)


def test_a_second_dispute_is_raised_like_the_first():
    order = bought()
    read_again(order, dispute=dispute("needs_response"))
    read_again(order, dispute=Dispute(id="dp_2", status="needs_response"))
    assert [item.subject for item in order.open_attention()] == ["dp_2"]


def test_an_unknown_product_that_was_refunded_needs_nobody_any_more():
    order = bought(lines=[line(1, "price_other")])
    read_again(order, lines=[line(1, "price_other")], amount_refunded=4900)
    assert order.open_attention() == []
    assert bought(lines=[line(1, "price_other")], amount_refunded=4900).open_attention() == []


def test_what_was_held_and_then_handled_by_hand_does_not_count_as_fulfilled():
    order = bought(lines=[line(amount=100)])
    steps.handled(order, NOW, "sent the money back by hand")
    assert order.fulfilment_status is FulfilmentStatus.CANCELLED


def test_a_price_with_several_currencies_is_compared_in_its_own():
    paid_in_zloty = line(amount=4900)
    paid_in_zloty.unit_currency = "EUR"
    paid_in_zloty.amount_subtotal = paid_in_zloty.amount_total = 21_000
    order = bought(lines=[paid_in_zloty], currency="PLN")
    assert order.open_attention() == []


@pytest.mark.parametrize(("each", "held"), [(4900, []), (4800, ["wrong_amount"])])
def test_a_price_of_another_currency_with_an_amount_for_the_shops_own_is_judged_by_what_was_paid(each, held):
    """Stripe's `currency_options`: the price itself is in dollars, the buyer paid euros."""
    paid_in_euro = line(amount=each, quantity=2)
    paid_in_euro.unit_amount, paid_in_euro.unit_currency = 5500, "USD"
    order = bought(lines=[paid_in_euro])
    assert [item.code for item in order.open_attention()] == held


@pytest.mark.parametrize(("each", "held"), [(4900, []), (4899, ["wrong_amount"])])
def test_a_tiered_price_is_judged_by_what_one_came_to(each, held):
    tiered = line(amount=each, quantity=3)
    tiered.unit_amount = None
    assert [item.code for item in bought(lines=[tiered]).open_attention()] == held


def test_a_mail_that_the_owner_asks_for_goes_out_even_during_a_dispute():
    order = bought()
    run_all(order)
    read_again(order, dispute=dispute("lost"))
    assert steps.resend(order, "receipt", LATER) in run_all(order, LATER)


def test_a_delayed_mail_counts_from_the_payment_not_from_the_day_we_heard_of_it():
    order = bought(now=later(NOW, 2 * 86_400))
    assert order.step("course.later").due_at == later(NOW, 3 * 86_400)


def test_the_price_of_a_line_outweighs_the_product_and_the_link_it_came_by():
    text = SHOP.replace(
        "{price: price_course, payment_link: plink_course}", "{product: prod_any, payment_link: plink_any}"
    )
    book = line(1, "price_book", 2000)
    book.product_id = "prod_any"
    assert bought(text=text, lines=[book], payment_link="plink_any").skus == ["book"]
