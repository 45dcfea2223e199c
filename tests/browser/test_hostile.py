"""A shop whose names and texts, and whose checkout's answers, are full of code: it is all shown and none of it runs."""

from __future__ import annotations

import json

import pytest
import yaml
from playwright.sync_api import expect

from local.shop import ROOT, LocalShop
from support.browsing import overflow

BAD = "<img src=x onerror=alert(1)>"
END = "</script><script>alert(2)</script>"
QUOTES = "'\"`${alert(3)}&lt;--!>"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    content = yaml.safe_load((ROOT / "deploy" / "shop" / "shop.yml").read_text())
    content["shop"]["name"] = f"{BAD}{QUOTES}"
    content["site"]["description"] = f"{BAD}{END}"
    content["products"] = [
        {
            "sku": "bad",
            "name": f"{BAD}{END}",
            "price": 5.00,
            "text": f"{BAD}\n\n{END}{QUOTES}",
            "options": [{"name": f"{BAD}", "values": [f"{END}", QUOTES]}],
            "fulfilment": [{"step": "email", "template": "please-pack", "to": "admins"}],
        }
    ]
    content["checkout"]["shipping"]["rates"][0]["name"] = BAD
    content.pop("every_order")
    file = folder / "shop.yml"
    file.write_text(yaml.safe_dump(content))
    (folder / "mails").symlink_to(ROOT / "deploy" / "shop" / "mails")
    with LocalShop(folder / "state", site_port=0, shop_file=file, catch_up=False) as shop:
        shop.build_site()
        yield shop


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_names_texts_and_options_are_shown_as_they_are_from_the_listing_to_the_thank_you_page(visitor):
    page = visitor.page
    visitor.go()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{BAD}{QUOTES}")
    page.get_by_role("link", name=BAD).last.click()
    visitor.sees(f"{BAD}{END}")
    expect(page.get_by_text(f"{END}{QUOTES}", exact=True)).to_be_visible()
    page.get_by_role("radio", name=QUOTES).check()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="Go to the cart").click()
    line = page.get_by_role("listitem").filter(has_text=f"{BAD}{END}")
    expect(line).to_contain_text(f"{BAD}: {QUOTES}")
    assert overflow(page) == 0
    visitor.to_payment()
    visitor.pay()
    visitor.sees("All done")
    expect(page.get_by_text(f"1 × {BAD}{END}")).to_be_visible()
    assert overflow(page) == 0


def test_what_the_checkout_says_is_text_as_well_and_leads_to_no_script(anybody, shop):
    page = anybody.page
    anybody.go("products/bad/")
    page.get_by_role("radio", name=QUOTES).check()
    page.get_by_role("button", name="Add to cart").click()
    anybody.go("order/")
    anybody.fill()
    problems = [
        {"code": "bad_email", "message": BAD, "field": "email"},
        {"code": "odd", "message": f"{BAD}{END}", "item": 0},
        {"code": "odder", "message": END},
        {"code": "sold_out", "message": "", "item": 0, "left": BAD},
    ]
    answers = [{"error": {"code": "x", "message": "", "problems": problems}}, {"url": "javascript:alert(4)"}]
    origin = {"Access-Control-Allow-Origin": shop.site.url, "Content-Type": "application/json"}
    page.route(
        "**/function/checkout",
        lambda route: route.fulfill(status=200, headers=origin, body=json.dumps(answers.pop(0))),
    )
    anybody.button.click()
    expect(page.get_by_role("alert")).to_have_text(END)
    expect(page.get_by_text(f"Only {BAD} left")).to_be_visible()
    anybody.button.click()
    expect(page.get_by_role("alert")).to_contain_text("The order could not be taken")
    anybody.go(f"thank-you/#order={BAD}&key={END}")
    anybody.sees("Thank you – one moment")


def test_a_cart_that_cannot_be_read_is_an_empty_one_and_works_again(anybody):
    page = anybody.page
    anybody.go("cart/")
    for kept in ("{", "null", '{"items": 5}', '{"items": [null]}', '{"items": [{"sku": "bad"}]}'):
        page.evaluate("kept => localStorage['pushcart /'] = kept", kept)
        page.reload()
        expect(page.get_by_text("There is nothing in it yet.")).to_be_visible()
        assert anybody.in_cart() == ""
    anybody.take("bad", QUOTES)
    assert anybody.in_cart() == "1"
