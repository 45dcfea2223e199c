"""What the doctor asks is answered as the providers do, behind the same keys as everything else."""

from __future__ import annotations

import pytest
import requests
import stripe

from local.sandbox import Sandbox
from local.sandbox.stripe.payment_objects import API_VERSION


def get(sb: Sandbox, path: str, headers: dict | None = None, **query: str) -> requests.Response:
    return requests.get(f"{sb.url}{path}", headers=headers, params=query, timeout=5)


def test_the_shops_webhook_endpoint_is_listed_with_its_events_version_and_without_its_secret(
    sb: Sandbox, api: stripe.StripeClient
) -> None:
    sb.stripe.webhook_url = "https://gateway.example/function/stripe-webhook"
    (found,) = api.v1.webhook_endpoints.list().data
    assert (found.url, found.status, found.livemode) == (sb.stripe.webhook_url, "enabled", False)
    assert (found.api_version, found.enabled_events) == (API_VERSION, list(sb.stripe.enabled_events))
    assert "secret" not in found.to_dict()


def test_a_prices_further_currencies_are_shown_only_when_they_are_asked_for(
    sb: Sandbox, api: stripe.StripeClient, course: dict
) -> None:
    link = sb.stripe.add_payment_link([{**course, "price_id": "price_course"}])["id"]
    sb.stripe.set_currency_option("price_course", "PLN", 21000)
    assert "currency_options" not in api.v1.prices.retrieve("price_course").to_dict()
    shown = api.v1.prices.retrieve("price_course", {"expand": ["currency_options", "product"]}).to_dict()
    assert {code: option["unit_amount"] for code, option in shown["currency_options"].items()} == {
        "eur": 4900,
        "pln": 21000,
    }
    assert shown["product"]["active"] is True
    lines = api.v1.payment_links.line_items.list(link, {"expand": ["data.price.currency_options"]})
    assert lines.data[0].to_dict()["price"]["currency_options"]["pln"]["unit_amount"] == 21000


@pytest.mark.parametrize("kind", ["price", "payment_link"])
def test_an_id_nobody_knows_is_a_404(api: stripe.StripeClient, kind: str) -> None:
    service = {"price": api.v1.prices, "payment_link": api.v1.payment_links}[kind]
    with pytest.raises(stripe.InvalidRequestError, match=f"No such {kind.replace('_', ' ')}: 'x_1'") as refused:
        service.retrieve("x_1")
    assert refused.value.http_status == 404


def test_kit_v3_shows_the_account_to_its_secret_only(sb: Sandbox) -> None:
    assert get(sb, "/kit/v3/account").status_code == 401
    assert get(sb, "/kit/v3/account", api_secret="s").json() == {
        "name": "Pushcart sandbox",
        "primary_email_address": "owner@example.com",
    }


def test_thinkific_shows_a_course_to_its_key_only(sb: Sandbox) -> None:
    path, key = "/thinkific/api/public/v1/courses/90210", {"X-Auth-API-Key": "key", "X-Auth-Subdomain": "shop"}
    assert get(sb, path).status_code == 401
    found = get(sb, path, key).json()
    assert (found["id"], found["name"]) == (90210, "Course 90210")
