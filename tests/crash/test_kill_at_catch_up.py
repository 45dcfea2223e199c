"""SIGKILL while catch-up and a recovery ask for what never arrived: nothing stays lost, and nothing doubles."""

from __future__ import annotations

import pytest

from local.shop import LocalShop
from pushcart.crash import Point
from support.customers import PLANS, Customer
from support.kills import LONG, crash_at, drain
from support.receivers import Receiver

#: Longer ago than catch-up's first look goes back: only a recovery finds it.
LONG_AGO = 5 * 86_400

#: What of Stripe's lists is away, so that the first page that is taken is one of the list of this name.
AWAY = {"events": None, "sessions": "/v1/events$", "prints": "/v1/(events|checkout/sessions)$"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False, autosend=False) as shop:
        shop.catch_up()
        yield shop


@pytest.fixture(autouse=True)
def nothing_left_behind(shop):
    yield
    shop.crash_file.unlink(missing_ok=True)
    shop.sandbox.world.faults.clear()


def buys_unheard(shop):
    """A buyer of whose payment no webhook tells."""
    buyer = Customer(shop)
    buyer.note(shop.sandbox.stripe.buy(PLANS, email=buyer.email, name=buyer.name))
    return buyer


def fulfilled(buyer):
    order = buyer.order()
    return order if order and order["fulfilment_status"] == "fulfilled" else None


def assert_sold_once(buyer):
    assert len(buyer.shop.orders(email=buyer.email)) == 1
    assert sorted(mail.custom_args["step"] for mail in buyer.shop.sandbox.mails(buyer.email)) == [
        "receipt",
        "studio-plans.your-access",
    ]
    links = buyer.shop.sandbox.platform.links.values()
    assert sum(sent["buyer"]["email"] == buyer.email for sent in links) == 1


@pytest.mark.parametrize("point", [Point.PAGE_TAKEN, Point.CURSOR_MOVED])
@pytest.mark.parametrize("which", ["events", "sessions"])
def test_a_payment_that_nobody_told_of_is_found_although_catch_up_is_killed_over_it(shop, which, point):
    buyer = buys_unheard(shop)
    shop.advance(LONG)
    if AWAY[which]:
        shop.sandbox.fault("stripe", "status", status=503, path=AWAY[which], times=None)
    crash_at(shop, point)
    drain(shop, lambda: fulfilled(buyer), lambda: str(buyer.order()))
    shop.sandbox.world.faults.clear()
    shop.advance(LONG)
    shop.catch_up()
    assert_sold_once(buyer)


def test_a_parcel_that_nobody_told_of_is_found_although_catch_up_is_killed_over_it(shop):
    buyer = Receiver(shop)
    buyer.pays()
    drain(shop, lambda: buyer.rests() and buyer.prints(), buyer.story)
    buyer.is_sent(told=False)
    shop.advance(LONG)
    shop.sandbox.fault("stripe", "status", status=503, path=AWAY["prints"], times=None)
    crash_at(shop, Point.PAGE_TAKEN)
    drain(shop, lambda: buyer.rests() and buyer.parcels(), buyer.story)
    shop.sandbox.world.faults.clear()
    shop.advance(LONG)
    shop.catch_up()
    assert (buyer.parcels(), buyer.parcel_mails()) == (["printful"], [1])


def test_a_recovery_that_is_killed_before_it_noted_its_slice_repairs_everything_once(tmp_path):
    with LocalShop(tmp_path, catch_up=False, autosend=False) as shop:
        buyers = [buys_unheard(shop) for _ in range(3)]
        shop.advance(LONG_AGO)
        crash_at(shop, Point.SLICE_DONE)
        drain(shop, lambda: all(fulfilled(buyer) for buyer in buyers), lambda: str(shop.orders()))
        assert shop.client.call("catch-up", "/recover", method="GET")["last"]["finished_at"]
        found = [event["id"] for event in shop.ask("/events", method="GET")["items"]]
        assert len(found) == len(buyers)
        assert not any(id.endswith(".paid") for id in found), "catch-up's own look found them, no recovery was needed"
        for buyer in buyers:
            assert_sold_once(buyer)
