"""Nobody but our own functions and the owner gets anything done, although the gateway is public."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests
import yaml

from local.shop import ROOT
from pushcart import auth

STACK = yaml.safe_load((ROOT / "stack.yml").read_text())["functions"]

#: Called by providers, which sign in their own way.
PUBLIC = {"stripe-webhook", "autopay-webhook", "printful-webhook"}

#: What each tells a stranger, to a POST and to a GET: without its address, Printful's tells nothing else.
REFUSED = {"stripe-webhook": (400, 405), "autopay-webhook": (400, 405), "printful-webhook": (401, 401)}

#: What each internal function does, as (method, path, body).
CALLS = {
    "order-store": [
        ("POST", "/kick", {"events": ["x"]}),
        ("POST", "/sweep", None),
        ("GET", "/orders", None),
        ("GET", "/orders/o-1", None),
        ("POST", "/orders/o-1/retry", {}),
        ("POST", "/orders/o-1/resend", {"step": "receipt"}),
        ("POST", "/orders/o-1/handled", {}),
        ("POST", "/orders/o-1/release", {}),
        ("POST", "/orders/o-1/ship", {"carrier": "DHL"}),
        ("GET", "/events", None),
        ("POST", "/events/stripe:evt_1/replay", None),
        ("GET", "/nothing-here", None),
    ],
    "invite-link": [("POST", "/", {"key": "k", "step": "s", "kind": "invite", "config": {}})],
    "mailing-list": [("POST", "/", {"key": "k", "step": "s", "kind": "purchase", "config": {}})],
    "email-dispatch": [("POST", "/", {"key": "k", "step": "s", "kind": "email", "config": {}})],
    "printful-order": [("POST", "/", {"key": "k", "step": "s", "kind": "print", "config": {"items": []}})],
    "catch-up": [
        ("GET", "/", None),
        ("POST", "/", {"not": "empty"}),
        ("GET", "/recover", None),
        ("POST", "/recover", {"cursor": None, "apply": True}),
    ],
    # Anybody may look at `/health`, and at nothing below it.
    "alert": [
        ("POST", "/watch", {}),
        ("GET", "/incidents", None),
        ("POST", "/incidents/signatures.stripe-webhook/answer", {"note": "mine"}),
        ("POST", "/test", {"level": "critical"}),
        ("GET", "/health/doctor", None),
    ],
    # Buyers' browsers may call `/`, `/status` and `/visit`; these are the owner's.
    "checkout": [
        ("GET", "/stock", None),
        ("GET", "/traffic", None),
        ("POST", "/stock", {"studio-apron": 100}),
        ("GET", "/nothing-here", None),
    ],
}
EVERY_CALL = [(name, *call) for name, calls in CALLS.items() for call in (*calls, ("GET", "/doctor", None))]


def send(shop, name, method, path, body, signature=None):
    data = b"" if body is None else json.dumps(body).encode()
    headers = {auth.HEADER: signature(data)} if signature else {}
    return requests.request(method, f"{shop.gateway.url}/function/{name}{path}", data=data, headers=headers, timeout=20)


def signer(shop, name, method, path, *, key=None, seconds=0):
    real = (shop.state_dir / "secrets-all" / "internal-key").read_text()
    now = datetime.now(UTC) + timedelta(seconds=shop.sandbox.world.advanced() + seconds)
    return lambda data: auth.sign(key or real, now, name, method, path, "", data)


def test_every_internal_function_is_covered_here():
    assert set(STACK) - PUBLIC == set(CALLS)


@pytest.mark.parametrize(("name", "method", "path", "body"), EVERY_CALL)
class TestEveryInternalCall:
    def test_unsigned_is_refused(self, shop, name, method, path, body):
        answer = send(shop, name, method, path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorised")

    def test_signed_with_another_key_is_refused(self, shop, name, method, path, body):
        assert send(shop, name, method, path, body, signer(shop, name, method, path, key="x" * 64)).status_code == 401

    @pytest.mark.parametrize("seconds", [-301, 302])
    def test_stale_or_from_the_future_is_refused(self, shop, name, method, path, body, seconds):
        stale = signer(shop, name, method, path, seconds=seconds)
        assert send(shop, name, method, path, body, stale).status_code == 401

    def test_replayed_to_another_path_function_method_or_with_another_body_is_refused(
        self, shop, name, method, path, body
    ):
        other_function = next(other for other in CALLS if other != name)
        for stolen in (
            signer(shop, name, method, path + "x"),
            signer(shop, other_function, method, path),
            signer(shop, name, "PUT", path),
            lambda data: signer(shop, name, method, path)(data + b" "),
        ):
            assert send(shop, name, method, path, body, stolen).status_code == 401


def test_the_signature_itself_is_accepted(shop):
    """The control for all of the above: the same calls are let in when nothing is wrong with them."""
    assert (
        send(shop, "order-store", "GET", "/orders", None, signer(shop, "order-store", "GET", "/orders")).status_code
        == 200
    )
    assert send(shop, "catch-up", "GET", "/", None, signer(shop, "catch-up", "GET", "/")).status_code == 200


def test_during_a_rotation_the_old_key_is_still_accepted_and_afterwards_not(shop):
    file = shop.state_dir / "secrets-all" / "internal-key"
    old = file.read_text()
    with_old = signer(shop, "order-store", "GET", "/orders", key=old.split()[0])
    try:
        file.write_text("n" * 64 + "\n" + old)
        assert send(shop, "order-store", "GET", "/orders", None, with_old).status_code == 200
        file.write_text("n" * 64)
        assert send(shop, "order-store", "GET", "/orders", None, with_old).status_code == 401
    finally:
        file.write_text(old)


def test_cron_may_start_catch_up_unsigned_and_that_is_all_it_does(shop):
    answer = requests.post(f"{shop.gateway.url}/function/catch-up", timeout=60)
    assert (answer.status_code, answer.content) == (202, b"")
    assert requests.post(f"{shop.gateway.url}/function/catch-up", data=b"{}", timeout=60).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/", 400), ("GET", "/status", 404), ("POST", "/visit", 200)]
)
def test_what_buyers_browsers_call_is_open_and_a_signature_opens_nothing_more(shop, method, path, status):
    assert send(shop, "checkout", method, path, None).status_code == status
    assert send(shop, "checkout", method, path, None, signer(shop, "checkout", method, path)).status_code == status
    other = "GET" if method == "POST" else "POST"
    assert send(shop, "checkout", other, path, None, signer(shop, "checkout", other, path)).status_code == 405


def test_the_figures_take_a_token_of_their_own_and_the_internal_key_is_none(shop):
    path = "/metrics"
    assert send(shop, "order-store", "GET", path, None).status_code == 401
    assert send(shop, "order-store", "GET", path, None, signer(shop, "order-store", "GET", path)).status_code == 401
    assert send(shop, "order-store", "POST", path, {}, signer(shop, "order-store", "POST", path)).status_code == 405


def test_the_page_about_the_shops_health_is_open_and_a_signature_shows_nothing_more(shop):
    path = "/health"
    pages = [
        send(shop, "alert", "GET", path, None),
        send(shop, "alert", "GET", path, None, signer(shop, "alert", "GET", path)),
    ]
    for page in pages:
        assert page.status_code in (200, 503)
        assert set(page.json()) == {"status", "checks"}
    assert send(shop, "alert", "POST", path, {}, signer(shop, "alert", "POST", path)).status_code == 405


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_webhook_lets_nobody_in_by_the_internal_key(shop, name):
    posted, looked = REFUSED[name]
    for path in ("/", "/doctor"):
        assert send(shop, name, "POST", path, {"x": 1}, signer(shop, name, "POST", path)).status_code == posted
        assert send(shop, name, "GET", path, None, signer(shop, name, "GET", path)).status_code == looked


def test_an_answer_to_a_stranger_tells_nothing_of_the_inside(shop):
    text = send(shop, "order-store", "GET", "/orders/o-1", None).text
    assert "Traceback" not in text
    assert "/" not in json.loads(text)["error"]["message"]


def test_no_function_has_a_secret_that_it_does_not_need():
    everybody = {name: set(function["secrets"]) for name, function in STACK.items()}

    def having(secret):
        return {name for name, secrets in everybody.items() if secret in secrets}

    # Whoever reads an order again has the provider's key; catch-up too, because it lists what nobody told us of.
    assert having("stripe-api-key") == {"order-store", "checkout", "catch-up"}
    assert having("printful-api-key") == {"order-store", "printful-order", "catch-up"}
    assert having("autopay-key") == {"autopay-webhook", "checkout"}
    assert having("alert-urls") == {"alert"}
    assert having("metrics-token") == {"order-store"}
    for provider in PUBLIC - {"autopay-webhook"}:
        assert everybody[provider] == {"internal-key", "store-url", f"{provider}-secret"}
    assert everybody["autopay-webhook"] == {"internal-key", "store-url", "autopay-key"}
    assert "store-url" not in everybody["email-dispatch"] | everybody["invite-link"] | everybody["printful-order"]
