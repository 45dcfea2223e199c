"""The mailing list Kit, API v4 (https://developers.kit.com/api-reference/overview)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from pushcart.clock import from_instant
from pushcart.domain import money
from pushcart.domain.catalogue import SequenceStep
from pushcart.domain.order import Line
from pushcart.errors import BadRequest, ProviderRefused
from pushcart.providers.http import Http
from pushcart.providers.kit_oauth import KitTokens
from pushcart.providers.request import email_of, order_of, split_name
from pushcart.stepcall import StepAnswer, StepRequest

NAME = "Kit"

#: https://developers.kit.com/api-reference/authentication: 120 with an API key, more with OAuth.
CALLS_PER_MINUTE = 120

#: Kit's 429 is plain text and says nothing about when; its limit is a rolling minute.
BUSY_WAIT = 60.0


class _Purchase(msgspec.Struct):
    id: int


class _PurchaseMade(msgspec.Struct):
    purchase: _Purchase


class _Account(msgspec.Struct):
    account: dict[str, Any]


class _SubscriberMade(msgspec.Struct):
    warnings: list[str] = []


class KitV4:
    """Records purchases and fills sequences as the OAuth app whose tokens `tokens` holds."""

    def __init__(self, http: Http, tokens: KitTokens) -> None:
        self._http = http
        self._tokens = tokens

    def purchase(self, call: StepRequest) -> StepAnswer:
        """Records the purchase under the step's key; Kit keeps one purchase for each transaction_id."""
        body = purchase_body(call)
        # https://developers.kit.com/api-reference/purchases/create-a-purchase
        made = self._call("/v4/purchases", {"purchase": body}, _PurchaseMade)
        return StepAnswer(result={"purchase_id": made.purchase.id}, note="purchase recorded in Kit")

    def sequence(self, call: StepRequest, step: SequenceStep) -> StepAnswer:
        """Adds the buyer to the sequence, with the custom fields filled; both calls may be repeated."""
        email, fields = email_of(call), custom_fields(call, step)
        subscriber = {"email_address": email, **first_name(call), "fields": fields}
        # https://developers.kit.com/api-reference/subscribers/create-a-subscriber: an upsert
        warnings = self._call("/v4/subscribers", subscriber, _SubscriberMade).warnings
        # https://developers.kit.com/api-reference/sequences/add-subscriber-to-sequence-by-email-address
        self._call(f"/v4/sequences/{step.sequence}/subscribers", {"email_address": email})
        note = f"added to sequence {step.sequence} in Kit"
        # Kit ignores a custom field it does not know, and the owner's mail would lack the link.
        if warnings:
            note += f"; Kit has no custom field for some of {', '.join(fields)}: make it there"
        return StepAnswer(result={"sequence": step.sequence}, note=note)

    def check(self) -> str:
        """That Kit gives us access tokens and accepts them. Uses up the refresh token only when a new one is due."""
        # https://developers.kit.com/api-reference/accounts/get-current-account
        self._call("/v4/account", None, _Account)
        return "accepts our access token"

    def _call(self, path: str, body: dict[str, Any] | None, shape: Any = Any) -> Any:
        token = self._tokens.access()
        try:
            return self._send(path, body, shape, token)
        except ProviderRefused as refusal:
            if refusal.status != 401:
                raise
            # Kit may end a token before its time; a second 401 is no matter of age.
            return self._send(path, body, shape, self._tokens.renew(token))

    def _send(self, path: str, body: dict[str, Any] | None, shape: Any, token: str) -> Any:
        method = "GET" if body is None else "POST"
        return self._http.call(method, path, shape, json=body, headers={"Authorization": f"Bearer {token}"})


def first_name(call: StepRequest) -> dict[str, str]:
    """`{"first_name": ...}`, or nothing when the buyer gave no name: Kit would overwrite the one it has."""
    first, _ = split_name(order_of(call).buyer.name)
    return {"first_name": first} if first else {}


def purchase_body(call: StepRequest) -> dict[str, Any]:
    """The purchase as Kit's documents have it; amounts in major units, with exactly the currency's decimals.

    About the step's lines, or the whole order when it names none. Shipping is the order's, so it counts only
    when the step is about every line.
    """
    order = order_of(call)
    lines = call.lines or order.lines
    currency = order.payment.currency.upper()
    whole = {line.id for line in order.lines} <= {line.id for line in lines}
    shipping = order.payment.amount_shipping if whole else 0

    def major(amount: int) -> Decimal:
        return money.to_decimal(amount, currency)

    return {
        "transaction_id": call.key,
        "email_address": email_of(call),
        **first_name(call),
        "status": "paid",
        "currency": currency,
        "transaction_time": f"{from_instant(order.paid_at or order.created_at):%Y-%m-%dT%H:%M:%SZ}",
        "subtotal": major(sum(line.amount_subtotal for line in lines)),
        "discount": major(sum(line.amount_discount for line in lines)),
        "tax": major(sum(line.amount_tax for line in lines)),
        "shipping": major(shipping),
        "total": major(sum(line.amount_total for line in lines) + shipping),
        "products": [_product(line, currency) for line in lines],
    }


def _product(line: Line, currency: str) -> dict[str, Any]:
    unit = line.amount_subtotal // max(line.quantity, 1) if line.unit_amount is None else line.unit_amount
    pid = line.sku or line.product_id or line.price_id or line.id
    return {
        "pid": pid,
        "lid": line.id,
        "name": line.name,
        # v3 answers 400 to a product without a sku.
        "sku": line.sku or pid,
        "unit_price": money.to_decimal(unit, currency),
        "quantity": line.quantity,
    }


def custom_fields(call: StepRequest, step: SequenceStep) -> dict[str, str]:
    """The custom fields by name, each from its dotted path into the earlier results.

    `BadRequest` names a path that leads nowhere: the sequence would send mails with a hole in them.
    """
    return {name: _value_at(call, f"fields.{name}", path) for name, path in step.fields.items()}


def _value_at(call: StepRequest, place: str, path: str) -> str:
    value: Any = call.results
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        known = [f"{step}.{name}" for step, result in call.results.items() for name in result]
        raise BadRequest(
            f"{place}: {path} is not among the earlier results ({', '.join(known) or 'there are none'});"
            " correct it in shop.yml and name its step in needs:"
        )
    return str(value)
