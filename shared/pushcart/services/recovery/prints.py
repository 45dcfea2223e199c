"""The prints' part of a recovery: every order at Printful against the order that asked for it, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pushcart.clock import Clock, to_instant
from pushcart.domain import delivery
from pushcart.domain.order import PaymentStatus
from pushcart.domain.parcels import AT_REST, PrintFacts
from pushcart.repositories import Cursors, Orders
from pushcart.services.catchup import seen
from pushcart.services.catchup.prints import PAGE, Printer, difference, note_strange, order_for
from pushcart.services.recovery.repairs import Repairs
from pushcart.services.recovery.walk import (
    WINDOW,
    Held,
    Item,
    Place,
    Tally,
    orders_before,
    second_of,
    whole_seconds,
    work_through,
)
from pushcart.store import Store

#: So many of Printful's orders are listed once more with the next window: some may be deleted in between.
OVERLAP = 5


class Prints(Printer, Protocol):
    """Where Printful's orders are listed, and one is asked for."""

    def order(self, reference: str) -> PrintFacts | None:
        """The order with this number; None when there is none."""


class PrintsPhase:
    """`printer` is Printful. What is strange is remembered, for catch-up to look at again and to alarm about."""

    def __init__(self, printer: Prints, store: Store, repairs: Repairs, clock: Clock) -> None:
        self._printer = printer
        self._store, self._orders, self._cursors = store, Orders(store), Cursors(store)
        self._repairs = repairs
        self._clock = clock

    def window(self, place: Place, tally: Tally, go_on: Callable[[], bool]) -> Place | None:
        """See `slices.Phase`."""
        orders, orders_from = orders_before(self._store, place.until)
        prints, prints_from = self._list(place, orders_from)
        listed = {facts.number for facts in prints}
        items = [
            Item(second_of(one.created_at), f"p {one.number}", "prints", lambda one=one: self._print(one, tally))  # type: ignore[misc]
            for one in prints
        ]
        items += [
            Item(one.second, f"o {one.id}", "print_orders", lambda one=one: self._order(one, listed, tally))  # type: ignore[misc]
            for one in orders
            if one.prints
        ]
        try:
            reached = work_through(items, max(orders_from, prints_from), tally, go_on)
        finally:
            tally.place = self._moved(tally.place, place, prints)
        return None if reached is None else self._moved(reached, place, prints)

    def _list(self, place: Place, since: int) -> tuple[list[PrintFacts], int]:
        """Orders created before the place, and the second from which on they are all there."""
        found: list[PrintFacts] = []
        offset = place.offset
        while True:
            page = self._printer.page(offset, PAGE)
            found += page.items
            offset += PAGE
            if offset >= page.total:
                return found, 0
            whole = whole_seconds(found, lambda facts: second_of(facts.created_at), place.until)
            if whole is not None and (len(found) >= WINDOW or whole <= since):
                return found, whole

    @staticmethod
    def _moved(reached: Place, began: Place, prints: list[PrintFacts]) -> Place:
        """The place with the number at which the list goes on: behind what is done, and a few before that."""
        done = sum(second_of(facts.created_at) >= reached.until for facts in prints)
        return Place(reached.until, reached.key, max(began.offset, began.offset + done - OVERLAP))

    def _print(self, facts: PrintFacts, tally: Tally) -> None:
        order = order_for(facts, self._orders)
        if order is None:
            if tally.apply:
                note_strange(self._cursors, [facts], int(self._clock().timestamp()))
            text = f"Printful's order {facts.number} ({facts.status}) is none that an order of the shop asked for"
            finding = self._repairs.by_hand(
                "strange_print",
                text,
                order=None,
                object=facts.number,
                command="look at it at https://www.printful.com/dashboard",
            )
            tally.findings.append(finding)
            return
        # One that was planned says so itself, as soon as its print is read.
        if not order.planned and order.payment_status is PaymentStatus.REFUNDED and facts.status not in AT_REST:
            text = delivery.goes_on(facts.number)
            tally.findings.append(self._repairs.by_hand("print_goes_on", text, order=order.id, object=facts.number))
        differs = difference(order, facts)
        if differs:
            event = seen.print_seen(facts, to_instant(self._clock()))
            text = f"Printful's order {facts.number}: {differs}"
            unknown = facts.number not in [one.number for one in order.prints]
            finding = self._repairs.by_event(
                "print_differs", text, event, order=order.id, lost=unknown, apply=tally.apply
            )
            tally.findings.append(finding)

    def _order(self, order: Held, listed: set[str], tally: Tally) -> None:
        for number in order.prints:
            if number not in listed and self._printer.order(number) is None:
                text = f"Printful knows no order {number}, which this order counts on"
                tally.findings.append(self._repairs.by_hand("print_unknown", text, order=order.id, object=number))
