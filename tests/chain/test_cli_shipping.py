"""From what waits on the table to the buyer's mail: the owner packs, sends and says so by the command."""

from __future__ import annotations

import pytest

from local.shop import LocalShop
from support.command import pushcart, shop_of
from support.customers import Customer, eventually

KIT = "plink_1PushcartClayKit"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of its own: the command has this machine's clock, and other tests let days pass in theirs."""
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False) as shop:
        yield shop


def test_what_is_packed_and_sent_reaches_the_buyer_as_one_mail_about_one_parcel(shop, customer, tmp_path):
    at, file = shop_of(shop), str(tmp_path / "packing.html")
    customer.buy(KIT)
    order = eventually(lambda: _waits_to_be_packed(customer))
    packed = pushcart("orders", "packing", "--output", file, "--json", at=at)
    assert packed.json == {"file": file, "orders": [order["id"]], "held": []}
    command = ("orders", "ship", order["id"], "--carrier", "InPost", "--tracking", "5200000126")
    assert pushcart(*command, at=at, answer="n").code == 1
    sent = pushcart(*command, at=at, answer="y")
    assert sent.code == 0, sent.err
    customer.wait(fulfilment="fulfilled")
    again = pushcart(*command, "--yes", at=at)
    assert (again.code, "nothing left to pack" in again.err) == (1, True)
    mails = eventually(lambda: [mail for mail in shop.sandbox.mails(customer.email) if "on its way" in mail.subject])
    assert len(mails) == 1
    for words in ("- 1 x Clay Kit", "https://inpost.pl/sledzenie-przesylek?number=5200000126", "Sent with: InPost"):
        assert words in mails[0].text.splitlines()
    shown = pushcart("orders", "show", order["id"], at=at)
    assert "you InPost 5200000126 1 x Clay Kit" in shown.words
    assert pushcart("orders", "packing", "--output", file, at=at).out == "Nothing waits to be packed.\n"


def _waits_to_be_packed(customer: Customer):
    order = customer.order()
    steps = order["steps"] if order else []
    return order if any(step["by_owner"] and step["state"] == "due" for step in steps) else None
