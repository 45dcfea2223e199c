"""A stored order becomes a Checkout Session, through the official SDK, and its payment becomes that order again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pushcart.domain.order import Order
from pushcart.errors import CheckoutBroken, PaymentUnavailable
from pushcart.providers.stripe_checkout import LOCALES, stripe_locale
from pushcart.providers.stripe_payments import StripePayments
from support.till import Till

SHOP = """
shop: {name: Test Shop, url: https://shop.example, currency: EUR, support: help@shop.example,
  sender: shop@shop.example, admins: [owner@shop.example]}
checkout:
  discounts: [{code: SPRING10, percent: 10}]
  shipping:
    countries: [PL, DE]
    rates: [{name: Locker, price: 3.50}, {name: Courier, price: 6.00}]
products:
  - {sku: course, name: Course, price: 49.00}
  - {sku: mug, name: Mug, price: 12.34, ships: true}
  - {sku: apron, name: Apron, price: 34.00, options: [{name: Size, values: [S, M]}]}
"""


@pytest.fixture
def open_shop(sandbox, store) -> Callable[[str], Till]:
    """A shop with this shop.yml whose Stripe is the sandbox's."""

    def opened(text: str = SHOP) -> Till:
        till = Till(store, text, StripePayments(f"{sandbox.url}/stripe", lambda: "sk_test_sandbox", 5))
        till.clock.now = sandbox.now()
        return till

    return opened


@pytest.fixture
def buy(sandbox) -> Callable[..., Order]:
    """The order after its buyer has paid and we have looked."""

    def bought(till: Till, order: Order, **how: Any) -> Order:
        sandbox.stripe.buy(session=order.session_id, **how)
        found = till.process.intake.sync("stripe", order.session_id, "checkout.session.completed")
        assert found is not None
        assert found.id == order.id
        return found

    return bought


def with_settings(lines: str) -> str:
    return SHOP.replace("checkout:\n", f"checkout:\n  {lines}\n")


def begun(till: Till, *skus: str, **more: Any) -> Order:
    return till.order(till.begin(*skus, **more))


def session(sandbox, order: Order) -> dict[str, Any]:
    return sandbox.stripe.find("checkout.session", order.session_id)


# What the session is


def test_an_order_and_its_payment_are_the_same_order_to_the_last_unit(open_shop, buy, sandbox):
    till = open_shop()
    order = begun(till, "course", "apron M", locale="de-AT")
    paid = buy(till, order)
    assert (paid.payment_status, paid.open_attention()) == ("paid", [])
    assert (paid.payment.amount_total, paid.payment.amount_subtotal, paid.payment.currency) == (8300, 8300, "EUR")
    assert [(one.sku, one.item, one.options, one.unit_amount, one.quantity) for one in paid.lines] == [
        ("course", "1", {}, 4900, 1),
        ("apron", "2", {"Size": "M"}, 3400, 1),
    ]
    assert [line["description"] for line in sandbox.stripe.lines[order.session_id]] == ["Course", "Apron (Size: M)"]
    assert (paid.buyer.email, session(sandbox, order)["locale"]) == ("Ann@Example.com", "de")
    assert session(sandbox, order)["expires_at"] == int(till.clock.now.timestamp()) + 3600


def test_our_own_code_is_a_coupon_of_exactly_that_amount_and_no_other_code_can_be_added(open_shop, buy, sandbox):
    till = open_shop(with_settings("promotion_codes: true"))
    order = begun(till, "mug", "course", code="spring10")
    made = session(sandbox, order)
    coupon = sandbox.stripe.find("coupon", made["discounts"][0]["coupon"])
    assert (coupon["id"], coupon["amount_off"], coupon["max_redemptions"]) == (order.id, 613, 1)
    assert coupon["name"] == "SPRING10"
    assert "allow_promotion_codes" not in made or made["allow_promotion_codes"] is None
    assert (made["total_details"]["amount_discount"], made["amount_subtotal"]) == (613, 6134)
    paid = buy(till, order)
    assert (paid.payment.amount_discount, paid.payment.amount_total) == (613, 6134 - 613 + 350)
    assert paid.open_attention() == []


