"""Whatever a browser, or somebody who pretends to be one, sends to checkout: a clear refusal, and nothing of it obeyed.

Not by the shop's own prices, not by a mail program, not by the owner's terminal.
"""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local.shop import LocalShop
from support.autopay import form, itn, transaction
from support.carts import APRON, COURSE, HOME, PLANS, Shopper, call, well_stocked
from support.command import pushcart, shop_of
from support.customers import eventually
from support.hostile import EVIL, SCRIPT, assert_harmless, obeyed, tags

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}

TOKEN = "a-cart-of-somebody"
DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    with LocalShop(folder / "state", shop_file=well_stocked(folder), catch_up=False) as shop:
        yield shop


@pytest.fixture
def nothing_happens(shop):
    """Nothing is stored and nobody is asked while the test runs."""
    calls, orders = len(shop.sandbox.calls()), shop.orders()
    yield
    assert shop.orders() == orders
    assert len(shop.sandbox.calls()) == calls


@pytest.fixture(scope="module")
def eve(shop):
    """Somebody who has put all of it wherever a cart takes text, and paid."""
    address = dict.fromkeys(("name", "line1", "line2", "postal_code", "city", "state"), EVIL)
    eve = Shopper(shop, APRON, PLANS, pay="autopay", name=EVIL, shipping={**HOME, **address})
    eve.begin()
    eve.pay()
    eve.sees("done")
    return eve


@pytest.fixture(scope="module")
def eve_at_stripe(shop):
    """The same, in what Stripe's page asks for."""
    eve = Shopper(shop, APRON, PLANS, name=EVIL)
    eve.begin()
    home = {"name": EVIL, "address": {"line1": EVIL, "city": EVIL, "postal_code": EVIL, "country": "PL"}}
    eve.name = EVIL
    eve.pay(shipping=home, phone=EVIL)
    eve.sees("done")
    return eve


def codes(answer):
    return [problem["code"] for problem in answer.json()["error"]["problems"]]


# Prices and quantities


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"price": 1}, 409, "price_changed"),
        ({"price": 0}, 409, "price_changed"),
        ({"price": -1500}, 409, "price_changed"),
        ({"price": 1500.4}, 409, "price_changed"),
        ({"price": 10**60}, 409, "price_changed"),
        ({"quantity": 0}, 422, "bad_quantity"),
        ({"quantity": -1}, 422, "bad_quantity"),
        ({"quantity": 0.01}, 422, "bad_quantity"),
        ({"quantity": 100}, 422, "bad_quantity"),
        ({"quantity": 2**63}, 422, "bad_quantity"),
        ({"quantity": 10**300}, 422, "bad_quantity"),
    ],
)
@pytest.mark.usefixtures("nothing_happens")
def test_a_price_or_quantity_of_the_browsers_own_buys_nothing(shop, change, status, code):
    answer = call(shop, "POST", "/", json={"token": TOKEN, "items": [{**PLANS, **change}]})
    assert (answer.status_code, codes(answer)) == (status, [code])


@pytest.mark.parametrize("pay_with", ["stripe", "autopay"])
def test_amounts_that_the_browser_adds_are_not_read(shop, pay_with):
    free = {"amount": 1, "amount_total": 1, "amount_discount": 1499, "unit_amount": 1, "discount": 100, "total": "0.01"}
    unpriced = {name: value for name, value in PLANS.items() if name != "price"}
    shopper = Shopper(shop, {**unpriced, **free}, pay=pay_with, **free, order="o-1", key="mine")
    shopper.begin()
    if pay_with == "stripe":
        assert [one["amount_total"] for one in shopper.sessions()] == [1500]
    else:
        assert parse_qs(urlsplit(shopper.begun["url"]).query)["Amount"] == ["15.00"]
        cheap = shopper.begun["url"].replace("Amount=15.00", "Amount=0.01")
        assert requests.get(cheap, timeout=10).status_code == 403, "Autopay takes a link that was changed"


