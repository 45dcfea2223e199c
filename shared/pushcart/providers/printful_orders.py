"""Places what was printed of an order at Printful, once, however often it is asked for.

Printful keeps one order for each `external_id`, for ever, so what it has under ours is looked up before anything is
ordered, and again when it refuses. https://developers.printful.com/docs/#section/Orders-API/External-ID
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue, PrintStep, choice
from pushcart.domain.order import Line
from pushcart.domain.parcels import ARCHIVED, CANCELLED, DRAFT, FAILED, FULFILLED, ON_HOLD, PrintFacts, external_id
from pushcart.errors import BadRequest, ProviderRefused, ProviderUnavailable
from pushcart.providers import printful_shapes as shapes
from pushcart.providers.printful import NAME, Printful
from pushcart.providers.printful_recipient import recipient
from pushcart.providers.request import order_of
from pushcart.stepcall import OrderView, StepAnswer, StepRequest

#: Printful has it and goes on by itself, or has done so; a hold is told to the owner by what reads the order later.
PLACED = frozenset({"inreview", "pending", "inprocess", "partial", ON_HOLD, FULFILLED, ARCHIVED})

#: What is ordered, by (kind, variant), and how many pieces.
Pieces = Counter[tuple[str, int | None]]


class _Item(msgspec.Struct):
    """A line, and what Printful is to make of it: a product of its store, or a catalogue variant with print files."""

    line: str
    sync_variant: int | None = None
    variant: int | None = None
    files: list[dict[str, Any]] = []


class _Settings(msgspec.Struct):
    items: list[_Item]
    shipping: str | None = None


class PrintOrders:
    """Carries out steps of kind `print`. `catalogue` knows a variant that shop.yml did not name when it was sold."""

    def __init__(self, printful: Printful, catalogue: Callable[[], Catalogue]) -> None:
        self._printful = printful
        self._catalogue = catalogue

    def print(self, call: StepRequest) -> StepAnswer:
        """Gives `print` (`PrintFacts`), `external_id` and `retail`, what the buyer paid for it in minor units.

        Raises the `ProviderError`s, and `BadRequest` for what only the owner can complete.
        """
        order, settings = order_of(call), _settings(call)
        name, items = external_id(order.id, _number(call.step)), self._items(call, order, settings)
        made, done = self._found(name, items), "found"
        if made is None:
            made, done = self._place(name, order, call.lines, items, settings.shipping)
        if made.status == DRAFT or (made.status == FAILED and done == "found"):
            made, done = self._confirm(made), "confirmed"
        _accept(made)
        costs = f", {money.plain(made.costs.total, made.costs.currency)}" if made.costs else ""
        retail = sum(line.amount_total for line in call.lines)
        result = {"print": msgspec.to_builtins(made), "external_id": name, "retail": retail}
        return StepAnswer(result=result, note=f"order {done} at Printful{costs}")

    def _found(self, name: str, items: list[dict[str, Any]]) -> PrintFacts | None:
        """What stands under our name; `ProviderRefused` when that is not what we order."""
        found = self._printful.read(f"@{name}")
        if found is None:
            return None
        whole = found.items or []
        if _pieces(items) not in (_pieces_of(whole), _pieces_of([*whole, *(found.incomplete_items or [])])):
            raise ProviderRefused(
                NAME,
                f"order {found.id} stands there as {name}, but with other items than were sold; look at who made it,"
                " and order these by hand",
            )
        return shapes.facts(found)

    def _place(
        self, name: str, order: OrderView, lines: list[Line], items: list[dict[str, Any]], shipping: str | None
    ) -> tuple[PrintFacts, str]:
        address, costs = recipient(order), _retail_costs(order, lines)
        try:
            return self._printful.place(name, address, items, shipping=shipping, retail_costs=costs), "placed"
        except ProviderRefused as refusal:
            # OR-13 says that the name is taken, most likely by an attempt of ours whose answer was lost. Whether it
            # is, the lookup tells, however the refusal is worded.
            found = None if refusal.status in (401, 403) else self._found(name, items)
            if found is None:
                raise
            return found, "found"

    def _confirm(self, made: PrintFacts) -> PrintFacts:
        try:
            return self._printful.confirm(made.number)
        except ProviderRefused:
            # It is no longer waiting when another attempt has confirmed it.
            now = self._printful.order(made.number)
            if now is None or now.status in (DRAFT, FAILED):
                raise
            return now

    def _items(self, call: StepRequest, order: OrderView, settings: _Settings) -> list[dict[str, Any]]:
        """The items as Printful takes them: https://developers.printful.com/docs/#operation/createOrder"""
        lines = {line.id: line for line in call.lines}
        if not settings.items:
            raise BadRequest("The settings of the step name nothing to print.")
        often = Counter(item.line for item in settings.items)
        named: set[str] = set()
        items = []
        for item in settings.items:
            line = lines.get(item.line)
            if line is None:
                raise BadRequest(f"The step prints the line {item.line}, which is not among the lines it was sent.")
            made = self._variant(item, line)
            if shapes.EXTERNAL_ID.fullmatch(line.id) and line.id not in named:
                made["external_id"] = line.id
            named.add(line.id)
            price = _major(_unit(line, order.payment.currency) // often[line.id], order.payment.currency)
            items.append({**made, "quantity": line.quantity, "retail_price": price, "name": line.name})
        return items

    def _variant(self, item: _Item, line: Line) -> dict[str, Any]:
        if item.variant is not None:
            return {"variant_id": item.variant, "files": item.files}
        number = item.sync_variant or self._known_by_now(line)
        if number is None:
            what = f"{line.name} ({choice(line.options)})" if line.options else line.name
            raise BadRequest(
                f"shop.yml names no Printful variant for {what}; add it to the step print of {line.sku}, then retry."
            )
        return {"sync_variant_id": number}

    def _known_by_now(self, line: Line) -> int | None:
        product = self._catalogue().product(line.sku)
        steps = [step for step in product.fulfilment if isinstance(step, PrintStep)] if product else []
        return next((number for step in steps if (number := step.variant_of(choice(line.options)))), None)


def _accept(made: PrintFacts) -> None:
    """Returns when Printful makes the order; else raises what has to happen first."""
    words = made.error or "it gives no reason"
    if made.status in PLACED:
        return
    if made.status == DRAFT:
        raise ProviderUnavailable(NAME, f"order {made.number} is still a draft; its costs may not be worked out yet")
    if made.status == FAILED:
        raise ProviderRefused(NAME, f"order {made.number} failed: {words}; put that right there, then retry the step")
    if made.status == CANCELLED:
        raise ProviderRefused(NAME, f"order {made.number} was cancelled there: {words}; make a new one by hand")
    raise ProviderRefused(
        NAME, f"order {made.number} is {made.status!r}, which Pushcart does not know; look at it there"
    )


def _settings(call: StepRequest) -> _Settings:
    try:
        return msgspec.convert(call.config, _Settings)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The settings of the step {call.step} do not fit: {error}") from None


def _number(step: str) -> int:
    """`print` is the order's first at Printful, `print-2` its second."""
    tail = step.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 1


def _pieces(items: list[dict[str, Any]]) -> Pieces:
    pieces: Pieces = Counter()
    for item in items:
        pieces[_kind(item.get("sync_variant_id"), item.get("variant_id"))] += item["quantity"]
    return pieces


def _pieces_of(items: list[shapes.Item]) -> Pieces:
    pieces: Pieces = Counter()
    for item in items:
        pieces[_kind(item.sync_variant_id, item.variant_id)] += item.quantity
    return pieces


def _kind(sync_variant: int | None, variant: int | None) -> tuple[str, int | None]:
    """A product of the store's also names the catalogue variant it is made of; that counts only without one."""
    return ("sync", sync_variant) if sync_variant else ("catalogue", variant)


def _unit(line: Line, currency: str) -> int:
    """What one piece costs in the payment's currency, before discounts; a price may be in another one."""
    if line.unit_amount is not None and (line.unit_currency or currency).upper() == currency.upper():
        return line.unit_amount
    return line.amount_subtotal // max(line.quantity, 1)


def _retail_costs(order: OrderView, lines: list[Line]) -> dict[str, str]:
    """What the packing slip says besides the prices: https://developers.printful.com/docs/#section/Retail-costs"""
    currency = order.payment.currency
    return {
        "currency": currency.upper(),
        "discount": _major(sum(line.amount_discount for line in lines), currency),
        "shipping": _major(order.payment.amount_shipping, currency),
        "tax": _major(sum(line.amount_tax for line in lines), currency),
    }


def _major(amount: int, currency: str) -> str:
    return f"{money.to_decimal(amount, currency):f}"
