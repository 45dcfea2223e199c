"""A checkout that is left ends by itself: looked at when its time is over, and given back or paid after all."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from pushcart.clock import later
from pushcart.domain.payment import CHECK_EVERY, CHECK_FOR
from pushcart.errors import CartRefused, PaymentUnavailable, ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.services.checkout import Begun
from pushcart.services.intake import CHECK_AGAIN
from support.till import Till

HOUR, DAY = 3600, 86_400
WAYS = ["stripe", "autopay"]
DOWN = ProviderUnavailable("Stripe", "could not be reached")
#: When the checkouts begin, end, and are looked at.
BEGIN, END, LOOK = "2026-11-21T08:00:00.000Z", "2026-11-21T09:00:00.000Z", "2026-11-21T09:01:00.000Z"


def mugs(till: Till) -> tuple[int, int]:
    """How many mugs are sold and held."""
    [row] = [row for row in till.stock.listing() if row["sku"] == "mug"]
    return row["sold"], row["held"]


# Nobody pays


@pytest.mark.parametrize("pay", WAYS)
def test_a_checkout_is_looked_at_a_minute_after_its_end_and_expires(till, pay):
    begun = till.begin("mug", pay=pay)
    till.leave(begun)
    assert till.due() == [(LOOK, begun.order_id)]
    till.until(END)
    assert till.order(begun).payment_status == "unpaid"
    till.until(LOOK)
    order = till.order(begun)
    assert (order.payment_status, order.fulfilment_status, order.due_at) == ("expired", "none", None)
    assert (till.due(), mugs(till), till.mails()) == ([], (0, 0), [])
    assert till.sessions.reads == (1 if pay == "stripe" else 0)


def test_a_link_that_failed_expires_too(till):
    begun = till.begin("mug", pay="autopay")
    till.hear(till.notice(begun.order_id, "failed", amount=1200))
    assert (till.order(begun).payment_status, till.due(), mugs(till)) == ("failed", [(LOOK, begun.order_id)], (0, 1))
    till.process.drain()
    assert (till.order(begun).payment_status, till.due(), mugs(till)) == ("expired", [], (0, 0))


def test_a_checkout_that_never_got_a_session_expires_without_asking_anybody(till):
    till.sessions.error = DOWN
    with pytest.raises(PaymentUnavailable):
        till.begin("mug")
    [(at, order_id)] = till.due()
    assert (at, mugs(till)) == (LOOK, (0, 1))
    till.process.drain()
    order = till.orders.require(order_id)
    assert (order.payment_status, order.session_id, till.sessions.reads) == ("expired", None, 0)
    assert (till.due(), mugs(till)) == ([], (0, 0))


def test_the_event_of_the_end_makes_the_look_needless(till):
    begun = till.begin("mug")
    till.leave(begun)
    till.process.intake.sync("stripe", f"cs_{begun.order_id}", "checkout.session.expired")
    assert (till.order(begun).payment_status, till.due(), mugs(till)) == ("expired", [], (0, 0))


# Somebody has paid


def test_a_payment_whose_event_was_lost_is_found_by_the_look_and_delivered(till):
    begun = till.begin("mug")
    till.pay(begun)
    till.until(LOOK)
    order = till.order(begun)
    assert (order.payment_status, order.fulfilment_status, till.due()) == ("paid", "fulfilled", [])
    assert (mugs(till), till.mails()) == ((1, 0), [f"{order.id}.mug.please-pack"])


@pytest.mark.parametrize("pay", WAYS)
def test_what_was_paid_is_not_looked_at_again(till, pay):
    begun = till.begin(pay=pay)
    if pay == "stripe":
        till.pay(begun)
        till.process.intake.sync("stripe", f"cs_{begun.order_id}", "checkout.session.completed")
        till.process.drive(begun.order_id)
    else:
        till.hear(till.notice(begun.order_id, "paid"))
    assert (till.order(begun).check_at, till.due()) == (None, [])
    reads = till.sessions.reads
    till.until(LOOK)
    assert (till.order(begun).payment_status, till.sessions.reads) == ("paid", reads)


# The money is on its way


def looks(till: Till, begun: Begun) -> list[str]:
    """Every moment at which a sweep finds the order, until none does."""
    found = []
    while at := till.order(begun).due_at:
        found.append(at)
        till.until(at)
        assert len(found) < 5000
    return found


@pytest.mark.parametrize("pay", WAYS)
def test_a_payment_on_its_way_is_looked_at_every_six_hours_for_two_weeks_and_keeps_its_pieces(till, pay):
    begun = till.begin("mug", pay=pay)
    if pay == "autopay":
        till.hear(till.notice(begun.order_id, "pending", amount=1200))
    till.until(LOOK)
    assert (till.order(begun).payment_status, mugs(till)) == ("unpaid", (0, 1))
    till.clock.advance(CHECK_EVERY - 1)
    assert mugs(till) == (0, 1)
    rest = looks(till, begun)
    assert rest == [later(LOOK, CHECK_EVERY * number) for number in range(1, len(rest) + 1)]
    assert rest[-2] < later(BEGIN, CHECK_FOR) <= rest[-1]
    assert (till.order(begun).payment_status, till.due(), mugs(till)) == ("unpaid", [], (0, 0))


def test_a_look_that_comes_late_loses_no_piece_of_a_payment_on_its_way(till):
    begun = till.begin("mug", pay="autopay")
    till.hear(till.notice(begun.order_id, "pending", amount=1200))
    for _ in range(3):
        till.clock.now = datetime.fromisoformat(later(till.order(begun).check_at, HOUR - 60))
        assert mugs(till) == (0, 1)
        till.process.sweep()


@pytest.mark.parametrize("days", [1, 13, 20])
def test_a_slow_payment_is_delivered_whenever_it_comes(till, days):
    begun = till.begin("mug", pay="autopay")
    till.hear(till.notice(begun.order_id, "pending", amount=1200))
    till.until(later(BEGIN, days * DAY))
    till.hear(till.notice(begun.order_id, "paid", amount=1200))
    order = till.order(begun)
    assert (order.payment_status, order.fulfilment_status, mugs(till), till.due()) == ("paid", "fulfilled", (1, 0), [])


def test_a_slow_payment_that_fails_gives_its_piece_back(till):
    begun = till.begin("mug", pay="autopay")
    till.hear(till.notice(begun.order_id, "pending", amount=1200))
    till.until(LOOK)
    till.hear(till.notice(begun.order_id, "failed", amount=1200))
    assert (till.order(begun).payment_status, mugs(till), till.due()) == ("expired", (0, 0), [])


# The provider does not answer


@pytest.mark.parametrize(
    "error", [DOWN, ProviderBusy("Stripe", "its rate limit is reached"), ProviderRefused("Stripe", "Invalid API Key")]
)
def test_a_provider_that_does_not_answer_is_asked_again_in_ten_minutes(till, error):
    begun = till.begin("mug")
    till.pay(begun)
    till.sessions.error = error
    till.until(LOOK)
    again = later(LOOK, CHECK_AGAIN)
    assert (till.order(begun).payment_status, till.due()) == ("unpaid", [(again, begun.order_id)])
    assert till.sessions.reads == 1
    till.sessions.error = None
    till.until(again)
    assert (till.order(begun).fulfilment_status, mugs(till), till.due()) == ("fulfilled", (1, 0), [])


def test_a_provider_that_does_not_answer_for_two_weeks_is_a_humans_matter_and_nothing_is_due_for_ever(till):
    begun = till.begin("mug")
    till.pay(begun)
    till.sessions.error = ProviderRefused("Stripe", "No such checkout session")
    till.until(LOOK)
    till.until(later(BEGIN, CHECK_FOR - HOUR))
    found = looks(till, begun)
    assert found == [later(BEGIN, CHECK_FOR - HOUR + CHECK_AGAIN * number) for number in range(1, 7)]
    order = till.order(begun)
    [item] = order.open_attention()
    assert item.code == "payment_unknown"
    assert (
        item.text == "for two weeks it could not be found out whether this was paid: Stripe: No such checkout session"
    )
    assert (till.due(), till.mails()) == ([], [f"{order.id}.attention.payment-unknown-1"])
    till.sessions.error = None
    till.process.intake.sync("stripe", order.session_id, "an event")
    till.process.drive(order.id)
    assert till.mails()[-1] == f"{order.id}.mug.please-pack"


def test_a_look_that_others_have_made_needless_puts_nothing_off(till):
    """The event comes while the provider does not answer the look."""
    begun = till.begin("mug", pay="autopay")
    till.until(LOOK)
    expired = till.order(begun)
    assert till.process.intake.check(begun.order_id) is None
    assert till.order(begun) == expired


# Whatever happens


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_to_a_checkout_a_sweep_finds_it_when_it_is_time_and_at_last_it_rests(till, seed):
    """Carts, truths and outages at random; the time to look is right after each, and in the end nothing is due."""
    dice, carts = random.Random(seed), []
    for number in range(dice.randint(10, 25)):
        act = dice.choice(["begin", "begin", "truth", "truth", "notice", "outage", "wait", "sweep"])
        if act == "begin":
            try:
                token = f"cart-{number:016d}"
                carts.append(
                    till.begin(dice.choice(["mug", "course"]), pay=dice.choice(WAYS), token=token, remind=True)
                )
            except (PaymentUnavailable, CartRefused):
                pass
        elif act == "truth" and till.sessions.money:
            unpaid = [id for id, money in till.sessions.money.items() if money == "unpaid"]
            for session_id in dice.sample(unpaid, min(len(unpaid), 1)):
                till.sessions.money[session_id] = dice.choice(["paid", "expired", "failed"])
        elif act == "notice" and (links := [one for one in carts if till.order(one).payment.provider == "autopay"]):
            begun = dice.choice(links)
            amount = till.order(begun).payment.amount_total
            till.hear(till.notice(begun.order_id, dice.choice(["pending", "paid", "failed"]), amount=amount))
        elif act == "outage":
            till.sessions.error = None if till.sessions.error else DOWN
        elif act == "wait":
            till.clock.advance(dice.choice([60, HOUR, 7 * HOUR, DAY]))
        else:
            till.process.sweep()
        for order in till.orders.list({}).items:
            waits = order.payment_status in ("unpaid", "failed")
            assert waits or order.check_at is None
            assert order.check_at is None or order.due_at <= order.check_at
            assert order.payment_status != "unpaid" or order.check_at is not None
    till.sessions.error = None
    till.process.drain(1000)
    for order in till.orders.list({}).items:
        truth = till.sessions.money.get(order.session_id, "unpaid")
        assert order.due_at is None
        assert (order.payment_status == "paid") == (truth == "paid" or order.paid_at is not None)
        assert (order.fulfilment_status == "fulfilled") == (order.payment_status == "paid")
    sold = [order for order in till.orders.list({}).items if order.paid_at and "mug" in order.skus]
    assert mugs(till) == (len(sold), 0)
