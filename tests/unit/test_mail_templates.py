"""The mails that come with Pushcart, for the orders a shop really gets."""

from __future__ import annotations

import re

import msgspec
import pytest

from pushcart.domain.order import Address, Buyer
from pushcart.mail.render import WIDTH
from support import mail_samples as samples
from support.mail_samples import HOSTILE, Page


def hostile_order():
    buyer = Buyer(
        email="x@example.org",
        name=HOSTILE,
        phone=HOSTILE,
        locale="en",
        address=Address(line1=HOSTILE, country="PL"),
    )
    return samples.order([samples.line(HOSTILE)], buyer, amount_refunded=100)


def bare_order():
    return samples.order(buyer=Buyer(email="x@example.org"), payment_intent=None, amount_refunded=100)


def free_order():
    line = samples.line(amount_discount=4900, amount_total=0)
    return samples.order([line], amount_discount=4900, amount_total=0, payment_intent=None)


ORDERS = {
    "plain": samples.order,
    "rich": samples.rich_order,
    "hostile": hostile_order,
    "bare": bare_order,
    "free": free_order,
    "yen": lambda: samples.order([samples.line(amount=4900)], Buyer(email="k@example.jp", locale="ja"), "jpy"),
    "dinar": lambda: samples.order([samples.line(amount=4900)], Buyer(email="k@example.kw", locale="ar"), "kwd"),
    "test": lambda: samples.order(livemode=False),
}
CASES = [(name, kind) for name in samples.NAMES for kind in ORDERS]


