"""Stripe's events: rendered per API version, listed, signed and delivered with retries."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
import stripe

from local.sandbox import Sandbox

SECRET = "whsec_test"


@pytest.fixture
def sending(webhook) -> Sandbox:
    """A sandbox that delivers in the background to the webhook."""
    with Sandbox(seed=2, webhook_url=webhook.url, webhook_secret=SECRET) as sandbox:
        yield sandbox


def until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_events_are_delivered_as_stripe_does(sending: Sandbox, webhook, course: dict) -> None:
    """The SDK verifies the body's signature; the body is JSON with two spaces; nothing else is subscribed."""
    link = sending.stripe.add_payment_link([course | {"name": "Łódź ☕"}])["id"]
    session = sending.stripe.buy(link, name="Zoë Łukasz").object
    until(lambda: len(webhook.got) == 1)
    body, headers = webhook.got[0]
    stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], SECRET, tolerance=300)
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
    assert event.type == "checkout.session.completed"
    assert event.data.object["id"] == session["id"]
    assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode()
    assert "Zoë".encode() in body
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert event.api_version == "2026-10-28.endive"
    assert event.pending_webhooks == 1
    until(lambda: sending.stripe.events("checkout.session.completed")[0]["pending_webhooks"] == 0)


def test_a_refused_delivery_is_tried_again(sending: Sandbox, webhook, course: dict) -> None:
    webhook.statuses = [500]
    sending.stripe.buy(sending.stripe.add_payment_link([course])["id"])
    assert sending.stripe.wait_idle(5)
    assert [(d.attempt, d.status) for d in sending.stripe.deliveries] == [(1, 500), (2, 200)]
    first, second = (d.at for d in sending.stripe.deliveries)
    assert 0.9 < second - first < 5
    assert webhook.got[0][0] == webhook.got[1][0]


def test_a_webhook_that_is_down_leaves_the_event_pending(webhook, course: dict) -> None:
    """No answer at all, a redirect and a lost delivery: none counts as delivered."""
    with Sandbox(webhook_url="http://127.0.0.1:9/none", autosend=False) as sb:
        event = sb.stripe.buy(sb.stripe.add_payment_link([course])["id"]).events[-1]
        assert sb.stripe.deliver(event["id"]) is None
        assert sb.stripe.deliveries[-1].error == "ConnectionError"
        sb.stripe.webhook_url = webhook.url
        webhook.statuses = [302]
        assert sb.stripe.deliver(event["id"]) == 302
        sb.stripe.lose = True
        assert sb.stripe.deliver(event["id"]) is None
        assert len(webhook.got) == 1
        assert not any(d.acknowledged for d in sb.stripe.deliveries)


def test_deliveries_can_be_lost_in_the_background_too(sending: Sandbox, webhook, course: dict) -> None:
    sending.stripe.lose = True
    sending.stripe.buy(sending.stripe.add_payment_link([course])["id"])
    until(lambda: len(sending.stripe.deliveries) == 1)
    assert webhook.got == []
    assert sending.stripe.events()[-1]["pending_webhooks"] == 1


def test_a_test_delivers_in_any_order_and_as_often_as_it_likes(sb: Sandbox, webhook, link: str) -> None:
    sb.stripe.webhook_url = webhook.url
    bought, refunded = sb.stripe.buy(link).events[-1], None
    refunded = sb.stripe.refund(bought["data"]["object"]).events[0]
    assert webhook.got == []
    assert sb.stripe.deliver(refunded["id"]) == 200
    assert sb.stripe.deliver(bought["id"], times=2) == 200
    assert [json.loads(body)["type"] for body, _ in webhook.got] == [
        "charge.refunded",
        "checkout.session.completed",
        "checkout.session.completed",
    ]


def test_a_delivery_without_a_webhook_is_a_mistake(sb: Sandbox, link: str) -> None:
    with pytest.raises(ValueError, match="set webhook_url first"):
        sb.stripe.deliver(sb.stripe.buy(link).events[-1]["id"])


def test_a_foreign_event_is_delivered_though_nobody_asked(sending: Sandbox, webhook) -> None:
    sending.stripe.foreign_event("invoice.paid")
    until(lambda: len(webhook.got) == 1)
    assert json.loads(webhook.got[0][0])["type"] == "invoice.paid"


def test_an_endpoint_made_through_the_api_gets_its_own_signature(
    sb: Sandbox, api: stripe.StripeClient, webhook, link: str
) -> None:
    made = api.v1.webhook_endpoints.create({"url": webhook.url, "enabled_events": ["charge.succeeded"]})
    events = {e["type"]: e for e in sb.stripe.buy(link).events}
    sb.stripe.deliver(events["charge.succeeded"]["id"])
    body, headers = webhook.got[0]
    assert stripe.Webhook.construct_event(body, headers["Stripe-Signature"], made.secret).type == "charge.succeeded"


def test_bodies_are_signed_for_posting_by_hand(sb: Sandbox, link: str) -> None:
    """With another secret, at another time, or over any bytes."""
    event = sb.stripe.buy(link).events[-1]
    body, headers = sb.stripe.signed(event["id"], "whsec_other")
    stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], "whsec_other", tolerance=10)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], "whsec_sandbox")
    _, old = sb.stripe.signed(event["id"], at=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        stripe.WebhookSignature.verify_header(body.decode(), old["Stripe-Signature"], "whsec_sandbox", tolerance=300)
    raw, headers = sb.stripe.signed(b"not json")
    assert raw == b"not json"
    assert stripe.WebhookSignature.verify_header("not json", headers["Stripe-Signature"], "whsec_sandbox")


def test_the_signature_keeps_real_time_while_the_shop_travels(sb: Sandbox, clock, link: str) -> None:
    event = sb.stripe.buy(link).events[-1]
    clock.advance(30 * 86400)
    _, headers = sb.stripe.signed(event["id"])
    assert abs(int(headers["Stripe-Signature"].split(",")[0][2:]) - time.time()) < 5
    assert event["created"] == int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())