def test_without_a_code_of_ours_the_shop_may_let_buyers_type_in_stripes(open_shop, sandbox):
    assert session(sandbox, begun(open_shop(with_settings("promotion_codes: true"))))["allow_promotion_codes"] is True
    assert not session(sandbox, begun(open_shop(), token="cart-2-0123456789")).get("allow_promotion_codes")


def test_a_parcel_asks_for_an_address_and_offers_every_rate(open_shop, buy, sandbox):
    till = open_shop()
    order = begun(till, "mug", "course")
    made = session(sandbox, order)
    assert made["shipping_address_collection"] == {"allowed_countries": ["PL", "DE"]}
    rates = [sandbox.stripe.find("shipping_rate", one["shipping_rate"]) for one in made["shipping_options"]]
    assert [(one["display_name"], one["fixed_amount"]["amount"], one["tax_behavior"]) for one in rates] == [
        ("Locker", 350, "unspecified"),
        ("Courier", 600, "unspecified"),
    ]
    paid = buy(till, order, shipping_rate="Courier")
    assert (paid.payment.amount_shipping, paid.payment.amount_total) == (600, 6134 + 600)
    assert (paid.shipping.address.country, paid.open_attention()) == ("PL", [])


def test_what_is_not_sent_asks_for_no_address(open_shop, sandbox):
    made = session(sandbox, begun(open_shop()))
    assert (made["shipping_address_collection"], made["shipping_options"]) == (None, [])


@pytest.mark.parametrize(
    ("tax", "amount_tax", "total"),
    [("inclusive", 231 + 65, 1234 + 350), ("exclusive", 284 + 81, 1234 + 350 + 284 + 81)],
)
def test_tax_is_within_the_price_or_on_top_of_it_for_goods_and_parcel_alike(
    open_shop, buy, sandbox, tax, amount_tax, total
):
    """At the sandbox's 23 %. What the shop asked for is its price either way, so nothing waits for the owner."""
    till = open_shop(with_settings(f"automatic_tax: {tax}"))
    order = begun(till, "mug")
    made = session(sandbox, order)
    assert made["automatic_tax"]["enabled"] is True
    rates = [sandbox.stripe.find("shipping_rate", one["shipping_rate"]) for one in made["shipping_options"]]
    prices = [one["price"] for one in sandbox.stripe.lines[order.session_id]]
    assert {one["tax_behavior"] for one in [*rates, *prices]} == {tax}
    paid = buy(till, order)
    assert (paid.payment.amount_tax, paid.payment.amount_total) == (amount_tax, total)
    assert (paid.payment.amount_subtotal, paid.open_attention()) == (1234, [])


def test_a_shop_that_leaves_taxes_alone_says_nothing_of_them(open_shop, sandbox):
    order = begun(open_shop(), "mug")
    assert session(sandbox, order)["automatic_tax"]["enabled"] is False
    assert {one["price"]["tax_behavior"] for one in sandbox.stripe.lines[order.session_id]} == {"unspecified"}


# Currencies, sizes, languages


@pytest.mark.parametrize(
    ("currency", "price", "unit", "discount"),
    [
        ("EUR", "12.35", 1235, 124),
        ("JPY", "1235", 1235, 124),
        ("KWD", "12.350", 12350, 1240),
        ("ISK", "1235", 123500, 12400),
    ],
)
def test_every_currency_is_sold_in_its_own_minor_unit_and_its_percentage_in_what_can_be_paid(
    open_shop, buy, sandbox, currency, price, unit, discount
):
    text = SHOP.replace("currency: EUR", f"currency: {currency}").replace("price: 49.00", f"price: {price}")
    for decimal in ("12.34", "34.00", "3.50", "6.00"):
        text = text.replace(decimal, "30")
    till = open_shop(text)
    order = begun(till, "course", code="SPRING10")
    made = session(sandbox, order)
    assert (made["currency"], made["amount_subtotal"]) == (currency.lower(), unit)
    assert (made["amount_total"], made["total_details"]["amount_discount"]) == (unit - discount, discount)
    paid = buy(till, order)
    assert (paid.payment.currency, paid.payment.amount_total) == (currency, unit - discount)
    assert paid.open_attention() == []


