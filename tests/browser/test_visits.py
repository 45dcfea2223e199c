"""A page that is opened wakes the checkout and is counted once; nobody is."""

from __future__ import annotations

from playwright.sync_api import expect

from support.browsing import READER, Visitor


def traffic(shop):
    """Today's counts, after the checkout has written what it holds."""
    shop.gateway.restart("checkout")
    told = shop.client.call("checkout", "/traffic", method="GET")
    return told["views"], dict(told["pages"]), dict(told["referrers"])


def test_an_opened_page_wakes_the_checkout_and_is_counted_with_the_site_that_led_to_it(opened, shop):
    before = traffic(shop)
    shop.gateway.kill("checkout")
    visitor = Visitor(shop, opened(user_agent=READER))
    page = visitor.page
    with page.expect_response("**/checkout/visit"):
        visitor.go("", referer="https://news.example/pottery?from=letter")
    assert shop.gateway.pid("checkout")
    for name, path in (("Studio Apron", "studio-apron/"), ("Cart", "cart/")):
        with page.expect_response("**/checkout/visit") as answered:
            page.get_by_role("link", name=name).first.click()
        assert answered.value.status == 200
        page.wait_for_url(f"**/{path}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your cart")
    machine = Visitor(shop, opened())
    with machine.page.expect_response("**/checkout/visit"):
        machine.go()
    after = traffic(shop)
    assert after[0] - before[0] == 3
    assert {name: count - before[1].get(name, 0) for name, count in after[1].items()} == {
        "/": 1,
        "/products/studio-apron/": 1,
        "/cart/": 1,
    }
    assert after[2] == {"news.example": 1}
