"""From the first failure to the owner's phone, through real processes: what was told, once, and that it is over."""

from __future__ import annotations

import re
import shutil

import pytest
import requests

from local.shop import ROOT, LocalShop
from support.command import pushcart, shop_of
from support.customers import WHEEL, Customer, eventually


def without_quiet_hours(folder):
    """The shop that comes with Pushcart, for tests that run at night too."""
    shutil.copytree(ROOT / "deploy" / "shop", folder)
    file = folder / "shop.yml"
    others = re.sub(r"(?m)^alerts:.*\n(?:[ #].*\n|\n)*", "", file.read_text())
    file.write_text(f"{others}\nalerts:\n  quiet: null\n")
    return file


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of its own: what others let fail would be told here."""
    folder = tmp_path_factory.mktemp("alerts")
    with LocalShop(folder / "state", shop_file=without_quiet_hours(folder / "shop"), catch_up=False) as shop:
        shop.catch_up()
        yield shop


def watch(shop):
    """catch-up's minute."""
    shop.catch_up()
    return shop.client.call("alert", "/watch", {})


def told(shop, word):
    return [message for message in shop.sandbox.messages() if word in message.title + message.text]


def test_a_flood_of_forged_webhooks_is_one_message_and_the_owner_can_answer_it(shop):
    for _ in range(30):
        answer = requests.post(f"{shop.gateway.url}/function/stripe-webhook", data=b"{}", timeout=20)
        assert answer.status_code == 400
    eventually(lambda: watch(shop) and told(shop, "stripe-webhook refused"))
    assert len(told(shop, "stripe-webhook refused")) == 1
    assert "signatures.stripe-webhook" in pushcart("alerts", "list", at=shop_of(shop)).out
    assert pushcart("alerts", "answer", "signatures.stripe-webhook", at=shop_of(shop)).code == 0
    assert "in hand" in pushcart("alerts", "list", at=shop_of(shop)).out


def test_the_public_page_says_whether_all_is_well_and_no_more(shop):
    page = requests.get(f"{shop.gateway.url}/function/alert/health", timeout=20)
    assert page.headers["Content-Type"] == "application/health+json"
    assert set(page.json()["checks"]) == {"store", "catch-up:heartbeat", "inbox:oldest", "incidents:critical"}
    assert "@" not in page.text
    assert requests.get(f"{shop.gateway.url}/function/alert/incidents", timeout=20).status_code == 401


def test_a_test_message_reaches_the_phone(shop):
    before = len(shop.sandbox.messages("twilio"))
    done = shop.client.call("alert", "/test", {"level": "critical"})
    assert {one["to"]: one["ok"] for one in done["sent"]} == {"twilio": True, "ntfy": True}
    assert len(shop.sandbox.messages("twilio")) == before + 1
    assert len(shop.sandbox.messages("twilio")[-1].text) <= 300


def test_three_dead_steps_are_one_message_on_the_phone_without_a_name_and_one_that_it_is_over(shop):
    shop.sandbox.fault("discourse", "status", status=403, times=None)
    buyers = [Customer(shop) for _ in range(3)]
    for buyer in buyers:
        buyer.buy(WHEEL)
    orders = [buyer.wait(fulfilment="needs_attention") for buyer in buyers]
    eventually(lambda: watch(shop) and told(shop, "kind invite"))
    watch(shop)
    messages = told(shop, "kind invite")
    assert len(messages) == 1
    text = messages[0].title + messages[0].text
    assert any(order["id"] in text for order in orders)
    assert not any(word in text for buyer in buyers for word in (buyer.email, buyer.name))
    shop.sandbox.world.faults.clear()
    for order in orders:
        shop.ask(f"/orders/{order['id']}/retry", {})
    for buyer in buyers:
        buyer.wait(fulfilment="fulfilled")
    shop.advance(301)
    watch(shop)
    eventually(lambda: watch(shop) and len(told(shop, "kind invite")) == 2)
    assert "Over: " in told(shop, "kind invite")[-1].title


def test_when_no_address_answers_the_owner_gets_a_mail_and_the_phone_later(shop):
    shop.sandbox.fault("twilio", "status", status=500, times=None)
    shop.sandbox.fault("ntfy", "status", status=500, times=None)
    shop.sandbox.fault("kit", "status", status=401, times=None)
    buyer = Customer(shop)
    buyer.buy(WHEEL)
    buyer.wait(fulfilment="needs_attention")

    def mailed():
        watch(shop)
        mails = shop.sandbox.mails("owner@meadow-pottery.example")
        return [mail for mail in mails if "of the kind purchase" in mail.text.replace("\n", " ")]

    eventually(mailed)
    assert told(shop, "kind purchase") == []
    shop.sandbox.world.faults.clear()
    shop.advance(70)
    eventually(lambda: watch(shop) and told(shop, "kind purchase"))
    assert len(mailed()) == 1
