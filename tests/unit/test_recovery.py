"""A recovery finds every difference between providers and orders, repairs what is safe, and tells of the rest."""

from __future__ import annotations

import msgspec
import pytest

from pushcart.domain import steps
from pushcart.domain.order import PaymentStatus, Phase
from pushcart.errors import BadRequest, ProviderRefused, ProviderUnavailable, ProviderUnreadable
from pushcart.services.alerts.incidents import Level
from pushcart.services.catchup.payments import Found
from pushcart.store import connect
from support.listings import NOW_UNIX, Printful, Stripe, printed
from support.processes import NEVER
from support.recoveries import Shop, mug

DAY = 86_400


@pytest.fixture
def shop(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Shop(store, Stripe(), Printful())
    store.close()


def bought(shop, number=1, **more):
    """A sale whose order says what Stripe says; with its print, if it has one."""
    sold = shop.stripe.add(mug(number, **more), told=False)
    return sold, shop.order(sold)


def change(shop, order, **fields):
    """The order comes to say something else."""

    def set_all(fresh):
        for name, value in fields.items():
            setattr(fresh, name, value)

    return shop.orders.change(order.id, set_all)


def paid_without_order(shop):
    shop.stripe.add(mug(1), told=False)


def order_not_paid(shop):
    _, order = bought(shop)
    change(shop, order, payment_status=PaymentStatus.UNPAID)


def paid_twice(shop):
    bought(shop, 1, noted="o-mine")
    shop.stripe.add(mug(2, noted="o-mine"), told=False)


def amount_differs(shop):
    _, order = bought(shop)
    change(shop, order, payment=msgspec.structs.replace(order.payment, amount_total=1199))


def refund_differs(shop):
    sold, _ = bought(shop)
    sold.refunds = [1]


def a_refund_that_failed(shop):
    _, order = bought(shop)
    change(shop, order, payment=msgspec.structs.replace(order.payment, amount_refunded=1))


def dispute_differs(shop):
    sold, _ = bought(shop)
    sold.disputed("needs_response")


def a_dispute_that_was_won(shop):
    sold, _ = bought(shop)
    sold.disputed("needs_response")
    shop.recover(apply=True)
    shop.apply()
    sold.disputed("won")


def print_differs(shop):
    _, order = bought(shop)
    shop.printer.orders.append(printed(1, order.id, "fulfilled", parcels=1))


REPAIRED = {
    "paid_without_order": paid_without_order,
    "order_not_paid": order_not_paid,
    "paid_twice": paid_twice,
    "amount_differs": amount_differs,
    "refund_differs": refund_differs,
    "refund_differs ": a_refund_that_failed,
    "dispute_differs": dispute_differs,
    "dispute_differs ": a_dispute_that_was_won,
    "print_differs": print_differs,
}


@pytest.mark.parametrize(("code", "arrange"), REPAIRED.items())
def test_a_difference_is_found_and_once_repaired_it_is_gone(shop, code, arrange):
    arrange(shop)
    (found,) = shop.recover()
    assert (found.code, found.repair) == (code.strip(), "will")
    (done,) = shop.recover(apply=True)
    assert (done.code, done.repair) == (code.strip(), "done")
    assert len(shop.apply()) == 1
    assert shop.recover() == []
    assert shop.told() == []


@pytest.mark.parametrize(("code", "arrange"), REPAIRED.items())
def test_without_apply_nothing_is_changed(shop, code, arrange):
    arrange(shop)
    before = snapshot(shop.store)
    shop.recover()
    assert snapshot(shop.store) == before


def snapshot(store):
    by = {"orders": "created_at", "inbox": "received_at", "incidents": "opened_at"}
    held = {name: store.find(name, order_by=field, limit=1000) for name, field in by.items()}
    return held, [store.get("cursors", name) for name in ("printful.strange", "recovery")]


def order_unknown_to_stripe(shop):
    shop.order(mug(1))


def wrong_mode(shop):
    sold, _ = bought(shop)
    sold.livemode = True


def paid_in_the_other_mode(shop):
    sold = mug(1)
    sold.livemode = True
    shop.order(sold)


def print_unknown(shop):
    print_differs(shop)
    shop.recover(apply=True)
    shop.apply()
    shop.printer.orders.clear()


def print_goes_on(shop):
    """As after the loss of a store: what was refunded before it was heard of has no steps, and nothing tracks it."""

    def never_planned(order):
        order.steps, order.planned = [], False

    sold, order = bought(shop)
    sold.refunds = [sold.total]
    shop.orders.change(order.id, never_planned)
    shop.recover(apply=True)
    shop.apply()
    shop.printer.orders.append(printed(1001, order.id))


@pytest.mark.parametrize(
    ("code", "arrange"),
    {
        "order_unknown_to_stripe": order_unknown_to_stripe,
        "wrong_mode": wrong_mode,
        "wrong_mode ": paid_in_the_other_mode,
        "print_unknown": print_unknown,
        "print_goes_on": print_goes_on,
    }.items(),
)
def test_what_no_event_repairs_is_told_to_the_owner_after_a_start(shop, code, arrange):
    arrange(shop)
    (found,) = shop.recover()
    assert (found.code, found.repair) == (code.strip(), "no")
    assert shop.told() == []
    start_up = shop.start_up()
    start_up.ask()
    assert start_up.work(100, lambda: True)
    (alarm,) = shop.told()
    assert alarm.id.startswith(code.strip())
    assert alarm.orders == [found.order]


@pytest.mark.parametrize("listed", [True, False])
def test_an_order_that_counts_as_paid_but_was_not_is_held_and_told(shop, listed):
    """Whether Stripe lists its session as a completed one (by bank transfer), or nobody ever completed it."""
    sold, order = bought(shop)
    sold.money = "unpaid"
    if not listed:
        shop.stripe.sessions = lambda **asked: shop.stripe._page([], None)
    (found,) = shop.recover(apply=True)
    assert (found.code, found.order, found.repair) == ("not_paid_at_stripe", order.id, "done")
    assert shop.apply() == [order.id]
    held = shop.orders.require(order.id)
    assert held.payment_status is PaymentStatus.PAID
    assert [item.code for item in held.open_attention()] == ["payment_gone"]
    assert steps.runnable(held, NEVER).phase is Phase.ATTENTION
    start_up = shop.start_up()
    start_up.ask()
    assert start_up.work(100, lambda: True)
    assert [(alarm.id.partition(".")[0], alarm.level) for alarm in shop.told()] == [
        ("not_paid_at_stripe", Level.CRITICAL)
    ]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ProviderUnreadable("Stripe", "a paid session without its charge"), "without its charge"),
        (ProviderRefused("Stripe", "No such charge", status=404), "No such charge"),
    ],
)
def test_one_payment_that_cannot_be_read_is_told_and_keeps_nothing_older_from_being_compared(shop, error, told):
    shop.stripe.add(mug(1, ago=60), told=False)
    shop.stripe.add(mug(2, ago=3600), told=False)
    read = shop.stripe.payment

    def payment(session_id, *more):
        if session_id == "cs_1":
            raise error
        return read(session_id, *more)

    shop.stripe.payment = payment
    first, second = shop.recover()
    assert (first.code, first.object, first.repair) == ("not_compared", "cs_1", "no")
    assert told in first.text
    assert (second.code, second.object) == ("paid_without_order", "cs_2")


