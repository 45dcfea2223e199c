"""Stripe's form encoding: `a[b][0][c]=1` to nested data, and the checks Stripe makes on parameters."""

from __future__ import annotations

import re
import sys
import typing
from typing import Any
from urllib.parse import parse_qsl

from local.sandbox.stripe.errors import StripeError

_PART = re.compile(r"\[([^\]]*)\]")
_NESTED = re.compile(r"[A-Z]\w*Params\w+")
# What the SDK's parameter classes carry besides parameters.
_OPTIONS = {
    "api_key",
    "stripe_version",
    "stripe_account",
    "stripe_context",
    "max_network_retries",
    "idempotency_key",
    "headers",
    "content_type",
}


def decode(encoded: str) -> dict[str, Any]:
    """Nested dicts and lists of strings from a form body or a query string."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        head, *rest = [name.split("[", 1)[0], *_PART.findall(name)]
        node, key = tree, head
        for part in rest:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise StripeError(400, f"Invalid parameter: {name}", param=name)
            key = str(len(node)) if part == "" else part
        node[key] = value
    return {k: _lists(v) for k, v in tree.items()}


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(k.isdigit() for k in node):
        return [_lists(node[k]) for k in sorted(node, key=int)]
    return {k: _lists(v) for k, v in node.items()}


def check_known(params: dict[str, Any], declared: type, prefix: str = "") -> None:
    """Refuses a parameter that the SDK's own parameter class (generated from Stripe's API) does not declare."""
    module = sys.modules[declared.__module__]
    for key, value in params.items():
        where = f"{prefix}[{key}]" if prefix else key
        annotation = declared.__annotations__.get(key)
        if annotation is None or key in _OPTIONS:
            raise StripeError(400, f"Received unknown parameter: {where}", code="parameter_unknown", param=where)
        nested = [getattr(module, n) for n in _NESTED.findall(_text(annotation))]
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, dict) and nested:
                at = f"{where}[{index}]" if isinstance(value, list) else where
                _check_any(item, nested, at)


def _check_any(item: dict[str, Any], choices: list[type], where: str) -> None:
    for number, choice in enumerate(choices, 1):
        try:
            return check_known(item, choice, where)
        except StripeError:
            if number == len(choices):
                raise


def _text(annotation: Any) -> str:
    return annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else str(annotation)


def required(params: dict[str, Any], name: str, param: str | None = None) -> Any:
    """A parameter that has to be there; `param` is its full name, where it is nested."""
    if params.get(name) in (None, ""):
        where = param or name
        raise StripeError(400, f"Missing required param: {where}.", code="parameter_missing", param=where)
    return params[name]


def one_of(values: list[str], declared: type, key: str, param: str) -> None:
    """Refuses a value that the SDK's parameter class, which lists Stripe's own, does not list for `key`."""
    known = re.findall(r"'([^']+)'", _text(declared.__annotations__[key]))
    for value in values:
        if value not in known:
            raise StripeError(400, f"Invalid {param}: must be one of {', '.join(known)}", param=param)


def web_address(params: dict[str, Any], name: str) -> None:
    """Refuses an address without its scheme, if there is one at all."""
    if params.get(name) and not re.match(r"https?://[^/\s]", params[name]):
        raise StripeError(
            400,
            "Invalid URL: An explicit scheme (such as https) must be provided.",
            code="url_invalid",
            param=name,
        )


def integer(
    params: dict[str, Any],
    name: str,
    default: int | None = None,
    *,
    param: str | None = None,
    least: int | None = None,
    most: int | None = None,
) -> int | None:
    """An integer parameter, or `default` when it is absent."""
    raw = params.get(name)
    if raw in (None, ""):
        return default
    if not re.fullmatch(r"-?\d+", str(raw)):
        raise StripeError(400, f"Invalid integer: {raw}", code="parameter_invalid_integer", param=param or name)
    value = int(raw)
    if (least is not None and value < least) or (most is not None and value > most):
        bound = f"at least {least}" if least is not None and value < least else f"at most {most}"
        raise StripeError(
            400, f"This value must be {bound} (got {value}).", code="parameter_invalid_integer", param=param or name
        )
    return value


def metadata(params: dict[str, Any], param: str = "metadata") -> dict[str, str]:
    """At most 50 keys of 40 characters with values of 500 (docs.stripe.com/api/metadata)."""
    values = params.get("metadata") or {}
    if not isinstance(values, dict):
        raise StripeError(400, "Invalid object", param=param)
    if len(values) > 50:
        raise StripeError(400, f"Metadata can have at most 50 keys (got {len(values)}).", param=param)
    for key, value in values.items():
        if len(key) > 40:
            raise StripeError(400, f"Metadata keys can be at most 40 characters: {key}", param=param)
        if len(value) > 500:
            raise StripeError(
                400,
                f"Metadata values can have up to 500 characters, but you passed in a value "
                f"that is {len(value)} characters: {key}",
                param=f"{param}[{key}]",
            )
    return {k: v for k, v in values.items() if v != ""}


def plain(value: Any) -> Any:
    """Configuration that is only given back: form strings to booleans, everything else as it came."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return {"true": True, "false": False}.get(value, value)
