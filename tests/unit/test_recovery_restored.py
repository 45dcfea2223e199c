"""A store that was restored from an old backup, or lost: Stripe and Printful alone bring every order back.

And what that costs: memory that does not grow with the number of orders, and the recovery that each start asks for.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pushcart.services.recovery.startup import FRESH
from pushcart.store import connect
from support.listings import Printful, Stripe, printed
from support.recoveries import Shop, mug

COUNT = 40

#: Where another process of ours finds the library and what the tests share.
PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


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


def test_ten_times_the_orders_take_no_more_memory():
    peaks = {}
    for count in (2_000, 20_000):
        command = [sys.executable, "-m", "support.recovery_peak", f"{count}"]
        peaks[count] = int(subprocess.run(command, capture_output=True, text=True, check=True, env=PATHS).stdout)
    assert peaks[20_000] / peaks[2_000] < 1.2
