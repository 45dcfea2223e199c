"""From the listing to the goods through the shop's own pages, and the ways back on the road."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.browsing import Visitor
from support.carts import PAY_WITH
from support.customers import eventually

#: Seconds beyond the hour that a buyer has to pay.
EXPIRED = 3600 + 120


@pytest.fixture
def silent(shop):
    """What the providers have to tell waits until it is delivered by hand."""
    shop.sandbox.stripe.autosend = shop.sandbox.autopay.autosend = False
    yield
    shop.sandbox.stripe.autosend = shop.sandbox.autopay.autosend = True


def tell(shop):
    """Delivers what the providers have not told yet."""
    for event in reversed(shop.sandbox.stripe.newest("event")):
        if not shop.sandbox.stripe.delivered(event):
            shop.sandbox.stripe.deliver(event)
    shop.sandbox.autopay.deliver()


@pytest.mark.parametrize("pay", PAY_WITH)
def test_from_the_listing_to_the_goods_and_the_page_tells_when_they_are_sent(visitor, shop, silent, pay):
    page = visitor.page
    visitor.go()
    page.get_by_role("link", name="Studio Apron").click()
    expect(page.get_by_role("radio", name="L", exact=True)).to_be_disabled()
    page.get_by_role("radio", name="M", exact=True).check()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="Go to the cart").click()
    page.get_by_label("Quantity of Studio Apron").fill("2")
    page.get_by_role("link", name="Check out").click()
    visitor.fill(pay)
    expect(page.get_by_text("You choose the delivery")).to_be_visible(visible=pay == "stripe")
    visitor.expect_total("€68.00" if pay == "stripe" else "€74.00")
    visitor.button.click()
    visitor.at_payment()
    expect(page.get_by_role("main")).to_contain_text("71.50 EUR" if pay == "stripe" else "74.00 EUR")
    visitor.pay()
    visitor.sees("Thank you – one moment")
    assert shop.sandbox.mails(visitor.email) == []
    tell(shop)
    visitor.sees("All done")
    expect(page.get_by_text("2 × Studio Apron (Size: M)")).to_be_visible()
    expect(page.get_by_text("Your parcel comes to the address you gave.")).to_be_visible()
    expect(page.get_by_text("Your invitation")).to_be_hidden()
    assert visitor.in_cart() == ""
    [order] = visitor.orders()
    assert order["fulfilment_status"] == "fulfilled"
    assert shop.sandbox.mails(visitor.email)
    [packing] = [mail for mail in shop.sandbox.mails() if {order["id"], "studio-apron.please-pack"} <= words(mail)]
    assert "Studio Apron (Size: M)" in packing.text
    assert "ul. Prosta 51" in packing.text


def words(mail):
    return set(mail.custom_args.values())


# Twice, back and in two tabs


def test_a_double_click_is_one_order_and_one_session(anybody):
    anybody.take("studio-plans")
    anybody.go("order/")
    anybody.fill()
    anybody.button.dblclick()
    anybody.at_payment()
    assert len(anybody.orders()) == len(anybody.sessions()) == 1


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_back_from_the_payment_and_on_again_is_the_same_payment_and_a_changed_cart_another(visitor, shop):
    """Both are left in the end, by closing the window, and expire."""
    page = visitor.page
    visitor.take("studio-plans")
    first = visitor.to_payment()
    page.go_back()
    expect(visitor.button).to_be_enabled()
    expect(page.get_by_label("Mail address")).to_have_value(visitor.email)
    visitor.button.click()
    assert visitor.at_payment() == first
    assert len(visitor.orders()) == len(visitor.sessions()) == 1
    page.go_back()
    page.get_by_role("link", name="Change the cart").click()
    page.get_by_label("Quantity of Studio Plans").fill("2")
    page.get_by_label("Quantity of Studio Plans").blur()
    visitor.expect_total("€30.00")
    assert visitor.to_payment() != first
    newer, older = visitor.orders()
    assert (newer["payment_status"], older["payment_status"]) == ("unpaid", "unpaid")
    shop.advance(EXPIRED)
    shop.catch_up()
    eventually(lambda: [order["payment_status"] for order in visitor.orders()] == ["expired", "expired"])
    assert shop.sandbox.mails(visitor.email) == []
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("This page has expired")
    page.goto(visitor.sessions()[0]["success_url"])
    visitor.sees("This payment was not finished in time")
    assert visitor.in_cart() == "2"


def test_two_tabs_with_one_cart_are_one_order_paid_once(anybody, shop):
    tab = anybody.page
    anybody.take("studio-plans")
    place = anybody.to_payment()
    other = Visitor(shop, tab.context.new_page())
    other.email, other.name = anybody.email, anybody.name
    assert other.to_payment() == place
    third = Visitor(shop, tab.context.new_page())
    third.go("order/")
    anybody.pay()
    anybody.sees("All done")
    other.pay()
    other.sees("You have paid already")
    expect(third.page.get_by_text("There is nothing in your cart yet.")).to_be_visible()
    [order] = anybody.orders()
    assert order["payment_status"] == "paid"
    assert len(anybody.sessions()) == 1


# Later, not at all, and after a failure


def test_money_that_comes_later_turns_the_page_when_it_comes(anybody, shop):
    page = anybody.page
    anybody.take("studio-plans")
    anybody.to_payment()
    anybody.pay("Pay later (bank transfer)")
    anybody.sees("Thank you – one moment")
    eventually(lambda: anybody.sessions()[0]["status"] == "complete")
    assert anybody.in_cart() == "1"
    shop.sandbox.stripe.settle(anybody.sessions()[0]["id"])
    anybody.sees("All done")
    assert anybody.in_cart() == ""
    expect(page.get_by_text("Your invitation comes by mail")).to_be_visible()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_declined_card_and_a_cancelled_payment_lead_back_to_the_cart_as_it_was(visitor):
    page = visitor.page
    visitor.take("studio-apron", "S")
    place = visitor.to_payment()
    visitor.pay("Pay with a card that is declined")
    expect(page.get_by_role("alert")).to_contain_text("declined")
    visitor.pay("Cancel")
    visitor.sees("Nothing was paid")
    page.get_by_role("link", name="Back to the cart").click()
    expect(page.get_by_text("Size: S")).to_be_visible()
    assert visitor.to_payment() == place
    assert [order["payment_status"] for order in visitor.orders()] == ["unpaid"]


def test_a_failed_payment_at_autopay_says_so_and_the_same_order_can_be_paid_again(anybody, shop, silent):
    page = anybody.page
    anybody.take("studio-plans")
    place = anybody.to_payment("autopay")
    anybody.pay("Try a payment that fails")
    expect(page.get_by_role("alert")).to_contain_text("did not go through")
    tell(shop)
    page.get_by_role("link", name="Back to the shop").click()
    anybody.sees("The payment did not go through")
    page.get_by_role("link", name="Try again").click()
    anybody.expect_total("€15.00")
    assert anybody.to_payment("autopay") == place
    anybody.pay()
    anybody.sees("The payment did not go through")  # of the second try nothing is heard yet
    tell(shop)
    anybody.sees("All done")
    assert anybody.in_cart() == ""
    [order] = anybody.orders()
    assert order["payment_status"] == "paid"
