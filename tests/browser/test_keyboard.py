"""The whole road to the payment by the keyboard alone, and where its focus is."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.browsing import HOME

#: Whether the focused element, or what stands for it on the page, has a mark, and is not covered or out of sight.
FOCUS = """() => {
  const element = document.activeElement;
  const marked = [[element], [element, "::after"], [element.nextElementSibling]].some(([one, part]) => {
    const style = one && getComputedStyle(one, part);
    return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  });
  const { left, top, width, height } = element.getBoundingClientRect();
  const above = document.elementFromPoint(left + width / 2, top + height / 2);
  const seen = above && (element.contains(above) || above.contains(element) || element.labels?.[0]?.contains(above));
  return { what: element.outerHTML.slice(0, 150), marked: Boolean(marked), seen: Boolean(seen) };
}"""


class Keys:
    """Somebody who has a keyboard only."""

    def __init__(self, page):
        self.page = page

    def press(self, key):
        self.page.keyboard.press(key)

    def tab_to(self, locator):
        """Goes on with the tab key until the element has the focus, which is to be seen on every stop."""
        for _ in range(40):
            self.press("Tab")
            focus = self.page.evaluate(FOCUS)
            assert focus["marked"], focus
            assert focus["seen"], focus
            if locator.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"the tab key does not lead to {locator}")

    def follow(self, name):
        self.tab_to(self.page.get_by_role("link", name=name))
        self.press("Enter")

    def write(self, label, text):
        self.tab_to(self.page.get_by_label(label))
        self.page.keyboard.type(text)


@pytest.fixture
def keys(page):
    return Keys(page)


def test_from_the_listing_to_the_payment_and_the_focus_is_seen_at_every_stop(visitor, keys):
    page = keys.page
    visitor.go()
    keys.follow("Studio Apron")
    page.wait_for_url("**/studio-apron/")
    keys.tab_to(page.get_by_role("radio", name="S", exact=True))
    keys.press("ArrowRight")
    expect(page.get_by_role("radio", name="M", exact=True)).to_be_checked()
    keys.tab_to(page.get_by_label("Quantity"))
    keys.press("ArrowUp")
    keys.tab_to(page.get_by_role("button", name="Add to cart"))
    keys.press("Space")
    expect(page.get_by_role("status").filter(has_text="It is in your cart.")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="Go to the cart")).to_be_focused()
    keys.press("Enter")
    page.wait_for_url("**/cart/")
    keys.tab_to(page.get_by_label("Quantity of Studio Apron"))
    keys.press("ArrowDown")
    visitor.expect_total("€34.00")
    keys.follow("Check out")
    page.wait_for_url("**/order/")
    keys.write("Mail address", visitor.email)
    keys.write("Name", visitor.name)
    keys.tab_to(page.get_by_label("Send me one reminder"))
    keys.press("Space")
    keys.tab_to(page.get_by_role("radio", name="Card and other ways"))
    keys.press("ArrowDown")
    keys.tab_to(page.get_by_role("radio", name="Parcel locker"))
    keys.press("ArrowDown")
    for label, text in HOME.items():
        keys.write(label, text)
    keys.tab_to(page.get_by_label("Country"))
    keys.press("P")
    expect(page.get_by_label("Country")).to_have_value("PL")
    keys.write("Discount code", "WRONG")
    keys.press("Enter")
    code = page.get_by_label("Discount code")
    expect(code).to_be_focused()
    expect(code).to_have_attribute("aria-invalid", "true")
    keys.press("Control+A")
    page.keyboard.type("SPRING10")
    keys.tab_to(visitor.button)
    keys.press("Space")
    visitor.at_payment()
    assert visitor.order()["payment"]["amount_total"] == 3060 + 600


@pytest.mark.parametrize("page", ["desktop"], indirect=True)
def test_the_first_stop_skips_the_menu(visitor, keys):
    page = keys.page
    for path in ("", "order/", "terms/"):
        visitor.go(path)
        keys.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        keys.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
    visitor.go()
    keys.press("Tab")
    keys.press("Enter")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Throwing on the Wheel")).to_be_focused()
