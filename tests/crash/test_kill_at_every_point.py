"""SIGKILL at every named point between two durable effects: one order, every effect once, nothing forgotten.

The points are listed by the code itself, so a new one is covered without editing this file.
"""

from __future__ import annotations

import contextlib

import pytest

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.customers import WHEEL, Customer, eventually

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400

#: Mails are sent at least once: SendGrid has no idempotency key, so this is the one place a mail may go out twice.
MAIL_MAY_REPEAT = {Point.AFTER_PROVIDER}

#: Kit's refresh token works once; if its answer dies with the process, the owner has to authorise the app again.
TOKEN_IS_LOST = {Point.TOKEN_REFRESHED}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False) as shop:
        yield shop


def crash_at(shop, point):
    shop.crash_file.write_text(point)


def drain(shop, customer, until="fulfilled"):
    """Catch-up runs and time passes until the crash has happened and the order has come to its end."""

    def ended():
        order = customer.order()
        crashed = not shop.crash_file.exists()
        return order if order and order["fulfilment_status"] == until and crashed else None

    for _ in range(12):
        with contextlib.suppress(FunctionFailed):  # the process that was killed may be the one that was asked
            shop.catch_up()
        with contextlib.suppress(AssertionError):
            return eventually(ended, seconds=2)
        shop.advance(LONG)
    raise AssertionError(f"{shop.crash_file.exists()} {customer.order()}")


@pytest.mark.parametrize("point", [point for point in Point if point not in TOKEN_IS_LOST])
def test_a_process_killed_here_loses_nothing_and_repeats_nothing(shop, point):
    customer = Customer(shop)
    crash_at(shop, point)
    customer.buy(WHEEL)
    order = drain(shop, customer)
    assert len(shop.orders(email=customer.email)) == 1
    assert [step["state"] for step in order["steps"] if not step["follow_up"]] == ["done"] * 6
    kit = shop.sandbox.kit
    assert [one["transaction_id"] for one in kit.purchases.values() if one["email_address"] == customer.email] == [
        f"{order['id']}.wheel-basics.purchase"
    ]
    assert [address for address in shop.sandbox.discourse.invites if address == customer.email] == [customer.email]
    shop.catch_up()
    mails = [mail.subject for mail in shop.sandbox.mails(customer.email) if "going" not in mail.subject]
    assert sorted(set(mails)) == sorted(mails) or point in MAIL_MAY_REPEAT
    assert len(set(mails)) == 2


def test_a_mail_is_repeated_only_when_the_process_dies_after_the_provider_took_it(shop):
    """The documented window, shown: the receipt goes out twice, and nothing else does."""
    customer = Customer(shop)
    shop.sandbox.stripe.autosend = False
    customer.buy("plink_1PushcartPlans")
    shop.sandbox.stripe.autosend = True
    [event] = shop.sandbox.stripe.events("checkout.session.completed", customer.session)
    shop.sandbox.fault("sendgrid", "lost_answer", times=1)
    assert shop.sandbox.stripe.deliver(event) == 200
    shop.crash_file.unlink(missing_ok=True)
    drain(shop, customer)
    subjects = [mail.subject for mail in shop.sandbox.mails(customer.email)]
    assert len(subjects) == 3
    assert len(set(subjects)) == 2


@pytest.mark.parametrize("point", TOKEN_IS_LOST)
def test_a_refresh_token_that_dies_with_the_process_is_told_to_the_owner(shop, point):
    customer = Customer(shop)
    shop.sandbox.kit.expire_access_token()
    crash_at(shop, point)
    customer.buy(WHEEL)
    order = drain(shop, customer, until="needs_attention")
    dead = [step for step in order["steps"] if step["state"] == "dead"]
    assert {step["id"] for step in dead} == {"wheel-basics.purchase", "wheel-basics.sequence"}
    assert all("authoris" in step["error"] for step in dead)
    assert len([mail for mail in shop.sandbox.mails(customer.email) if "going" not in mail.subject]) == 2
