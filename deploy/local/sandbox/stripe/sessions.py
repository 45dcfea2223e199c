"""POST /v1/checkout/sessions: a cart's parameters in, an open session out."""

from __future__ import annotations

import re
import sys
from typing import Any

from stripe.params.checkout import SessionCreateParams

from local.sandbox.money import money
from local.sandbox.stripe import params as check
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.checkout import Checkout
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.lines import make_lines
from local.sandbox.stripe.offers import make_rate
from local.sandbox.stripe.params import integer, metadata, one_of, plain, required

Params = dict[str, Any]
_PARAMS = vars(sys.modules[SessionCreateParams.__module__])
# Parameters that are only given back.
_ECHOED = (
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "consent_collection",
    "custom_fields",
    "customer_creation",
    "customer_email",
    "excluded_payment_method_types",
    "locale",
    "phone_number_collection",
    "shipping_address_collection",
    "submit_type",
    "success_url",
)
_MOST_SHIPPING_OPTIONS = 5
# docs.stripe.com/currencies#minimum-and-maximum-charge-amounts, in minor units; 50 where it says nothing.
_LEAST = {
    "aed": 200,
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "kwd": 150,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "thb": 1000,
}


def create_session(sb: Checkout, params: Params) -> Object:
    """Raises StripeError for whatever Stripe would refuse; nothing is left behind then but prices and rates."""
    check.check_known(params, SessionCreateParams)
    expires_at = _check(params, sb.world.timestamp())
    lines = make_lines(sb, params)
    options = _shipping_options(sb, params, lines[0]["currency"])
    session = sb.make_session(
        lines,
        expires_at=expires_at,
        metadata=metadata(params),
        shipping_options=options,
        **{k: plain(params[k]) for k in _ECHOED if k in params},
        **_automatic_tax(params),
        **_after_expiration(params),
    )
    try:
        for discount in params.get("discounts", []):
            sb.apply_coupon(session, required(discount, "coupon", "discounts[0][coupon]"), "discounts[0][coupon]")
            sb.add_up(session, lines, sb.option_of(session), with_tax=False)
        _check_total(session)
    except StripeError:
        sb.forget(session)
        raise
    intent_data = params.get("payment_intent_data", {})
    sb.intent_data[session["id"]] = {
        "metadata": metadata(intent_data, "payment_intent_data[metadata]"),
        "description": intent_data.get("description"),
    }
    return session


def _check(params: Params, now: int) -> int:
    """Refuses what needs no look at the lines, and returns the time of expiry."""
    mode = params.get("mode", "payment")
    if mode != "payment":
        raise StripeError(
            400, f"This sandbox sells one-off purchases only: mode must be payment, not {mode}.", param="mode"
        )
    if params.get("ui_mode", "hosted_page") not in ("hosted_page", "hosted"):
        raise StripeError(400, "This sandbox has the hosted page only.", param="ui_mode")
    for name in ("line_items", "discounts", "shipping_options"):
        if not isinstance(params.get(name) or [], list):
            raise StripeError(400, "Invalid array", param=name)
    required(params, "success_url")
    for name in ("success_url", "cancel_url"):
        check.web_address(params, name)
    if len(params.get("client_reference_id", "")) > 200:
        raise StripeError(400, "client_reference_id can be at most 200 characters.", param="client_reference_id")
    email = params.get("customer_email")
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", email):
        raise StripeError(400, f"Invalid email address: {email}", code="email_invalid", param="customer_email")
    if params.get("locale"):
        one_of([params["locale"]], SessionCreateParams, "locale", "locale")
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        one_of(params.get(name, []), SessionCreateParams, name, name)
    countries = params.get("shipping_address_collection", {}).get("allowed_countries", [])
    declared = _PARAMS["SessionCreateParamsShippingAddressCollection"]
    one_of(countries, declared, "allowed_countries", "shipping_address_collection[allowed_countries]")
    _check_discounts(params)
    expires_at = integer(params, "expires_at", now + 86400)
    assert expires_at is not None
    if not now + 1800 - 60 <= expires_at <= now + 86400 + 60:
        raise StripeError(
            400,
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return expires_at


def _check_discounts(params: Params) -> None:
    discounts = params.get("discounts", [])
    if not discounts:
        return
    if "allow_promotion_codes" in params:  # also when it is false: laravel/cashier-stripe pull request 1164
        raise StripeError(
            400,
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            param="allow_promotion_codes",
        )
    if len(discounts) > 1:
        raise StripeError(400, "You may only specify one discount.", param="discounts")
    if "promotion_code" in discounts[0]:
        code = discounts[0]["promotion_code"]
        raise StripeError(
            400,
            f"No such promotion code: '{code}'",
            code="resource_missing",
            param="discounts[0][promotion_code]",
        )


def _check_total(session: Object) -> None:
    """Nothing to pay at all is fine: such a session ends without a payment."""
    total, currency = session["amount_total"], session["currency"]
    least = _LEAST.get(currency, 50)
    if 0 < total < least:
        raise StripeError(
            400,
            f"The Checkout Session's total amount due must add up to at least {money(least, currency)}",
            code="amount_too_small",
        )


def _automatic_tax(params: Params) -> Params:
    given = plain(params.get("automatic_tax", {}))
    if not given.get("enabled"):
        return {}
    return {
        "automatic_tax": {
            "enabled": True,
            "liability": given.get("liability") or {"type": "self"},
            "provider": "stripe",
            "status": "requires_location_inputs",
        }
    }


def _after_expiration(params: Params) -> Params:
    recovery = plain(params.get("after_expiration", {})).get("recovery")
    if not recovery:
        return {}
    return {
        "after_expiration": {
            "recovery": {
                "allow_promotion_codes": recovery.get("allow_promotion_codes", False),
                "enabled": required(recovery, "enabled", "after_expiration[recovery][enabled]"),
                "expires_at": None,
                "url": None,
            }
        }
    }


def _shipping_options(sb: Checkout, params: Params, currency: str) -> list[Object]:
    given = params.get("shipping_options", [])
    if len(given) > _MOST_SHIPPING_OPTIONS:
        raise StripeError(
            400, f"You may only specify up to {_MOST_SHIPPING_OPTIONS} shipping options.", param="shipping_options"
        )
    options = []
    for index, option in enumerate(given):
        where = f"shipping_options[{index}]"
        if ("shipping_rate" in option) == ("shipping_rate_data" in option):
            raise StripeError(
                400, "You must specify either `shipping_rate` or `shipping_rate_data` for each option.", param=where
            )
        if "shipping_rate" in option:
            rate = sb.find("shipping_rate", option["shipping_rate"], f"{where}[shipping_rate]")
        else:
            rate = make_rate(sb, option["shipping_rate_data"], f"{where}[shipping_rate_data]")
        if rate["fixed_amount"]["currency"] != currency:
            raise StripeError(
                400,
                f"The shipping rate is in {rate['fixed_amount']['currency']}, the line items are in {currency}.",
                param=where,
            )
        options.append(sb.shipping_option(rate))
    return options
