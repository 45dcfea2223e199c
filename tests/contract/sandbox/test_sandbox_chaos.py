"""Chaos on the way to the shop: webhooks that get lost for good, that come twice, and that come late."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

import pytest
import requests
import stripe

from local.sandbox import Sandbox
from local.sandbox.autopay_messages import digest
from local.sandbox.chaos import LATEST, SOONEST, Chaos, Fate

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
    """A sandbox whose three senders post to one webhook; its clock moves only when it is told to."""
    with Sandbox(seed=3, clock=lambda: datetime(2026, 11, 20, 12, tzinfo=UTC), webhook_url=webhook.url) as sb:
        yield posting_to(webhook, sb)


def posting_to(webhook, sb: Sandbox) -> Sandbox:
    webhook.answer = confirmed
    sb.stripe.webhook_url = sb.autopay.itn_url = sb.printful.webhook_url = webhook.url
    sb.printful.add_variant(1, "T-shirt - S")
    return sb


def by_stripe(sb: Sandbox) -> None:
    sb.stripe.buy(sb.stripe.add_payment_link([{"sku": "c", "name": "C", "unit_amount": 100, "currency": "eur"}])["id"])


def by_autopay(sb: Sandbox) -> None:
    values = {"ServiceID": "123456", "OrderID": "ord_1", "Amount": "49.00"}
    sb.autopay.later(f"{sb.url}/autopay/?{urlencode(values | {'Hash': digest(list(values.values()), KEY)})}")


def by_printful(sb: Sandbox) -> None:
    sb.printful.place({"recipient": JOHN, "items": [{"sync_variant_id": 1}]}, confirm=True)


SENDERS = {"stripe": by_stripe, "autopay": by_autopay, "printful": by_printful}
PAID = "checkout.session.completed"


def made(sb: Sandbox, sender: str) -> list[str]:
    """The ids of what a sender has for the shop, oldest first."""
    if sender == "stripe":
        return [event["id"] for event in sb.stripe.events(PAID)]
    return [one.id for one in (sb.autopay.notifications() if sender == "autopay" else sb.printful.events())]


def tried(sb: Sandbox, sender: str) -> list[str]:
    """The ids of what a sender has posted, in that order."""
    return [getattr(d, "event_id", None) or d.notification_id for d in sb.providers[sender].deliveries]


def delay(sender: str, message_id: str, seed: object) -> int:
    """How late a message is with this seed, when all are."""
    chaos = Chaos()
    chaos.set(0, 0, 1, seed)
    fate, seconds = chaos.fate(sender, message_id)
    assert fate is Fate.LATE
    return seconds


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
    assert sending.world.chaos.as_json()["by_sender"] == {sender: {"arrives": 0, "lost": 1, "doubled": 0, "late": 0}}
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
    paid = {"types": [PAID]}
    assert len(api.v1.events.list(paid).data) == 1
    assert api.v1.events.list(paid | {"delivery_success": False}).data == []


def test_a_share_gets_lost_and_the_same_one_when_it_is_run_again() -> None:
    def run(seed: int) -> list[tuple[str, Fate, int]]:
        sb = Sandbox(seed=seed)
        sb.printful.add_variant(1, "T-shirt - S")
        sb.chaos(lost=0.3, doubled=0.1, late=0.1)
        return [(f"e{n}", *sb.world.chaos.fate("printful", f"e{n}")) for n in range(1000)]

    first = run(5)
    share = Counter(fate.value for _, fate, _ in first)
    assert 250 < share["lost"] < 350
    assert 60 < share["doubled"] < 140
    assert 60 < share["late"] < 140
    delays = [seconds for _, fate, seconds in first if fate is Fate.LATE]
    assert SOONEST <= min(delays) < 1800
    assert 43_200 < max(delays) <= LATEST
    assert not any(seconds for _, fate, seconds in first if fate is not Fate.LATE)
    assert run(5) == first
    assert run(6) != first


def test_shares_that_make_up_the_whole_are_taken(sb: Sandbox) -> None:
    shares = {"lost": 0.34, "doubled": 0.56, "late": 0.1}
    assert sum(shares.values()) > 1  # by a rounding error
    assert sb.chaos(**shares).items() >= shares.items()


def test_a_message_sent_again_has_a_new_chance(sb: Sandbox) -> None:
    sb.chaos(lost=0.5, seed=1)
    fates = Counter(sb.world.chaos.fate("autopay", "itn_1")[0].value for _ in range(40))
    assert set(fates) == {"lost", "arrives"}


def test_what_a_test_delivers_itself_arrives(sb: Sandbox, webhook) -> None:
    sb.stripe.webhook_url = webhook.url
    sb.chaos(lost=1)
    by_stripe(sb)
    assert sb.stripe.deliver(sb.stripe.events(PAID)[0]) == 200
    assert len(webhook.got) == 1


@pytest.mark.parametrize("sender", SENDERS)
def test_a_late_webhook_comes_after_one_that_was_sent_later_at_its_time_and_once(
    sending: Sandbox, webhook, sender: str
) -> None:
    sending.chaos(late=1, seed=7)
    SENDERS[sender](sending)
    sending.chaos()
    SENDERS[sender](sending)
    first, second = made(sending, sender)
    wait = delay(sender, first, 7)
    idle(sending)
    assert tried(sending, sender) == [second]
    sending.advance(wait - 1)
    idle(sending)
    assert tried(sending, sender) == [second]
    sending.advance(1)
    idle(sending)
    assert tried(sending, sender) == [second, first]
    sending.advance(LATEST)
    idle(sending)
    assert len(webhook.got) == 2
    assert sending.world.chaos.as_json()["by_sender"] == {sender: {"arrives": 0, "lost": 0, "doubled": 0, "late": 1}}


def test_late_webhooks_come_in_the_order_of_their_times_and_alike_when_it_is_run_again(webhook) -> None:
    def run(seed: int) -> list[str]:
        standing = datetime(2026, 11, 20, 12, tzinfo=UTC)
        with Sandbox(seed=3, clock=lambda: standing, webhook_url=webhook.url) as sb:
            sb.chaos(late=1, seed=seed)
            for _ in range(6):
                by_stripe(sb)
            ids = made(sb, "stripe")
            for seconds in sorted(delay("stripe", one, seed) for one in ids):
                sb.advance(seconds - sb.world.advanced())
                idle(sb)
            assert sorted(tried(sb, "stripe")) == sorted(ids)
            return [ids.index(one) for one in tried(sb, "stripe")]

    first = run(5)
    assert first != sorted(first)
    assert run(5) == first
    assert run(6) != first


def test_a_late_event_shows_the_sale_as_it_was_and_is_signed_when_it_is_sent(sending: Sandbox, webhook) -> None:
    sending.chaos(late=1)
    by_stripe(sending)
    sending.stripe.newest("checkout.session")[0]["payment_status"] = "unpaid"
    before = time.time()
    time.sleep(1.1)
    sending.advance(LATEST)
    idle(sending)
    [(body, headers)] = webhook.got
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], sending.stripe.secret)
    assert event["data"]["object"]["payment_status"] == "paid"
    assert int(headers["Stripe-Signature"].split(",")[0].removeprefix("t=")) > before


def test_that_a_payment_is_pending_may_be_told_after_its_success(sending: Sandbox) -> None:
    sending.chaos(late=1)
    by_autopay(sending)
    sending.chaos()
    sending.autopay.settle("ord_1")
    idle(sending)
    sending.advance(LATEST)
    idle(sending)
    assert [d.payment_status for d in sending.autopay.deliveries] == ["SUCCESS", "PENDING"]


def test_a_late_message_of_printful_shows_its_order_as_it_was(sending: Sandbox, webhook) -> None:
    sending.chaos(late=1)
    by_printful(sending)
    sending.chaos()
    sending.printful.cancel(sending.printful.orders()[0]["id"], "Out of stock")
    idle(sending)
    sending.advance(LATEST)
    idle(sending)
    assert [json.loads(body)["data"]["order"]["status"] for body, _ in webhook.got] == ["canceled", "pending"]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_late_webhook_that_is_refused_is_tried_again(sending: Sandbox, webhook, sender: str) -> None:
    webhook.statuses = [500]
    sending.chaos(late=1)
    SENDERS[sender](sending)
    sending.advance(LATEST)
    idle(sending)
    assert tried(sending, sender) == made(sending, sender) * 2


@pytest.mark.parametrize("sender", SENDERS)
def test_a_reset_forgets_what_is_held_back(sending: Sandbox, webhook, sender: str) -> None:
    sending.chaos(late=1)
    SENDERS[sender](sending)
    assert sending.providers[sender].held == 1
    sending.reset()
    assert sending.providers[sender].held == 0
    sending.advance(LATEST)
    idle(sending)
    assert webhook.got == []


def test_a_late_webhook_comes_soon_after_the_clock_has_moved(sending: Sandbox, webhook) -> None:
    sending.chaos(late=1)
    by_printful(sending)
    time.sleep(0.3)
    sending.advance(LATEST)
    came_within(5, webhook)


def came_within(seconds: float, webhook) -> None:
    """One webhook came, though nobody asked the sender whether it is idle."""
    until = time.monotonic() + seconds
    while not webhook.got and time.monotonic() < until:
        time.sleep(0.02)
    assert len(webhook.got) == 1


def test_a_late_webhook_comes_by_itself_where_the_clock_runs(webhook) -> None:
    with Sandbox(seed=3) as sb:
        posting_to(webhook, sb).chaos(late=1, seed=7)
        by_printful(sb)
        time.sleep(0.3)  # until the courier sleeps, for as long as it has to by then
        sb.advance(delay("printful", made(sb, "printful")[0], 7) - 2)
        idle(sb)
        assert webhook.got == []
        came_within(10, webhook)


def test_chaos_is_switched_over_http_and_on_the_page(sending: Sandbox) -> None:
    admin, page = f"{sending.url}/_sandbox/chaos", f"{sending.url}/"
    set_to = requests.post(admin, json={"lost": 1, "doubled": 0, "late": 0}, timeout=5).json()
    assert (set_to["lost"], set_to["late"], set_to["dropped"]) == (1, 0, 0)
    by_printful(sending)
    idle(sending)
    assert requests.get(admin, timeout=5).json()["dropped"] == 1
    assert "Dropped so far: <strong>1</strong>" in requests.get(page, timeout=5).text
    for wrong in (
        {"lost": 1.1},
        {"lost": 0.6, "doubled": 0.6},
        {"lost": 0.4, "doubled": 0.4, "late": 0.4},
        {"late": -0.1},
        {"late": "nan"},
        {"mood": 1},
        {"lost": "much"},
    ):
        assert requests.post(admin, json=wrong, timeout=5).status_code == 400
    refused = requests.post(admin, json={"late": 2}, timeout=5).json()["error"]
    assert refused == ("lost, doubled and late are shares of all webhooks: between 0 and 1, and together at most 1")
    requests.post(f"{sending.url}/chaos", data={"do": "stop"}, timeout=5)
    assert requests.get(admin, timeout=5).json()["lost"] == 0
    shown = requests.post(f"{sending.url}/chaos", data={"lost": "30", "doubled": "10", "late": "20"}, timeout=5).text
    assert "<strong>30 %</strong> are lost" in shown
    assert "<strong>10 %</strong> come twice" in shown
    assert "<strong>20 %</strong> come late" in shown
    shown = requests.post(f"{sending.url}/chaos", data={"late": "100"}, timeout=5).text
    assert "<strong>100 %</strong> come late" in shown
    by_printful(sending)
    shown = requests.get(page, timeout=5).text
    assert "printful 1 lost, 0 doubled and 1 late of 2" in shown
    assert "Held back now: <strong>1</strong>" in shown
    assert requests.post(f"{sending.url}/chaos", data={"lost": "300"}, timeout=5).status_code == 400
    sending.reset()
    assert requests.get(admin, timeout=5).json() == {
        "lost": 0.0,
        "doubled": 0.0,
        "late": 0.0,
        "dropped": 0,
        "by_sender": {},
    }
