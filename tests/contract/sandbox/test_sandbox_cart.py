"""Checkout sessions for a cart: coupons, shipping options, tax, minimums and recovery, through the official SDK."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import requests
import stripe

from local.sandbox import Sandbox, StripeError


def line(name: str = "Mug", amount: int = 1000, quantity: int = 1, currency: str = "eur", **price: Any) -> dict:
    product = {"name": name, "metadata": {"sku": name.lower()}}
    data = {"currency": currency, "unit_amount": amount, "product_data": product, **price}
    return {"quantity": quantity, "price_data": data}


def rate(name: str, amount: int, currency: str = "eur", **more: Any) -> dict:
    fixed = {"amount": amount, "currency": currency}
    return {"shipping_rate_data": {"display_name": name, "type": "fixed_amount", "fixed_amount": fixed, **more}}


def cart(*lines: dict, **more: Any) -> dict[str, Any]:
    return {"mode": "payment", "success_url": "https://shop.example/", "line_items": list(lines) or [line()], **more}


def coupon(api: stripe.StripeClient, **changes: Any) -> str:
    made = {"amount_off": 300, "currency": "eur", "duration": "once", "name": "SPRING10"}
    return api.v1.coupons.create({**made, **changes}).id


def test_a_coupon_is_made_once_and_found_again(api: stripe.StripeClient) -> None:
    asked = {"id": "ord_1", "amount_off": 300, "currency": "EUR", "duration": "once", "name": "SPRING10"}
    asked |= {"max_redemptions": 1, "metadata": {"order": "ord_1"}}
    made = api.v1.coupons.create(asked, {"idempotency_key": "ord_1.coupon"})
    found = api.v1.coupons.retrieve("ord_1")
    assert found.to_dict() == made.to_dict()
    assert (found.amount_off, found.currency, found.max_redemptions, found.valid) == (300, "eur", 1, True)
    assert api.v1.coupons.create(asked, {"idempotency_key": "ord_1.coupon"}).id == "ord_1"
    with pytest.raises(stripe.InvalidRequestError, match="Coupon already exists") as taken:
        api.v1.coupons.create(asked)
    assert (taken.value.http_status, taken.value.code) == (400, "resource_already_exists")
    assert set(stripe.Coupon.__annotations__) >= set(found.to_dict())


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"currency": ""}, "currency"),
        ({"amount_off": 0}, "amount_off"),
        ({"percent_off": 10}, "percent_off"),
        ({"name": "x" * 41}, "name"),
        ({"duration": "forever"}, "duration"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused(api: stripe.StripeClient, changes: dict, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        coupon(api, **changes)
    assert refused.value.param == param


def test_a_coupon_is_spread_over_the_lines_and_not_over_the_shipping(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = coupon(api, amount_off=1001)
    session = api.v1.checkout.sessions.create(
        cart(
            line(amount=4900), line("Tea", 2500, 2), discounts=[{"coupon": made}], shipping_options=[rate("Post", 500)]
        )
    )
    assert (session.amount_subtotal, session.amount_total) == (9900, 9900 - 1001 + 500)
    assert session.total_details.amount_discount == 1001
    assert session.discounts[0].coupon == made
    expanded = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["discounts.coupon"]})
    assert expanded.discounts[0].coupon.name == "SPRING10"
    lines = api.v1.checkout.sessions.line_items.list(session.id).data
    assert [(item.amount_discount, item.amount_total) for item in lines] == [(495, 4405), (506, 4494)]
    bought = sb.stripe.buy(session=session.id).object
    assert api.v1.payment_intents.retrieve(bought["payment_intent"]).amount == bought["amount_total"] == 9399


def test_a_coupon_takes_off_no_more_than_the_goods_cost(sb: Sandbox, api: stripe.StripeClient) -> None:
    """Nothing is left to pay then, and nothing is charged."""
    session = api.v1.checkout.sessions.create(cart(discounts=[{"coupon": coupon(api, amount_off=5000)}]))
    assert (session.amount_total, session.total_details.amount_discount) == (0, 1000)
    bought = sb.stripe.buy(session=session.id).object
    assert (bought["payment_status"], bought["payment_intent"]) == ("no_payment_required", None)


def test_a_percentage_is_rounded_to_the_minor_unit(api: stripe.StripeClient) -> None:
    made = api.v1.coupons.create({"percent_off": 12.5})
    session = api.v1.checkout.sessions.create(cart(line(amount=999), discounts=[{"coupon": made.id}]))
    assert session.total_details.amount_discount == 125


def test_a_coupon_is_used_up_by_payments_not_by_sessions(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = coupon(api, max_redemptions=1)
    first, second = (api.v1.checkout.sessions.create(cart(discounts=[{"coupon": made}])) for _ in range(2))
    sb.stripe.buy(session=second.id)
    assert api.v1.coupons.retrieve(made).times_redeemed == 1
    with pytest.raises(StripeError, match="is used up"):
        sb.stripe.buy(session=first.id)
    with pytest.raises(stripe.InvalidRequestError, match="is used up") as refused:
        api.v1.checkout.sessions.create(cart(discounts=[{"coupon": made}]))
    assert refused.value.param == "discounts[0][coupon]"


def test_a_discount_that_stripe_would_refuse_is_refused(api: stripe.StripeClient) -> None:
    """A refused session leaves nothing behind."""
    made = coupon(api)
    for more, words in (
        ({"discounts": [{"coupon": "none"}]}, "No such coupon: 'none'"),
        ({"discounts": [{"coupon": coupon(api, currency="usd")}]}, "cannot be applied"),
        ({"discounts": [{"promotion_code": "promo_1"}]}, "No such promotion code"),
        ({"discounts": [{"coupon": made}, {"coupon": made}]}, "only specify one discount"),
        (
            {"discounts": [{"coupon": made}], "allow_promotion_codes": False},
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            api.v1.checkout.sessions.create(cart(**more))
    assert api.v1.coupons.delete(made).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        api.v1.coupons.retrieve(made)
    assert api.v1.checkout.sessions.list().data == []


@pytest.mark.parametrize(
    ("item", "discount", "fine"),
    [
        (line(amount=50), 0, True),
        (line(amount=49), 0, False),
        (line(amount=349), 300, False),
        (line(amount=300), 300, True),
        (line(amount=199, currency="pln"), 0, False),
        (line(amount=30, currency="gbp"), 0, True),
        (line(amount=49, currency="jpy"), 0, False),
    ],
)
def test_an_amount_is_nothing_or_what_stripe_charges_at_least(
    api: stripe.StripeClient, item: dict, discount: int, fine: bool
) -> None:
    more = {"discounts": [{"coupon": coupon(api, amount_off=discount)}]} if discount else {}
    if fine:
        assert api.v1.checkout.sessions.create(cart(item, **more)).status == "open"
    else:
        with pytest.raises(stripe.InvalidRequestError, match="must add up to at least") as refused:
            api.v1.checkout.sessions.create(cart(item, **more))
        assert refused.value.code == "amount_too_small"


def test_the_buyer_picks_one_of_the_shipping_options(sb: Sandbox, api: stripe.StripeClient) -> None:
    session = api.v1.checkout.sessions.create(cart(shipping_options=[rate("Locker", 350), rate("Courier", 600)]))
    assert session.amount_total == 1350
    assert [option.shipping_amount for option in session.shipping_options] == [350, 600]
    bought = sb.stripe.buy(session=session.id, shipping_rate="Courier").object
    assert bought["amount_total"] == 1600
    assert bought["total_details"]["amount_shipping"] == 600
    got = api.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["shipping_cost.shipping_rate", "shipping_options.shipping_rate"]}
    )
    assert got.shipping_cost.shipping_rate.display_name == "Courier"
    assert [option.shipping_rate.display_name for option in got.shipping_options] == ["Locker", "Courier"]
    chosen = api.v1.shipping_rates.retrieve(bought["shipping_cost"]["shipping_rate"])
    assert (chosen.fixed_amount.amount, chosen.type) == (600, "fixed_amount")
    fields = stripe.ShippingRate.__annotations__
    assert set(chosen.to_dict()) | {"OBJECT_NAME"} == set(fields)


def test_a_shipping_rate_may_be_made_before(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = api.v1.shipping_rates.create(rate("Post", 500)["shipping_rate_data"])
    session = api.v1.checkout.sessions.create(cart(shipping_options=[{"shipping_rate": made.id}]))
    with pytest.raises(StripeError, match="does not offer the shipping option 'Owl'"):
        sb.stripe.buy(session=session.id, shipping_rate="Owl")
    assert sb.stripe.buy(session=session.id).object["amount_total"] == 1500


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ([rate("Post", 1)] * 6, "shipping_options"),
        ([rate("", 1)], "shipping_options[0][shipping_rate_data][display_name]"),
        ([rate("Post", 1, "usd")], "shipping_options[0]"),
        ([rate("Post", 1, type="weight")], "shipping_options[0][shipping_rate_data][type]"),
        ([rate("Post", 1, tax_behavior="some")], "shipping_options[0][shipping_rate_data][tax_behavior]"),
        ([rate("Post", -1)], "shipping_options[0][shipping_rate_data][fixed_amount][amount]"),
        ([{"shipping_rate": "shr_none"}], "shipping_options[0][shipping_rate]"),
        ("post", "shipping_options"),
    ],
)
def test_shipping_options_that_stripe_would_refuse(api: stripe.StripeClient, options: list | str, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.checkout.sessions.create(cart(shipping_options=options))
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("behaviour", "currency", "tax", "total"),
    [
        ("inclusive", "eur", 187 + 93, 1000 + 500),
        ("exclusive", "eur", 230 + 115, 1230 + 615),
        ("unspecified", "eur", 187 + 93, 1000 + 500),
        ("unspecified", "usd", 230 + 115, 1230 + 615),
    ],
)
def test_tax_is_worked_out_when_the_address_is_known(
    sb: Sandbox, api: stripe.StripeClient, behaviour: str, currency: str, tax: int, total: int
) -> None:
    """23 %, on top of the price or within it, for lines and shipping; a price that says nothing goes by currency."""
    item = line(amount=1000, currency=currency, tax_behavior=behaviour)
    made = api.v1.checkout.sessions.create(
        cart(
            item,
            shipping_options=[rate("Post", 500, currency, tax_behavior=behaviour)],
            automatic_tax={"enabled": True},
        )
    )
    assert (made.automatic_tax.status, made.total_details.amount_tax) == ("requires_location_inputs", 0)
    bought = sb.stripe.buy(session=made.id).object
    assert bought["automatic_tax"]["status"] == "complete"
    assert (bought["total_details"]["amount_tax"], bought["amount_total"]) == (tax, total)
    assert (bought["amount_subtotal"], bought["total_details"]["amount_shipping"]) == (1000, 500)
    (sold,) = api.v1.checkout.sessions.line_items.list(made.id).data
    assert sold.amount_tax + bought["shipping_cost"]["amount_tax"] == tax
    assert sold.amount_total + bought["shipping_cost"]["amount_total"] == total
    assert api.v1.payment_intents.retrieve(bought["payment_intent"]).amount == total
    assert sold.price.tax_behavior == behaviour


def test_tax_is_on_what_the_discount_leaves(sb: Sandbox, api: stripe.StripeClient) -> None:
    item = line(amount=1000, tax_behavior="exclusive")
    more = {"automatic_tax": {"enabled": True}, "discounts": [{"coupon": coupon(api, amount_off=500)}]}
    bought = sb.stripe.buy(session=api.v1.checkout.sessions.create(cart(item, **more)).id).object
    assert (bought["total_details"]["amount_tax"], bought["amount_total"]) == (115, 615)


def test_without_automatic_tax_there_is_none(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = api.v1.checkout.sessions.create(cart(line(tax_behavior="exclusive"), automatic_tax={"enabled": False}))
    assert made.automatic_tax.enabled is False
    assert sb.stripe.buy(session=made.id).object["amount_total"] == 1000


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"locale": "en-US"}, "locale"),
        ({"success_url": "shop.example/thanks"}, "success_url"),
        ({"cancel_url": "/cancelled/"}, "cancel_url"),
        ({"customer_email": "ada"}, "customer_email"),
        ({"customer_email": "ada@example"}, "customer_email"),
        (
            {"shipping_address_collection": {"allowed_countries": ["XX"]}},
            "shipping_address_collection[allowed_countries]",
        ),
        ({"allowed_payment_method_types": ["cash"]}, "allowed_payment_method_types"),
        ({"payment_method_types": ["card"]}, "payment_method_types"),
        ({"metadata": {f"key{n}": "x" for n in range(51)}}, "metadata"),
        ({"payment_intent_data": {"metadata": {"long": "x" * 501}}}, "payment_intent_data[metadata][long]"),
        ({"line_items": [line(tax_behavior="some")]}, "line_items[0][price_data][tax_behavior]"),
        ({"line_items": [line()] * 101}, "line_items"),
        ({"line_items": [line(name="")]}, "line_items[0][price_data][product_data][name]"),
    ],
)
def test_a_cart_that_stripe_would_refuse_is_refused(api: stripe.StripeClient, more: dict, param: str) -> None:
    """`payment_method_types` is gone in this version of the API; `allowed_payment_method_types` took its place."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.checkout.sessions.create(cart(**more))
    assert refused.value.param == param


