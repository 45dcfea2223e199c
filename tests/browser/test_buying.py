"""A person clicks "Pay" on the sandbox's page, reads the mails, and follows the invitation."""

from __future__ import annotations

import itertools
import re

import pytest

from support.browsing import overflow
from support.customers import WHEEL, eventually

#: The amount is written in the language that is chosen on the page.
PAY = re.compile(r"^Pay .*49")

_numbers = itertools.count(1)


@pytest.fixture
def email():
    return f"person{next(_numbers)}@example.com"


def fulfilled(shop, email):
    orders = shop.orders(email=email)
    return orders[0] if orders and orders[0]["fulfilment_status"] == "fulfilled" else None


def pay(page, shop, email, button=PAY):
    page.goto(f"{shop.sandbox.url}/stripe/pay/{WHEEL}")
    page.get_by_label("Mail address").fill(email)
    page.get_by_label("Full name").fill("Zoë <b>Example</b>")
    assert overflow(page) == 0
    page.get_by_role("button", name=button).click()


def test_from_the_pay_page_to_the_mail_with_the_invitation(page, shop, email):
    pay(page, shop, email)
    page.get_by_role("heading", name="All done").wait_for()
    eventually(lambda: fulfilled(shop, email))
    page.goto(f"{shop.sandbox.url}/mails")
    assert overflow(page) == 0
    [mail] = [mail for mail in shop.sandbox.mails(email) if "your way in" in mail.subject]
    page.goto(f"{shop.sandbox.url}/mails/{mail.id}")
    assert overflow(page) == 0
    letter = page.frame_locator("iframe")
    assert letter.get_by_text("Zoë <b>Example</b>").count() >= 1
    link = next(
        link for link in letter.get_by_role("link").all() if "/discourse/invites/" in (link.get_attribute("href") or "")
    )
    page.goto(link.get_attribute("href"))
    assert page.get_by_role("heading").first.is_visible()


def test_the_mail_has_a_plain_text_form(desktop, shop, email):
    pay(desktop, shop, email)
    eventually(lambda: fulfilled(shop, email))
    receipt = next(mail for mail in shop.sandbox.mails(email) if "receipt" in mail.subject)
    desktop.goto(f"{shop.sandbox.url}/mails/{receipt.id}")
    desktop.get_by_role("link", name="Plain text").click()
    assert "€49.00" in desktop.locator("pre").inner_text()


def test_any_function_killed_meanwhile_the_order_still_ends_fulfilled_once(desktop, shop, email):
    pay(desktop, shop, email)
    for name in ("order-store", "invite-link", "mailing-list", "email-dispatch"):
        shop.gateway.kill(name)

    shop.advance(200)  # past the lease of whatever was killed in the middle of a step
    eventually(lambda: fulfilled(shop, email), seconds=60)
    assert len([p for p in shop.sandbox.kit.purchases.values() if p["email_address"] == email]) == 1


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_bank_transfer_is_delivered_when_it_arrives(page, shop, email):
    pay(page, shop, email, "Pay later (bank transfer)")
    eventually(lambda: [order for order in shop.orders(email=email) if order["payment_status"] == "unpaid"])
    page.goto(shop.sandbox.url)
    page.get_by_role("button", name="arriv").or_(page.get_by_role("button", name="ettle")).first.click()
    eventually(lambda: fulfilled(shop, email))


def test_a_declined_card_and_a_closed_window_make_no_order(desktop, shop, email):
    pay(desktop, shop, email, "Pay with a card that is declined")
    assert desktop.get_by_role("alert").is_visible()
    desktop.get_by_role("button", name="Cancel").click()
    assert shop.orders(email=email) == []


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_days_pass_at_the_click_of_a_button_and_the_delayed_mail_goes_out(page, shop, email):
    pay(page, shop, email)
    eventually(lambda: fulfilled(shop, email))
    page.goto(shop.sandbox.url)
    assert overflow(page) == 0
    page.get_by_role("button", name="3 days").click()
    page.get_by_role("button", name="1 hour").click()
    eventually(lambda: len(shop.sandbox.mails(email)) == 3)
