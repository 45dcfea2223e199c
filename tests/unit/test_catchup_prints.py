"""What never arrived from Printful is found; and an order there that nobody asked for is an alarm, but not too soon."""

from __future__ import annotations

import msgspec
import pytest

from pushcart.clock import to_instant
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import PaymentStatus
from pushcart.errors import ProviderBusy
from pushcart.services.catchup.payments import Found
from pushcart.services.catchup.prints import EVERY, PAGE, PRINTS, STRANGE_AT_MOST, STRANGE_FOR
from pushcart.store import connect
from support.listings import NOW_UNIX, Printful, Stripe, printed
from support.recoveries import Shop, here, mug


@pytest.fixture
def shop(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Shop(store, Stripe(), Printful())
    store.close()


def run(shop, advance=0):
    shop.clock.advance(advance)
    shop.taken = lambda: int(shop.clock().timestamp())
    return shop.prints().run(Found(), lambda: True)


def change(shop, number, **fields):
    """Printful goes on with an order, and tells nobody."""
    orders = shop.printer.orders
    at = next(index for index, one in enumerate(orders) if one.number == str(number))
    orders[at] = msgspec.structs.replace(orders[at], updated_at=to_instant(shop.clock()), **fields)
    return orders[at]


def bought(shop, number):
    """An order whose print is at Printful, as both know."""
    order = shop.order(shop.stripe.add(mug(number), told=False))
    facts = printed(1000 + number, order.id)
    shop.printer.orders.append(facts)
    run(shop, EVERY)
    assert shop.apply() == [order.id]
    return order.id


def test_what_both_say_alike_brings_nothing(shop):
    bought(shop, 1)
    assert run(shop, EVERY).events == []


def test_a_print_the_order_does_not_know_is_read_again(shop):
    order = shop.order(shop.stripe.add(mug(1), told=False))
    facts = printed(1001, order.id)
    shop.printer.orders.append(facts)
    (event,) = run(shop).events
    assert event.startswith("printful:seen.1001.")
    shop.apply()
    assert here(shop.orders.require(order.id), facts) == "pending"


def test_a_parcel_nobody_told_of_reaches_the_order_once(shop):
    order_id = bought(shop, 1)
    change(shop, 1001, status="fulfilled", parcels=printed(1001, None, parcels=1).parcels)
    assert len(run(shop, EVERY).events) == 1
    shop.apply()
    assert [parcel.carrier for parcel in shop.orders.require(order_id).parcels] == ["DHL"]
    assert run(shop, EVERY).events == []


@pytest.mark.parametrize("status", ["canceled", "failed", "onhold", "inprocess"])
def test_any_other_state_at_printful_reaches_the_order(shop, status):
    order_id = bought(shop, 1)
    facts = change(shop, 1001, status=status)
    run(shop, EVERY)
    shop.apply()
    assert here(shop.orders.require(order_id), facts) == status
    assert run(shop, EVERY).events == []


def test_other_costs_reach_the_order(shop):
    order_id = bought(shop, 1)
    costs = msgspec.structs.replace(printed(1, None).costs, total=2000)
    change(shop, 1001, costs=costs)
    run(shop, EVERY)
    shop.apply()
    assert shop.orders.require(order_id).prints[0].costs.total == 2000


def test_what_was_delivered_is_not_asked_about_again_when_it_is_archived(shop):
    bought(shop, 1)
    change(shop, 1001, status="fulfilled")
    run(shop, EVERY)
    shop.apply()
    change(shop, 1001, status="archived")
    assert run(shop, EVERY).events == []


def test_orders_are_listed_every_ten_minutes(shop):
    run(shop)
    calls = shop.printer.limit.calls
    run(shop, EVERY - 1)
    assert shop.printer.limit.calls == calls
    run(shop, 1)
    assert shop.printer.limit.calls == calls + 1


def test_only_what_may_have_changed_is_listed(shop):
    """Of two hundred that are long fulfilled, one page is looked at once they were seen to be."""
    for number in range(200):
        shop.printer.orders.append(printed(number, None, "fulfilled", ago=(10 + number) * 86_400 // 5))
    run(shop)
    assert shop.printer.limit.calls == 200 // PAGE
    run(shop, EVERY)
    assert shop.printer.limit.calls == 200 // PAGE + 1


def test_a_parcel_sent_again_long_after_the_delivery_is_found_within_a_day(shop):
    """Nothing else is open that would make the listing go back so far, and nobody tells of it."""
    order_id = bought(shop, 1)
    change(shop, 1001, status="fulfilled", parcels=printed(1001, None, parcels=1).parcels)
    run(shop, EVERY)
    shop.apply()
    for _ in range(5):
        run(shop, 86_400)
    change(shop, 1001, parcels=printed(1001, None, parcels=2).parcels)
    for _ in range(86_400 // EVERY):
        run(shop, EVERY)
    shop.apply()
    assert len(shop.orders.require(order_id).parcels) == 2


def test_a_rate_limit_in_the_middle_is_no_loss_the_next_run_goes_on_where_it_was(shop):
    for number in range(70):
        order = shop.order(mug(number))
        shop.printer.orders.append(printed(number, order.id, ago=1000 + number))
    shop.printer.limit.allowed = 1
    found = Found()
    with pytest.raises(ProviderBusy):
        shop.prints().run(found, lambda: True)
    assert len(found.events) == PAGE
    assert shop.cursors.read(PRINTS)["walk"]["offset"] > 0
    shop.printer.limit.allowed = None
    assert len(run(shop).events) == 20
    assert "walk" not in shop.cursors.read(PRINTS)


def test_the_print_of_an_order_that_was_refunded_before_it_was_known_again_is_not_strange(shop):
    def never_planned(order):
        order.steps, order.planned, order.payment_status = [], False, PaymentStatus.REFUNDED

    order = shop.order(mug(1))
    shop.orders.change(order.id, never_planned)
    shop.printer.orders.append(printed(7, order.id))
    assert run(shop).events == []
    run(shop, STRANGE_AT_MOST)
    assert shop.told() == []


def test_more_orders_than_the_rate_allows_at_once_are_listed_over_several_runs_and_the_strange_ones_told(shop):
    for number in range(1_600):
        shop.printer.orders.append(printed(number, None, ago=1000 + number))
    for _ in range(40):
        shop.printer.limit.allowed = 30
        try:
            run(shop, 60)
        except ProviderBusy:
            continue
    assert "walk" not in shop.cursors.read(PRINTS)
    assert sum(alarm.count for alarm in shop.told()) == 1_600


# Orders that nobody asked for


def stolen(shop, number=666, external_id=None):
    shop.printer.orders.append(printed(number, external_id))


def test_an_order_nobody_asked_for_is_told_after_ten_minutes_once(shop):
    stolen(shop)
    run(shop)
    run(shop, STRANGE_FOR - 1)
    assert shop.told() == []
    run(shop, 1)
    (alarm,) = shop.told()
    assert (alarm.id, str(alarm.level), alarm.lasts) == ("strange_print.666", "critical", None)
    assert "666" in alarm.what
    shop.incidents.answer(alarm.id, "it was me")
    run(shop, EVERY)
    assert shop.told() == []


@pytest.mark.parametrize("name", ["o-nobody", "o-cs_1-2"])
def test_a_name_that_no_order_of_ours_gave_is_as_strange_as_none(shop, name):
    shop.order(mug(1))
    stolen(shop, external_id=name)
    run(shop)
    run(shop, STRANGE_FOR)
    assert len(shop.told()) == 1


def test_no_alarm_before_stripe_was_asked_for_the_payment_that_may_explain_it(shop):
    stolen(shop)
    run(shop)
    shop.clock.advance(EVERY)
    shop.taken = lambda: NOW_UNIX
    shop.prints().run(Found(), lambda: True)
    assert shop.told() == []


def test_no_alarm_while_events_wait_that_may_explain_it_but_for_no_longer_than_an_hour(shop):
    stolen(shop)
    now = to_instant(shop.clock())
    waiting = {"source": "stripe", "event_id": "evt_1", "type": "x", "received_at": now, "body": "{}"}
    shop.inbox.add(InboxEvent(id="stripe:evt_1", **waiting))
    run(shop)
    run(shop, STRANGE_AT_MOST - 60)
    assert shop.told() == []
    run(shop, 60)
    assert len(shop.told()) == 1


def test_a_payment_that_comes_in_late_explains_it(shop):
    stolen(shop, 1001, "o-cs_1")
    run(shop)
    shop.order(mug(1))
    run(shop, EVERY)
    run(shop, EVERY)
    assert shop.told() == []


def test_many_at_once_are_one_alarm_with_their_number(shop):
    for number in range(40):
        stolen(shop, 600 + number)
    run(shop)
    run(shop, EVERY)
    (alarm,) = shop.told()
    assert alarm.count == 40