def test_fifty_different_items_with_the_longest_names_are_one_session(open_shop, buy, sandbox):
    products = "\n".join(
        f"  - {{sku: p{number}, name: {'Ä' * 300}{number}, price: {number + 1}.01}}" for number in range(50)
    )
    till = open_shop(SHOP.partition("products:")[0] + "products:\n" + products)
    order = begun(till, *(f"p{number}" for number in range(50)))
    lines = sandbox.stripe.lines[order.session_id]
    assert {len(line["description"]) for line in lines} == {250}
    paid = buy(till, order)
    assert [line.sku for line in paid.lines] == [f"p{number}" for number in range(50)]
    assert paid.payment.amount_total == sum(100 * (number + 1) + 1 for number in range(50))
    assert paid.open_attention() == []


@pytest.mark.parametrize(
    ("tag", "page"),
    [
        ("pl", "pl"),
        ("pl-PL", "pl"),
        ("en-GB", "en-GB"),
        ("en-US", "en"),
        ("fr-CA", "fr-CA"),
        ("fr-CH", "fr"),
        ("pt-BR", "pt-BR"),
        ("zh-Hant-TW", "zh"),
        ("zh-TW", "zh-TW"),
        ("es-419", "es-419"),
        ("uk", "auto"),
        ("xx-YY", "auto"),
        ("", "auto"),
        (None, "auto"),
    ],
)
def test_the_page_speaks_the_buyers_language_where_stripe_does(tag, page):
    assert stripe_locale(tag) == page


def test_every_language_we_ask_for_is_one_that_stripe_knows(open_shop, sandbox):
    till = open_shop()
    for number, tag in enumerate(sorted(LOCALES)):
        order = begun(till, locale=tag, token=f"cart-{number:016d}")
        assert session(sandbox, order)["locale"] == tag


# Once more


def test_a_repetition_after_lost_answers_finds_the_same_coupon_and_the_same_session(open_shop, sandbox):
    till = open_shop()
    for path in ("/v1/coupons", "/v1/checkout/sessions"):
        sandbox.fault("stripe", "lost_answer", times=2, path=path)
        with pytest.raises(PaymentUnavailable):
            till.begin("mug", code="SPRING10")
    order = begun(till, "mug", code="SPRING10")
    [coupon], [made] = sandbox.stripe.newest("coupon"), sandbox.stripe.newest("checkout.session")
    assert (coupon["id"], made["id"], made["discounts"][0]["coupon"]) == (order.id, order.session_id, order.id)
    for path, kind in (("/v1/coupons", "coupon"), ("/v1/checkout/sessions", "checkout")):
        calls = sandbox.calls("stripe", method="POST", path=path)
        assert {call.headers["Idempotency-Key"] for call in calls} == {f"{order.id}.{kind}"}
        assert len(calls) > 2
        assert len({call.body for call in calls}) == 1


def test_two_carts_with_the_same_code_have_a_coupon_each(open_shop, sandbox):
    till = open_shop()
    orders = [begun(till, code="SPRING10", token=f"cart-{number}-0123456789") for number in (1, 2)]
    assert {coupon["id"] for coupon in sandbox.stripe.newest("coupon")} == {order.id for order in orders}


def test_what_stripe_refuses_is_told_to_the_owner_and_leaves_the_order_to_expire(open_shop, sandbox):
    till = open_shop()
    sandbox.fault("stripe", "status", status=403, times=None, path="/v1/coupons")
    with pytest.raises(CheckoutBroken):
        till.begin(code="SPRING10")
    assert sandbox.calls("stripe", path="/v1/checkout/sessions") == []
    sandbox.world.faults.clear()
    till.process.drain()
    [order] = till.orders.list({}).items
    assert (order.payment_status, order.due_at) == ("expired", None)
    assert [item.code for item in order.attention] == ["checkout_refused"]
