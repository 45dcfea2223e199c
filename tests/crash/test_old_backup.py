"""The database is lost, or put back as it was days ago: Stripe and Printful alone bring every order back.

What they cannot know is counted here, and is the owner's to see to: mails sent since the backup go out a second time;
kits packed since then wait to be packed again until the owner says that they went; a payment by a signed link since
then is told as a strange order at Printful, because Autopay cannot be asked; Kit's tokens may be spent, so that its app
has to be authorised again. Nothing else is done twice.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.shop import LocalShop
from pushcart.clock import offset_clock
from pushcart.errors import FunctionFailed
from pushcart.store import connect
from support.carts import COURSE, HOME, PLANS, Shopper
from support.customers import GLAZE, WHEEL, Customer
from support.month import FUNCTIONS
from support.month_script import KIT, KIT_LINK
from support.resting import come_to_rest

SHIRT = {"sku": "studio-shirt", "quantity": 2, "options": {"Size": "L"}, "price": 2900}
HOUR, DAY = 3600, 86_400

#: Mails of an order in the backup about what became of it since.
SINCE = ("parcel-", "refund-", "attention.")

#: What everybody buys before the backup, and once more after it.
CARTS = [(SHIRT,), (SHIRT, COURSE), (SHIRT, KIT), (KIT, PLANS)]
LINKS = [WHEEL, GLAZE, KIT_LINK]


class Shop:
    """A shop that sells, and what the world holds because of it."""

    def __init__(self, local: LocalShop) -> None:
        self.local = local
        self.sandbox = local.sandbox
        self.file = local.state_dir / "shop.db"
        self.buyers: list[Customer] = []
        self.by_link: list[Shopper] = []

    def sell(self) -> None:
        """One of each; and the first cart is paid for by a signed link as well."""
        for link in LINKS:
            self.buyers.append(customer := Customer(self.local))
            customer.buy(link)
        for cart in CARTS:
            self.buyers.append(shopper := Shopper(self.local, *cart))
            shopper.begin()
            shopper.note(self.sandbox.stripe.buy(session=shopper.session_id, name=shopper.name))
        self.by_link.append(signed := Shopper(self.local, SHIRT, pay="autopay", shipping=HOME))
        signed.begin()
        signed.pay()
        self.pass_time(HOUR)

    def pass_time(self, seconds: int, times: int = 1) -> None:
        """Time passes, and cron calls; nothing is in hand when it does."""
        self.rest()
        for _ in range(times):
            self.local.advance(seconds)
            self.catch_up()
            self.rest()

    def catch_up(self) -> None:
        with contextlib.suppress(FunctionFailed):
            self.local.catch_up()

    def rest(self) -> None:
        store = connect(f"sqlite:///{self.file}")
        try:
            come_to_rest(self.local, store, offset_clock(self.local.clock_file), self.catch_up)
        finally:
            store.close()

    def orders(self) -> dict[str, dict[str, Any]]:
        return {found["id"]: self.local.order(found["id"]) for found in self.local.orders(limit="200")}

    def made(self) -> dict[str, Any]:
        """What was made for the buyers, each as often as it was made."""
        printed = Counter(one["recipient"]["email"] for one in self.sandbox.printful.orders())
        return {
            "prints": printed,
            "invitations": len(self.sandbox.discourse.invites),
            "enrolments": Counter(one["user_email"] for one in self.sandbox.thinkific.enrollments),
            "links": Counter(one["buyer"]["email"] for one in self.sandbox.platform.links.values()),
            "purchases": Counter(one["transaction_id"] for one in self.sandbox.kit.purchases.values()),
            "sequences": Counter(self.sandbox.kit.sequence_members[7301]),
        }

    def mails(self) -> Counter[tuple[str, str]]:
        sent = (mail.custom_args for mail in self.sandbox.mails())
        return Counter((args["order_id"], args["step"]) for args in sent if "order_id" in args)

    def print_of(self, buyer: Customer) -> int:
        [made] = self.sandbox.printful.orders(to=buyer.email)
        return int(made["id"])


@pytest.fixture
def shop(tmp_path):
    with LocalShop(tmp_path / "shop", catch_up=False) as local:
        yield Shop(local)


def copy_of(file: Path) -> Path:
    """A consistent copy of a database in use, as a backup makes it."""
    copy = file.with_name("backup.db")
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def put_back(shop: Shop, copy: Path | None) -> None:
    """The server dies, and comes up with this database, or with none."""
    for function in FUNCTIONS:
        shop.local.gateway.kill(function)
    for path in shop.file.parent.glob("shop.db*"):
        path.unlink()
    if copy:
        copy.rename(shop.file)
    # What the store held of Kit's tokens is old or gone: the owner authorises the app again.
    token = shop.local.state_dir / "secrets-all" / "kit-refresh-token"
    token.write_text(shop.sandbox.kit.refresh_token)


def said(order: dict[str, Any]) -> dict[str, Any]:
    """What Stripe and Printful know of an order."""
    return {
        "payment": order["payment_status"],
        "money": (order["payment"]["amount_total"], order["payment"]["amount_refunded"]),
        "email": order["email"],
        "lines": sorted((line["sku"], line["quantity"]) for line in order["lines"]),
        "prints": [(made["number"], made["status"]) for made in order["prints"]],
        "parcels": sorted(parcel["id"] for parcel in order["parcels"] if parcel["provider"] == "printful"),
    }


def told_as_strange(shop: Shop) -> list[str]:
    """Numbers of orders at Printful that the owner was alarmed about."""
    told = [one.title for one in shop.sandbox.messages("ntfy") if "CRITICAL: Printful has" in one.title]
    return sorted(number for title in told for number in re.findall(r"\b[0-9]{4,}\b", title))


@pytest.mark.parametrize("backup", ["a day old", "none"])
def test_every_order_is_back_and_nothing_is_made_twice(shop, backup):
    shop.sell()
    shirts, mixed = shop.buyers[len(LINKS)], shop.buyers[len(LINKS) + 1]
    shop.sandbox.printful.ship(shop.print_of(shirts))
    shop.pass_time(HOUR)
    copy = copy_of(shop.file) if backup != "none" else None
    in_backup = set(shop.orders()) if copy else set()

    shop.pass_time(4 * HOUR, times=2)
    shop.sell()
    shop.sandbox.stripe.refund(shop.buyers[0].session["id"], 1000)
    shop.sandbox.stripe.refund(shop.buyers[-2].session["id"])
    shop.sandbox.stripe.dispute(shop.buyers[1].session["id"])
    shop.sandbox.printful.ship(shop.print_of(mixed))
    shop.sandbox.printful.ship(shop.print_of(shop.buyers[-4]))
    shop.pass_time(HOUR, times=2)
    kits = [one for one in shop.orders().values() if any(step["by_owner"] for step in one["steps"])]
    packed = next(order for order in kits if order["payment_status"] == "paid")
    shop.local.ask(f"/orders/{packed['id']}/ship", {"carrier": "DHL", "tracking_number": "00340434"})
    shop.pass_time(DAY // 2)
    orders, made, sent = shop.orders(), shop.made(), shop.mails()

    put_back(shop, copy)
    shop.pass_time(1500, times=6)

    signed = [one for one in shop.by_link if one.id not in in_backup]
    called_off = shop.buyers[-2]
    again = shop.orders()
    assert set(again) == set(orders) - {one.id for one in signed}
    different = {id: (said(orders[id]), said(order)) for id, order in again.items() if said(order) != said(orders[id])}
    assert set(different) == {called_off.id}
    assert (again[called_off.id]["payment_status"], again[called_off.id]["steps"][0]["phase"]) == ("refunded", "refund")
    assert shop.made() == made
    dead = [(id, step["id"], step["error"]) for id in again for step in again[id]["steps"] if step["state"] == "dead"]
    assert not dead
    assert [step["state"] for step in again[packed["id"]]["steps"] if step["by_owner"]] == ["due"]
    assert told_as_strange(shop) == sorted(str(shop.print_of(one)) for one in signed)

    # What was sent since the backup goes out a second time, and nothing that the backup knew of.
    repeated = {mail: times - sent[mail] for mail, times in shop.mails().items() if sent[mail] and times > sent[mail]}
    assert set(repeated.values()) == {1}
    assert not {(id, step) for id, step in repeated if id in in_backup and not step.startswith(SINCE)}
    owed = {id for id in again if again[id]["payment_status"] in ("paid", "partially_refunded")}
    assert {id for id, step in repeated if step == "receipt"} == owed - in_backup
