"""SIGKILL at every named point between two durable effects: one order, every effect once, nothing forgotten.

The points are listed by the code itself, so a new one is covered without editing this file; one that this purchase
never comes past fails here, because its process is not killed. Those of a checkout are test_kill_at_checkout.py's, and
those of a recovery test_kill_at_catch_up.py's.
"""

from __future__ import annotations

import contextlib

import pytest

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.bursts import hear_of
from support.carts import AT_CHECKOUT
from support.customers import PLANS, WHEEL, Customer, eventually
from support.databases import DATABASES, fresh
from support.kills import AT_RECOVERY

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400

#: Kit's refresh token works once; if its answer dies with the process, the owner has to authorise the app again.
TOKEN_IS_LOST = {Point.TOKEN_REFRESHED}

#: Where a step's function dies before it has anything to do with the store.
WITHOUT_STORE = [Point.BEFORE_PROVIDER, Point.AFTER_PROVIDER, Point.TOKEN_REFRESHED]

#: The mail that is planned for days later, and may be sent or not when a test ends.
LATER = "how-is-it-going"


#: For what the database has no part in.
on_one_database = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", params=DATABASES)
def shop(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    store = fresh(request.param, folder)
    with LocalShop(folder / "state", store=store, catch_up=False, autosend=False) as shop:
        yield shop


@pytest.fixture
def customer(shop):
    yield Customer(shop)
    shop.crash_file.unlink(missing_ok=True)
    shop.sandbox.world.faults.clear()


def crash_at(shop, point):
    shop.crash_file.write_text(point)


def buy(customer, link):
    stripe = customer.shop.sandbox.stripe
    hear_of(customer, stripe.buy(link, email=customer.email, name=customer.name))


def busy(order):
    return order is None or any(step["state"] in ("due", "running") for step in order["steps"])


def tried_again(order):
    """A step that a killed process did not answer may wait for its next attempt, and the order be fulfilled before."""
    return any(step["state"] == "failed" for step in order["steps"])


def drain(shop, customer, until="fulfilled"):
    """Catch-up runs and time passes until the crash has happened and the order has come to its end.

    A lease whose process is dead has to run out; while order-store lives, what it does ends by itself.
    """
    alive = shop.gateway.pid("order-store")
    for _ in range(12):
        with contextlib.suppress(FunctionFailed):  # the process that was killed may be the one that was asked
            shop.catch_up()
        if shop.gateway.pid("order-store") == alive:
            eventually(lambda: not busy(customer.order()) or shop.gateway.pid("order-store") != alive)
        crashed = not shop.crash_file.exists()  # asked first: an order read before the crash knows nothing of it
        order = customer.order()
        if crashed and not busy(order) and not tried_again(order) and order["fulfilment_status"] == until:
            return order
        shop.advance(LONG)
    missed = f"nobody came to {shop.crash_file.read_text()}" if shop.crash_file.exists() else "the order did not end"
    raise AssertionError(f"{missed}: {customer.order()}")


def authorise_again(shop):
    """What the owner does when Kit takes the refresh token no more."""
    (shop.state_dir / "secrets-all" / "kit-refresh-token").write_text(shop.sandbox.kit.refresh_token)


def mails(customer):
    """How often the buyer got each mail, by its step; without the one that is planned for later."""
    steps = [mail.custom_args["step"] for mail in customer.shop.sandbox.mails(customer.email)]
    return {step: steps.count(step) for step in steps if not step.endswith(LATER)}


def purchases(customer):
    kept = customer.shop.sandbox.kit.purchases.values()
    return [one["transaction_id"] for one in kept if one["email_address"] == customer.email]


@pytest.mark.parametrize("point", [one for one in Point if one not in {*AT_CHECKOUT, *AT_RECOVERY, *WITHOUT_STORE}])
def test_a_process_killed_here_loses_nothing_and_repeats_nothing(shop, customer, point):
    """On every database."""
    is_survived(shop, customer, point)


@on_one_database
@pytest.mark.parametrize("point", WITHOUT_STORE)
def test_a_step_killed_before_it_stores_anything_loses_nothing_and_repeats_nothing(shop, customer, point):
    is_survived(shop, customer, point)


def is_survived(shop, customer, point):
    """Each purchase asks Kit for new tokens, so that that point is come past as well."""
    shop.sandbox.kit.expire_access_token()
    crash_at(shop, point)
    buy(customer, WHEEL)
    if point in TOKEN_IS_LOST:
        order = drain(shop, customer, until="needs_attention")
        dead = [step for step in order["steps"] if step["state"] == "dead"]
        assert {step["id"] for step in dead} == {"wheel-basics.purchase", "wheel-basics.sequence"}
        assert all("authoris" in step["error"] for step in dead)
        authorise_again(shop)
        shop.ask(f"/orders/{order['id']}/retry")
    order = drain(shop, customer)
    assert len(shop.orders(email=customer.email)) == 1
    owed = [step for step in order["steps"] if not step["follow_up"]]
    assert [step["state"] for step in owed] == ["done"] * 6
    assert purchases(customer) == [f"{order['id']}.wheel-basics.purchase"]
    assert list(shop.sandbox.discourse.invites).count(customer.email) == 1
    assert shop.sandbox.kit.sequence_members[7301].count(customer.email) == 1
    shop.catch_up()
    assert mails(customer) == {"wheel-basics.your-access": 1, "receipt": 1}


@on_one_database
def test_a_point_that_nobody_comes_to_is_not_taken_for_survived(shop, customer):
    """The control: the tests above fail for a point that is in the list and in no function's way."""
    crash_at(shop, "a point of a later version")
    buy(customer, PLANS)
    with pytest.raises(AssertionError, match="nobody came to a point of a later version"):
        drain(shop, customer)


@on_one_database
@pytest.mark.parametrize(("point", "times"), [(Point.BEFORE_PROVIDER, 1), (Point.AFTER_PROVIDER, 2)])
def test_a_mail_is_repeated_only_when_the_process_dies_after_the_provider_took_it(shop, customer, point, times):
    """The documented window, shown: SendGrid has no idempotency key, so the mail goes out twice, and nothing else."""
    buy(customer, PLANS)
    drain(shop, customer)
    crash_at(shop, point)
    hear_of(customer, shop.sandbox.stripe.refund(customer.session["id"], 500), "charge.refunded")
    drain(shop, customer)
    assert mails(customer) == {"studio-plans.your-access": 1, "receipt": 1, "refund-1.refund": times}


@on_one_database
def test_a_purchase_is_recorded_once_although_the_process_dies_after_kit_took_it(shop, customer):
    """The same place in mailing-list: Kit knows the transaction_id again."""
    shop.sandbox.fault("kit", "status", status=422, path="/v4/purchases", times=1)
    buy(customer, WHEEL)
    order = drain(shop, customer, until="needs_attention")
    crash_at(shop, Point.AFTER_PROVIDER)
    shop.ask(f"/orders/{order['id']}/retry")
    order = drain(shop, customer)
    sent = [call for call in shop.sandbox.calls("kit", "POST", "/v4/purchases") if customer.email in str(call.json)]
    assert [call.status for call in sent] == [422, 201, 200]
    assert purchases(customer) == [f"{order['id']}.wheel-basics.purchase"]