def test_a_key_that_is_refused_ends_the_recovery_at_the_first_payment(shop):
    shop.stripe.add(mug(1), told=False)
    shop.stripe.error = ProviderRefused("Stripe", "Invalid API Key", status=401)
    with pytest.raises(ProviderRefused):
        shop.recover()


@pytest.mark.parametrize("status", ["draft", "failed", "canceled", "fulfilled"])
def test_of_a_refunded_order_that_was_lost_nothing_is_said_when_nothing_is_made(shop, status):
    print_goes_on(shop)
    shop.printer.orders[:] = [msgspec.structs.replace(shop.printer.orders[0], status=status)]
    assert shop.recover() == []


def test_an_order_nobody_asked_for_at_printful_is_left_to_catch_up_to_alarm_about(shop):
    shop.printer.orders.append(printed(666, None))
    (found,) = shop.recover(apply=True)
    assert (found.code, found.object, found.repair) == ("strange_print", "666", "no")
    shop.clock.advance(600)
    shop.taken = lambda: NOW_UNIX + 600
    shop.prints().run(Found(), lambda: True)
    assert [alarm.id for alarm in shop.told()] == ["strange_print.666"]


def test_what_reading_again_does_not_cure_is_found_as_such_and_told(shop):
    _, order = bought(shop)
    change(shop, order, payment=msgspec.structs.replace(order.payment, amount_total=1199))
    wrong = shop.orders.require(order.id)
    shop.recover(apply=True)
    shop.apply()
    change(shop, order, payment=wrong.payment)
    (found,) = shop.recover(apply=True)
    assert (found.repair, found.command[:22]) == ("no", "pushcart events replay")
    start_up = shop.start_up()
    start_up.ask()
    start_up.work(100, lambda: True)
    assert [alarm.id.partition(".")[0] for alarm in shop.told()] == ["stays_different"]


