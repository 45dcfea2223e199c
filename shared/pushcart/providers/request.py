"""What a provider takes from a step's request."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pushcart.domain.catalogue import StepSpec
from pushcart.errors import BadRequest
from pushcart.stepcall import OrderView, StepRequest

S = TypeVar("S", bound=StepSpec)


def settings_of(call: StepRequest, shape: type[S]) -> S:
    """The step's settings as shop.yml has them; `BadRequest` says which one is wrong."""
    try:
        return msgspec.convert({"step": call.kind, **call.config}, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The settings of the step {call.step} do not fit: {error}") from None


def order_of(call: StepRequest) -> OrderView:
    """The step's order; `BadRequest` without one."""
    if call.order is None:
        raise BadRequest(f"The step {call.step} needs an order, and none was sent.")
    return call.order


def email_of(call: StepRequest) -> str:
    """The buyer's address; `BadRequest` when the checkout did not ask for one."""
    email = order_of(call).buyer.email
    if not email:
        raise BadRequest("The order has no mail address; let the checkout ask for one, and help this buyer by hand.")
    return email


def split_name(name: str | None) -> tuple[str | None, str | None]:
    """First and last name, as well as one can tell them apart in the one field a checkout has."""
    first, _, last = " ".join((name or "").split()).partition(" ")
    return first or None, last or None
