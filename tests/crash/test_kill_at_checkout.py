"""SIGKILL while a cart becomes an order and while Autopay's word reaches it: the same cart again, one order, one sale.

Every point that only a cart comes past is killed at here; a point of that list which no cart comes past fails.
"""

from __future__ import annotations

import contextlib

import pytest

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.bursts import hear_of
from support.carts import APRON, AT_CHECKOUT, Shopper, stock, well_stocked
from support.customers import eventually
from support.databases import DATABASES, fresh

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400

#: Longer than a cart's pieces are held when nothing became of it: an hour to pay, and one of grace.
TOO_LATE = 3 * 3600

MAILS = {"receipt": 1, "owners-notice": 1, "studio-apron.please-pack": 1}

#: For a link nobody is asked: at the other points the store holds what it holds for Stripe, or at one of these.
LINKS_OWN = {Point.ORDER_STORED, Point.SESSION_NOTED}
ROADS = [(point, "stripe") for point in sorted(AT_CHECKOUT)] + [(point, "autopay") for point in sorted(LINKS_OWN)]

on_sqlite = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", params=DATABASES)
def shop(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    store, file = fresh(request.param, folder), well_stocked(folder)
    with LocalShop(folder / "state", store=store, shop_file=file, catch_up=False, autosend=False) as shop:
        yield shop


@pytest.fixture(autouse=True)
def nothing_left_behind(shop):
    yield
    shop.crash_file.unlink(missing_ok=True)


def crash_at(shop, point):
    shop.crash_file.write_text(point)


def dies_at_checkout(shopper, point):
    """Sends the cart; the process that takes it is killed at the point, and the buyer is told so."""
    crash_at(shopper.shop, point)
    answer = shopper.post()
    assert (answer.status_code, "X-OpenFaaS-Internal" in answer.headers) == (500, True)
    assert not shopper.shop.crash_file.exists(), f"no cart comes past {point}"


def pay(shopper):
    """Pays, and the webhook comes in until it is acknowledged."""
    if shopper.pays_with == "stripe":
        hear_of(shopper, shopper.shop.sandbox.stripe.buy(session=shopper.session_id, name=shopper.name))
        return
    shopper.pay()
    autopay = shopper.shop.sandbox.autopay
    for told in autopay.notifications(shopper.id):
        eventually(lambda told=told: autopay.deliver(told.id) == 200)


def fulfilled(shopper):
    """The order in the end; catch-up finds what nobody was told of, and a lease whose process is dead runs out."""
    shop = shopper.shop
    for _ in range(6):
        with contextlib.suppress(AssertionError):
            return eventually(lambda: rests(shopper), seconds=3)
        shop.advance(LONG)
        catch_up(shop)
    raise AssertionError(shopper.story())


def catch_up(shop):
    with contextlib.suppress(FunctionFailed):  # the process that was killed may be the one that is asked
        shop.catch_up()


def rests(shopper):
    order = shopper.order()
    busy = any(step["state"] in ("due", "running", "failed") for step in order["steps"])
    return order if order["fulfilment_status"] == "fulfilled" and not busy else None


def assert_sold_once(shopper, before):
    order = fulfilled(shopper)
    assert [one["id"] for one in shopper.orders()] == [order["id"]]
    assert order["payment_status"] == "paid"
    assert shopper.mails() == MAILS
    assert shopper.sees("done")["order"] == order["id"]
    sold, held = before
    assert stock(shopper.shop) == (sold + 1, held)


def killed_and_sent_again(shopper, point):
    shop, before = shopper.shop, stock(shopper.shop)
    dies_at_checkout(shopper, point)
    begun = shopper.begin()
    assert shopper.begin() == begun
    assert len(shopper.sessions()) == (shopper.pays_with == "stripe")
    assert stock(shop) == (before[0], before[1] + 1)
    pay(shopper)
    assert_sold_once(shopper, before)


@pytest.mark.parametrize(("point", "pay_with"), ROADS)
def test_the_same_cart_sent_again_after_the_crash_is_one_order_and_one_session_and_is_sold_once(shop, point, pay_with):
    killed_and_sent_again(Shopper(shop, APRON, pay=pay_with), point)


@on_sqlite
@pytest.mark.parametrize("point", sorted(AT_CHECKOUT - LINKS_OWN))
def test_so_is_one_for_a_link_at_the_points_that_leave_nothing_of_its_own(shop, point):
    killed_and_sent_again(Shopper(shop, APRON, pay="autopay"), point)


@on_sqlite
@pytest.mark.parametrize("point", [Point.STOCK_HELD, Point.SESSION_CREATED])
def test_a_buyer_who_does_not_come_back_after_the_crash_leaves_no_piece_held_and_nothing_to_do(shop, point):
    shopper, before = Shopper(shop, APRON), stock(shop)
    dies_at_checkout(shopper, point)
    assert stock(shop) == (before[0], before[1] + 1)
    shop.advance(TOO_LATE)
    shop.catch_up()
    ended = [] if point is Point.STOCK_HELD else ["expired"]
    eventually(lambda: [one["payment_status"] for one in shopper.orders()] == ended)
    found = shopper.orders()
    assert [shop.order(one["id"])["check_at"] for one in found] == [None] * len(found)
    assert stock(shop) == before


@on_sqlite
@pytest.mark.parametrize("point", [Point.EVENT_STORED, Point.EVENT_READ, Point.ORDER_WRITTEN, Point.EVENT_APPLIED])
def test_a_process_killed_between_autopays_word_and_the_order_loses_nothing_and_repeats_nothing(shop, point):
    shopper, before = Shopper(shop, APRON, pay="autopay"), stock(shop)
    shopper.begin()
    paid = shopper.pay()
    [success] = [told["id"] for told in paid["notifications"] if told["status"] == "SUCCESS"]
    crash_at(shop, point)
    first = shop.sandbox.autopay.deliver(success)
    assert first == (500 if point is Point.EVENT_STORED else 200)
    eventually(lambda: not shop.crash_file.exists(), lambda: f"nobody came to {point}")
    if first != 200:
        assert shop.sandbox.autopay.deliver(success) == 200
    catch_up(shop)
    assert_sold_once(shopper, before)
    events = [one for one in shop.ask("/events", method="GET")["items"] if one["order_id"] == shopper.id]
    assert [(one["type"], one["status"]) for one in events] == [("payment.paid", "applied")]
