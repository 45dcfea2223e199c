"""One mail about a cart that was left: only for who agreed to it, once, and not for who has bought."""

from __future__ import annotations

import pytest

from pushcart.clock import later
from pushcart.domain.order import Order
from pushcart.errors import PaymentUnavailable, ProviderUnavailable
from support.till import SHOP, Till

HOUR, DAY = 3600, 86_400
WAYS = ["stripe", "autopay"]


def left(till: Till, *skus: str, token: str = "cart-1-0123456789", pay: str = "stripe", **more: object) -> Order:
    """A cart whose buyer agreed to be reminded, left until it expired."""
    begun = till.begin(*skus, pay=pay, token=token, **{"remind": True, **more})
    till.leave(begun)
    till.until(later(till.clock.instant(), HOUR + 60))
    assert till.order(begun).payment_status == "expired"
    return till.order(begun)


def reminders(till: Till) -> list[str]:
    """The orders that somebody was reminded of, as often as they were."""
    return [mail.partition(".")[0] for mail in till.mails() if mail.endswith(".reminder.your-cart")]


@pytest.mark.parametrize("pay", WAYS)
def test_a_buyer_who_agreed_is_reminded_once(till, pay):
    order = left(till, pay=pay)
    for _ in range(3):
        till.process.intake.sync(pay, order.session_id, "an event")
        till.process.drive(order.id)
    till.process.drain()
    assert (reminders(till), till.due()) == ([order.id], [])
    assert till.orders.require(order.id).fulfilment_status == "none"


@pytest.mark.parametrize("without", [{"remind": False}, {"email": None}, {"email": None, "remind": False}])
def test_without_consent_or_address_nobody_is_reminded(till, without):
    order = left(till, **without)
    assert (order.steps, reminders(till)) == ([], [])


def test_a_shop_without_that_mail_reminds_nobody(store):
    till = Till(store, SHOP.replace("  reminder: your-cart\n", ""))
    assert left(till).steps == []


def test_a_checkout_that_never_got_a_session_is_reminded_of_as_well(till):
    till.sessions.error = ProviderUnavailable("Stripe", "could not be reached")
    with pytest.raises(PaymentUnavailable):
        till.begin(remind=True)
    till.process.drain()
    assert len(reminders(till)) == 1


def buy(till: Till, token: str, email: str = "ann@example.com") -> None:
    begun = till.begin("apron S", pay="autopay", token=token, email=email)
    till.hear(till.notice(begun.order_id, "paid", amount=3400))


@pytest.mark.parametrize(("days", "reminded"), [(0, False), (1, False), (6, False), (8, True)])
def test_who_has_bought_within_the_week_is_not_reminded(till, days, reminded):
    buy(till, "cart-bought-012345")
    till.clock.advance(days * DAY)
    left(till)
    assert bool(reminders(till)) is reminded


def test_who_buys_while_the_cart_is_left_is_not_reminded(till):
    begun = till.begin(remind=True)
    till.leave(begun)
    till.clock.advance(600)
    buy(till, "cart-bought-012345")
    till.process.drain()
    assert (till.order(begun).payment_status, reminders(till)) == ("expired", [])


def test_what_others_bought_makes_no_difference(till):
    buy(till, "cart-bought-012345", email="bob@example.com")
    order = left(till)
    assert reminders(till) == [order.id]


@pytest.mark.parametrize(("days", "times"), [(0, 1), (6, 1), (8, 2)])
def test_who_was_reminded_within_the_week_is_not_reminded_again(till, days, times):
    left(till)
    till.clock.advance(days * DAY)
    left(till, "mug", token="cart-2-0123456789", email="ANN@example.com")
    assert len(reminders(till)) == times


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_carts_that_end_together_only_the_later_is_reminded_of_whichever_is_looked_at_first(till, first):
    carts = []
    for skus in ("mug", "course"):
        carts.append(till.begin(skus, remind=True))
        till.leave(carts[-1])
        till.clock.advance(20)
    till.clock.advance(HOUR + 60)
    for begun in (carts[first], carts[1 - first]):
        till.process.drive(begun.order_id)
    assert [till.order(begun).payment_status for begun in carts] == ["expired", "expired"]
    assert reminders(till) == [carts[1].order_id]


def test_two_looks_at_once_remind_once(till):
    begun = till.begin(remind=True)
    till.leave(begun)
    till.clock.advance(HOUR + 60)
    other = till.another("b")
    till.process.moments.at(0, lambda: other.drive(begun.order_id))
    till.process.drive(begun.order_id)
    till.process.drain()
    assert reminders(till) == [begun.order_id]


@pytest.mark.parametrize("failed_before", [False, True])
def test_who_pays_after_all_before_the_mail_went_out_gets_none(till, failed_before):
    begun = till.begin(pay="autopay", remind=True)
    till.clock.advance(HOUR + 60)
    if failed_before:
        till.functions.script.append("retry")
        till.process.drive(begun.order_id)
    else:
        till.process.intake.check(begun.order_id)
    assert till.order(begun).due_at is not None
    till.process.inbox.add(event := till.notice(begun.order_id, "paid"))
    till.process.handle(event.id)
    till.process.drain()
    assert till.order(begun).step("reminder.your-cart").state == "cancelled"
    assert (till.order(begun).fulfilment_status, reminders(till)) == ("fulfilled", [])


def test_who_pays_after_the_reminder_gets_what_was_bought(till):
    order = left(till, pay="autopay")
    till.hear(till.notice(order.id, "paid"))
    order = till.orders.require(order.id)
    assert (order.fulfilment_status, order.step("reminder.your-cart").state) == ("fulfilled", "done")
    assert till.mails() == sorted([f"{order.id}.course.access", f"{order.id}.reminder.your-cart"])
