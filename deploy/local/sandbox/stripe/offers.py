"""POST endpoints for what a cart may come with: coupons and shipping rates."""

from __future__ import annotations

from typing import Any

from stripe.params import CouponCreateParams, ShippingRateCreateParams

from local.sandbox.stripe import catalogue_objects as shape
from local.sandbox.stripe import params as check
from local.sandbox.stripe.catalogue import Catalogue
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.params import integer, metadata, required

Params = dict[str, Any]
_TAX_BEHAVIOURS = ("inclusive", "exclusive", "unspecified")


def create_coupon(sb: Catalogue, params: Params) -> Object:
    check.check_known(params, CouponCreateParams)
    for name in ("applies_to", "currency_options"):
        if name in params:
            raise StripeError(400, f"This sandbox's coupons are for everything in one currency: no {name}.", param=name)
    if params.get("duration", "once") != "once":
        raise StripeError(400, "This sandbox sells one-off purchases only: duration must be once.", param="duration")
    amount_off = integer(params, "amount_off", least=1)
    if (amount_off is None) == ("percent_off" not in params):
        raise StripeError(400, "Must provide either `percent_off` or `amount_off`, but not both.", param="percent_off")
    if amount_off is not None:
        required(params, "currency")
    if len(params.get("name", "")) > 40:
        raise StripeError(400, "Invalid string: name can be at most 40 characters.", param="name")
    coupon_id = params.get("id") or sb.world.ids.token(8)
    if any(known["id"] == coupon_id for known in sb.newest("coupon")):
        raise StripeError(400, "Coupon already exists.", code="resource_already_exists", param="id")
    return sb.keep(
        shape.coupon(
            coupon_id,
            sb.world.timestamp(),
            amount_off=amount_off,
            currency=params["currency"].lower() if amount_off is not None else None,
            percent_off=_percent(params["percent_off"]) if "percent_off" in params else None,
            max_redemptions=integer(params, "max_redemptions", least=1),
            redeem_by=integer(params, "redeem_by", least=sb.world.timestamp()),
            name=params.get("name"),
            metadata=metadata(params),
        )
    )


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise StripeError(400, f"Invalid percent_off: {text} is not above 0 and at most 100.", param="percent_off")
    return value


def create_shipping_rate(sb: Catalogue, params: Params) -> Object:
    check.check_known(params, ShippingRateCreateParams)
    return make_rate(sb, params, "")


def make_rate(sb: Catalogue, data: Params, prefix: str) -> Object:
    """A rate from its data; `prefix` is where the data stood, for the name of a wrong parameter."""

    def at(name: str) -> str:
        return f"{prefix}[{name}]" if prefix else name

    name, fixed = check.required(data, "display_name", at("display_name")), data.get("fixed_amount")
    if data.get("type", "fixed_amount") != "fixed_amount":
        raise StripeError(400, "Invalid type: must be fixed_amount", param=at("type"))
    if not isinstance(fixed, dict):
        raise StripeError(400, f"Missing required param: {at('fixed_amount')}.", code="parameter_missing", param=prefix)
    check.required(fixed, "amount", at("fixed_amount") + "[amount]")
    amount = integer(fixed, "amount", least=0, param=at("fixed_amount") + "[amount]")
    currency = check.required(fixed, "currency", at("fixed_amount") + "[currency]")
    assert amount is not None
    return sb.make_rate(
        name,
        amount,
        currency.lower(),
        tax_behavior=tax_behaviour(data, at("tax_behavior")),
        delivery_estimate=data.get("delivery_estimate"),
        metadata=metadata(data, at("metadata")),
    )


def tax_behaviour(data: Params, param: str) -> str:
    behaviour: str = data.get("tax_behavior", "unspecified")
    if behaviour not in _TAX_BEHAVIOURS:
        raise StripeError(400, f"Invalid tax_behavior: must be one of {', '.join(_TAX_BEHAVIOURS)}", param=param)
    return behaviour
