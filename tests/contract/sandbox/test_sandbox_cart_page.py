"""The pay page of a cart's session, without script: shipping, tax, a fixed address, paying twice, leaving."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
import stripe

from local.sandbox import Sandbox

BUYER = {"email": "ada@example.com", "name": "Ada", "country": "PL"}
THANKS = "https://shop.example/thank-you/#order=ord_1&key=k_1"


def rate(name: str, amount: int) -> dict:
    fixed = {"amount": amount, "currency": "eur"}
    return {"shipping_rate_data": {"display_name": name, "type": "fixed_amount", "fixed_amount": fixed}}


@pytest.fixture
def make(api: stripe.StripeClient):
    def make(behaviour: str = "inclusive", **more: Any) -> stripe.checkout.Session:
        mug = {"currency": "eur", "unit_amount": 1000, "tax_behavior": behaviour, "product_data": {"name": "Mug"}}
        asked = {"mode": "payment", "success_url": THANKS, "cancel_url": "https://shop.example/cancelled/"}
        return api.v1.checkout.sessions.create({**asked, "line_items": [{"quantity": 1, "price_data": mug}], **more})

    return make


def press(url: str, button: str, **filled: str) -> requests.Response:
    return requests.post(url, data={**BUYER, **filled, "do": button}, timeout=5, allow_redirects=False)


def events(sb: Sandbox) -> list[str]:
    return [event["type"] for event in sb.stripe.events()]


def test_paying_leads_to_the_shop_with_the_fragment_kept(sb: Sandbox, make) -> None:
    answer = press(make().url, "pay")
    assert (answer.status_code, answer.headers["Location"]) == (303, THANKS)


def test_the_form_posted_twice_pays_once(sb: Sandbox, make) -> None:
    """So does a second tab; both are told so."""
    session = make()
    assert press(session.url, "pay").status_code == 303
    for answer in (press(session.url, "pay"), press(session.url, "decline"), requests.get(session.url, timeout=5)):
        assert answer.status_code == 200
        assert "You have paid already" in answer.text
    assert events(sb).count("charge.succeeded") == events(sb).count("checkout.session.completed") == 1


def test_leaving_the_page_does_nothing_until_it_expires(sb: Sandbox, make, clock) -> None:
    session = make()
    page = requests.get(session.url, timeout=5)
    assert "open until 2026-11-21 12:00 UTC" in page.text
    assert events(sb) == []
    assert sb.stripe.find_session(session.id)["status"] == "open"
    clock.advance(86400)
    assert requests.get(session.url, timeout=5).status_code == 410
    assert events(sb) == ["checkout.session.expired"]


def test_each_shipping_option_can_be_picked_and_has_its_total(sb: Sandbox, make) -> None:
    session = make(shipping_options=[rate("Parcel locker", 350), rate("Courier", 600)])
    page = requests.get(session.url, timeout=5).text
    radios = re.findall(r'<input id="rate_(\d)" type="radio" name="rate" value="(\d)"( checked)?>', page)
    assert radios == [("0", "0", " checked"), ("1", "1", "")]
    shown = re.findall(r'class="way way-(\d)">([\d.]+) EUR', page.split("<tfoot>")[1].split("</tfoot>")[0])
    assert shown == [("0", "13.50"), ("1", "16.00")]
    refused = press(session.url, "decline", rate="1")
    assert re.search(r'value="1" checked', refused.text)
    press(session.url, "pay", rate="1")
    bought = sb.stripe.find_session(session.id)
    assert (bought["amount_total"], bought["shipping_cost"]["amount_total"]) == (1600, 600)
    assert sb.stripe.charge_of(bought)["amount"] == 1600


def test_an_option_that_is_not_offered_is_not_taken(sb: Sandbox, make) -> None:
    session = make(shipping_options=[rate("Parcel locker", 350)])
    assert press(session.url, "pay", rate="7").status_code == 409
    assert sb.stripe.find_session(session.id)["status"] == "open"


@pytest.mark.parametrize(("behaviour", "label", "total"), [("exclusive", "Tax", "12.30"), ("inclusive", "of", "10.00")])
def test_the_page_shows_the_tax_and_what_it_comes_to(sb: Sandbox, make, behaviour: str, label: str, total: str) -> None:
    session = make(behaviour, automatic_tax={"enabled": True})
    page = requests.get(session.url, timeout=5).text
    assert re.search(rf"<td>{label}\b", page)
    assert f"<h1>Pay {total} EUR</h1>" in page
    assert sb.stripe.find_session(session.id)["total_details"]["amount_tax"] == 0


def test_the_address_the_shop_sent_is_filled_in_and_fixed(sb: Sandbox, make) -> None:
    session = make(customer_email="shop@example.com")
    assert re.search(r'id="email"[^>]* readonly[^>]* value="shop@example.com"', requests.get(session.url).text)
    press(session.url, "pay", email="eve@example.com")
    assert sb.stripe.find_session(session.id)["customer_details"]["email"] == "shop@example.com"


def test_parcels_go_to_the_countries_the_shop_names(sb: Sandbox, make) -> None:
    session = make(shipping_address_collection={"allowed_countries": ["DE", "CZ", "PL"]})
    countries = re.search(r'<select id="country".*?</select>', requests.get(session.url, timeout=5).text, re.S)[0]
    assert re.findall(r'<option value="(\w\w)"(?: selected)?>([^<]+)', countries) == [
        ("PL", "Poland"),
        ("DE", "Germany"),
        ("CZ", "Czechia"),
    ]
    refused = press(session.url, "pay", country="JP", line1="1-1", city="Tokyo")
    assert refused.status_code == 422
    assert "does not send parcels to this country" in refused.text


def test_a_shop_that_takes_cards_only_offers_no_transfer(sb: Sandbox, make) -> None:
    session = make(allowed_payment_method_types=["card"])
    assert "bank transfer" not in requests.get(session.url, timeout=5).text
    assert press(session.url, "later").status_code == 422
    assert 'value="later"' in requests.get(make().url, timeout=5).text


def test_a_coupon_that_others_used_up_cannot_be_paid_with(sb: Sandbox, make, api: stripe.StripeClient) -> None:
    made = api.v1.coupons.create({"amount_off": 100, "currency": "eur", "max_redemptions": 1})
    session, other = (make(discounts=[{"coupon": made.id}]) for _ in range(2))
    assert "-1.00 EUR" in requests.get(session.url, timeout=5).text
    sb.stripe.buy(session=other.id)
    refused = press(session.url, "pay")
    assert refused.status_code == 409
    assert "is used up" in refused.text
    assert sb.stripe.find_session(session.id)["status"] == "open"


def test_a_buyer_types_in_a_promotion_code_where_the_shop_lets_them(sb: Sandbox, make, api) -> None:
    """A coupon's id is a code."""
    api.v1.coupons.create({"id": "FRIENDS", "percent_off": 25})
    session = make(allow_promotion_codes=True)
    assert 'name="code"' in requests.get(session.url, timeout=5).text
    assert "This code is invalid" in press(session.url, "apply", code="FOES").text
    assert press(session.url, "apply", code="FRIENDS").status_code == 303
    assert "<h1>Pay 7.50 EUR</h1>" in requests.get(session.url, timeout=5).text
    press(session.url, "pay")
    bought = sb.stripe.find_session(session.id)
    assert (bought["amount_total"], bought["total_details"]["amount_discount"]) == (750, 250)
    closed = make()
    assert 'name="code"' not in requests.get(closed.url, timeout=5).text
    assert press(closed.url, "apply", code="FRIENDS").status_code == 422


def test_the_overview_lists_open_carts_and_expires_them(sb: Sandbox, make) -> None:
    session = make(customer_email="ada@example.com")
    page = requests.get(f"{sb.url}/", timeout=5).text
    row = re.search(rf'<tr>(?:(?!<tr>).)*action="/sales/{session.id}".*?</tr>', page, re.S)[0]
    assert "Mug" in row
    assert "ada@example.com" in row
    assert "Expire now" in row
    assert requests.post(f"{sb.url}/sales/{session.id}", data={"do": "expire"}, timeout=5).status_code == 200
    assert events(sb) == ["checkout.session.expired"]
    again = requests.post(f"{sb.url}/sales/{session.id}", data={"do": "expire"}, timeout=5)
    assert (again.status_code, "Expire now" in again.text) == (409, False)
