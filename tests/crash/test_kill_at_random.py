"""kill -9 of any function at any moment of a burst: after a drain nothing is lost and every effect is there once."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from local.shop import ROOT, LocalShop
from pushcart.errors import FunctionFailed
from pushcart.store import connect
from support.bursts import Burst
from support.customers import GLAZE, PLANS, WHEEL

FUNCTIONS = (
    "stripe-webhook",
    "order-store",
    "invite-link",
    "mailing-list",
    "printful-order",
    "printful-webhook",
    "email-dispatch",
    "alert",
    "catch-up",
)

#: Processes that are killed during one burst.
KILLS = 20

#: Longer than any lease, than the first waits of the retry schedule, and than what catch-up waits between two listings.
LONG = 700

SHIRT = "plink_1PushcartShirt"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    environment = {"drive_workers": "8"}
    folder = tmp_path_factory.mktemp("shop")
    options = {"catch_up": False, "autosend": False, "environment": environment}
    with LocalShop(folder / "state", shop_file=with_a_shirt_to_pay_by_link(folder), **options) as shop:
        shop.sandbox.printful.autosend = True
        yield shop


def with_a_shirt_to_pay_by_link(folder: Path) -> Path:
    """A shop.yml like the one in deploy/shop, whose shirt comes in one size."""
    shop = yaml.safe_load((ROOT / "deploy" / "shop" / "shop.yml").read_text())
    [shirt] = [product for product in shop["products"] if product["sku"] == "studio-shirt"]
    del shirt["options"]
    shirt |= {"fulfilment": [{"step": "print", "variant": 4830100102}], "stripe": {"payment_link": SHIRT}}
    file = folder / "shop.yml"
    file.write_text(yaml.safe_dump(shop, sort_keys=False))
    (folder / "mails").symlink_to(ROOT / "deploy" / "shop" / "mails")
    return file


class Printed(Burst):
    """Buyers of a shirt: Printful sends each as soon as it has the order, and says so until it is acknowledged."""

    def send(self) -> None:
        printful = self.shop.sandbox.printful
        ours = {one.email for one in self.customers}
        for made in printful.orders("pending"):
            if made["recipient"]["email"] in ours:
                printful.ship(made["id"])

    def judge(self) -> None:
        """One order at Printful, with one parcel of which the buyer was told; copies of that mail are one message."""
        printed = self.shop.sandbox.printful.orders()
        for customer in self.customers:
            order = customer.order()
            [made] = [one for one in printed if one["recipient"]["email"] == customer.email]
            assert (made["external_id"], made["status"]) == (order["id"], "fulfilled")
            [parcel] = made["shipments"]
            assert [one["id"] for one in order["parcels"]] == [str(parcel["id"])]
            told = [mail for mail in self.shop.sandbox.mails(customer.email) if "parcel" in mail.custom_args["step"]]
            assert len({mail.headers["Message-ID"] for mail in told}) == 1


def kill_some(shop, source, printed):
    """Kills one process after another, with pauses in which others have just started; how often each was killed."""
    killed = Counter()
    while killed.total() < KILLS:
        time.sleep(source.uniform(0.02, 0.4))
        printed.send()
        running = [function for function in FUNCTIONS if shop.gateway.pid(function)]
        if running:
            victim = source.choice(running)
            shop.gateway.kill(victim)
            killed[victim] += 1
        if len(running) < 2:
            with contextlib.suppress(FunctionFailed):
                shop.catch_up()
    return killed


def drain(shop, burst, printed, killed):
    """Time passes, with nothing in flight, and catch-up runs until every order is fulfilled."""
    for _ in range(15):
        # An orderly restart finishes what is in hand: no call is under way when the clock moves.
        for function in ("order-store", "invite-link", "mailing-list", "printful-order"):
            shop.gateway.restart(function)
        shop.advance(LONG)
        with contextlib.suppress(FunctionFailed):
            shop.catch_up()
        printed.send()
        authorise_again_if_it_was_lost(shop, burst, killed)
        if not burst.open() and not printed.open():
            return
    raise AssertionError([one.order() for one in (*burst.open(), *printed.open())])


def authorise_again_if_it_was_lost(shop, burst, killed):
    """Kit's refresh token works once, so that the README's window can be hit here: then the owner has to do this.

    Nothing else may have made a step dead: mailing-list was killed, and the token that Kit takes now is in no store.
    """
    orders = [order for one in burst.open() if (order := one.order())]
    dead = {
        (order["id"], step["kind"], step["error"])
        for order in orders
        for step in order["steps"]
        if step["state"] == "dead"
    }
    if not dead:
        return
    assert all(kind in ("purchase", "sequence") and "authorise the app again" in error for _, kind, error in dead), dead
    assert killed["mailing-list"]
    store = connect((shop.state_dir / "secrets-all" / "store-url").read_text())
    held = store.get("tokens", "kit")
    store.close()
    token = shop.sandbox.kit.refresh_token
    assert held is None or held["refresh_token"] != token, "the token was never lost"
    (shop.state_dir / "secrets-all" / "kit-refresh-token").write_text(token)
    for order_id in {order_id for order_id, _, _ in dead}:
        shop.ask(f"/orders/{order_id}/retry")


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_during_a_burst_every_order_is_fulfilled_once(shop, seed):
    burst, printed = Burst(shop, [WHEEL, GLAZE, PLANS] * 9), Printed(shop, [SHIRT] * 6)
    killed = kill_some(shop, random.Random(seed), printed)
    burst.acknowledged()
    printed.acknowledged()
    assert len(killed) > 2
    drain(shop, burst, printed, killed)
    burst.judge()
    printed.judge()
