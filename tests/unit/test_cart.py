"""A cart is priced from the catalogue alone: amounts add up in every currency, and a browser can send what it likes."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pushcart.domain import cart, money
from pushcart.domain.cart import Cart, Quote, Rules, quote
from pushcart.domain.catalogue import Catalogue, Product, Shop
from pushcart.domain.selling import CheckoutSettings, Discount, Option, ShippingRate, ShippingSettings
from pushcart.errors import CartRefused
from pushcart.store import connect
from support.till import Till

TODAY = "2026-11-21"
STRIPE, LINK = Rules(), Rules(asks_itself=False)

#: What the last digits of an amount have to be a multiple of, so that Stripe takes it.
STEPS = {"EUR": 1, "JPY": 1, "KWD": 10, "ISK": 100}

SHOP = {
    "name": "Test Shop",
    "url": "https://shop.example",
    "support": "help@shop.example",
    "sender": "shop@shop.example",
    "admins": ["owner@shop.example"],
}
SIZES = Option(name="Size", values=["S", "M"])


def catalogue_of(products: list[Product], currency: str = "EUR", **checkout: Any) -> Catalogue:
    return Catalogue(shop=Shop(currency=currency, **SHOP), products=products, checkout=CheckoutSettings(**checkout))


def product(sku: str, amount: int, currency: str = "EUR", **more: Any) -> Product:
    return Product(sku=sku, name=sku.title(), price=money.to_decimal(amount, currency), **more)


def read(items: list[dict[str, Any]], **more: Any) -> Cart:
    """A cart as it comes over the wire."""
    return msgspec.json.decode(msgspec.json.encode({"items": items, **more}), type=Cart)


def codes(error: pytest.ExceptionInfo[CartRefused]) -> list[str]:
    return [problem["code"] for problem in error.value.problems]


@st.composite
def discounts(draw: st.DrawFn, currency: str, skus: list[str]) -> Discount | None:
    kind = draw(st.sampled_from(["none", "percent", "amount"]))
    only = draw(st.lists(st.sampled_from(skus), unique=True, max_size=2))
    if kind == "percent":
        return Discount(code="CODE", percent=draw(st.integers(1, 100)), skus=only)
    amount = money.to_decimal(draw(st.integers(1, 5000)) * STEPS[currency], currency)
    return Discount(code="CODE", amount=amount, skus=only) if kind == "amount" else None


@st.composite
def sales(draw: st.DrawFn) -> tuple[Catalogue, list[dict[str, Any]], Discount | None]:
    """A shop in one currency, what a buyer puts into the cart, and the code they have."""
    currency = draw(st.sampled_from(list(STEPS)))
    prices = draw(st.lists(st.integers(1, 30_000), min_size=1, max_size=5))
    products = [product(f"p{n}", price * STEPS[currency], currency) for n, price in enumerate(prices)]
    skus = [one.sku for one in products]
    discount = draw(discounts(currency, skus))
    item = st.fixed_dictionaries({"sku": st.sampled_from(skus), "quantity": st.integers(1, 99)})
    items = draw(st.lists(item, min_size=1, max_size=8))
    return catalogue_of(products, currency, discounts=[discount] if discount else []), items, discount


def asked(sent: Cart, catalogue: Catalogue, rules: Rules = STRIPE) -> Quote | list[dict[str, Any]]:
    """The quote, or what is wrong with the cart."""
    try:
        return quote(sent, catalogue, TODAY, rules)
    except CartRefused as error:
        return error.problems


def priced(catalogue: Catalogue, items: list[dict[str, Any]], discount: Discount | None) -> Quote:
    """The quote; a cart without anything to pay, or that the code is not for, is no example."""
    found = asked(read(items, code=discount.code if discount else None), catalogue)
    if not isinstance(found, Quote):
        assert {problem["code"] for problem in found} <= {"nothing_to_pay", "unknown_code"}
        assume(False)
    return found


FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@FAST
@given(sales())
def test_lines_and_discounts_add_up_to_the_last_unit(sale):
    catalogue, items, discount = sale
    found = priced(*sale)
    assert sum(line.amount_subtotal for line in found.lines) == found.amount_subtotal
    assert sum(line.amount_discount for line in found.lines) == found.amount_discount
    assert found.amount_total == found.amount_subtotal - found.amount_discount + found.amount_shipping > 0
    for line, item in zip(found.lines, items, strict=True):
        assert 0 <= line.amount_discount <= line.amount_subtotal
        assert line.amount_total == line.amount_subtotal - line.amount_discount
        assert (line.sku, line.quantity) == (item["sku"], item["quantity"])
        assert line.unit_amount == catalogue.price_of(catalogue.product(line.sku))
        if discount is None or (discount.skus and line.sku not in discount.skus):
            assert line.amount_discount == 0


@FAST
@given(sales())
def test_a_percentage_is_rounded_once_and_half_up_and_an_amount_takes_no_more_than_there_is(sale):
    _, _, discount = sale
    found = priced(*sale)
    if discount is None:
        assert found.amount_discount == 0
        return
    counted = sum(line.amount_subtotal for line in found.lines if not discount.skus or line.sku in discount.skus)
    if discount.percent is None:
        assert found.amount_discount == min(money.to_minor(discount.amount, found.currency), counted)
    else:
        step = STEPS[found.currency]
        exact = Decimal(counted * discount.percent) / 100 / step
        assert found.amount_discount == int(exact.quantize(Decimal(1), ROUND_HALF_UP)) * step


@FAST
@given(sales())
def test_every_total_is_one_that_stripe_takes(sale):
    found = priced(*sale)
    assert found.amount_total % STEPS[found.currency] == 0


@FAST
@given(sales(), st.randoms(use_true_random=False))
def test_the_sequence_of_the_items_changes_no_total(sale, dice):
    catalogue, items, discount = sale
    mixed = dice.sample(items, len(items))
    first, second = priced(catalogue, items, discount), priced(catalogue, mixed, discount)
    assert (first.amount_subtotal, first.amount_discount) == (second.amount_subtotal, second.amount_discount)


@FAST
@given(sales(), st.data())
def test_a_price_from_the_browser_is_compared_and_never_used(sale, data):
    catalogue, items, discount = sale
    found = priced(*sale)
    said = [{**item, "price": line.unit_amount} for item, line in zip(items, found.lines, strict=True)]
    assert priced(catalogue, said, discount) == found
    number = data.draw(st.integers(0, len(items) - 1))
    wrong = data.draw(st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False))
    assume(wrong != found.lines[number].unit_amount)
    said[number]["price"] = wrong
    with pytest.raises(CartRefused) as error:
        quote(read(said, code=discount.code if discount else None), catalogue, TODAY, STRIPE)
    [problem] = error.value.problems
    assert (problem["code"], problem["item"]) == ("price_changed", number)
    assert problem["price"] == found.lines[number].unit_amount


@pytest.mark.parametrize("quantity", [0, -1, 100, 1000, 1.5, 0.999, 1e9, 1e300, 10**40, -(10**40), 2**63, 98.0000001])
def test_a_quantity_that_is_no_whole_number_from_1_to_99_is_refused(quantity):
    shop = catalogue_of([product("mug", 1200)])
    with pytest.raises(CartRefused) as error:
        quote(read([{"sku": "mug", "quantity": quantity}]), shop, TODAY, STRIPE)
    assert codes(error) == ["bad_quantity"]


@pytest.mark.parametrize("quantity", ["true", '"2"', "null", "[]", "NaN", "Infinity", "1e999", "{}"])
def test_a_quantity_that_is_no_number_is_no_cart(quantity):
    with pytest.raises(msgspec.MsgspecError):
        quote(
            msgspec.json.decode(f'{{"items": [{{"sku": "mug", "quantity": {quantity}}}]}}', type=Cart),
            catalogue_of([product("mug", 1200)]),
            TODAY,
            STRIPE,
        )


@pytest.mark.parametrize("quantity", [1, 99, 2.0])
def test_a_quantity_from_1_to_99_is_sold(quantity):
    found = quote(read([{"sku": "mug", "quantity": quantity}]), catalogue_of([product("mug", 1200)]), TODAY, STRIPE)
    assert (found.amount_total, type(found.lines[0].quantity)) == (1200 * quantity, int)


# What a browser can send

JUNK_SHOP = catalogue_of(
    [
        product("mug", 1200, stock=4),
        product("apron", 3400, options=[SIZES], stock={"S": 2, "M": 0}, ships=True),
        Product(sku="yen", name="Yen", price=Decimal(500), currency="JPY"),
        product("free", 0),
    ],
    discounts=[
        Discount(code="TEN", percent=10),
        Discount(code="MUG", amount=Decimal(5), skus=["mug"]),
        Discount(code="OLD", percent=50, until="2026-11-20"),
    ],
    shipping=ShippingSettings(countries=["PL"], rates=[ShippingRate(name="Post", price=Decimal("3.50"))]),
)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.sampled_from(["mug", "apron", "yen", "free", "S", "TEN", "EUR", "a@b.example", "PL", "Post"])
JUNK = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Size", "sku", "\0", ""]), inner),
    max_leaves=5,
)


TEXT = st.text(max_size=6)
ITEM = st.fixed_dictionaries(
    {"sku": st.sampled_from(["mug", "mug", "apron", "yen", "free"])},
    optional={
        "quantity": st.integers(0, 3),
        "options": st.sampled_from([{"Size": "S"}, {"Size": "M"}, {}]),
        "price": st.sampled_from([1200, 3400, None]),
    },
)
CARTS = st.fixed_dictionaries(
    {"items": st.lists(ITEM, max_size=3)},
    optional={
        "token": st.just("cart-0123456789abcdef"),
        "currency": st.sampled_from(["EUR", "eur", "JPY"]),
        "email": st.sampled_from(["a@b.example", "a@b\r\nBcc: c@d.example"]),
        "name": TEXT,
        "code": st.sampled_from(["TEN", "mug", " ten ", "OLD"]) | TEXT,
        "remind": st.booleans(),
        "locale": st.sampled_from(["pl", "en-GB"]),
        "shipping": st.fixed_dictionaries(
            {},
            optional={"rate": st.just("Post"), "line1": TEXT, "city": TEXT, "country": st.sampled_from(["PL", "US"])},
        ),
    },
)


@st.composite
def sent_carts(draw: st.DrawFn) -> Any:
    """A cart in which now and then one value is anything at all."""
    whole: dict[str, Any] = draw(CARTS)
    places = [whole, *whole["items"], *([whole["shipping"]] if "shipping" in whole else [])]
    place = draw(st.none() | st.sampled_from(places))
    if place:
        place[draw(st.sampled_from(sorted(place)))] = draw(JUNK)
    return whole


@settings(max_examples=500, deadline=None)
@given(sent_carts() | JUNK, st.sampled_from([STRIPE, LINK, Rules(currencies={"PLN"})]))
def test_whatever_a_browser_sends_is_refused_or_sold_at_the_catalogues_price(sent, rules):
    try:
        cart_sent = msgspec.json.decode(json.dumps(sent), type=Cart)
    except msgspec.MsgspecError:
        return
    found = asked(cart_sent, JUNK_SHOP, rules)
    if not isinstance(found, Quote):
        assert found
        assert all(problem["code"] and problem["message"] for problem in found)
        return
    for line in found.lines:
        sold = JUNK_SHOP.product(line.sku)
        assert line.unit_amount == JUNK_SHOP.price_of(sold)
        assert line.unit_currency == found.currency == JUNK_SHOP.currency_of(sold)
        assert line.amount_subtotal == line.unit_amount * line.quantity
        assert 1 <= line.quantity <= 99
        assert not line.options or line.options == {"Size": "S"}
    assert found.amount_total > 0
    assert found.amount_shipping == (350 if found.ships and not rules.asks_itself else 0)


# Codes


def taken_off(code: str, *skus: str, today: str = TODAY, **discount: Any) -> int:
    shop = catalogue_of([product("mug", 1200), product("vase", 3333)], discounts=[Discount(code="Spring", **discount)])
    return quote(read([{"sku": sku} for sku in skus], code=code), shop, today, STRIPE).amount_discount


@pytest.mark.parametrize("code", ["Spring", "SPRING", "spring", " sPrInG\t"])
def test_a_code_is_found_however_it_is_written(code):
    assert taken_off(code, "mug", percent=10) == 120


def test_a_code_counts_only_for_its_products():
    assert taken_off("spring", "mug", "vase", percent=10, skus=["mug"]) == 120
    assert taken_off("spring", "mug", "vase", amount=Decimal(50), skus=["mug"]) == 1200
    with pytest.raises(CartRefused) as error:
        taken_off("spring", "vase", percent=10, skus=["mug"])
    assert codes(error) == ["unknown_code"]


def test_a_code_is_good_until_the_end_of_its_last_day():
    assert taken_off("spring", "mug", percent=10, until="2026-11-21", today="2026-11-21") == 120
    with pytest.raises(CartRefused) as error:
        taken_off("spring", "mug", percent=10, until="2026-11-21", today="2026-11-22")
    assert codes(error) == ["code_expired"]


@pytest.mark.parametrize(("seconds", "good"), [(3 * 3600 - 1, True), (3 * 3600, False)])
def test_the_last_day_of_a_code_ends_at_the_shops_midnight(tmp_path, seconds, good):
    """The shop is in Auckland, where the 21st ends at eleven in the morning UTC."""
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    till = Till(store)
    till.clock.advance(seconds)
    if good:
        assert till.order(till.begin(code="spring")).intent.amount_discount == 490
    else:
        with pytest.raises(CartRefused) as error:
            till.begin(code="spring")
        assert codes(error) == ["code_expired"]
    store.close()


def test_half_a_cent_is_taken_off_in_the_buyers_favour():
    assert taken_off("spring", "vase", percent=50) == 1667


@pytest.mark.parametrize("discount", [{"percent": 100}, {"amount": Decimal(12)}, {"amount": Decimal(1000)}])
def test_a_code_that_leaves_nothing_to_pay_is_refused(discount):
    with pytest.raises(CartRefused) as error:
        taken_off("spring", "mug", **discount)
    assert codes(error) == ["nothing_to_pay"]


def test_an_amount_in_the_shops_currency_is_not_taken_off_another():
    shop = catalogue_of(
        [Product(sku="yen", name="Yen", price=Decimal(5000), currency="JPY")],
        discounts=[Discount(code="FIVE", amount=Decimal(5)), Discount(code="TEN", percent=10)],
    )
    with pytest.raises(CartRefused) as error:
        quote(read([{"sku": "yen"}], code="five"), shop, TODAY, STRIPE)
    assert codes(error) == ["wrong_currency"]
    assert quote(read([{"sku": "yen"}], code="ten"), shop, TODAY, STRIPE).amount_total == 4500


# Addresses


@pytest.mark.parametrize(
    "text",
    ["ann@example.com", "a@b.co", "ann.b+shop@mail.example.co.uk", "ann_b-c@x-y.example", f"{'a' * 64}@b.example"],
)
def test_an_address_that_every_provider_takes_is_one(text):
    assert cart.is_mail(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@b.example",
        "ann@",
        "ann@b",
        "ann@b.c",
        "ann@@b.example",
        "ann@b@c.example",
        ".ann@b.example",
        "ann.@b.example",
        "a..b@b.example",
        "ann@.b.example",
        "ann@b..example",
        "ann@b.example.",
        " ann@b.example",
        "ann@b.example ",
        "a b@c.example",
        "ann@b.example\n",
        "ann@b.example\r\nBcc: eve@x.example",
        "ann@b.example%0aBcc:x\x00",
        "ann@b.example,eve@x.example",
        "ann@b.example;eve@x.example",
        "Ann <ann@b.example>",
        '"ann"@b.example',
        "ann'@b.example",
        "(ann)@b.example",
        "ann@[127.0.0.1]",
        "ann|x@b.example",
        "ann\\x@b.example",
        "änn@b.example",
        "ann@bü.example",
        "ann\u202e@b.example",
        "ann\u00a0@b.example",
        f"{'a' * 65}@b.example",
        f"a@{'b' * 289}.example",
        f"{'a@' * 150}",
        f"a@{'b.' * 150}",
    ],
)
def test_what_is_no_address_or_two_is_refused(text):
    assert not cart.is_mail(text)
