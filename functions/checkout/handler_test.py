"""checkout: a cart becomes one stored order and one place to pay, or a clear 4xx and nothing at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ConfigurationError
from pushcart.store import connect
from support.started_checkout import APRON, COURSE, ORIGIN, SHOP, TOKEN, StartedCheckout
from support.step_calls import INTERNAL_KEY, environment, load_handler

HOME = {"rate": "Courier", "line1": "ul. Prosta 51", "city": "Warszawa", "postal_code": "00-838", "country": "PL"}


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox(autosend=False, clock_file=tmp_path / "clock") as sandbox:
        yield sandbox


@pytest.fixture
def make(tmp_path, monkeypatch, sandbox):
    made = []

    def site(change=lambda shop: None):
        made.append(StartedCheckout(tmp_path, monkeypatch, sandbox, change))
        return made[-1]

    yield site
    for one in made:
        one.handler.stop()


@pytest.fixture
def site(make):
    return make()


def codes(answer):
    return [problem["code"] for problem in answer["body"]["error"]["problems"]]


def test_a_cart_is_stored_whole_before_its_buyer_is_sent_to_pay(site):
    answer = site.post([APRON, COURSE], email="Ann@Example.com", code="spring10", locale="pl-PL")
    assert answer["statusCode"] == 200
    [order], [session] = site.orders(), site.sessions()
    assert answer["body"] == {"order": order.id, "key": order.intent.key, "url": session["url"]}
    assert (order.payment_status, order.email, order.skus) == (
        "unpaid",
        "ann@example.com",
        ["studio-apron", "wheel-basics"],
    )
    intent = order.intent
    assert (intent.amount_subtotal, intent.amount_discount, intent.amount_total) == (11700, 1170, 10530)
    assert [(line.sku, line.quantity, line.options) for line in intent.lines] == [
        ("studio-apron", 2, {"Size": "M"}),
        ("wheel-basics", 1, {}),
    ]
    assert (order.session_id, intent.url) == (session["id"], session["url"])


def test_stripe_is_asked_for_the_shops_prices_and_told_whose_order_it_is(site):
    site.post([APRON, COURSE], email="ann@example.com", code="SPRING10", locale="pl-PL")
    [order], [session] = site.orders(), site.sessions()
    assert (session["amount_subtotal"], session["amount_total"]) == (11700, 10530 + 350)
    assert session["metadata"] == {"pushcart_order": order.id}
    assert session["success_url"] == f"{ORIGIN}/thank-you/#order={order.id}&key={order.intent.key}"
    assert (session["cancel_url"], session["locale"]) == (f"{ORIGIN}/cancelled/", "pl")
    assert session["customer_email"] == "ann@example.com"
    assert session["shipping_address_collection"] == {"allowed_countries": ["PL", "DE", "CZ"]}
    assert len(session["shipping_options"]) == 2
    [call] = site.sandbox.calls("stripe", path="/v1/checkout/sessions")
    assert call.headers["Idempotency-Key"] == f"{order.id}.checkout"


def test_the_same_cart_again_finds_the_order_and_its_session(site):
    first = site.post([APRON], email="ann@example.com")
    again = site.post([APRON], email="ann@example.com")
    assert again["body"] == first["body"]
    assert (len(site.orders()), len(site.sessions())) == (1, 1)


def test_the_same_cart_eight_times_at_once_is_one_order_and_one_session(site):
    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(site.post, [APRON]) for _ in range(8)]]
    assert len({json.dumps(answer["body"]) for answer in answers}) == 1
    assert (len(site.orders()), len(site.sessions())) == (1, 1)


def test_a_cart_that_was_changed_is_another_order(site):
    site.post([APRON])
    site.post([APRON, COURSE])
    assert len(site.orders()) == len(site.sessions()) == 2


def test_a_cart_whose_session_ended_begins_again(site):
    first = site.post()
    site.sandbox.advance(3600)
    second = site.post()
    assert second["statusCode"] == 200
    assert second["body"]["order"] != first["body"]["order"]


@pytest.mark.parametrize(
    ("items", "more", "status", "code"),
    [
        ([{"sku": "nothing"}], {}, 422, "unknown_product"),
        ([{**COURSE, "quantity": 0}], {}, 422, "bad_quantity"),
        ([{**COURSE, "quantity": 1000}], {}, 422, "bad_quantity"),
        ([{**COURSE, "quantity": -1}], {}, 422, "bad_quantity"),
        ([{**COURSE, "quantity": 1.5}], {}, 422, "bad_quantity"),
        ([{**COURSE, "quantity": 10**40}], {}, 422, "bad_quantity"),
        ([{**COURSE, "options": {"Size": "M"}}], {}, 422, "unknown_option"),
        ([{**APRON, "options": {}}], {}, 422, "missing_option"),
        ([{**APRON, "options": {"Size": "XXL"}}], {}, 422, "unknown_option"),
        ([{**APRON, "options": {"Size": "L"}}], {}, 409, "sold_out"),
        ([{**APRON, "quantity": 9}], {}, 409, "sold_out"),
        ([{**COURSE, "price": 1}], {}, 409, "price_changed"),
        ([], {}, 422, "nothing_to_pay"),
        ([COURSE] * 51, {}, 422, "too_many_items"),
        ([COURSE], {"currency": "JPY"}, 422, "wrong_currency"),
        ([COURSE], {"code": "FREE100"}, 422, "unknown_code"),
        ([COURSE], {"code": "<script>alert(1)</script>"}, 422, "unknown_code"),
        ([COURSE], {"email": "not a mail"}, 422, "bad_email"),
        ([COURSE], {"email": "a@b.example\r\nBcc: x@y.example"}, 422, "bad_email"),
        ([COURSE], {"pay": "cash"}, 422, "unknown_provider"),
        ([COURSE], {"pay": "autopay", "name": "Ann"}, 422, "missing_email"),
    ],
)
def test_a_cart_that_cannot_be_sold_is_a_clear_4xx_and_nothing_is_stored_or_asked(site, items, more, status, code):
    answer = site.post(items, **more)
    assert (answer["statusCode"], codes(answer)) == (status, [code])
    assert answer["body"]["error"]["problems"][0]["message"]
    assert (site.orders(), site.sandbox.calls("stripe")) == ([], [])
    assert site.signed("/stock")["body"] == [
        {"sku": "studio-apron", "name": "Studio Apron", "choice": size, "stock": n, "sold": 0, "held": 0, "left": n}
        for size, n in (("S", 5), ("M", 8), ("L", 0))
    ]


def test_everything_that_is_wrong_is_said_at_once(site):
    answer = site.post([{"sku": "nothing"}, {**APRON, "quantity": 0, "price": 1}], code="x", email="x")
    assert codes(answer) == ["unknown_product", "bad_quantity", "price_changed", "bad_email", "unknown_code"]
    assert answer["statusCode"] == 422


def test_a_price_that_changed_since_it_was_shown_is_answered_with_the_new_one(make):
    site = make()
    assert site.post()["statusCode"] == 200
    site.change_shop(lambda shop: shop["products"][0].update(price=59.00))
    answer = site.post()
    [problem] = answer["body"]["error"]["problems"]
    assert (answer["statusCode"], problem["code"], problem["price"], problem["item"]) == (409, "price_changed", 5900, 0)
    assert len(site.orders()) == 1


def test_products_in_two_currencies_are_not_sold_together(make):
    site = make(lambda shop: shop["products"][1].update(currency="PLN"))
    assert codes(site.post([COURSE, {"sku": "glaze-chemistry"}])) == ["mixed_currencies"]


def test_a_free_cart_is_refused(make):
    site = make(lambda shop: shop["checkout"]["discounts"].append({"code": "ALL", "percent": 100}))
    assert codes(site.post(code="all")) == ["nothing_to_pay"]


def test_yen_are_sold_as_yen(make):
    def in_yen(shop):
        shop["products"][0].update(price=1200, currency="JPY")
        shop["checkout"]["pay_with"] = ["stripe"]

    site = make(in_yen)
    assert site.post([{"sku": "wheel-basics", "price": 1200}], currency="JPY")["statusCode"] == 200
    [session] = site.sessions()
    assert (session["amount_total"], session["currency"]) == (1200, "jpy")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"items": "all"}', "application/json", 400),
        (b'{"items": [{"sku": 1}]}', "application/json", 400),
        (b'{"items": [], "token": "short"}', "application/json", 400),
        (b'{"items": [{"sku": "a\\u0000"}]}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 400),
        (b"sku=wheel-basics&quantity=x", "application/x-www-form-urlencoded", 400),
        (b"a&" * 300, "application/x-www-form-urlencoded", 400),
        (b" " * 40_000, "application/json", 413),
    ],
)
def test_what_is_no_cart_is_refused(site, body, kind, status):
    assert site.call(body=body, content_type=kind)["statusCode"] == status
    assert site.orders() == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://meadow-pottery.example.evil.example"])
def test_another_sites_page_may_not_call(site, origin):
    answer = site.post(origin=origin)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (403, "foreign_origin")
    assert "Access-Control-Allow-Origin" not in answer["headers"]
    assert site.call("OPTIONS", origin=origin)["statusCode"] == 403
    assert site.orders() == []


def test_the_shops_own_pages_may_call(make):
    site = make(lambda shop: shop["site"].update(origins=["https://you.carrd.co"]))
    for origin in (ORIGIN, "https://you.carrd.co"):
        preflight = site.call("OPTIONS", origin=origin)
        assert (preflight["statusCode"], preflight["headers"]["Access-Control-Allow-Origin"]) == (204, origin)
        assert site.post(origin=origin)["headers"]["Access-Control-Allow-Origin"] == origin


def test_a_form_without_script_is_led_on_with_a_303(site):
    answer = site.form(sku="studio-apron", quantity="1", price="3400", currency="EUR", **{"option.Size": "S"})
    [session] = site.sessions()
    assert (answer["statusCode"], answer["headers"]["Location"]) == (303, session["url"])
    assert session["amount_subtotal"] == 3400


ANN = {"x_real_ip": "192.0.2.1", "user_agent": "Mozilla/5.0", "accept_language": "pl"}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (ANN, ANN, True),
        (ANN, {**ANN, "x_real_ip": "192.0.2.2"}, False),
        (ANN, {**ANN, "user_agent": "Mozilla/4.0"}, False),
        ({}, {}, False),
    ],
)
def test_a_form_of_the_last_pieces_sent_twice_leads_the_same_buyer_to_the_same_payment(site, first, second, same):
    wanted = {"sku": "studio-apron", "quantity": "5", "option.Size": "M"}
    begun, again = site.form(first, **wanted), site.form(second, **wanted)
    assert (begun["statusCode"], again["statusCode"], len(site.sessions())) == (303, 303 if same else 409, 1)
    if same:
        assert again["headers"]["Location"] == begun["headers"]["Location"]
    assert site.form(first, **{**wanted, "quantity": "6"})["statusCode"] == 409


@pytest.mark.parametrize(("email", "status"), [("ann@example.com", 303), ("bob@example.com", 409)])
def test_a_mail_address_in_a_form_tells_who_sends_it_as_well(make, email, status):
    site = make(lambda shop: shop["products"][2].update(stock=1))
    wanted = {"sku": "studio-plans", "pay": "autopay", "name": "Ann"}
    begun = site.form(**wanted, email="ann@example.com")
    again = site.form(**wanted, email=email)
    assert (begun["statusCode"], again["statusCode"]) == (303, status)
    assert (again["headers"].get("Location") == begun["headers"]["Location"]) == (status == 303)


def test_what_is_wrong_with_a_form_is_a_page_that_runs_nothing(site):
    answer = site.form(sku="<script>alert(1)</script>")
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (422, "text/html; charset=utf-8")
    assert "<script>" not in answer["body"]
    assert "&lt;script&gt;" in answer["body"]
    assert f'href="{ORIGIN}"' in answer["body"]


def test_autopay_is_a_signed_link_over_goods_and_parcel_and_nobody_is_asked(site):
    answer = site.post([APRON], pay="autopay", email="ann@example.com", name="Ann", shipping=HOME)
    [order] = site.orders()
    query = parse_qs(urlsplit(answer["body"]["url"]).query)
    assert (query["OrderID"], query["Amount"], query["Currency"]) == ([order.id], ["74.00"], ["EUR"])
    assert (order.session_id, order.shipping.address.city) == (order.id, "Warszawa")
    assert site.sandbox.calls() == []


@pytest.mark.parametrize(
    ("change", "code"),
    [({"country": "US"}, "bad_country"), ({"rate": "Pigeon"}, "unknown_rate"), ({"city": " "}, "missing_address")],
)
def test_a_parcel_that_cannot_be_sent_is_a_422(site, change, code):
    answer = site.post([APRON], pay="autopay", email="ann@example.com", name="Ann", shipping={**HOME, **change})
    assert codes(answer) == [code]
    assert site.orders() == []


def test_a_stripe_that_does_not_answer_keeps_the_order_for_the_next_try(site):
    site.sandbox.fault("stripe", "status", status=503, times=None, path="/v1/checkout/sessions")
    answer = site.post()
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (503, "payment_unavailable")
    site.sandbox.world.faults.clear()
    assert site.post()["statusCode"] == 200
    assert (len(site.orders()), len(site.sessions())) == (1, 1)


def test_an_error_of_stripes_own_is_not_asked_for_again_under_the_same_key(site):
    """Stripe keeps its answer to a key for a day, a 500 as well."""
    site.sandbox.fault("stripe", "status", status=500, times=2, path="/v1/checkout/sessions")
    assert site.post(code="SPRING10")["statusCode"] == 503
    assert site.post(code="SPRING10")["statusCode"] == 200
    keys = [call.headers["Idempotency-Key"] for call in site.sandbox.calls("stripe", path="/v1/checkout/sessions")]
    [order] = site.orders()
    assert keys == [f"{order.id}.checkout", f"{order.id}.checkout", f"{order.id}.checkout-1"]
    assert len(site.sandbox.stripe.newest("coupon")) == 1


def test_an_answer_of_stripes_that_was_lost_is_found_again(site):
    site.sandbox.fault("stripe", "lost_answer", times=2, path="/v1/checkout/sessions")
    assert site.post()["statusCode"] == 503
    assert site.post()["statusCode"] == 200
    assert (len(site.orders()), len(site.sessions())) == (1, 1)


def test_a_stripe_that_refuses_is_told_to_the_owner_once_and_not_to_the_buyer(site):
    text = "Invalid API Key provided: sk_test_***"
    fault = {"status": 401, "times": None, "body": json.dumps({"error": {"message": text, "type": "x"}})}
    site.sandbox.fault("stripe", "status", **fault)
    for number in range(3):
        answer = site.post(token=f"{TOKEN}{number}")
        assert (answer["statusCode"], answer["body"]["error"]["code"]) == (502, "checkout_broken")
        assert "API Key" not in answer["body"]["error"]["message"]
    told = [item.text for order in site.orders() for item in order.attention]
    assert len(told) == 1
    assert "Invalid API Key" in told[0]


def test_the_last_pieces_are_held_for_whoever_came_first_until_their_time_is_over(site):
    six = {**APRON, "quantity": 6}
    assert site.post([six])["statusCode"] == 200
    second = site.post([six], token=f"{TOKEN}2")
    assert (second["statusCode"], codes(second)) == (409, ["sold_out"])
    assert second["body"]["error"]["problems"][0]["left"] == 2
    assert site.call(path="/visit", origin=ORIGIN)["body"] == {"stock": {"studio-apron": {"S": 5, "M": 2, "L": 0}}}
    site.sandbox.advance(7400)
    assert site.call(path="/visit", origin=ORIGIN)["body"] == {"stock": {"studio-apron": {"S": 5, "L": 0}}}


def test_who_goes_back_and_changes_the_cart_gets_the_same_pieces_again(site):
    six = {**APRON, "quantity": 6}
    assert site.post([six])["statusCode"] == 200
    assert site.post([six, COURSE])["statusCode"] == 200
    held = {row["choice"]: row["held"] for row in site.signed("/stock")["body"]}
    assert held == {"S": 0, "M": 6, "L": 0}


def test_how_far_an_order_is_is_told_for_its_key_alone_and_nothing_personal(site):
    begun = site.post([APRON], email="ann@example.com", name="Ann Example")["body"]
    query = f"order={begun['order']}&key={begun['key']}"
    answer = site.call("GET", "/status", query=query, origin=ORIGIN)
    assert answer["body"] == {
        "order": begun["order"],
        "state": "waiting",
        "items": [{"name": "Studio Apron (Size: M)", "quantity": 2}],
        "expect": ["mail", "parcel"],
    }
    assert answer["headers"]["Cache-Control"] == "no-store"
    [order] = site.orders()
    assert site.call("GET", "/status", query=f"session_id={order.session_id}")["statusCode"] == 200
    for wrong in (f"order={begun['order']}", f"{query}x", f"order={begun['order']}&key=", "session_id=", "key=x", ""):
        assert site.call("GET", "/status", query=wrong)["statusCode"] == 404


def test_the_owners_routes_take_signed_calls_only(site):
    for path in ("/stock", "/traffic", "/doctor"):
        assert site.call("GET", path)["statusCode"] == 401
        assert site.signed(path)["statusCode"] == 200


def test_a_page_view_is_counted_and_leaves_nothing_of_the_buyer(site):
    phone = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
    body = b"page=%2Fproducts%2Fwheel-basics%2F&from=news.example"
    kind = "application/x-www-form-urlencoded"
    assert site.call(path="/visit", body=body, content_type=kind, user_agent=phone, origin=ORIGIN)["statusCode"] == 200
    assert site.call("GET", "/visit", origin=ORIGIN)["statusCode"] == 405
    site.handler.stop()
    store = connect(site.url)
    [day] = [found for found in [store.get("traffic", f"{site.clock():%Y-%m-%d}")] if found]
    store.close()
    assert (day["pages"], day["referrers"]) == ({"/products/wheel-basics/": 1}, {"news.example": 1})
    assert "Pixel" not in json.dumps(day)


def test_it_does_not_start_without_the_keys_of_the_ways_to_pay(tmp_path, monkeypatch):
    secrets = {"internal-key": INTERNAL_KEY, "store-url": f"sqlite:///{tmp_path}/shop.db"}
    for name, value in environment(tmp_path / "secrets", "checkout", secrets, shop_file=str(SHOP)).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        load_handler("checkout").start()
    named = " ".join(error.value.problems)
    assert all(name in named for name in ("stripe-api-key", "autopay-key", "autopay_service_id"))


def test_what_stripe_refuses_for_the_carts_sake_is_the_buyers_to_mend(make):
    site = make(lambda shop: shop["products"][0].update(price=0.2))
    answer = site.post([{"sku": "wheel-basics"}])
    assert (answer["statusCode"], codes(answer)) == (422, ["amount_too_small"])
    assert [item.text for order in site.orders() for item in order.attention] == []
