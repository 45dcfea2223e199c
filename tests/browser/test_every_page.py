"""Every page in every state it has: axe-core finds nothing, and it fits into narrow and wide windows."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from support.browsing import SIZES, overflow
from support.carts import COURSE, Shopper

#: The narrowest phone: 1280 pixels at a zoom of 400 % (https://www.w3.org/TR/WCAG22/#reflow).
NARROW = (320, 640)

#: Two of what the owner packs, so that one may go before the other.
KITS = {"sku": "clay-kit", "quantity": 2, "price": 2400}

#: What the thank-you page may be told, and what it then says; the other states it comes to by what happens in the shop.
TOLD = {
    "waiting": "Thank you – one moment",
    "done": "All done",
    "failed": "The payment did not go through",
}


def reading(visitor):
    """The pages that are the same for everybody. Like the others it yields the name of each state it comes to."""
    pages = {
        "": "Meadow Pottery School",
        "products/wheel-basics/": "Throwing on the Wheel",
        "thank-you/": "Thank you",
        "cancelled/": "Nothing was paid",
        "terms/": "Terms of sale",
        "privacy/": "Privacy notice",
        "nowhere/": "This page is not here",
    }
    for path, heading in pages.items():
        visitor.go(path)
        visitor.sees(heading)
        yield path.strip("/").replace("/", "-") or "listing"


def choosing(visitor):
    page = visitor.page
    for path, text in (("cart/", "There is nothing in it yet."), ("order/", "There is nothing in your cart yet.")):
        visitor.go(path)
        expect(page.get_by_text(text)).to_be_visible()
        yield f"{path.strip('/')}-empty"
    visitor.take("wheel-basics")
    visitor.take("studio-apron", "M")
    yield "product-chosen"
    visitor.go("cart/")
    visitor.expect_total("€83.00")
    yield "cart"
    page.get_by_role("button", name="Remove Studio Apron").click()
    visitor.go("products/studio-apron/")
    page.evaluate("document.forms[0].submit()")
    visitor.sees("Please look again")
    yield "form-refused"


def ordering(visitor):
    page = visitor.page
    visitor.take("studio-apron", "M")
    visitor.take("wheel-basics")
    visitor.go("order/")
    visitor.expect_total("€83.00")
    yield "order"
    visitor.fill("autopay")
    visitor.expect_total("€89.00")
    yield "order-delivery"
    problems = [
        {"code": "bad_email"},
        {"code": "missing_address", "field": "line1", "message": "Say where it goes."},
        {"code": "bad_country", "message": "Nothing is sent there."},
        {"code": "unknown_rate", "message": "Choose how it comes."},
        {"code": "unknown_code"},
        {"code": "sold_out", "item": 0, "left": 1},
        {"code": "price_changed", "item": 1, "price": 5900},
    ]
    with answered(visitor, "**/function/checkout", {"error": {"code": "x", "message": "", "problems": problems}}):
        visitor.button.click()
        expect(page.get_by_role("alert")).to_contain_text("A price has changed")
    visitor.expect_total("€99.00")
    yield "order-problems"


def paying_at_stripe(visitor):
    page = visitor.page
    visitor.take("studio-apron", "M")
    place = visitor.to_payment()
    yield "stripe"
    visitor.pay("Pay with a card that is declined")
    expect(page.get_by_role("alert")).to_be_visible()
    yield "stripe-declined"
    visitor.pay()
    visitor.sees("All done")
    page.goto(place)
    visitor.sees("You have paid already")
    yield "stripe-paid"


def paying_at_autopay(visitor):
    visitor.take("studio-plans")
    place = visitor.to_payment("autopay")
    visitor.pay("Try a payment that fails")
    expect(visitor.page.get_by_role("alert")).to_be_visible()
    yield "autopay-failed"
    visitor.pay()
    visitor.sees("All done")
    visitor.page.goto(place)
    visitor.sees("This order is paid already")
    yield "autopay-paid"


def thanking(visitor):
    items = [{"name": "Studio Apron (Size: M)", "quantity": 2}, {"name": "Throwing on the Wheel", "quantity": 1}]
    for state, heading in TOLD.items():
        told = {"order": "o-0123456789", "state": state, "items": items, "expect": ["mail", "invitation", "parcel"]}
        with answered(visitor, "**/checkout/status**", told):
            visitor.go(f"thank-you/?session_id={state}")
            visitor.sees(heading)
            expect(visitor.page.get_by_text("2 × Studio Apron")).to_be_visible()
            expect(visitor.page.get_by_text("What comes next")).to_be_visible(visible=state == "done")
            yield f"thanks-{state}"
    visitor.page.clock.install()
    visitor.go("thank-you/?session_id=cs_never")
    visitor.sees(TOLD["waiting"])
    visitor.page.clock.run_for(300_000)
    visitor.sees("Thank you")
    yield "thanks-late"


def following(visitor):
    """What buyers see on the thank-you page as their orders go on, or do not."""
    shop = visitor.shop
    left, packed, disputed = Shopper(shop, COURSE), Shopper(shop, KITS), Shopper(shop, COURSE)
    for shopper in (left, packed, disputed):
        shopper.begin()
    shop.sandbox.stripe.expire(left.session_id)
    yield thanked(visitor, left, "expired", "This payment was not finished in time")
    disputed.pay()
    packed.pay()
    [line] = packed.wait(payment="paid", fulfilment="in_progress")["lines"]
    yield thanked(visitor, packed, "paid", "We are getting everything ready.")
    shop.ask(f"/orders/{packed.id}/ship", {"carrier": "InPost", "pieces": {line["id"]: 1}})
    yield thanked(visitor, packed, "on_its_way", "the first of what you bought has left for you")
    shop.sandbox.stripe.refund(packed.session_id)
    yield thanked(visitor, packed, "refunded", "The money goes back the way it came")
    shop.sandbox.stripe.dispute(disputed.session_id)
    yield thanked(visitor, disputed, "attention", "Somebody of us looks after your order in person")


def thanked(visitor, shopper, state, text):
    """The thank-you page once the order has come so far, and nothing else is said there."""
    shopper.sees(state)
    visitor.go(f"thank-you/?session_id={shopper.session_id}")
    expect(visitor.page.get_by_text(text)).to_be_visible()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_count(1)
    expect(visitor.page.get_by_text("What comes next")).to_be_visible(visible=state in ("paid", "on_its_way"))
    return f"thanks-{state}"


def finding_nothing_left(visitor):
    page = visitor.page
    visitor.go("products/glaze-chemistry/")
    expect(page.get_by_text("This is sold out just now.")).to_be_visible()
    yield "product-sold-out"
    with answered(visitor, "**/checkout/visit", {"stock": {"studio-apron": {"S": 0, "M": 0, "L": 0}}}):
        visitor.go("products/studio-apron/")
        expect(page.get_by_role("button", name="Sold out")).to_be_disabled()
        yield "product-sold-out-since"


@contextmanager
def answered(visitor, place, body):
    """For a while the checkout says this."""
    headers = {"Access-Control-Allow-Origin": visitor.shop.site.url, "Content-Type": "application/json"}
    visitor.page.route(place, lambda route: route.fulfill(headers=headers, body=json.dumps(body)))
    yield
    visitor.page.unroute(place)


WAYS = [
    reading,
    choosing,
    finding_nothing_left,
    ordering,
    paying_at_stripe,
    paying_at_autopay,
    thanking,
    following,
]


def look(page, state):
    """Asserts that nothing is wrong with the page as it is now, at any width."""
    for width, height in (NARROW, *reversed(SIZES.values())):
        page.set_viewport_size({"width": width, "height": height})
        assert overflow(page) == 0, f"{state} is too wide for {width}"
        if (width, height) != NARROW:
            found = Axe().run(page)
            assert found.violations_count == 0, f"{state} at {width}: {found.generate_report()}"


@pytest.mark.parametrize("way", WAYS)
def test_every_state_is_accessible_and_fits(anybody, way):
    for state in way(anybody):
        look(anybody.page, state)
