"""What a person may let happen to an order at Printful, on the sandbox's start page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sandbox.printful_objects import Json

if TYPE_CHECKING:
    from local.sandbox.printful import Printful

_SHIP = [("ship", "Ship"), ("part", "Ship one piece")]
_STOP = [("hold", "Hold"), ("fail", "Fail"), ("cancel", "Cancel")]
_CAN_HAPPEN = {
    "draft": [("confirm", "Confirm"), ("cancel", "Cancel")],
    "pending": [("start", "Print"), *_SHIP, *_STOP],
    "inprocess": [*_SHIP, *_STOP],
    "partial": [*_SHIP, ("hold", "Hold"), ("send_back", "Send a parcel back")],
    "onhold": [("release", "Release"), ("cancel", "Cancel")],
    "failed": [("confirm", "Confirm again"), ("cancel", "Cancel")],
    "fulfilled": [("send_back", "Send a parcel back"), ("reship", "Ship again"), ("refund", "Refund the shop")],
}


def can_happen(order: Json) -> list[tuple[str, str]]:
    """What can happen next to an order, as (action, label)."""
    return _CAN_HAPPEN.get(order["status"], [])


def let_happen(printful: Printful, number: str, wish: str) -> None:
    """Raises PrintfulError for what is not possible, ValueError for no action."""
    if wish not in {action for choices in _CAN_HAPPEN.values() for action, _ in choices}:
        raise ValueError(f"There is no action {wish!r}.")
    if wish == "part":
        left = printful.left(number)
        printful.ship(number, items={next(iter(left), 0): 1})
    elif wish == "reship":
        printful.ship(number, reshipment=True)
    else:
        getattr(printful, wish)(number)