def test_old_api_versions_put_shipping_elsewhere(sb: Sandbox, shirt: dict) -> None:
    link = sb.stripe.add_payment_link([shirt], shipping_countries=["PL"], shipping_amount=500)["id"]

    def rendered(**how: object) -> tuple[str, dict]:
        event = sb.stripe.buy(link, **how).events[-1]
        return event["api_version"], event["data"]["object"]

    version, oldest = rendered(old_api_version=True)
    assert version == "2020-03-02"
    assert "collected_information" not in oldest
    assert oldest["shipping"]["address"]["country"] == "PL"
    assert oldest["shipping_rate"].startswith("shr_")
    version, older = rendered(api_version="2024-06-20")
    assert older["shipping_details"]["name"] == "Jenny Rosen"
    assert "collected_information" not in older
    assert older["ui_mode"] == "hosted"
    assert version == "2024-06-20"
    _, newest = rendered()
    assert newest["collected_information"]["shipping_details"]
    assert "shipping_details" not in newest
    assert newest["ui_mode"] == "hosted_page"


def test_old_charges_carry_their_refunds(sb: Sandbox, link: str) -> None:
    session = sb.stripe.buy(link).object
    sb.stripe.api_version = "2020-03-02"
    charge = sb.stripe.refund(session, 100).events[0]["data"]["object"]
    assert charge["refunds"]["total_count"] == 1
    assert charge["refunds"]["data"][0]["amount"] == 100


def test_events_are_listed_newest_first_by_type_and_time(
    sb: Sandbox, api: stripe.StripeClient, clock, link: str
) -> None:
    first = sb.stripe.buy(link).object
    clock.advance(10)
    since = int(clock().timestamp())
    sb.stripe.refund(first, 100)
    both = api.v1.events.list({"types": ["checkout.session.completed", "charge.refunded"]})
    assert [e.type for e in both.data] == ["charge.refunded", "checkout.session.completed"]
    assert [e.type for e in api.v1.events.list({"type": "charge.*"}).data] == ["charge.refunded", "charge.succeeded"]
    late = api.v1.events.list({"created": {"gte": since}})
    assert {e.type for e in late.data} == {"charge.refunded", "refund.created"}
    assert api.v1.events.retrieve(both.data[0].id).data.object["amount_refunded"] == 100
    everything = list(api.v1.events.list({"limit": 1}).auto_paging_iter())
    assert [e.id for e in everything] == [e["id"] for e in reversed(sb.stripe.events())]
    assert len(everything) == 6
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        api.v1.events.list({"types": ["charge.refunded"] * 21})


def test_undelivered_events_can_be_asked_for(sb: Sandbox, api: stripe.StripeClient, webhook, link: str) -> None:
    """What a catch-up lists: not those that nobody subscribed to, nor those that were acknowledged."""
    sb.stripe.webhook_url = webhook.url
    bought, kept = sb.stripe.buy(link).events[-1], sb.stripe.buy(link).events[-1]
    sb.stripe.deliver(bought["id"])
    assert [e.id for e in api.v1.events.list({"delivery_success": False}).data] == [kept["id"]]
    assert bought["id"] in {e.id for e in api.v1.events.list({"delivery_success": True}).data}


def test_events_are_kept_thirty_days(sb: Sandbox, api: stripe.StripeClient, clock, link: str) -> None:
    sb.stripe.buy(link)
    clock.advance(30 * 86400)
    assert len(api.v1.events.list().data) == 4
    clock.advance(1)
    assert api.v1.events.list().data == []


def test_a_snapshot_does_not_change_with_its_object(sb: Sandbox, link: str) -> None:
    session, _events = sb.stripe.buy(link, delayed=True)
    sb.stripe.settle(session)
    assert sb.stripe.events("checkout.session.completed")[0]["data"]["object"]["payment_status"] == "unpaid"


def test_events_and_deliveries_over_http(sb: Sandbox, webhook, link: str) -> None:
    """What a test in another process needs: settings, events, delivery on demand, the record of it."""
    admin = f"{sb.url}/_sandbox/stripe"
    sent = requests.post(f"{admin}/configure", json={"webhook_url": webhook.url}, timeout=5).json()["object"]
    assert sent["webhook_url"] == webhook.url
    session = sb.stripe.buy(link).object
    event = requests.get(f"{admin}/events", params={"about": session["id"]}, timeout=5).json()["events"][0]
    assert requests.post(f"{admin}/deliver", json={"event": event["id"]}, timeout=5).json()["object"] == 200
    deliveries = requests.get(f"{admin}/deliveries", timeout=5).json()["deliveries"]
    assert [(d["event_id"], d["status"]) for d in deliveries] == [(event["id"], 200)]
    refused = requests.post(f"{admin}/configure", json={"colour": 1}, timeout=5)
    assert refused.status_code == 400
    assert "colour" in refused.json()["error"]


def test_ids_repeat_with_the_seed_and_never_within_a_run(course: dict) -> None:
    def ids(seed: int) -> list[str]:
        with Sandbox(seed=seed, autosend=False) as sandbox:
            found = []
            for _ in range(2):
                link = sandbox.stripe.add_payment_link([course])["id"]
                found += [link, sandbox.stripe.buy(link).object["id"]]
                sandbox.reset()
                assert sandbox.stripe.events() == []
            return found

    assert ids(7) == ids(7) != ids(8)
    assert len(set(ids(7))) == 4