def test_fifty_keys_of_five_hundred_characters_fit(api: stripe.StripeClient) -> None:
    full = {f"key{n}": "x" * 500 for n in range(50)}
    assert api.v1.checkout.sessions.create(cart(metadata=full)).metadata.to_dict() == full


def test_the_address_the_shop_sends_along_is_the_buyers(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = api.v1.checkout.sessions.create(cart(customer_email="ada@example.com"))
    bought = sb.stripe.buy(session=made.id, email="eve@example.com").object
    assert bought["customer_details"]["email"] == "ada@example.com"


def test_a_buyer_is_where_the_shop_sends_parcels(sb: Sandbox, api: stripe.StripeClient) -> None:
    made = api.v1.checkout.sessions.create(cart(shipping_address_collection={"allowed_countries": ["DE", "CZ"]}))
    sent_to = sb.stripe.buy(session=made.id).object["collected_information"]["shipping_details"]
    assert sent_to["address"]["country"] == "DE"


def test_an_expired_session_can_be_taken_up_again(sb: Sandbox, api: stripe.StripeClient, clock) -> None:
    """By its recovery address, for thirty days: the same cart and data, a new session, no discount."""
    asked = cart(
        line(),
        customer_email="ada@example.com",
        metadata={"order": "ord_1"},
        payment_intent_data={"metadata": {"order": "ord_1"}},
        discounts=[{"coupon": coupon(api)}],
        after_expiration={"recovery": {"enabled": True}},
    )
    left = api.v1.checkout.sessions.create(asked)
    assert left.after_expiration.recovery.url is None
    expired = api.v1.checkout.sessions.expire(left.id)
    recovery = expired.after_expiration.recovery
    assert recovery.expires_at == expired.created + 30 * 86400
    page = requests.get(recovery.url, timeout=5)
    assert "<h1>Pay 10.00 EUR</h1>" in page.text
    (fresh,) = api.v1.checkout.sessions.list({"status": "open"}).data
    assert (fresh.recovered_from, fresh.customer_email) == (left.id, "ada@example.com")
    assert fresh.metadata.to_dict() == {"order": "ord_1"}
    bought = sb.stripe.buy(session=fresh.id).object
    assert api.v1.payment_intents.retrieve(bought["payment_intent"]).metadata.to_dict() == {"order": "ord_1"}
    clock.advance(31 * 86400)
    assert requests.get(recovery.url, timeout=5).status_code == 404


def test_a_session_without_recovery_stays_expired(sb: Sandbox, api: stripe.StripeClient) -> None:
    left = api.v1.checkout.sessions.create(cart())
    sb.stripe.expire(left.id)
    with pytest.raises(StripeError, match="cannot be recovered"):
        sb.stripe.recover(left.id)


def test_one_idempotency_key_makes_one_cart(api: stripe.StripeClient) -> None:
    asked = cart(discounts=[{"coupon": coupon(api)}], shipping_options=[rate("Post", 500)])
    first = api.v1.checkout.sessions.create(copy.deepcopy(asked), {"idempotency_key": "ord_1.session"})
    again = api.v1.checkout.sessions.create(copy.deepcopy(asked), {"idempotency_key": "ord_1.session"})
    assert again.id == first.id
    assert len(api.v1.checkout.sessions.list().data) == 1