# Other sites' pages


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://meadow-pottery.example", "file://"])
@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"token": TOKEN, "items": [PLANS]}},
        {"data": {"sku": "studio-plans"}},
        {"data": json.dumps({"token": TOKEN, "items": [PLANS]}), "headers": {"Content-Type": "text/plain"}},
    ],
    ids=["script", "form", "text/plain"],
)
@pytest.mark.usefixtures("nothing_happens")
def test_a_page_of_another_site_cannot_make_a_visitor_order(shop, origin, request_):
    answer = call(shop, "POST", "/", origin=origin, **request_)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_of_another_site_may_neither_ask_first_nor_read_anything(shop, eve):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    status = {"order": eve.id, "key": eve.begun["key"]}
    for answer in (
        call(shop, "OPTIONS", "/", origin="https://evil.example", headers=asked),
        call(shop, "GET", "/status", origin="https://evil.example", params=status),
        call(shop, "POST", "/visit", origin="https://evil.example", data={"page": "/"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
    ours = call(shop, "OPTIONS", "/", headers=asked)
    assert (ours.status_code, ours.headers["Access-Control-Allow-Origin"]) == (204, "https://meadow-pottery.example")
    assert "Access-Control-Allow-Credentials" not in ours.headers


@pytest.mark.usefixtures("nothing_happens")
def test_a_type_that_any_page_may_send_unasked_is_no_cart(shop):
    body = json.dumps({"token": TOKEN, "items": [PLANS]})
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/xml", ""):
        assert call(shop, "POST", "/", data=body, headers={"Content-Type": kind}).status_code == 400


# What is no cart


NO_CART = {
    "5 MB of JSON": (413, JSON, b'{"items": [], "x": "' + b"a" * 5_000_000 + b'"}'),
    "5 MB of form": (413, FORM, b"sku=" + b"a" * 5_000_000),
    "40 kB": (413, JSON, b'{"items": [], "x": "' + b"a" * 40_000 + b'"}'),
    "10,000 arrays": (400, JSON, DEEP),
    "10,000 arrays for items": (400, JSON, b'{"items": ' + DEEP + b"}"),
    "10,000 arrays in a field nobody knows": (400, JSON, b'{"unknown": ' + DEEP + b"}"),
    "10,000 arrays in an item": (400, JSON, b'{"items": [{"sku": "studio-plans", "unknown": ' + DEEP + b"}]}"),
    "no UTF-8": (400, JSON, b'{"items": [{"sku": "\xff\xfe"}]}'),
    "no UTF-8 in a form": (400, FORM, b"sku=\xff\xfe"),
    "half a character": (400, JSON, b'{"items": [{"sku": "\\ud800"}]}'),
    "200 fields": (400, FORM, b"a=b&" * 200),
    "no number": (400, JSON, b'{"items": [{"sku": "studio-plans", "quantity": NaN}]}'),
    "a number beyond all": (400, JSON, b'{"items": [{"sku": "studio-plans", "quantity": 1e400}]}'),
    "yes for a number": (400, JSON, b'{"items": [{"sku": "studio-plans", "quantity": true}]}'),
    "a header in the language": (400, JSON, b'{"items": [{"sku": "studio-plans"}], "locale": "en\\r\\nX-Evil: 1"}'),
    "a path for a token": (400, JSON, b'{"items": [{"sku": "studio-plans"}], "token": "../../../../etc/passwd"}'),
}


@pytest.mark.parametrize(("status", "kind", "body"), NO_CART.values(), ids=NO_CART)
@pytest.mark.usefixtures("nothing_happens")
def test_what_is_no_cart_is_refused_at_once(shop, status, kind, body):
    begun = time.monotonic()
    answer = call(shop, "POST", "/", data=body, headers=kind)
    assert answer.status_code == status
    assert time.monotonic() - begun < 3
    assert "Traceback" not in answer.text


@pytest.mark.usefixtures("nothing_happens")
def test_of_a_field_that_comes_twice_one_counts_for_everything(shop):
    """The last: two readers of one cart that choose differently would price one thing and sell another."""
    twice = b'{"items": [{"sku": "studio-plans", "price": 1500, "price": 1}], "currency": "EUR", "token": "%s"}'
    assert codes(call(shop, "POST", "/", data=twice % TOKEN.encode(), headers=JSON)) == ["price_changed"]
    answer = call(shop, "POST", "/", data=b"sku=studio-plans&sku=nothing&price=1500", headers=FORM)
    assert (answer.status_code, "no product" in answer.text) == (422, True)


@pytest.mark.parametrize("field", ["sku", "code", "email", "pay", "currency", "option.Size", "option.<b>"])
@pytest.mark.usefixtures("nothing_happens")
def test_script_in_a_form_comes_back_as_text(shop, field):
    fields = {"sku": "studio-apron", "option.Size": "M", field: EVIL[:150]}
    answer = call(shop, "POST", "/", data=fields)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert tags(answer.text) <= {"html", "head", "meta", "title", "style", "body", "main", "h1", "ul", "li", "p", "a"}
    assert not obeyed(answer.text)


@pytest.mark.parametrize("name", ["order", "key", "session_id", "ServiceID", "OrderID", "Hash"])
def test_text_of_any_kind_in_the_address_is_a_plain_404(shop, name):
    for value in (EVIL, "\0", "\ud800".encode(errors="surrogatepass"), "x" * 5000, "' OR '1'='1", '{"$ne": null}'):
        answer = call(shop, "GET", "/status", params={"order": "o-1", "key": "k", name: value})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


# Where it could surface


def mails_about(shopper):
    return [mail for mail in shopper.shop.sandbox.mails() if mail.custom_args.get("order_id") == shopper.id]


@pytest.mark.parametrize("who", ["eve", "eve_at_stripe"])
def test_no_mail_obeys_it(request, who):
    eve = request.getfixturevalue(who)
    mails = mails_about(eve)
    assert {mail.custom_args["step"] for mail in mails} == {
        "receipt",
        "owners-notice",
        "studio-apron.please-pack",
        "studio-plans.your-access",
    }
    assert any("Eve" in mail.html for mail in mails)
    for mail in mails:
        assert_harmless(mail)


def test_the_owners_terminal_obeys_none_of_it(shop, eve, eve_at_stripe):
    call(shop, "POST", "/visit", data={"page": EVIL, "from": f"https://{EVIL}/"}, headers=READER)
    call(shop, "POST", "/visit", data={"page": "/", "from": "\x1b[31mevil.example"}, headers=READER)
    shop.gateway.restart("checkout")  # in order, so that it writes what it has counted
    [sold] = [
        one["id"]
        for one in listed(shop)
        if eve_at_stripe.session_id in body_of(shop, one["id"]) and one["type"] == "checkout.session.completed"
    ]
    [paid] = [one["id"] for one in listed(shop) if eve.id in one["id"] and one["type"] == "payment.paid"]
    commands = [["orders", "list"], ["orders", "show", eve_at_stripe.id], ["orders", "show", eve.id, "--json"]]
    commands += [["events", "list"], ["events", "show", paid], ["events", "show", sold], ["traffic"]]
    for command in [*commands, ["events", "show", sold, "--json"]]:
        done = pushcart(*command, at=shop_of(shop))
        assert done.code == 0, done.err
        assert not obeyed(done.out, white={"\n"}), command
    assert eve.order()["buyer"]["name"] == eve_at_stripe.order()["buyer"]["name"] == EVIL, "all of it is there"
    shown = pushcart("orders", "show", eve.id, at=shop_of(shop))
    assert "Eve" in shown.out
    assert "At Autopay" in shown.out
    assert "dashboard.stripe.com" not in shown.out
    assert not obeyed(shown.out, white={"\n"})
    seen = pushcart("traffic", "--json", at=shop_of(shop)).json
    assert [seen["pages"], seen["referrers"]] == [[["/", 1], ["other", 1]], [["other", 2]]]


def listed(shop):
    return shop.ask("/events", method="GET", limit="200")["items"]


def body_of(shop, event_id):
    return shop.ask(f"/events/{event_id}", method="GET")["body"]


@pytest.mark.usefixtures("eve", "eve_at_stripe")
def test_no_log_line_holds_what_was_sent_or_anything_that_a_terminal_obeys(shop):
    requests.post(
        f"{shop.gateway.url}/function/checkout/%1b%5b31m",
        headers={"X-Call-Id": "\x1b[31mred", "User-Agent": SCRIPT},
        timeout=10,
    )
    for name in ("checkout", "autopay-webhook", "order-store", "email-dispatch"):
        for line in shop.gateway.logs(name):
            assert not obeyed(line)
            assert "evil.example" not in line
            assert "<script>" not in line


# Autopay's word, forged


@pytest.fixture
def owing(shop):
    """Somebody with a link of Autopay's who would rather not pay."""
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    return shopper


def test_a_notification_forged_from_the_links_own_hash_or_the_way_backs_is_refused(shop, owing):
    link = {name: values[0] for name, values in parse_qs(urlsplit(owing.begun["url"]).query).items()}
    back = {
        name: values[0] for name, values in parse_qs(urlsplit(shop.sandbox.autopay.back_to(owing.id)).query).items()
    }
    wish = transaction(orderID=owing.id, amount="15.00")
    signed = [(name, value) for name, value in link.items() if name not in ("ServiceID", "Hash")]
    names = ("orderID", "remoteID", "amount", "currency", "paymentDate", "paymentStatus")
    renamed = [(name, value) for name, (_, value) in zip(names, signed, strict=True)]
    forged = [
        itn(wish, hash=link["Hash"]),
        itn(wish, hash=back["Hash"]),
        itn(signed, hash=link["Hash"]),
        itn(renamed, hash=link["Hash"]),
        itn([("orderID", link["OrderID"]), *signed[1:], ("paymentStatus", "")], hash=link["Hash"]),
        itn([("orderID", owing.id)], hash=back["Hash"]),
        itn([("orderID", owing.id), *((name, "") for name, _ in wish[1:])], hash=back["Hash"]),
        itn([("orderID", owing.id), ("more", wish[1:])], hash=back["Hash"]),
    ]
    for xml in forged:
        answer = requests.post(f"{shop.gateway.url}/function/autopay-webhook", data=form(xml), headers=FORM, timeout=10)
        assert answer.status_code == 400, xml
        assert "CONFIRMED" not in answer.text
    assert not [one for one in listed(shop) if owing.id in one["id"]]
    assert owing.status()["state"] == "waiting"


def test_another_orders_true_notification_pays_for_that_order_alone(shop, owing):
    paid = Shopper(shop, PLANS, pay="autopay")
    paid.begin()
    paid.pay()
    paid.sees("done")
    true = shop.sandbox.autopay.notifications(paid.id)[-1].xml
    stolen = true.replace(paid.id.encode(), owing.id.encode())
    url = f"{shop.gateway.url}/function/autopay-webhook"
    assert requests.post(url, data=form(stolen), headers=FORM, timeout=10).status_code == 400
    assert requests.post(url, data=form(true), headers=FORM, timeout=10).status_code == 200
    assert owing.status()["state"] == "waiting"


# Guessing


def test_an_orders_key_is_not_guessed_from_anything_that_others_know(shop, eve, owing):
    link = {name: values[0] for name, values in parse_qs(urlsplit(owing.begun["url"]).query).items()}
    key = owing.begun["key"]
    assert len(key) >= 32
    assert key not in owing.begun["url"]
    guesses = [
        {"order": owing.id},
        {"order": owing.id, "key": ""},
        {"order": owing.id, "key": key[:-1]},
        {"order": owing.id, "key": key.swapcase()},
        {"order": owing.id, "key": eve.begun["key"]},
        {"order": owing.id, "key": owing.cart["token"]},
        {"order": "o-" + "a" * 26, "key": key},
        {"session_id": owing.id},
        {"session_id": "cs_"},
        {"session_id": "cs_test_*"},
        {"ServiceID": link["ServiceID"], "OrderID": owing.id, "Hash": link["Hash"]},
        {"ServiceID": link["ServiceID"], "OrderID": owing.id, "Hash": "0" * 64},
    ]
    answers = {(a.status_code, a.text) for a in (call(shop, "GET", "/status", params=guess) for guess in guesses)}
    assert [status for status, _ in answers] == [404], "each guess is answered alike"


def test_what_the_key_opens_tells_nothing_personal(shop):
    shopper = Shopper(shop, COURSE, APRON, pay="autopay", name="Ann Private")
    shopper.begin()
    told = json.dumps(shopper.status())
    order = shopper.order()
    assert order["shipping"]["address"]["city"] == "Warszawa"
    for private in (shopper.email, "Ann", "Private", "Warszawa", "Prosta", shopper.begun["key"], "autopay"):
        assert private not in told
    assert set(shopper.status()) == {"order", "state", "items", "expect"}


# Time: last, because it only goes forward


def test_the_reminder_of_a_cart_obeys_none_of_it_either(shop):
    eve = Shopper(shop, PLANS, pay="autopay", name=EVIL, remind=True)
    eve.begin()
    assert shop.sandbox.autopay.wait_idle()
    shop.advance(3720)
    shop.catch_up()
    [mail] = eventually(lambda: shop.sandbox.mails(eve.email))
    assert_harmless(mail)
