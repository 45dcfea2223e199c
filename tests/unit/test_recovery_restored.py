"""A store that was restored from an old backup, or lost: Stripe and Printful alone bring every order back.

And what that costs: memory that does not grow with the number of orders, and the recovery that each start asks for.
"""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest

from pushcart.clock import from_timestamp
from pushcart.services.recovery.startup import FRESH
from pushcart.services.recovery.walk import second_of
from pushcart.store import connect
from support.listings import NOW_UNIX, Listed, ListedSession, Printful, Stripe, printed
from support.recoveries import Shop, mug

COUNT = 40


@pytest.fixture
def shop(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Shop(store, Stripe(), Printful())
    store.close()


def sell(shop):
    """So many sales, some refunded, all printed, some sent."""
    for number in range(COUNT):
        sold = shop.stripe.add(mug(number, ago=100 + number * 90_000), told=False)
        sold.refunds = [300] if number % 5 == 0 else []
        state = ("pending", "fulfilled", "inprocess", "canceled")[number % 4]
        sent = printed(number, sold.order_id, state, ago=50 + number * 90_000, parcels=state == "fulfilled")
        shop.printer.orders.append(sent)


def truth(shop):
    """What each order says of its money, its prints and its parcels."""
    orders = shop.store.find("orders", order_by="created_at", limit=1000)
    return {
        order["id"]: (
            order["payment_status"],
            order["payment"]["amount_refunded"],
            [(one["number"], one["status"]) for one in order["prints"]],
            sorted(parcel["id"] for parcel in order["parcels"]),
        )
        for order in orders
    }


@pytest.mark.parametrize("kept", [0, 2], ids=["nothing is left", "every second order is left"])
def test_a_restored_store_is_put_right_from_stripe_and_printful_alone(shop, kept):
    sell(shop)
    shop.recover(apply=True)
    shop.apply()
    shop.recover(apply=True)  # now that there are orders, their prints
    shop.apply()
    whole = truth(shop)
    assert len(whole) == COUNT
    assert shop.recover() == []

    for number, order_id in enumerate(sorted(whole)):
        if not kept or number % kept:
            shop.store.delete("orders", order_id)
    shop.recover(apply=True)
    shop.apply()
    shop.recover(apply=True)
    shop.apply()
    assert truth(shop) == whole
    assert shop.recover() == []


# The recovery of a start


def test_a_start_asks_for_one_recovery_and_the_next_start_goes_on_with_it(shop):
    sell(shop)
    first = shop.start_up()
    first.ask()
    turns = iter([True, False])
    assert not first.work(0, lambda: next(turns))
    checked = first.last()["checked"]
    second = shop.start_up()
    second.ask()
    assert second.last()["checked"] == checked
    while not second.work(1000, lambda: True):
        pass
    report = second.last()
    assert report["counts"] == {"paid_without_order": COUNT, "strange_print": COUNT}
    assert report["checked"]["sessions"] == COUNT
    assert report["finished_at"]
    shop.apply()


def test_a_start_soon_after_a_finished_recovery_asks_for_none(shop):
    one = shop.start_up()
    one.ask()
    one.work(100, lambda: True)
    done = one.last()
    shop.clock.advance(FRESH - 1)
    one.ask()
    assert one.last() == done
    shop.clock.advance(1)
    one.ask()
    assert one.last()["finished_at"] is None


def test_a_whole_recovery_that_is_asked_for_is_done_even_after_one_that_goes_on(shop):
    one = shop.start_up()
    one.ask()
    one.ask(whole=True)
    assert not one.work(100, lambda: True)
    assert one.last()["finished_at"] is None
    assert one.work(100, lambda: True)
    one.ask(whole=True)
    assert one.last()["finished_at"] is None


def test_only_the_first_hundred_findings_are_kept_and_all_are_counted(shop):
    for number in range(150):
        shop.order(mug(number, ago=100 + number))
    one = shop.start_up()
    one.ask()
    one.work(1000, lambda: True)
    assert len(one.last()["findings"]) == 100
    assert one.last()["counts"] == {"order_unknown_to_stripe": 150}
    (alarm,) = shop.told()
    assert alarm.count == 150


def test_a_place_that_an_older_version_wrote_is_begun_anew(shop):
    one = shop.start_up()
    one.ask()
    kept = shop.cursors.read("recovery")
    shop.cursors.write("recovery", {**kept, "cursor": "something else"}, kept["version"])
    assert one.work(100, lambda: True)


def test_a_busy_provider_puts_the_recovery_off(shop):
    sell(shop)
    shop.stripe.limit.allowed = 5
    one = shop.start_up()
    one.ask()
    assert not one.work(1000, lambda: True)
    assert not one.work(1000, lambda: True)
    shop.stripe.limit.allowed = None
    assert one.work(1000, lambda: True)
    assert one.last()["counts"]["paid_without_order"] == COUNT


# Memory


class Many:
    """A Stripe that makes up its sessions as they are listed: `count` of them, one a minute."""

    def __init__(self, count: int) -> None:
        self._count = count

    def sessions(self, *, since=None, until=None, after=None, charges=False):
        start = max(0, (NOW_UNIX - until) // 60 + 1) if after is None else int(after.removeprefix("cs_")) + 1
        last = min(self._count, (NOW_UNIX - since) // 60 + 1 if since else self._count)
        page = [self._session(number) for number in range(start, min(start + 100, last))]
        return Listed(page, page[-1].id if page and start + 100 < last else None)

    def _session(self, number):
        return ListedSession(
            id=f"cs_{number}",
            created=NOW_UNIX - number * 60,
            mode="payment",
            paid=True,
            currency="EUR",
            amount_total=1200,
            livemode=False,
            refunded=0,
            disputed=False,
        )


class Endless:
    """A store that makes up its orders as they are read, one for each of those sessions."""

    def __init__(self, count, order):
        self._count, self._order = count, msgspec.to_builtins(order)

    def find(self, collection, *, until=None, after=None, limit=100, **asked):
        assert collection == "orders"
        start = int(after[1].removeprefix("o-")) + 1 if after else max(0, (NOW_UNIX - second_of(until)) // 60 + 1)
        return [self._document(number) for number in range(start, min(start + limit, self._count))]

    def count(self, collection):
        return self._count

    def _document(self, number):
        made = {"id": f"o-{number}", "session_id": f"cs_{number}", "created_at": from_timestamp(NOW_UNIX - number * 60)}
        return {**self._order, **made}


def peak(order, count):
    """The most memory a whole recovery has at once, in bytes."""
    shop = Shop(Endless(count, order), Many(count))
    tracemalloc.start()
    try:
        part = shop.recovery().slice(None, 1000, apply=False)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (part.findings, part.cursor) == ([], None)
    assert part.checked == {"sessions": count, "orders": count}
    return most


def test_ten_times_the_orders_take_no_more_memory(shop):
    order = shop.order(mug(0))
    peak(order, 1)  # what is cached at first use
    few = peak(order, 2_000)
    # Other threads of the test's process are counted too, when they happen to work just then.
    assert any(peak(order, 20_000) / few < 1.2 for _ in range(3))
