"""A cart in an HTTP request: JSON from the shop's script, or a plain form that works without any."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from markupsafe import escape

from pushcart.domain.cart import Cart
from pushcart.errors import BadRequest

FORM = "application/x-www-form-urlencoded"

#: More fields than any form of ours has.
MOST_FIELDS = 100

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Please look again</title>
<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1.25rem}}</style></head>
<body><main><h1>Please look again</h1><ul>{items}</ul><p><a href="{back}">Back to the shop</a></p></main></body></html>
"""


def is_form(event: Any) -> bool:
    """Whether the request is a form that a browser sent by itself."""
    return _kind(event) == FORM


def _kind(event: Any) -> str:
    """The body's type, without its parameters."""
    return str(event.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def fields(event: Any) -> dict[str, str]:
    """The form's fields; of a repeated one the last. `BadRequest` for what is no form."""
    try:
        pairs = parse_qsl(event.body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("The body is no form that can be read.") from None
    return {name: value for name, value in pairs if "\0" not in name + value}


def read(event: Any) -> Cart:
    """The cart in the request; `BadRequest` says which field cannot be read."""
    if _kind(event) not in (FORM, "application/json"):
        # Other types a browser sends from any page without asking first.
        raise BadRequest("Send the cart as application/json, or one product as a form.")
    try:
        if is_form(event):
            return _from_form(fields(event))
        cart = msgspec.json.decode(event.body, type=Cart)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"The cart cannot be read: {error}") from None
    except RecursionError:
        raise BadRequest("The cart cannot be read: it is nested too deeply.") from None
    if b"\\u0000" in event.body or b"\0" in event.body:
        raise BadRequest("The cart holds a NUL character, which no name of ours has.")
    return cart


def sender(event: Any) -> str:
    """What is the same when a buyer sends the same form twice, and another for everybody else: a digest.

    Empty for a form without a mail address whose sender's network address is unknown: it may be anybody's.
    """
    about = [event.headers.get(name, "") for name in ("X-Real-IP", "User-Agent", "Accept-Language")]
    if not (about[0] or fields(event).get("email", "").strip()):
        return ""
    return hashlib.sha256(msgspec.json.encode([*about, event.body])).hexdigest()


def _from_form(form: dict[str, str]) -> Cart:
    """One product: `sku`, `quantity`, `option.NAME`, and the price and currency that the page shows."""
    names = ("token", "currency", "email", "name", "code", "pay", "locale")
    item: dict[str, Any] = {
        "sku": form.get("sku", ""),
        "quantity": _number(form.get("quantity") or "1", "quantity"),
        "price": _number(form["price"], "price") if form.get("price") else None,
        "options": {name.removeprefix("option."): value for name, value in form.items() if name.startswith("option.")},
    }
    cart = {"items": [item], "remind": bool(form.get("remind"))}
    return msgspec.convert({**cart, **{name: form[name] for name in names if form.get(name)}}, Cart)


def _number(text: str, name: str) -> int:
    sign, digits = (text[:1], text[1:]) if text[:1] in "+-" else ("", text)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 12):
        raise BadRequest(f"{name} should be a whole number, not {text[:40]!r}.")
    return int(sign + digits)


def page(answer: dict[str, Any], site: str) -> dict[str, Any]:
    """An error's answer as a page, for a buyer whose browser sent the form itself."""
    error = answer["body"]["error"]
    messages = [problem["message"] for problem in error.get("problems", [])] or [error["message"]]
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    headers = {
        **answer.get("headers", {}),
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return {**answer, "body": _PAGE.format(items=items, back=escape(site)), "headers": headers}