def mail(name, kind):
    return samples.render(samples.request(name, ORDERS[kind]()))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_mail_is_whole_html_with_nothing_left_over(name, kind):
    rendered = mail(name, kind)
    page = Page(rendered.html)
    assert rendered.html.startswith("<!DOCTYPE html>")
    leftovers = rendered.html.replace("{{ 7*7 }}{% if %}", "") + rendered.text.replace("{{ 7*7 }}{% if %}", "")
    assert not re.search(r"{{|{%|{#|\bNone\b|\bundefined\b|Amount\(", leftovers)
    assert not [tag for tag, _ in page.tags if tag in ("script", "form", "iframe", "img")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_link_is_http_or_mail_and_stands_in_the_text_too(name, kind):
    rendered = mail(name, kind)
    for link in Page(rendered.html).links:
        assert re.match(r"https?://|mailto:", link)
        assert link.removeprefix("mailto:") in rendered.text or link == "https://meadow-pottery.example"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_amount_date_and_order_number_of_the_html_stands_in_the_text_too(name, kind):
    rendered = mail(name, kind)
    amounts = re.findall(r"[€¥￥]\s?[\d,.]*\d|\d[\d.,\xa0]*\s€", rendered.html)
    assert all(amount.strip() in rendered.text for amount in amounts)
    assert ("D2PJ-H7RA" in rendered.html) == ("D2PJ-H7RA" in rendered.text)
    assert ("2026" in rendered.html) == ("2026" in rendered.text)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_subject_is_one_plain_line(name, kind):
    subject = mail(name, kind).subject
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", subject)
    assert subject == subject.strip()
    assert len(subject) >= 10
    assert len(subject) <= 110 or kind == "hostile"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_text_wraps_where_it_can(name, kind):
    text = mail(name, kind).text
    assert [
        line for line in text.splitlines() if len(line) > WIDTH and " " in line.strip() and not line.startswith("  ")
    ] == []
    assert "\n\n\n" not in text
    assert text.endswith("\n")


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_hostile_name_is_harmless(name):
    rendered = mail(name, "hostile")
    assert "<script" not in rendered.html
    assert "{{ 7*7 }}" in rendered.html  # written out, not worked out
    assert "\u202e" not in rendered.html + rendered.text + rendered.subject
    assert not [line for line in rendered.text.splitlines() if line.startswith("Bcc:")]


@pytest.mark.parametrize("name", samples.NAMES)
def test_every_mail_can_be_read_by_a_screen_reader_and_on_a_phone(name):
    page = Page(mail(name, "rich").html)
    html = dict(page.tags)["html"]
    assert (html["lang"], html["dir"]) == ("en-GB", "ltr")
    tables = [attrs for tag, attrs in page.tags if tag == "table"]
    assert all(attrs.get("role") == "presentation" or attrs.get("aria-label") for attrs in tables)
    names = [attrs.get("name") for tag, attrs in page.tags if tag == "meta"]
    assert {"viewport", "color-scheme"} <= set(names)
    assert [tag for tag, _ in page.tags].count("h1") == 1


def contrast(one, other):
    """https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""

    def light(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_colours_have_enough_contrast_in_light_and_dark():
    parts = (samples.MAILS / "_parts.html").read_text()
    light = dict(re.findall(r'set (\w+) = "(#\w{6})"', parts))
    pairs = [(light[name], light[ground]) for name in ("ink", "quiet", "accent") for ground in ("paper", "desk")]
    dark = re.search(r"prefers-color-scheme: dark\) {(.*?)\n  }", (samples.MAILS / "_layout.html").read_text(), re.S)[1]
    card = re.search(r"\.card {{1} background-color: (#\w{6})", dark)[1]
    pairs += [(colour, card) for colour in re.findall(r" color: (#\w{6})", dark)]
    pairs += [("#ffffff", light["accent"])]
    assert len(pairs) == 10
    assert min(contrast(*pair) for pair in pairs) >= 4.5
    # The button's words are large and bold, for which 3 is enough.
    assert contrast("#ffffff", re.search(r"\.button {{1} background-color: (#\w{6})", dark)[1]) >= 3


def test_the_receipt_shows_how_the_total_comes_about():
    text = samples.render(samples.request("receipt", samples.rich_order())).text.replace("\xa0", " ")
    for line in (
        "- Throwing on the Wheel, 2 x 49,00 €: 98,00 €",
        "Subtotal: 211,50 €",
        "Discount: -21,15 €",
        "Shipping: 5,90 €",
        "Tax: 45,66 €",
        "Total: 241,91 €",
        "Bought by: zofia.kowalska@example.pl",
    ):
        assert line in text.splitlines()


def test_the_receipt_of_a_simple_order_has_no_empty_rows():
    text = samples.render(samples.request("receipt")).text
    for word in ("Subtotal", "Discount", "Shipping", "Tax", "Refunded", "Goes to"):
        assert word not in text


def test_the_receipt_tells_tax_inside_the_prices_from_tax_on_top():
    inside = samples.render(samples.request("receipt", samples.order(amount_tax=916)))
    assert "Tax included in the total: €9.16" in inside.text
    assert "Tax included in the total" in Page(inside.html).text


def test_the_receipt_of_a_free_order_thanks_without_speaking_of_a_payment():
    rendered = mail("receipt", "free")
    assert "nothing to pay" in rendered.text
    assert "payment has arrived" not in rendered.html
    assert "Total: €0.00" in rendered.text


def test_your_access_shows_each_link_as_a_button_and_in_full():
    results = {
        "a": {"link": "https://one.example/x"},
        "b": {"link": "https://two.example/y", "note": "Bring clay."},
    }
    rendered = samples.render(samples.request("your-access", results=results))
    page = Page(rendered.html)
    for link in ("https://one.example/x", "https://two.example/y"):
        assert page.links.count(link) == 2
        assert link in page.text
        assert link in rendered.text.splitlines()
    assert "Bring clay." in page.text
    assert "Bring clay." in rendered.text


def test_your_access_has_no_button_for_a_javascript_link():
    rendered = samples.render(samples.request("your-access", results={"invite": {"link": "javascript:alert(1)"}}))
    assert "javascript" not in rendered.html + rendered.text
    assert "sign in with the mail address you bought with" in rendered.text


def test_your_access_tells_a_member_to_sign_in_as_always():
    results = {"invite": {"link": "https://forum.example", "existing_member": True}}
    rendered = samples.render(samples.request("your-access", results=results))
    assert "You have an account there already" in rendered.text
    assert "do not pass it on" not in rendered.text


@pytest.mark.parametrize(
    ("refunded", "words"), [(4900, "refunded your order in full"), (1500, "refunded part of your order")]
)
def test_a_refund_says_whether_it_is_the_whole(refunded, words):
    rendered = samples.render(samples.request("refund", samples.order(amount_refunded=refunded), refund=1000))
    assert words in rendered.text
    assert words in Page(rendered.html).text
    assert "Refunded now: €10.00" in rendered.text
    assert f"Refunded in all: €{refunded // 100}.00" in rendered.text


def test_an_owners_mail_about_a_test_order_says_so_and_a_buyers_does_not():
    for name in samples.ADMIN_MAILS:
        rendered = mail(name, "test")
        assert rendered.subject.startswith("[TEST] ")
        assert "TEST" in Page(rendered.html).text
    for name in samples.BUYER_MAILS:
        assert "TEST" not in mail(name, "test").subject + mail(name, "test").html
    assert "TEST" not in mail("owners-notice", "plain").subject


def test_something_needs_you_says_what_which_order_and_which_command():
    rendered = mail("something-needs-you", "plain")
    for text in (rendered.text, Page(rendered.html).text):
        flat = " ".join(text.split())
        assert "gave up after 8 attempts" in flat
        assert f"pushcart orders show {samples.ORDER_ID}" in flat
        assert f"pushcart orders retry {samples.ORDER_ID}" in flat
        assert "D2PJ-H7RA" in flat


def test_something_needs_you_works_without_an_order():
    problem = samples.problem("pushcart events show stripe:evt_1")
    rendered = samples.render(samples.request("something-needs-you", order=None, lines=[], problem=problem))
    assert rendered.subject == "Something needs you"
    assert "    pushcart events show stripe:evt_1" in rendered.text.splitlines()
    assert "pushcart events show stripe:evt_1" in Page(rendered.html).text
    assert "Order" not in rendered.text


def test_your_cart_shows_what_was_in_it_the_way_back_and_that_nothing_was_charged():
    rendered = samples.render(samples.request("your-cart", samples.left_cart()))
    page = Page(rendered.html)
    for text in (" ".join(rendered.text.split()), page.text):
        assert "Nothing was charged." in text
        assert "This is the only reminder" in text
        assert "https://meadow-pottery.example/cart/" in text
        assert samples.ORDER_ID not in text  # nothing was ordered
    for line in ("- Studio Apron (M), 2 x €34.00: €68.00", "Discount: -€14.70", "Shipping: €3.50", "Total: €135.80"):
        assert line in rendered.text.splitlines()
    assert page.links.count("https://meadow-pottery.example/cart/") == 2
    assert "What was in your cart" in [attrs.get("aria-label") for tag, attrs in page.tags if tag == "table"]


def test_your_cart_leads_back_to_a_shop_whose_address_ends_with_a_slash():
    shop = msgspec.convert(msgspec.to_builtins(samples.catalogue()), type(samples.catalogue()), strict=False)
    shop.shop.url = "https://shop.example/pottery/"
    rendered = samples.render(samples.request("your-cart", samples.left_cart()), shop=shop)
    assert "https://shop.example/pottery/cart/" in rendered.text.splitlines()
    assert "https://shop.example/pottery/cart/" in Page(rendered.html).links


def test_please_pack_says_what_goes_where_and_how_to_see_the_order():
    order = samples.rich_order()
    apron = samples.line("Studio Apron (M)", 3400, quantity=2)
    rendered = samples.render(samples.request("please-pack", order, lines=[apron]))
    rows = ["Zofia Kowalska", "ul. Długa 12/3", "31-146 Kraków", "Poland"]
    assert "- 2 x Studio Apron (M)" in rendered.text.splitlines()
    assert rendered.text.split("Goes to:\n")[1].splitlines()[:4] == [f"    {row}" for row in rows]
    page = Page(rendered.html)
    assert "2 × Studio Apron (M)" in page.text
    assert "".join(rows) in page.text  # each on a line of its own
    for text in (rendered.text, page.text):
        assert "Glaze" not in text  # another step packs that, or nobody has to
        assert "zofia.kowalska@example.pl" in text
        assert f"pushcart orders show {samples.ORDER_ID}" in text
    assert rendered.subject == "Please pack order D2PJ-H7RA"


def test_please_pack_without_an_address_says_so():
    rendered = mail("please-pack", "bare")
    for text in (rendered.text, Page(rendered.html).text):
        assert "No address came with this order: ask the buyer for one." in text
        assert "x@example.org" in text


def test_please_pack_for_a_test_order_says_not_to_send_it():
    for text in (mail("please-pack", "test").text, Page(mail("please-pack", "test").html).text):
        assert "do not send anything" in " ".join(text.split())
    assert "do not send anything" not in mail("please-pack", "plain").html


def test_the_folder_of_our_mails_has_no_mistake():
    assert samples.Renderer(samples.MAILS).problems(*samples.NAMES) == []
