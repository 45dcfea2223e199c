"""stripe-webhook: what is signed and ours is in the inbox before the answer; the hint afterwards may be lost."""

from __future__ import annotations

import json
import time

import pytest
import stripe
from requests.structures import CaseInsensitiveDict

from pushcart.errors import ConfigurationError
from pushcart.repositories import Inbox
from pushcart.store import connect
from support.step_calls import Context, Event, environment, load_handler
from support.wire import Wire

SECRET = "whsec_test_secret"


@pytest.fixture
def gateway():
    with Wire() as wire:
        yield wire.say(202)


@pytest.fixture
def started(tmp_path, monkeypatch, gateway):
    url = f"sqlite:///{tmp_path}/shop.db"
    secrets = {"internal-key": "k" * 40, "store-url": url, "stripe-webhook-secret": SECRET}
    for name, value in environment(tmp_path / "secrets", "stripe-webhook", secrets, gateway_url=gateway.url).items():
        monkeypatch.setenv(name, value)
    handler = load_handler("stripe-webhook")
    handler.start()
    yield handler
    handler.stop()


@pytest.fixture
def inbox(started, tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Inbox(store)
    store.close()


def event(kind="checkout.session.completed", **changes):
    about = {"id": "cs_1", "object": "checkout.session", "payment_intent": "pi_1"}
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "livemode": False,
        "created": 1766886093,
        "api_version": "2025-12-15.clover",
        "data": {"object": about},
        **changes,
    }


def post(handler, document, context=None):
    body = json.dumps(document)
    signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, timestamp=int(time.time()))
    headers = CaseInsensitiveDict({"stripe-signature": signature})
    return handler.handle(Event(body.encode(), headers=headers), context or Context())


def test_an_event_is_kept_whole_with_what_it_is_about(started, inbox):
    assert post(started, event())["statusCode"] == 200
    kept = inbox.require("stripe:evt_1")
    assert (kept.type, kept.object_type, kept.object_id) == ("checkout.session.completed", "checkout.session", "cs_1")
    assert (kept.payment_intent, kept.created_at) == ("pi_1", "2025-12-28T01:41:33.000Z")
    assert json.loads(kept.body) == event()


def test_the_hint_to_order_store_carries_the_id_and_nothing_else(started, gateway):
    post(started, event())
    started.stop()
    [hint] = gateway.seen
    assert (hint.path, hint.json) == ("/async-function/order-store/kick", {"events": ["stripe:evt_1"]})
    assert "X-Pushcart-Signature" in hint.headers


def test_a_second_delivery_is_acknowledged_and_changes_nothing(started, inbox, gateway):
    for _ in range(3):
        assert post(started, event())["statusCode"] == 200
    started.stop()
    assert len(gateway.seen) == 1
    assert [kept.id for kept in inbox.list().items] == ["stripe:evt_1"]


@pytest.mark.parametrize(
    "signature", [None, "", "t=1,v1=0", f"t={int(time.time())},v1={'0' * 64}"], ids=["none", "empty", "old", "forged"]
)
def test_what_stripe_did_not_sign_is_refused_kept_nowhere_and_hinted_at_to_nobody(started, inbox, gateway, signature):
    headers = CaseInsensitiveDict({} if signature is None else {"stripe-signature": signature})
    answer = started.handle(Event(json.dumps(event()).encode(), headers=headers), Context())
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (400, "bad_signature")
    started.stop()
    assert (inbox.list().items, gateway.seen) == ([], [])


def test_a_gateway_that_is_down_does_not_delay_or_fail_the_acknowledgement(started, gateway):
    gateway.say(500)
    begun = time.monotonic()
    assert post(started, event())["statusCode"] == 200
    assert time.monotonic() - begun < 1


def test_an_event_nobody_needs_is_acknowledged_counted_and_not_kept(started, inbox, tmp_path):
    assert post(started, event("invoice.paid"))["statusCode"] == 200
    assert inbox.get("stripe:evt_1") is None
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert (
        store.get("counters", f"{time.strftime('%Y-%m-%d', time.gmtime())}.stripe.unneeded.invoice.paid")["value"] == 1
    )
    store.close()


@pytest.mark.parametrize(
    ("about", "refers_to"),
    [
        ({"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, ("pi_1", "ch_1")),
        ({"id": "re_1", "object": "refund", "payment_intent": None, "charge": "ch_1"}, (None, "ch_1")),
        (
            {"id": "dp_1", "object": "dispute", "payment_intent": {"id": "pi_1"}, "charge": {"id": "ch_1"}},
            ("pi_1", "ch_1"),
        ),
    ],
)
def test_refunds_and_disputes_remember_the_payment_they_belong_to(started, inbox, about, refers_to):
    post(started, event("refund.created", data={"object": about}))
    kept = inbox.require("stripe:evt_1")
    assert (kept.payment_intent, kept.charge) == refers_to


def test_an_event_about_nothing_is_a_400(started, inbox):
    answer = post(started, event(data={"object": {"object": "checkout.session"}}))
    assert answer["statusCode"] == 400
    assert inbox.get("stripe:evt_1") is None


def test_nothing_personal_is_logged(started):
    context = Context()
    post(started, event(), context)
    assert context.log_fields == {"event": "stripe:evt_1"}


def test_a_start_without_its_secrets_names_them_all(tmp_path, monkeypatch):
    for name, value in environment(
        tmp_path, "stripe-webhook", {"stripe-webhook-secret": ""}, stripe_mode="prod"
    ).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        load_handler("stripe-webhook").start()
    for name in ("stripe_mode", "internal-key", "store-url", "stripe-webhook-secret"):
        assert name in error.value.message
