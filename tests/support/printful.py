"""What the tests of Printful share: its answers, a client for a server of a test's own, and a step to carry out."""

from __future__ import annotations

from typing import Any

from pushcart.domain.order import Address, Line, Shipping
from pushcart.providers.http import Http
from pushcart.providers.printful import BUSY_WAIT, NAME, SECRET, Printful
from pushcart.stepcall import OrderView, StepRequest
from support.provider_calls import fixture
from support.step_calls import NOW, line, order, step
from support.wire import Wire

KEY = "printful-token-1"
VARIANT = 866913817

ADDRESS = Address(line1="1 Kiln Lane", city="Warszawa", postal_code="00-001", country="PL")


def answered(**changes: Any) -> dict[str, Any]:
    """Printful's answer with one order, changed."""
    return {"code": 200, "result": {**fixture("printful/order.json"), **changes}}


def refused(message: str, status: int = 400, code: str | None = None) -> dict[str, Any]:
    """Printful's answer with an error; `code` is its own number for it."""
    error = {"reason": "BadRequest", "message": message, **({"api_error_code": code} if code else {})}
    return {"code": status, "result": message, "error": error}


TAKEN = refused("Order with this External ID already exists", code="OR-13")
NOT_FOUND = refused("Not found", 404)


def client(wire: Wire, store: str = "") -> Printful:
    http = Http(NAME, wire.url, lambda: NOW, timeout=2, secret=SECRET, busy_wait=BUSY_WAIT)
    return Printful(http, lambda: KEY, store)


def apron(id: str = "li_1", quantity: int = 2, **more: Any) -> Line:
    return line(id, "apron", 2400, quantity, **more)


def shipped(lines: list[Line] | None = None, to: Shipping | None = None, **more: Any) -> OrderView:
    """An order of two aprons, with an address they go to."""
    view = order(lines or [apron()], **more)
    view.shipping = to or Shipping(name="Ada Lovelace", address=ADDRESS)
    return view


def printing(
    view: OrderView | None = None, variant: int | None = VARIANT, shipping: str | None = None, **more: Any
) -> StepRequest:
    """The step that prints every line of the order."""
    view = view or shipped()
    items = [{"line": one.id, "sync_variant": variant} for one in view.lines]
    config = more.pop("config", {"items": items, "shipping": shipping})
    return step("print", config, view, **{"key": "o_1001.print", **more})
