"""What order-store asks of a step's function, what it gets back, and the frame every such function shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import Clock, Instant
from pushcart.config import Config
from pushcart.crash import Point, point
from pushcart.domain.order import Buyer, Line, Payment, Shipping
from pushcart.domain.parcels import Parcel
from pushcart.errors import BadRequest
from pushcart.web import Request, Router


class OrderView(msgspec.Struct, kw_only=True):
    """The part of an order that a step's function may see."""

    id: str
    created_at: Instant
    paid_at: Instant | None = None
    payment_status: str
    payment: Payment
    buyer: Buyer
    shipping: Shipping | None = None
    lines: list[Line]


class Problem(msgspec.Struct, kw_only=True):
    """Something the owner has to look at, for the mail about it.

    `command` shows more about it; `remedy` puts it right once its cause is gone, where one command can.
    """

    code: str
    text: str
    since: Instant
    command: str
    remedy: str | None = None


class StepRequest(msgspec.Struct, kw_only=True):
    """One step to carry out.

    `key` is the idempotency key, the same for every attempt. `lines` are the lines the step is about.
    `results` holds what finished steps of the same product (or of the whole order) gave, by step name.
    `refund` is the amount of this refund in minor units, for steps of a refund; `parcel` is the one that was sent, for
    steps of a parcel. `order` is None only for a notice to the owner about something that belongs to no order.
    """

    key: str
    step: str
    kind: str
    config: dict[str, Any]
    attempt: int = 1
    order: OrderView | None = None
    lines: list[Line] = []
    results: dict[str, dict[str, Any]] = {}
    refund: int | None = None
    parcel: Parcel | None = None
    problem: Problem | None = None


class StepAnswer(msgspec.Struct, kw_only=True):
    """What a step gave; `note` is the timeline's sentence, without personal data."""

    result: dict[str, Any] = {}
    note: str = ""


#: Carries out one step. Raises ProviderRefused, ProviderUnavailable or BadRequest.
StepHandler = Callable[[StepRequest], StepAnswer]


def step_router(config: Config, clock: Clock, handlers: dict[str, StepHandler]) -> Router:
    """A router with the one route `POST /`, which runs the handler of the step's kind."""

    def run(request: Request) -> StepAnswer:
        call = request.json(StepRequest)
        if call.order is not None:
            request.log_fields["order_id"] = call.order.id
        request.log_fields["step"] = call.step
        handler = handlers.get(call.kind)
        if handler is None:
            raise BadRequest(f"This function carries out {', '.join(handlers)}; it was asked for {call.kind!r}.")
        point(Point.BEFORE_PROVIDER)
        answer = handler(call)
        point(Point.AFTER_PROVIDER)
        return answer

    router = Router(config, clock)
    router.add("POST", "/", lambda request: msgspec.to_builtins(run(request)))
    return router
