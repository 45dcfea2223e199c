"""The webhook takes what Stripe signed, exactly as it was signed, and acknowledges only what is durable."""

from __future__ import annotations

import json
import time

import pytest
import requests
import stripe

from local.shop import LocalShop
from support.customers import WHEEL, eventually


def an_event(shop, customer):
    """A purchase whose event was not sent by the sandbox, as the bytes Stripe would send."""
    shop.sandbox.stripe.autosend = False
    try:
        customer.buy(WHEEL)
    finally:
        shop.sandbox.stripe.autosend = True
    [event] = shop.sandbox.stripe.events("checkout.session.completed", customer.session)
    return json.dumps(event).encode()


def sign(body, secret, at=None, scheme="v1"):
    """Stripe's own test helper, the one its users sign fake webhooks with."""
    at = int(at or time.time())
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=at)


def test_an_event_signed_by_somebody_elses_tool_is_accepted_and_one_changed_byte_is_not(shop, customer, post_event):
    body = an_event(shop, customer)
    header = {"Stripe-Signature": sign(body, shop.sandbox.stripe.secret)}
    changed = body.replace(b'"paid"', b'"Paid"', 1)
    assert changed != body
    assert post_event(changed, header).status_code == 400
    assert customer.order() is None
    assert post_event(body, header).json() == {"received": True}
    customer.wait(fulfilment="fulfilled")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (lambda body, secret: None, "There is no Stripe-Signature"),
        (lambda body, secret: "", "There is no Stripe-Signature"),
        (lambda body, secret: "rubbish", "does not fit"),
        (lambda body, secret: sign(body, "whsec_wrong"), "does not fit"),
        (lambda body, secret: sign(body, secret, time.time() - 305), "outside the tolerance"),
        (lambda body, secret: sign(body, secret, time.time() + 305), "from the future"),
        (lambda body, secret: sign(body, secret).replace("v1=", "v0="), "does not fit"),
        (lambda body, secret: sign(json.dumps(json.loads(body), indent=1).encode(), secret), "does not fit"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused_with_the_reason(shop, customer, post_event, header, reason):
    body = an_event(shop, customer)
    value = header(body, shop.sandbox.stripe.secret)
    answer = post_event(body, {} if value is None else {"Stripe-Signature": value})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_signature"
    assert reason in answer.json()["error"]["message"]
    assert customer.order() is None


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_signature_within_the_tolerance_is_accepted(shop, customer, post_event, seconds):
    body = an_event(shop, customer)
    signature = sign(body, shop.sandbox.stripe.secret, time.time() + seconds)
    assert post_event(body, {"Stripe-Signature": signature}).status_code == 200


def test_any_of_several_v1_signatures_may_fit(shop, customer, post_event):
    body = an_event(shop, customer)
    signature = sign(body, shop.sandbox.stripe.secret).replace("v1=", "v1=00ff,v1=")
    assert post_event(body, {"Stripe-Signature": signature}).status_code == 200


def test_during_a_rotation_both_secrets_are_accepted(shop, customer, post_event):
    file = shop.state_dir / "secrets-all" / "stripe-webhook-secret"
    old = file.read_text()
    body = an_event(shop, customer)
    try:
        file.write_text(f"whsec_new\n{old}")
        for secret in ("whsec_new", old):
            assert post_event(body, {"Stripe-Signature": sign(body, secret)}).status_code == 200
    finally:
        file.write_text(old)


def test_an_empty_secret_is_a_configuration_error_and_never_a_key(shop, customer, post_event):
    file = shop.state_dir / "secrets-all" / "stripe-webhook-secret"
    old = file.read_text()
    body = an_event(shop, customer)
    try:
        file.write_text("")
        answer = post_event(body, {"Stripe-Signature": sign(body, "")})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "configuration")
        assert "secret" not in answer.text
    finally:
        file.write_text(old)
    assert customer.order() is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"id": 5}',
        b'{"id":"evt_1","type":"x","livemode":"no","data":{}}',
    ],
)
def test_a_signed_body_that_is_no_event_is_a_400(shop, post_event, body):
    signed, headers = shop.sandbox.stripe.signed(body)
    assert post_event(signed, headers).status_code == 400


def test_a_live_event_at_a_test_installation_is_refused_so_that_stripe_shows_the_mistake(shop, customer, post_event):
    body = an_event(shop, customer).replace(b'"livemode": false', b'"livemode": true')
    answer = post_event(body, {"Stripe-Signature": sign(body, shop.sandbox.stripe.secret)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_mode")


def test_too_large_a_body_is_a_413(shop, post_event):
    assert post_event(b"x" * 600_000, {}).status_code == 413
    assert post_event(b"x" * 3_000_000, {}).status_code == 413


def test_other_methods_are_refused(shop):
    answer = requests.get(f"{shop.gateway.url}/function/stripe-webhook", timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_while_the_store_is_down_nothing_is_acknowledged_and_stripes_retry_brings_the_order(tmp_path):
    """The store's folder is missing: 503. Once it is there the provider's own retry is enough."""
    missing = tmp_path / "missing"
    with LocalShop(tmp_path / "state", store=f"sqlite:///{missing}/shop.db", catch_up=False) as shop:
        bought = shop.sandbox.stripe.buy(WHEEL, email="down@example.com")
        [event] = shop.sandbox.stripe.events("checkout.session.completed", bought.object)
        assert shop.sandbox.stripe.deliver(event) == 503
        missing.mkdir()

        def fulfilled():
            orders = shop.orders()
            return orders and orders[0]["fulfilment_status"] == "fulfilled"

        eventually(fulfilled)