def test_an_order_that_was_lost_a_second_time_is_repaired_a_second_time(shop):
    shop.stripe.add(mug(1), told=False)
    for _ in range(2):
        shop.recover(apply=True)
        assert shop.apply() == ["o-cs_1"]
        shop.store.delete("orders", "o-cs_1")


def test_what_others_sell_on_the_same_account_is_counted_and_no_finding(shop):
    shop.stripe.add(mug(1), told=False).link = "plink_other"
    shop.stripe.add(mug(2), told=False).mode = "setup"
    shop.stripe.add(mug(3), told=False).livemode = True
    part = shop.recovery().slice(None, 100, apply=True)
    assert (part.findings, part.checked["foreign"]) == ([], 1)


def test_an_order_and_its_session_may_lie_days_apart(shop):
    sold = shop.stripe.add(mug(1, ago=60, noted="o-mine"), told=False)
    order = shop.order(sold)
    shop.store.delete("orders", order.id)
    order.created_at = "2026-11-01T00:00:00.000Z"
    shop.orders.add(order)
    assert shop.recover(seconds=0) == []


def test_orders_paid_by_others_than_stripe_and_carts_that_were_left_are_passed_over(shop):
    _, order = bought(shop)
    change(shop, order, payment=msgspec.structs.replace(order.payment, provider="autopay"), session_id="x")
    left = shop.order(mug(2))
    change(shop, left, payment_status=PaymentStatus.EXPIRED)
    del shop.stripe.purchases["cs_1"]
    assert shop.recover() == []


# Slices


def many(shop, count=30):
    """Every third order is lost, one says nothing of a refund; several were made in the same second."""
    for number in range(count):
        sold, order = bought(shop, number, ago=100 + number // 4 * 500)
        if number % 3 == 0:
            shop.store.delete("orders", order.id)
        if number % 7 == 1:
            sold.refunds = [5]
        shop.printer.orders.append(printed(number, order.id, ago=90 + number // 4 * 500))


def seen(findings):
    return sorted((one.code, one.order or "", one.object or "") for one in findings)


def test_slices_of_one_thing_each_find_what_one_whole_slice_finds(shop):
    many(shop)
    whole = seen(shop.recover())
    slices, cursor = [], None
    while True:
        part = shop.recovery().slice(cursor, 0, apply=False)
        slices += part.findings
        assert len(part.cursor or "") < 150
        cursor = part.cursor
        if cursor is None:
            break
    assert seen(slices) == whole
    assert len(whole) > 40


@pytest.mark.parametrize(("which", "allowed"), [("stripe", 1), ("stripe", 2), ("stripe", 3), ("printer", 0)])
def test_a_rate_limit_ends_a_slice_and_loses_nothing(shop, which, allowed):
    many(shop, 12)
    whole = seen(shop.recover())
    limit = getattr(shop, which).limit
    found, cursor, waited = [], None, 0
    while True:
        # A window costs a list, and each thing in it may cost a read: what is not done is listed again.
        limit.allowed = allowed if waited < 5 else 40
        part = shop.recovery().slice(cursor, 100, apply=False)
        assert part.wait in (None, 30)
        waited += part.wait is not None
        found += part.findings
        cursor = part.cursor
        if cursor is None:
            break
    assert seen(found) == whole
    assert waited


def test_a_provider_that_is_down_from_the_beginning_is_said_so(shop):
    shop.stripe.error = ProviderUnavailable("Stripe", "could not be reached")
    shop.stripe.sessions = lambda **asked: shop.stripe._answer()
    with pytest.raises(ProviderUnavailable):
        shop.recovery().slice(None, 100, apply=False)


@pytest.mark.parametrize("cursor", ["", "x", '["payments"]', '["orders",1,[2]]', '{"a": 1}', '["payments","a",[1]]'])
def test_a_cursor_that_is_none_is_refused(shop, cursor):
    if cursor:
        with pytest.raises(BadRequest):
            shop.recovery().slice(cursor, 1, apply=False)
    else:
        assert shop.recovery().slice(cursor, 1, apply=False).orders == 0


def test_the_first_slice_says_how_many_orders_there_are(shop):
    many(shop, 9)
    part = shop.recovery().slice(None, 0, apply=False)
    assert part.orders == 6
    assert shop.recovery().slice(part.cursor, 0, apply=False).orders is None
