"""The POST endpoints of Stripe's API: parameters in, objects out."""

from __future__ import annotations

from typing import Any

from stripe.params import (
    PaymentLinkCreateParams,
    PriceCreateParams,
    ProductCreateParams,
    RefundCreateParams,
    WebhookEndpointCreateParams,
)
from stripe.params.checkout import SessionCreateParams

from local.sandbox.stripe import params as check
from local.sandbox.stripe.after_sale import AfterSale
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.params import integer, metadata, plain, required

Params = dict[str, Any]
_REFUND_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
# Session parameters that are only given back.
_ECHOED = (
    "allow_promotion_codes",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "consent_collection",
    "custom_fields",
    "customer_creation",
    "customer_email",
    "locale",
    "phone_number_collection",
    "shipping_address_collection",
    "submit_type",
    "success_url",
    "payment_method_types",
)


def create_product(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, ProductCreateParams)
    product = sb.make_product(
        params.get("id") or sb.world.ids.stripe("prod_"),
        required(params, "name"),
        description=params.get("description"),
        images=params.get("images", []),
        metadata=metadata(params),
        active=plain(params.get("active", "true")),
        url=params.get("url"),
    )
    if "default_price_data" in params:
        data = params["default_price_data"]
        sb.make_price(sb.world.ids.stripe("price_"), product, required(data, "currency"), _unit_amount(data))
    return product


def create_price(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, PriceCreateParams)
    return sb.make_price(
        sb.world.ids.stripe("price_"),
        _product(sb, params),
        required(params, "currency"),
        _unit_amount(params),
        metadata=metadata(params),
        nickname=params.get("nickname"),
        lookup_key=params.get("lookup_key"),
        tax_behavior=params.get("tax_behavior", "unspecified"),
        active=plain(params.get("active", "true")),
    )


def create_payment_link(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, PaymentLinkCreateParams)
    echoed = {
        k: plain(params[k])
        for k in (
            "after_completion",
            "allow_promotion_codes",
            "billing_address_collection",
            "customer_creation",
            "payment_intent_data",
            "phone_number_collection",
            "shipping_address_collection",
            "submit_type",
        )
        if k in params
    }
    return sb.make_link(sb.world.ids.stripe("plink_"), _lines(sb, params), metadata=metadata(params), **echoed)


def create_session(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, SessionCreateParams)
    mode, now = params.get("mode", "payment"), sb.world.timestamp()
    if mode != "payment":
        raise StripeError(
            400, f"This sandbox sells one-off purchases only: mode must be payment, not {mode}.", param="mode"
        )
    if params.get("ui_mode", "hosted_page") not in ("hosted_page", "hosted"):
        raise StripeError(400, "This sandbox has the hosted page only.", param="ui_mode")
    required(params, "success_url")
    if len(params.get("client_reference_id", "")) > 200:
        raise StripeError(400, "client_reference_id can be at most 200 characters.", param="client_reference_id")
    expires_at = integer(params, "expires_at", now + 86400)
    if not now + 1800 - 60 <= expires_at <= now + 86400 + 60:
        raise StripeError(
            400,
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    if params.get("discounts"):
        raise StripeError(
            400,
            f"No such coupon: '{params['discounts'][0].get('coupon')}'",
            code="resource_missing",
            param="discounts[0][coupon]",
        )
    fields = {k: plain(params[k]) for k in _ECHOED if k in params}
    session = sb.make_session(
        _lines(sb, params),
        expires_at=expires_at,
        metadata=metadata(params),
        shipping_options=[_shipping_option(sb, o, i) for i, o in enumerate(params.get("shipping_options", []))],
        **fields,
    )
    intent_data = params.get("payment_intent_data", {})
    sb.intent_data[session["id"]] = {
        "metadata": metadata(intent_data, "payment_intent_data[metadata]"),
        "description": intent_data.get("description"),
    }
    return session


def create_refund(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, RefundCreateParams)
    if bool(params.get("charge")) == bool(params.get("payment_intent")):
        raise StripeError(
            400, "One of the following params should be provided for this request: payment_intent or charge."
        )
    reason = params.get("reason")
    if reason is not None and reason not in _REFUND_REASONS:
        raise StripeError(400, f"Invalid reason: must be one of {', '.join(_REFUND_REASONS)}", param="reason")
    payment = (
        sb.find("payment_intent", params["payment_intent"], "payment_intent")
        if params.get("payment_intent")
        else sb.find("charge", params["charge"], "charge")
    )
    return sb.refund(payment, integer(params, "amount", least=1), reason=reason, metadata=metadata(params)).object


def create_webhook_endpoint(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, WebhookEndpointCreateParams)
    return sb.add_endpoint(
        sb.world.ids.stripe("we_"),
        required(params, "url"),
        "whsec_" + sb.world.ids.token(32),
        required(params, "enabled_events"),
        description=params.get("description"),
        api_version=params.get("api_version"),
        metadata=metadata(params),
    )


def _unit_amount(params: Params, param: str = "unit_amount") -> int:
    required(params, "unit_amount")
    amount = integer(params, "unit_amount", least=0, param=param)
    assert amount is not None
    return amount


def _product(sb: AfterSale, params: Params, prefix: str = "") -> Object:
    if params.get("product"):
        return sb.find("product", params["product"], f"{prefix}product")
    data = required(params, "product_data")
    return sb.make_product(
        sb.world.ids.stripe("prod_"),
        required(data, "name"),
        metadata=metadata(data),
        description=data.get("description"),
        images=data.get("images", []),
    )


def _lines(sb: AfterSale, params: Params) -> list[Object]:
    items = required(params, "line_items")
    if not isinstance(items, list):
        raise StripeError(400, "Invalid array", param="line_items")
    return sb.make_lines([_line(sb, item, f"line_items[{index}]") for index, item in enumerate(items)])


def _line(sb: AfterSale, item: Params, where: str) -> tuple[Object, int]:
    quantity = integer(item, "quantity", least=1, param=f"{where}[quantity]")
    if quantity is None:
        raise StripeError(
            400, f"Missing required param: {where}[quantity].", code="parameter_missing", param=f"{where}[quantity]"
        )
    if ("price" in item) == ("price_data" in item):
        raise StripeError(400, "You must specify either `price` or `price_data` for each line item.", param=where)
    if "price" in item:
        price = sb.find("price", item["price"], f"{where}[price]")
        if not price["active"]:
            raise StripeError(400, f"The price specified is inactive: {price['id']}.", param=f"{where}[price]")
        return price, quantity
    data = item["price_data"]
    product = _product(sb, data, f"{where}[price_data]")
    # Prices made on the fly are not active: they cannot be sold again.
    price = sb.make_price(
        sb.world.ids.stripe("price_"),
        product,
        required(data, "currency"),
        _unit_amount(data, f"{where}[price_data][unit_amount]"),
        active=False,
    )
    return price, quantity


def _shipping_option(sb: AfterSale, option: Params, index: int) -> Object:
    where = f"shipping_options[{index}][shipping_rate_data]"
    data = required(option, "shipping_rate_data")
    amount = integer(data.get("fixed_amount", {}), "amount", least=0, param=f"{where}[fixed_amount][amount]")
    if amount is None:
        raise StripeError(
            400,
            f"Missing required param: {where}[fixed_amount].",
            code="parameter_missing",
            param=f"{where}[fixed_amount]",
        )
    return sb.shipping_option(amount)
