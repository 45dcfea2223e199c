"""Orders at Printful: how they are placed, and every way they can go from there."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from local.sandbox import printful_objects as shape
from local.sandbox.printful_objects import Json, PrintfulError
from local.sandbox.printful_webhooks import Webhooks
from local.sandbox.world import World

_NO_MONEY = "Insufficient funds in your Printful Wallet. Please add a billing method or deposit funds."


def _action(method: Callable[..., Json]) -> Callable[..., Json]:
    """Makes a method an action: one at a time, and what it returns is a copy."""

    @functools.wraps(method)
    def run(self: Orders, *args: Any, **kwargs: Any) -> Json:
        with self.lock:
            return copy.deepcopy(method(self, *args, **kwargs))

    return run


class Orders(Webhooks):
    """`variants` are the store's products (sync variants) by number, `balance` what is in the wallet in US cents
    (None: enough). The next `fall_back` confirmed orders fall back to draft, their costs still being computed.

    `number` is an order's number, or its external id (with or without `@`). Actions return the order, and raise
    PrintfulError for a move that is not possible.
    """

    def __init__(self, world: World, autosend: bool) -> None:
        super().__init__(world, autosend)
        self.variants: dict[int, Json] = {}
        self.balance: int | None = None

    def forget_orders(self) -> None:
        self.forget_events()
        self.fall_back = 0
        self._orders: dict[int, Json] = {}
        self._numbers: dict[str, int] = {}
        self._before_hold: dict[int, str] = {}
        self._paid: dict[int, int] = {}

    def orders(self, status: str | None = None, limit: int | None = None, *, to: str | None = None) -> list[Json]:
        """Copies of the orders, newest first: the newest `limit` of them, those to the mail address `to`."""
        with self.lock:
            found = [o for o in self.newest() if status in (None, o["status"])]
            return copy.deepcopy([o for o in found if to in (None, o["recipient"].get("email"))][:limit])

    def newest(self) -> list[Json]:
        return list(reversed(self._orders.values()))

    def order(self, number: int | str) -> Json:
        """A copy of one order. Raises PrintfulError (404)."""
        with self.lock:
            return copy.deepcopy(self.find(number))

    def find(self, number: int | str) -> Json:
        """The order itself, not a copy. Raises PrintfulError (404)."""
        text = str(number)
        found = self._orders.get(int(text)) if text.isdigit() else None
        found = found or self._orders.get(self._numbers.get(text.removeprefix("@"), 0))
        if found is None:
            raise PrintfulError("Not found", 404)
        return found

    @_action
    def place(self, sent: Any, confirm: bool) -> Json:
        """A new order, as the API takes it; `confirm` submits it at once."""
        if not isinstance(sent, dict) or not sent:
            raise PrintfulError("Invalid request: missing order element")
        external_id = shape.check_external_id(sent.get("external_id"))
        if external_id in self._numbers:
            raise PrintfulError("Order with this External ID already exists", code="OR-13")
        address = shape.recipient(sent.get("recipient"))
        lines = sent.get("items")
        if not isinstance(lines, list) or not lines:
            raise PrintfulError("Missing required parameters")
        serial = self.world.ids.serial
        items = [shape.item(line, index, serial(), self.variants) for index, line in enumerate(lines)]
        named = [line["external_id"] for line in items if line["external_id"]]
        if len(named) != len(set(named)):
            raise PrintfulError("Item external IDs have to be unique per order")
        if confirm:
            _check_files(items)
        order = shape.order(serial(), external_id, self.world.timestamp(), address, items, sent)
        self._orders[order["id"]] = order
        if external_id:
            self._numbers[external_id] = order["id"]
        if not confirm:
            self._cost(order)
            self.tell("order_created", order)
            return order
        return self._submit(order, new=True)

    @_action
    def confirm(self, number: int | str) -> Json:
        """Submits a draft, or once more an order that failed."""
        order = self.find(number)
        if order["status"] not in ("draft", "failed"):
            raise PrintfulError(f"Order cannot be confirmed: its status is {order['status']}", code="OR-1")
        _check_files(order["items"])
        return self._submit(order)

    def _submit(self, order: Json, new: bool = False) -> Json:
        if self.fall_back > 0:
            self.fall_back -= 1
            order["costs"] = shape.unknown_costs()
            return self._move(order, "draft", "order_created" if new else "order_updated")
        self._cost(order)
        total = shape.cents(order["costs"]["total"])
        if self.balance is not None and self.balance < total:
            if new:
                self.tell("order_created", order)
            return self._failed(order, _NO_MONEY)
        self._paid[order["id"]] = total
        if self.balance is not None:
            self.balance -= total
        return self._move(order, "pending", "order_created" if new else "order_updated")

    def _cost(self, order: Json) -> None:
        order["costs"] = shape.costs(order["items"], order["shipping"], order["recipient"]["country_code"])

    def _move(self, order: Json, status: str, kind: str, *, error: str | None = None, **data: Any) -> Json:
        order |= {"status": status, "error": error, "updated": self.world.timestamp()}
        self.tell(kind, order, **data)
        return order

    def _in(self, number: int | str, *statuses: str) -> Json:
        order = self.find(number)
        if order["status"] not in statuses:
            raise PrintfulError(f"order {order['id']} is {order['status']}, not {' or '.join(statuses)}", 409)
        return order

    @_action
    def start(self, number: int | str) -> Json:
        """The order goes to be printed."""
        return self._move(self._in(number, "pending", "inreview"), "inprocess", "order_updated")

    @_action
    def ship(
        self,
        number: int | str,
        items: dict[int | str, int] | None = None,
        carrier: str = "DPD",
        tracking: str | None = None,
        reshipment: bool = False,
    ) -> Json:
        """One parcel with so many pieces by item id (or the item's external id); None for all that are left. Partial
        until everything is on its way, then fulfilled. A reshipment replaces what got lost and changes no status."""
        order = self._in(number, "pending", "inprocess", "partial", *(("fulfilled",) if reshipment else ()))
        left = self._all(order) if reshipment else self._left(order)
        contents = left if items is None else {_item_id(order, key): int(count) for key, count in items.items()}
        wrong = {i: n for i, n in contents.items() if not 0 < n <= left.get(i, 0)}
        if wrong or not contents:
            raise PrintfulError(f"only {left} are left to be sent of order {order['id']}", 409)
        code = tracking or self.world.ids.token(14, "0123456789")
        now = self.world.now()
        parcel = shape.shipment(
            self.world.ids.serial(), self.world.timestamp(), f"{now:%Y-%m-%d}", carrier, code, contents, reshipment
        )
        order["shipments"].append(parcel)
        status = order["status"] if reshipment else "partial" if self._left(order) else "fulfilled"
        changed = status != order["status"]
        self._move(order, status, "package_shipped", shipment=parcel)
        if changed:
            self.tell("order_updated", order)
        return order

    @staticmethod
    def _all(order: Json) -> dict[int, int]:
        return {line["id"]: line["quantity"] for line in order["items"]}

    def left(self, number: int | str) -> dict[int, int]:
        """How many pieces of an order are still to be sent, by item id."""
        with self.lock:
            return self._left(self.find(number))

    def _left(self, order: Json) -> dict[int, int]:
        left = self._all(order)
        for parcel in order["shipments"]:
            for part in () if parcel["reshipment"] else parcel["items"]:
                left[part["item_id"]] -= part["quantity"]
        return {i: n for i, n in left.items() if n}

    @_action
    def fail(self, number: int | str, reason: str = "Address could not be verified") -> Json:
        """The order comes back for review; it may be confirmed once more."""
        return self._failed(self._in(number, "pending", "inreview", "inprocess", "onhold"), reason)

    def _failed(self, order: Json, reason: str) -> Json:
        self._give_back(order)
        return self._move(order, "failed", "order_failed", error=reason, reason=reason)

    @_action
    def cancel(self, number: int | str, reason: str | None = "Canceled by customer support") -> Json:
        """By Printful, or in its dashboard: at any time before everything is sent. What it cost is given back."""
        moving = ("draft", "failed", "pending", "inreview", "inprocess", "onhold", "partial")
        order = self._in(number, *moving)
        self._give_back(order)
        return self._move(order, "canceled", "order_canceled", reason=reason)

    @_action
    def delete(self, number: int | str) -> Json:
        """As the API cancels. The external id stays taken."""
        order = self.find(number)
        if order["status"] not in ("draft", "failed", "pending"):
            raise PrintfulError(f"Order can no longer be canceled: its status is {order['status']}", code="OR-1")
        return self.cancel(order["id"], None)

    def _give_back(self, order: Json) -> None:
        paid = self._paid.pop(order["id"], 0)
        if self.balance is not None:
            self.balance += paid

    @_action
    def hold(self, number: int | str, reason: str = "Address could not be verified") -> Json:
        order = self._in(number, "pending", "inreview", "inprocess", "partial")
        self._before_hold[order["id"]] = order["status"]
        return self._move(order, "onhold", "order_put_hold", reason=reason)

    @_action
    def release(self, number: int | str) -> Json:
        """The order goes on where it was held."""
        order = self._in(number, "onhold")
        return self._move(order, self._before_hold.pop(order["id"]), "order_remove_hold", reason=None)

    @_action
    def compute(self, number: int | str) -> Json:
        """The costs of an order that fell back are known now: it waits as a draft to be confirmed."""
        order = self._in(number, "draft")
        self._cost(order)
        return self._move(order, "draft", "order_remove_hold", reason=None)

    @_action
    def send_back(
        self, number: int | str, parcel: int | None = None, reason: str = "Recipient could not be reached"
    ) -> Json:
        """A parcel (its id; None for the last one) comes back. The order's own status does not change."""
        order = self.find(number)
        found = [p for p in order["shipments"] if parcel in (None, p["id"])]
        if not found:
            raise PrintfulError(f"order {order['id']} has no parcel {parcel or ''}".rstrip(), 409)
        return self._move(order, order["status"], "package_returned", reason=reason, shipment=found[-1])

    @_action
    def refund(self, number: int | str, amount: int | None = None) -> Json:
        """Gives the shop so many US cents back, or (None) all it paid."""
        order = self.find(number)
        given = shape.cents(order["costs"]["total"] or 0) if amount is None else amount
        if self.balance is not None:
            self.balance += given
        return self._move(order, order["status"], "order_refunded", error=order["error"], amount=shape.dollars(given))

    @_action
    def steal(self, external_id: str | None = None, name: str = "Mallory", quantity: int = 1) -> Json:
        """Somebody who has the key orders for himself, so without an external id; or squats on one."""
        return self.place(
            {
                "external_id": external_id,
                "recipient": {
                    "name": name,
                    "address1": "1 Back Alley",
                    "city": "Dover",
                    "state_code": "DE",
                    "country_code": "US",
                    "zip": "19901",
                },
                "items": [{"variant_id": 4011, "quantity": quantity, "files": [{"url": "https://mallory.example/x"}]}],
            },
            confirm=True,
        )


def _check_files(items: list[Json]) -> None:
    for index, line in enumerate(items):
        if not line["files"]:
            raise PrintfulError(f"Item {index}: Item can't be submitted without any print files")


def _item_id(order: Json, key: int | str) -> int:
    found = [line["id"] for line in order["items"] if str(key) in (str(line["id"]), line["external_id"])]
    if not found:
        raise PrintfulError(f"order {order['id']} has no item {key}", 409)
    return int(found[0])
