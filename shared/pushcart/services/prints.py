"""From a message about a print to the order it belongs to: read it at its provider, change the order.

The order is read before the print, so a change saved meanwhile is never overwritten with older news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from pushcart.clock import Clock, Instant, to_instant
from pushcart.domain import delivery
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Order
from pushcart.domain.parcels import PrintFacts, PrintNews, order_of
from pushcart.repositories import Orders
from pushcart.services.intake import ORDER_ID

log = logging.getLogger(__name__)

#: What events about prints have as their source.
SOURCE = "printful"


class Printer(Protocol):
    """Where the truth about a print is read."""

    def order(self, reference: str) -> PrintFacts | None:
        """The print with this number, or `@` and what we called it; None when there is none."""


class Message(msgspec.Struct):
    """The provider's message, as the inbox keeps it."""

    type: str
    data: dict[str, Any] = {}


class Prints:
    """Applies the messages of the print-on-demand provider.

    `news` reads what a message of a type, with its data and its time, says besides its order.
    """

    def __init__(
        self,
        orders: Orders,
        printer: Printer,
        news: Callable[[str, dict[str, Any], Instant | None], PrintNews],
        catalogue: Callable[[], Catalogue],
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._printer = printer
        self._news = news
        self._catalogue = catalogue
        self._clock = clock

    def apply(self, event: InboxEvent) -> Order | None:
        """The order that the event is about, changed and saved; None for a print that no order of ours asked for.

        Raises the `ProviderError`s.
        """
        message = msgspec.json.decode(event.body, type=Message)
        news = self._news(message.type, message.data, event.created_at)
        named = message.data.get("order")
        name = named.get("external_id") if isinstance(named, dict) else None
        while True:
            order = self._find(name)
            facts = self._printer.order(event.object_id or "")
            if facts is None:
                return None
            if facts.external_id != name:
                name = facts.external_id
                continue
            if order is None or delivery.print_step(order, name) is None:
                log.warning("Printful's order %s is none that an order of this shop asked for", facts.number)
                return None
            now = to_instant(self._clock())
            delivery.update(order, facts, self._catalogue(), now, news=news, event_id=event.id)
            if self._orders.save(order):
                return order

    def record(self, order: Order, result: dict[str, Any], now: Instant) -> None:
        """Notes what the function that places prints has read; for the driver."""
        facts = msgspec.convert(result["print"], PrintFacts)
        delivery.update(order, facts, self._catalogue(), now)

    def _find(self, name: Any) -> Order | None:
        if not isinstance(name, str) or not ORDER_ID.fullmatch(name):
            return None
        found = self._orders.get(name)
        inner = order_of(name)
        return found or (self._orders.get(inner) if inner and inner != name else None)
