"""SIGKILL while what was sold is printed, packed and sent: Printful has one order, and the buyer hears of each parcel.

An order of something printed and something packed comes past its points three times: when the print is placed, when
Printful tells of its parcel, and when the owner has sent theirs. At each of them the process is killed.
"""

from __future__ import annotations

import contextlib

import pytest

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.carts import AT_CHECKOUT
from support.customers import eventually
from support.kills import AT_RECOVERY, LONG, crash_at, drain
from support.receivers import Receiver

#: What a step comes past, whichever it is.
OF_A_STEP = {
    Point.STEP_LEASED,
    Point.BEFORE_PROVIDER,
    Point.AFTER_PROVIDER,
    Point.STEP_ANSWERED,
    Point.STEP_RECORDED,
}

#: The mail is out, and the order does not know: the documented window of providers without an idempotency key.
IN_THE_WINDOW = {Point.AFTER_PROVIDER, Point.STEP_ANSWERED}

#: Nothing here asks Kit for tokens; the others are killed at elsewhere.
POINTS = sorted(set(Point) - AT_CHECKOUT - AT_RECOVERY - {Point.TOKEN_REFRESHED})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False, autosend=False) as shop:
        yield shop


@pytest.fixture(autouse=True)
def nothing_left_behind(shop):
    yield
    shop.crash_file.unlink(missing_ok=True)
    shop.sandbox.world.faults.clear()


def is_printed(buyer, point):
    """Buys; Printful is away at first, so that the process is killed in the print's step and in no other."""
    shop = buyer.shop
    if point not in OF_A_STEP:
        buyer.pays()
    else:
        away = shop.sandbox.fault("printful", "status", status=503, times=None)
        buyer.pays()
        eventually(lambda: set(buyer.states().values()) == {"done", "failed"}, buyer.story)
        assert buyer.states()["print"] == "failed"
        shop.sandbox.world.faults.clear(away.id)
        crash_at(shop, point)
        shop.advance(LONG)
    drain(shop, lambda: buyer.rests() and buyer.prints(), buyer.story)


def is_sent_by_printful(buyer, point):
    crash_at(buyer.shop, point)
    buyer.is_sent()
    drain(buyer.shop, lambda: buyer.rests() and buyer.parcels() == ["printful"], buyer.story)


def is_sent_by_the_owner(buyer, point):
    if point in OF_A_STEP:
        crash_at(buyer.shop, point)
    with contextlib.suppress(FunctionFailed):
        buyer.shop.ask(f"/orders/{buyer.id}/ship", {"carrier": "DHL"})
    # Whoever got no answer looks at the order first.
    assert buyer.parcels() == ["printful", "owner"]
    drain(buyer.shop, lambda: buyer.rests() and buyer.order()["fulfilment_status"] == "fulfilled", buyer.story)


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_while_goods_are_made_and_sent_loses_no_parcel_and_repeats_none(shop, point):
    buyer = Receiver(shop)
    is_printed(buyer, point)
    order = buyer.order()
    [made] = buyer.prints()
    assert (made["external_id"], made["status"]) == (order["id"], "pending")
    assert [one["number"] for one in order["prints"]] == [str(made["id"])]
    is_sent_by_printful(buyer, point)
    is_sent_by_the_owner(buyer, point)
    shop.catch_up()
    assert (len(buyer.prints()), buyer.parcels()) == (1, ["printful", "owner"])
    assert buyer.parcel_mails() == [2 if point in IN_THE_WINDOW else 1] * 2
    assert shop.ask("/events", method="GET", status="pending")["items"] == []
