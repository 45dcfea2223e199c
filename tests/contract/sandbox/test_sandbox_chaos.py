"""Chaos on the way to the shop: webhooks that get lost for good, and webhooks that come twice."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode

import pytest
import requests
import stripe

from local.sandbox import Sandbox
from local.sandbox.autopay_messages import digest

KEY = "sandbox-autopay-key"
JOHN = {"name": "John Doe", "address1": "Prosta 1", "city": "Warszawa", "country_code": "PL", "zip": "00-001"}


def confirmed(body: bytes) -> bytes:
    """Autopay wants a signed answer; the others want none."""
    if not body.startswith(b"transactions"):
        return b""
    order = re.search(rb"<orderID>(.+?)<", base64.b64decode(parse_qs(body)[b"transactions"][0]))[1].decode()
    return (
        f"<confirmationList><serviceID>123456</serviceID><transactionsConfirmations><transactionConfirmed>"
        f"<orderID>{order}</orderID><confirmation>CONFIRMED</confirmation></transactionConfirmed>"
        f"</transactionsConfirmations><hash>{digest(['123456', order, 'CONFIRMED'], KEY)}</hash></confirmationList>"
    ).encode()


@pytest.fixture
def sending(webhook) -> Iterator[Sandbox]:
    """A sandbox whose three senders post to one webhook."""
    webhook.answer = confirmed
    with Sandbox(seed=3, webhook_url=webhook.url) as sb:
        sb.autopay.itn_url = sb.printful.webhook_url = webhook.url
        sb.printful.add_variant(1, "T-shirt - S")
        yield sb


def by_stripe(sb: Sandbox) -> None:
    sb.stripe.buy(sb.stripe.add_payment_link([{"sku": "c", "name": "C", "unit_amount": 100, "currency": "eur"}])["id"])


def by_autopay(sb: Sandbox) -> None:
    values = {"ServiceID": "123456", "OrderID": "ord_1", "Amount": "49.00"}
    sb.autopay.later(f"{sb.url}/autopay/?{urlencode(values | {'Hash': digest(list(values.values()), KEY)})}")


def by_printful(sb: Sandbox) -> None:
    sb.printful.place({"recipient": JOHN, "items": [{"sync_variant_id": 1}]}, confirm=True)


SENDERS = {"stripe": by_stripe, "autopay": by_autopay, "printful": by_printful}


def idle(sb: Sandbox) -> None:
    assert all(sender.wait_idle() for sender in sb.senders)


@pytest.mark.parametrize("sender", SENDERS)
def test_a_lost_webhook_never_comes_and_its_sender_believes_that_it_did(sending: Sandbox, webhook, sender: str) -> None:
    sending.chaos(lost=1)
    SENDERS[sender](sending)
    idle(sending)
    [delivery] = sending.providers[sender].deliveries
    assert (delivery.status, delivery.error, delivery.lost) == (None, "lost for good", True)
    assert webhook.got == []
    assert sending.world.chaos.as_json()["by_sender"] == {sender: {"arrives": 0, "lost": 1, "doubled": 0}}
    sending.chaos()
    SENDERS[sender](sending)
    idle(sending)
    assert len(webhook.got) == 1


@pytest.mark.parametrize("sender", SENDERS)
def test_a_doubled_webhook_comes_twice_alike(sending: Sandbox, webhook, sender: str) -> None:
    sending.chaos(doubled=1)
    SENDERS[sender](sending)
    idle(sending)
    said = [json.loads(body) if body.startswith(b"{") else parse_qs(body.decode()) for body, _ in webhook.got]
    assert len(said) == 2
    for one in said:
        one.pop("retries", None), one.pop("pending_webhooks", None)
    assert said[0] == said[1]


def test_an_event_that_got_lost_can_be_listed_still(sending: Sandbox) -> None:
    """Stripe counts it as delivered, so only a list of everything finds it."""
    sending.chaos(lost=1)
    by_stripe(sending)
    idle(sending)
    api = stripe.StripeClient("sk_test_x", base_addresses={"api": f"{sending.url}/stripe"}, max_network_retries=0)
    paid = {"types": ["checkout.session.completed"]}
    assert len(api.v1.events.list(paid).data) == 1
    assert api.v1.events.list(paid | {"delivery_success": False}).data == []


def test_a_share_gets_lost_and_the_same_one_when_it_is_run_again() -> None:
    def run(seed: int) -> list[tuple[str, bool]]:
        sb = Sandbox(seed=seed)
        sb.printful.add_variant(1, "T-shirt - S")
        sb.chaos(lost=0.3, doubled=0.1)
        fate: Callable = sb.world.chaos.fate
        return [(f"e{n}", fate("printful", f"e{n}").value) for n in range(1000)]

    first = run(5)
    share = Counter(fate for _, fate in first)
    assert 250 < share["lost"] < 350
    assert 60 < share["doubled"] < 140
    assert run(5) == first
    assert run(6) != first


def test_a_message_sent_again_has_a_new_chance(sb: Sandbox) -> None:
    sb.chaos(lost=0.5, seed=1)
    fates = Counter(sb.world.chaos.fate("autopay", "itn_1").value for _ in range(40))
    assert set(fates) == {"lost", "arrives"}


def test_what_a_test_delivers_itself_arrives(sb: Sandbox, webhook) -> None:
    sb.stripe.webhook_url = webhook.url
    sb.chaos(lost=1)
    by_stripe(sb)
    assert sb.stripe.deliver(sb.stripe.events("checkout.session.completed")[0]) == 200
    assert len(webhook.got) == 1


def test_chaos_is_switched_over_http_and_on_the_page(sending: Sandbox) -> None:
    admin, page = f"{sending.url}/_sandbox/chaos", f"{sending.url}/"
    set_to = requests.post(admin, json={"lost": 1, "doubled": 0}, timeout=5).json()
    assert (set_to["lost"], set_to["dropped"]) == (1, 0)
    by_printful(sending)
    idle(sending)
    assert requests.get(admin, timeout=5).json()["dropped"] == 1
    assert "Dropped so far: <strong>1</strong>" in requests.get(page, timeout=5).text
    for wrong in ({"lost": 1.1}, {"lost": 0.6, "doubled": 0.6}, {"mood": 1}, {"lost": "much"}):
        assert requests.post(admin, json=wrong, timeout=5).status_code == 400
    requests.post(f"{sending.url}/chaos", data={"do": "stop"}, timeout=5)
    assert requests.get(admin, timeout=5).json()["lost"] == 0
    shown = requests.post(f"{sending.url}/chaos", data={"lost": "30", "doubled": "10"}, timeout=5).text
    assert "<strong>30 %</strong> are lost" in shown
    assert requests.post(f"{sending.url}/chaos", data={"lost": "300"}, timeout=5).status_code == 400
    sending.reset()
    assert requests.get(admin, timeout=5).json() == {"lost": 0.0, "doubled": 0.0, "dropped": 0, "by_sender": {}}
