"""What the tests of step functions share: orders, step requests, signed calls to a handler, its environment."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from requests.structures import CaseInsensitiveDict
from werkzeug.datastructures import MultiDict

from pushcart import auth
from pushcart.clock import system_clock
from pushcart.domain.order import Buyer, Line, Payment
from pushcart.stepcall import OrderView, StepRequest

ROOT = Path(__file__).parents[2]
INTERNAL_KEY = "k" * 40
EMAIL = "ada@example.com"
NOW = datetime(2026, 11, 21, 8, 45, 36, 120000, tzinfo=UTC)

#: Every secret a step's function may ask for.
SECRETS = {
    "internal-key": INTERNAL_KEY,
    "discourse-api-key": "discourse-key-1",
    "thinkific-api-key": "thinkific-key-1",
    "platform-key": "platform-key-0123456789",
    "kit-api-secret": "kit-v3-secret-1",
    "kit-client-secret": "kit-client-secret-1",
}


def line(id: str = "li_1", sku: str | None = "wheel-basics", unit: int = 4900, quantity: int = 1, **more: Any) -> Line:
    """A line of `quantity` times `unit`, in minor units."""
    subtotal = unit * quantity
    amounts = {"amount_subtotal": subtotal, "amount_total": subtotal, "unit_amount": unit, **more}
    return Line(id=id, name="Throwing on the Wheel", sku=sku, quantity=quantity, **amounts)


def order(lines: list[Line] | None = None, currency: str = "EUR", shipping: int = 0, **buyer: Any) -> OrderView:
    lines = lines or [line()]
    subtotal = sum(one.amount_subtotal for one in lines)
    total = sum(one.amount_total for one in lines) + shipping
    return OrderView(
        id="o_1001",
        created_at="2026-11-21T08:44:00.000Z",
        paid_at="2026-11-21T08:45:36.120Z",
        payment_status="paid",
        payment=Payment(
            provider="stripe",
            session_id="cs_test_1",
            currency=currency,
            amount_subtotal=subtotal,
            amount_total=total,
            amount_shipping=shipping,
        ),
        buyer=Buyer(**{"email": EMAIL, "name": "Ada Lovelace", "locale": "en-GB", **buyer}),
        lines=lines,
    )


def step(kind: str, config: dict[str, Any] | None = None, view: OrderView | None = None, **more: Any) -> StepRequest:
    view = view or order()
    filled = {"key": "o_1001.s1", "step": kind, "config": config or {}, "order": view, "lines": view.lines, **more}
    return StepRequest(kind=kind, **filled)


def invite(platform: str, view: OrderView | None = None, **config: Any) -> StepRequest:
    return step("invite", {"platform": platform, **config}, view)


def load_handler(function: str) -> ModuleType:
    """The function's handler module, fresh."""
    path = ROOT / "functions" / function / "handler.py"
    spec = importlib.util.spec_from_file_location(f"handler_of_{function.replace('-', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment(folder: Path, function: str, secrets: dict[str, str], **variables: str) -> dict[str, str]:
    """Writes the secrets into `folder`; returns the variables to set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in secrets.items():
        (folder / name).write_text(text)
    return {"function_name": function, "secret_mount_path": str(folder), **variables}


@dataclass
class Event:
    """The contract's event."""

    body: bytes
    method: str = "POST"
    path: str = "/"
    query_string: str = ""
    headers: CaseInsensitiveDict[str] = field(default_factory=CaseInsensitiveDict)
    query: MultiDict[str, str] = field(default_factory=MultiDict)


@dataclass
class Context:
    """The contract's context."""

    hostname: str = "test"
    call_id: str = "call-1"
    log_fields: dict[str, Any] = field(default_factory=dict)


def run(
    handler: ModuleType, function: str, call: StepRequest, key: str = INTERNAL_KEY, context: Context | None = None
) -> dict[str, Any]:
    """One signed call; returns the contract's dict, with `body` as JSON values."""
    body = msgspec.json.encode(call)
    signature = auth.sign(key, system_clock(), function, "POST", "/", "", body)
    event = Event(body, headers=CaseInsensitiveDict({auth.HEADER: signature}))
    answer: dict[str, Any] = handler.handle(event, context or Context())
    return answer
