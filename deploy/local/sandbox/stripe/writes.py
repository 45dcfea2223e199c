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

from local.sandbox.stripe import params as check
from local.sandbox.stripe.after_sale import AfterSale
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.lines import find_product, make_lines, unit_amount
from local.sandbox.stripe.offers import tax_behaviour
from local.sandbox.stripe.params import integer, metadata, plain, required

Params = dict[str, Any]
_REFUND_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


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
        sb.make_price(sb.world.ids.stripe("price_"), product, required(data, "currency"), unit_amount(data))
    return product


def create_price(sb: AfterSale, params: Params) -> Object:
    check.check_known(params, PriceCreateParams)
    return sb.make_price(
        sb.world.ids.stripe("price_"),
        find_product(sb, params),
        required(params, "currency"),
        unit_amount(params),
        metadata=metadata(params),
        nickname=params.get("nickname"),
        lookup_key=params.get("lookup_key"),
        tax_behavior=tax_behaviour(params, "tax_behavior"),
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
    return sb.make_link(sb.world.ids.stripe("plink_"), make_lines(sb, params), metadata=metadata(params), **echoed)


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
