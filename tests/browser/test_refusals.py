"""What the checkout refuses and a checkout that does not answer: said on the form, and nothing entered is lost."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect

from local.shop import LocalShop
from pushcart.services.stock import FRESH
from support.browsing import Visitor
from support.carts import stock


def test_everything_that_is_wrong_is_said_at_once_where_it_is_and_the_buyer_accepts_and_goes_on(visitor, shop_file):
    page = visitor.page
    visitor.take("studio-plans")
    visitor.take("studio-apron", "M")
    with shop_file.changed("studio-plans", price=18):
        visitor.go("order/")
        visitor.fill()
        page.get_by_label("Mail address").fill("ann@localhost")
        page.get_by_label("Discount code").fill("NOPE")
        visitor.button.click()
        expect(page.get_by_label("Mail address")).to_be_focused()
        expect(page.get_by_label("Mail address")).to_have_accessible_description(
            "This does not look like a mail address. What you buy and the receipt go there."
        )
        expect(page.get_by_label("Discount code")).to_have_accessible_description(
            "This code is not known, or not for what is in the cart. It is taken off before you pay."
        )
        plans = page.get_by_role("listitem").filter(has_text="Studio Plans")
        expect(plans.get_by_text("This costs €18.00 now, no longer €15.00.")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_text(
            "A price has changed. Look at it, and accept it before you go on."
        )
        visitor.expect_total("€52.00")
        expect(page.get_by_label("Mail address")).to_have_value("ann@localhost")
        page.get_by_label("Mail address").fill(visitor.email)
        page.get_by_label("Discount code").fill("spring10")
        visitor.button.click()
        expect(page.get_by_label("I accept the changed price")).to_be_focused()
        assert visitor.orders() == []
        page.get_by_label("I accept the changed price").check()
        visitor.button.click()
        visitor.at_payment()
        expect(page.get_by_role("main")).to_contain_text("-5.20 EUR")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_what_was_sold_out_meanwhile_is_said_and_can_be_taken_out(visitor, shop_file):
    page = visitor.page
    visitor.take("studio-plans")
    visitor.take("studio-apron", "M")
    taken = sum(stock(visitor.shop, choice="S"))
    with shop_file.changed("studio-apron", stock={"S": taken + 2, "M": 0, "L": 0}):
        visitor.go("order/")
        visitor.fill()
        visitor.button.click()
        apron = page.get_by_role("listitem").filter(has_text="Studio Apron")
        gone = apron.get_by_text("Sold out. Take it out of the cart to go on.")
        expect(gone).to_be_focused()
        page.get_by_role("link", name="Change the cart").click()
        page.get_by_role("button", name="Remove Studio Apron").click()
        expect(page.get_by_role("button", name="Remove Studio Plans")).to_be_focused()
        visitor.to_payment()
        visitor.shop.advance(FRESH)
        visitor.go("products/studio-apron/")
        expect(page.get_by_role("radio", name="M", exact=True)).to_be_disabled()
        page.get_by_role("radio", name="S", exact=True).check()
        expect(page.get_by_text("Only 2 left")).to_be_visible()


def test_a_provider_that_does_not_answer_is_said_and_the_button_works_again(opened, shop):
    page = opened(rough=True)
    anybody = Visitor(shop, page)
    anybody.take("studio-plans")
    shop.sandbox.fault("stripe", "status", status=500, times=None)
    try:
        anybody.go("order/")
        anybody.fill()
        anybody.button.click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("cannot be started just now. Nothing was taken")
        expect(alert).to_be_focused()
        expect(anybody.button).to_be_enabled()
    finally:
        shop.sandbox.world.faults.clear()
    anybody.button.click()
    anybody.at_payment()
    assert len(anybody.orders()) == 1


def test_a_checkout_that_was_killed_is_started_again_unnoticed(anybody, shop):
    anybody.take("studio-plans")
    anybody.go("order/")
    anybody.fill()
    shop.gateway.kill("checkout")
    anybody.button.click()
    anybody.at_payment()


def test_a_cold_checkout_is_asked_again_by_itself(opened, shop, tmp_path):
    """On faasd a call to a function that is only just starting fails, in a way that no script of a page is shown."""
    # The pictures are made already.
    shutil.copytree(shop.state_dir / "site", tmp_path / "site")
    with LocalShop(tmp_path, site_port=0, catch_up=False, cold_calls="fail") as brittle:
        brittle.build_site()
        page = opened(brittle, rough=True)
        visitor = Visitor(brittle, page)
        visitor.take("studio-plans")
        visitor.go("order/")
        visitor.fill()
        brittle.gateway.kill("checkout")
        with page.expect_event("requestfailed"):
            visitor.button.click()
        visitor.at_payment()
        assert len(visitor.orders()) == 1


def test_without_a_network_the_form_says_so_and_works_again_when_it_is_back(opened, shop):
    page = opened(rough=True)
    visitor = Visitor(shop, page)
    visitor.take("studio-plans")
    visitor.go("order/")
    visitor.fill()
    page.context.set_offline(True)
    visitor.button.click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("Look at your connection")
    page.context.set_offline(False)
    visitor.button.click()
    visitor.at_payment()
    assert len(visitor.orders()) == 1
