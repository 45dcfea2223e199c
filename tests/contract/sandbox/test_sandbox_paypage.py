"""The hosted pay page, used as a browser without script uses it."""

from __future__ import annotations

import re

import pytest
import requests
import stripe

from local.sandbox import Sandbox


class Browser:
    """Opens pages, follows redirects, posts the page's form with what it was filled with."""

    def __init__(self, url: str) -> None:
        self.page = requests.get(url, timeout=5)

    def press(self, button: str, **filled: str) -> requests.Response:
        values = dict(re.findall(r'<input id="(\w+)"[^>]* value="([^"]*)"', self.page.text))
        values |= {
            name: re.search(rf'<select id="{name}".*?value="([^"]*)" selected', self.page.text, re.S)[1]
            for name in ("country", "locale")
        }
        self.page = requests.post(self.page.url, data={**values, **filled, "do": button}, timeout=5)
        return self.page


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [("eur", 4900, "49.00 EUR"), ("jpy", 1200, "1,200 JPY"), ("kwd", 1500, "1.500 KWD")],
)
def test_the_page_shows_the_lines_and_the_right_decimals(sb: Sandbox, currency: str, amount: int, shown: str) -> None:
    link = sb.stripe.add_payment_link([{"sku": "x", "name": "<b>Mug</b>", "unit_amount": amount, "currency": currency}])
    page = requests.get(link["url"], timeout=5)
    assert f"<h1>Pay {shown}</h1>" in page.text
    assert "&lt;b&gt;Mug&lt;/b&gt;" in page.text
    assert 'lang="en"' in page.text
    assert 'name="viewport"' in page.text
    for field in ("email", "name", "country", "locale"):
        assert f'<label for="{field}">' in page.text
        assert f'id="{field}"' in page.text


def test_a_visit_pays_with_the_form_as_it_is(sb: Sandbox, link: str) -> None:
    """Plausible values are filled in already; the thank-you page names the session and the mails."""
    browser = Browser(f"{sb.url}/stripe/pay/{link}")
    thanks = browser.press("pay", locale="pl", email="ada@example.com", name="Ada")
    session = sb.stripe.events("checkout.session.completed")[0]["data"]["object"]
    assert thanks.status_code == 200
    assert "Thank you, paid" in thanks.text
    assert session["id"] in thanks.text
    assert 'href="/mails"' in thanks.text
    assert session["payment_link"] == link
    assert session["locale"] == "pl"
    assert session["customer_details"]["email"] == "ada@example.com"
    assert session["payment_status"] == "paid"


def test_a_link_takes_the_query_of_a_real_one(sb: Sandbox, link: str) -> None:
    browser = Browser(f"{sb.url}/stripe/pay/{link}?client_reference_id=ord_9&prefilled_email=ada%40example.com")
    assert 'value="ada@example.com"' in browser.page.text
    browser.press("pay")
    session = sb.stripe.events("checkout.session.completed")[0]["data"]["object"]
    assert session["client_reference_id"] == "ord_9"


def test_a_delayed_payment_says_that_it_waits(sb: Sandbox, link: str) -> None:
    page = Browser(f"{sb.url}/stripe/pay/{link}").press("later")
    assert "as soon as your bank transfer has arrived" in page.text
    assert sb.stripe.events("checkout.session.completed")[0]["data"]["object"]["payment_status"] == "unpaid"


def test_a_declined_card_can_be_replaced_by_another(sb: Sandbox, link: str) -> None:
    browser = Browser(f"{sb.url}/stripe/pay/{link}")
    refused = browser.press("decline", email="ada@example.com")
    assert refused.status_code == 402
    assert "Your card was declined" in refused.text
    assert 'value="ada@example.com"' in refused.text
    assert "Thank you, paid" in browser.press("pay").text


def test_what_is_missing_is_asked_for_again(sb: Sandbox, link: str) -> None:
    page = Browser(f"{sb.url}/stripe/pay/{link}").press("pay", email="")
    assert page.status_code == 422
    assert "Please fill in your mail address" in page.text
    assert sb.stripe.events() == []


def test_cancelling_leaves_the_page_open(sb: Sandbox, link: str) -> None:
    browser = Browser(f"{sb.url}/stripe/pay/{link}")
    address = browser.page.url
    assert "You have not paid" in browser.press("cancel").text
    assert "<h1>Pay 49.00 EUR</h1>" in requests.get(address, timeout=5).text
    assert sb.stripe.events() == []


def test_a_session_of_the_cart_leads_back_to_the_shop(sb: Sandbox, api: stripe.StripeClient) -> None:
    """`{CHECKOUT_SESSION_ID}` is filled in, and cancelling goes to the shop too."""
    made = api.v1.checkout.sessions.create(
        {
            "success_url": "http://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
            "mode": "payment",
            "cancel_url": "http://shop.example/cart",
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 100, "product_data": {"name": "Tea"}}}
            ],
        }
    )
    for wish, target in (
        ("cancel", "http://shop.example/cart"),
        ("pay", f"http://shop.example/thanks?session={made.id}"),
    ):
        answer = requests.post(
            made.url,
            timeout=5,
            allow_redirects=False,
            data={"do": wish, "email": "ada@example.com", "name": "Ada", "country": "PL"},
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, target)


def test_an_address_is_asked_for_when_the_link_ships(sb: Sandbox, shirt: dict) -> None:
    link = sb.stripe.add_payment_link([shirt], shipping_countries=["PL", "DE"], shipping_amount=990)
    browser = Browser(link["url"])
    assert "Where it goes" in browser.page.text
    assert "9.90 EUR" in browser.page.text
    browser.press("pay", line1="Allee 1", city="Bonn", country="DE", name="Ada")
    session = sb.stripe.events("checkout.session.completed")[0]["data"]["object"]
    sent_to = session["collected_information"]["shipping_details"]
    assert (sent_to["name"], sent_to["address"]["line1"], sent_to["address"]["country"]) == ("Ada", "Allee 1", "DE")


@pytest.mark.parametrize(("path", "status"), [("/stripe/pay/plink_none", 404), ("/stripe/c/pay/cs_test_none", 404)])
def test_links_that_lead_nowhere_say_so(sb: Sandbox, path: str, status: int) -> None:
    assert requests.get(sb.url + path, timeout=5).status_code == status


def test_an_expired_page_says_so(sb: Sandbox, clock, link: str) -> None:
    opened = sb.stripe.open_session(link)
    clock.advance(86400)
    page = requests.get(opened["url"], timeout=5)
    assert page.status_code == 410
    assert "This page has expired" in page.text


def test_the_receipt_shows_what_was_paid_and_refunded(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session = sb.stripe.buy(link).object
    refund = sb.stripe.refund(session, 900).object
    page = requests.get(api.v1.charges.retrieve(refund["charge"]).receipt_url, timeout=5)
    assert "49.00 EUR" in page.text
    assert "9.00 EUR" in page.text
