"""The figures of a shop in which something was bought, as Prometheus reads them through the gateway."""

from __future__ import annotations

import pytest
import requests

from pushcart.services.metrics import exposition as metrics
from support.customers import PLANS, eventually
from support.scrapes import Scrape, names


def ask(shop, token=None, method="GET", **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return requests.request(
        method, f"{shop.gateway.url}/function/order-store{metrics.PATH}", headers=headers, timeout=20
    )


@pytest.fixture
def secret(shop):
    """The file with the token, put back afterwards."""
    path = shop.state_dir / "secrets-all" / metrics.SECRET
    before = path.read_text()
    yield path
    path.write_text(before)


def test_a_purchase_is_in_the_figures_from_the_webhook_to_the_last_step(shop, customer, secret):
    customer.buy(PLANS)
    order = customer.wait(fulfilment="fulfilled")
    ran = {step["kind"] for step in order["steps"] if step["state"] == "done"}
    shop.catch_up()
    # What it counted is written before it ends.
    shop.gateway.restart("stripe-webhook")

    def complete():
        answer = ask(shop, secret.read_text().strip())
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = Scrape(answer.text)
        return found if found.value("pushcart_ack_duration_seconds_count", function="stripe-webhook") else None

    found = eventually(complete)
    assert found.value("pushcart_store_up") == 1
    assert found.value("pushcart_orders_by_payment_status", payment_status="paid") >= 1
    assert found.value("pushcart_orders_by_fulfilment_status", fulfilment_status="fulfilled") >= 1
    assert found.value("pushcart_inbox_events", status="applied") >= 1
    assert found.value("pushcart_events_total", outcome="applied") >= 1
    for kind in ran:
        assert found.value("pushcart_steps_total", kind=kind, outcome="done") >= 1
        assert found.value("pushcart_step_duration_seconds_count", kind=kind) >= 1
    assert found.value("pushcart_calls_total", target="Stripe", outcome="ok") >= 1
    assert found.value("pushcart_calls_total", target="email-dispatch", outcome="ok") >= 1
    assert 0 <= found.value("pushcart_catch_up_heartbeat_age_seconds") < 60
    assert {sample.name for sample in found.samples} <= names()
    assert order["id"] not in str(found.samples)
    assert customer.email not in str(found.samples)


def test_nobody_reads_the_figures_without_the_token(shop, secret):
    token = secret.read_text().strip()
    for answer in (ask(shop), ask(shop, token[:-1]), ask(shop, Authorization=f"Basic {token}")):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "pushcart_" not in answer.text
    assert ask(shop, token, "POST").status_code == 405


def test_no_page_in_a_browser_reads_them(shop, secret):
    answer = ask(shop, secret.read_text().strip(), Origin="https://elsewhere.example")
    assert answer.status_code == 403
    assert "pushcart_" not in answer.text


def test_an_unused_secret_closes_them_at_once_and_a_new_one_opens_them(shop, secret):
    secret.write_text("unused\n")
    assert ask(shop, "unused").status_code == 404
    secret.write_text("n" * 40)
    assert ask(shop, "n" * 40).status_code == 200
