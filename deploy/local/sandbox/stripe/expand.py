"""`expand[]`: ids replaced by their objects, and the lists that are only shown on request."""

from __future__ import annotations

from typing import Any

from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.state import State

_MAX_DEPTH = 4
# Fields that hold an id or null and may be expanded, by object kind.
_EXPANDABLE = {
    "checkout.session": {"payment_intent", "payment_link", "customer", "invoice"},
    "payment_intent": {"latest_charge", "customer", "payment_method"},
    "charge": {"payment_intent", "customer", "balance_transaction"},
    "refund": {"charge", "payment_intent", "balance_transaction"},
    "dispute": {"charge", "payment_intent"},
    "price": {"product"},
    "product": {"default_price"},
    # Parts of a session, which have no kind of their own.
    "": {"shipping_rate", "coupon"},
}


def envelope(data: list[Object], url: str, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def expanded(state: State, obj: Object, paths: list[str]) -> Object:
    """`obj` with every path expanded, a copy if there are any. Raises StripeError for one Stripe would refuse."""
    if not paths:
        return obj
    result = _copied(obj)
    for path in paths:
        parts = path.split(".")
        if len(parts) > _MAX_DEPTH:
            raise StripeError(
                400,
                f"You cannot expand more than {_MAX_DEPTH} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
                param="expand",
            )
        _expand(state, result, parts, path)
    return result


def _expand(state: State, node: Object, parts: list[str], path: str) -> None:
    if node.get("object") == "list":
        if parts[0] != "data" or len(parts) == 1:
            raise _refused(path)
        for item in node["data"]:
            _expand(state, item, parts[1:], path)
        return
    key, rest = parts[0], parts[1:]
    included = _included(state, node, key)
    if included is not None:
        node[key] = node.get(key) or included
    elif key not in _EXPANDABLE.get(node.get("object", ""), ()) and not (rest and _nested(node, key)):
        raise _refused(path)
    value: Any = node.get(key)
    if isinstance(value, list):
        for item in value:
            _expand(state, item, rest, path)
        return
    if isinstance(value, str):
        found = state.lookup(value)
        if found is not None:
            value = node[key] = _copied(found)
    if rest and isinstance(value, dict):
        _expand(state, value, rest, path)


def _copied(value: Any) -> Any:
    """As copy.deepcopy, and much faster, for what JSON is made of."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


def _nested(node: Object, key: str) -> bool:
    """Whether the path may go on below: null is fine, as when a session has no shipping cost."""
    return key in node and (node[key] is None or isinstance(node[key], dict | list))


def _included(state: State, node: Object, key: str) -> Object | None:
    kind = node.get("object")
    if key == "line_items" and kind in ("checkout.session", "payment_link"):
        base = "checkout/sessions" if kind == "checkout.session" else "payment_links"
        lines = _copied(state.lines[node["id"]])
        return envelope(lines[:10], f"/v1/{base}/{node['id']}/line_items", len(lines) > 10)
    if key == "currency_options" and kind == "price":
        return {node["currency"]: _copied(_own_option(node)), **_copied(state.currency_options(node["id"]))}
    if key == "refunds" and kind == "charge":
        refunds = _copied(state.refunds_of(node))
        return envelope(refunds[:10], f"/v1/charges/{node['id']}/refunds", len(refunds) > 10)
    return None


def _own_option(price: Object) -> Object:
    names = ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")
    return {name: price[name] for name in names}


def _refused(path: str) -> StripeError:
    return StripeError(400, f"This property cannot be expanded ({path}).", param="expand")
