"""A browser whose script is off: every page can be read, and every product can be bought on its own page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.browsing import SIZES, Visitor, overflow
from support.customers import eventually


@pytest.fixture(params=SIZES)
def visitor(request, opened, shop):
    return Visitor(shop, opened(size=request.param, java_script_enabled=False))


@pytest.mark.parametrize("visitor", ["phone"], indirect=True)
def test_a_product_is_bought_by_its_payment_link(visitor, shop):
    page = visitor.page
    visitor.go()
    page.get_by_role("link", name="Studio Plans").click()
    expect(page.get_by_role("button")).to_have_count(0)
    page.get_by_role("link", name="Buy now").click()
    page.get_by_label("Mail address").fill(visitor.email)
    visitor.pay()
    visitor.sees("Thank you")
    eventually(lambda: visitor.orders() and visitor.orders()[0]["fulfilment_status"] == "fulfilled")


@pytest.mark.parametrize("visitor", ["phone"], indirect=True)
def test_a_product_with_options_is_bought_by_its_form_and_a_mistake_in_it_is_said(visitor, shop, shop_file):
    page = visitor.page
    visitor.go("products/studio-apron/")
    page.get_by_role("radio", name="M", exact=True).check()
    with shop_file.changed("studio-apron", price=40):
        page.get_by_role("button", name="Buy now").click()
        visitor.sees("Please look again")
        expect(page.get_by_role("listitem")).to_contain_text("40.00")
        assert overflow(page) == 0
    page.go_back()
    page.get_by_role("radio", name="M", exact=True).check()
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Buy now").click()
    visitor.at_payment()
    page.get_by_label("Mail address").fill(visitor.email)
    visitor.pay()
    visitor.sees("Thank you")
    expect(page.get_by_text("a confirmation comes to your mail address")).to_be_visible()
    eventually(lambda: visitor.orders() and visitor.orders()[0]["fulfilment_status"] == "fulfilled")
    assert visitor.order()["payment"]["amount_subtotal"] == 6800


#: What every page says without a script, by its path.
SAYS = {
    "": "Pottery courses, plans and a good apron",
    "products/wheel-basics/": "Eight lessons from the first lump of clay",
    "cart/": "every product can be bought on its own page",
    "order/": "every product can be bought on its own page",
    "thank-you/": "a confirmation comes to your mail address",
    "cancelled/": "nothing was taken",
    "terms/": "",
    "privacy/": "",
    "nowhere/": "It may have moved",
}


def test_every_page_can_be_read_and_offers_nothing_that_needs_a_script(visitor):
    for path, text in SAYS.items():
        visitor.go(path)
        expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        expect(visitor.page.get_by_role("main")).to_contain_text(text)
        expect(visitor.page.get_by_role("button")).to_have_count(0)
        assert overflow(visitor.page) == 0
