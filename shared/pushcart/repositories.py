"""What the functions keep: orders, the inbox, locks, heartbeats and counters. Written once, above the store's port."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pushcart.clock import Clock, Instant, later, to_instant
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import BadRequest, NotFound
from pushcart.store import Document, Store

T = TypeVar("T", bound=msgspec.Struct)

#: The value something is sorted by, and its id.
Key = tuple[str, str]


def _document(value: msgspec.Struct) -> Document:
    document: Document = msgspec.to_builtins(value)
    return document


def _save(store: Store, collection: str, value: Order | InboxEvent) -> bool:
    read, value.version = value.version, value.version + 1
    saved = store.replace(collection, _document(value), read)
    if not saved:
        value.version = read
    return saved


class Page(msgspec.Struct):
    """One page of a listing, and the cursor of the next page, or None at the end."""

    items: list[Any]
    cursor: str | None = None


def _page(found: list[Document], limit: int, order_by: str, shape: type[T]) -> Page:
    """One document more than `limit` was asked for, to know whether there is another page."""
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    cursor = f"{last[order_by]}~{last['id']}" if last else None
    return Page([msgspec.convert(document, shape) for document in shown], cursor)


def _after(cursor: str | None) -> tuple[str, str] | None:
    if not cursor:
        return None
    value, tilde, id = cursor.partition("~")
    if not tilde:
        raise BadRequest("This cursor is not one of ours; take it from the page before.")
    return value, id


class Orders:
    """The orders. Every write is conditional on the version that was read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, id: str) -> Order | None:
        """The order, or None."""
        document = self._store.get("orders", id)
        return None if document is None else msgspec.convert(document, Order)

    def require(self, id: str) -> Order:
        """The order; `NotFound` when there is none."""
        order = self.get(id)
        if order is None:
            raise NotFound(f"There is no order {id}.")
        return order

    def add(self, order: Order) -> bool:
        """Stores a new order as version 1; False when there is one with this id."""
        order.version = 1
        return self._store.insert("orders", _document(order))

    def save(self, order: Order) -> bool:
        """Stores the change if nobody else changed the order since it was read; else False."""
        return _save(self._store, "orders", order)

    def change(self, id: str, change: Callable[[Order], None]) -> Order:
        """Applies `change` to the order as it is now and saves it, as often as it takes; returns the order."""
        while True:
            order = self.require(id)
            change(order)
            if self.save(order):
                return order

    def by_session(self, session_id: str) -> Order | None:
        """The order this checkout session pays for, or None."""
        return self._one("session_id", session_id)

    def by_payment_intent(self, payment_intent: str) -> Order | None:
        """The order this payment belongs to, or None."""
        return self._one("payment_intent", payment_intent)

    def _one(self, field: str, value: str) -> Order | None:
        found = self._store.find("orders", equal={field: value}, order_by="created_at", limit=1)
        return msgspec.convert(found[0], Order) if found else None

    def due(self, now: Instant, limit: int, after: Key | None = None) -> list[Key]:
        """(due_at, id) of orders with something to do, the longest overdue first, following `after`."""
        return self._store.keys("orders", order_by="due_at", until=later(now, 0.001), after=after, limit=limit)

    def list(
        self,
        equal: dict[str, str],
        since: Instant | None = None,
        until: Instant | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Orders made in [since, until), newest first, a page at a time."""
        found = self._store.find(
            "orders",
            equal=equal,
            order_by="created_at",
            since=since,
            until=until,
            descending=True,
            after=_after(cursor),
            limit=limit + 1,
        )
        return _page(found, limit, "created_at", Order)


class Inbox:
    """Events as they arrived, each once, until they are applied."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, event: InboxEvent) -> bool:
        """Stores the event durably; False when it was there already."""
        event.version = 1
        return self._store.insert("inbox", _document(event))

    def get(self, id: str) -> InboxEvent | None:
        """The event, or None."""
        document = self._store.get("inbox", id)
        return None if document is None else msgspec.convert(document, InboxEvent)

    def require(self, id: str) -> InboxEvent:
        """The event; `NotFound` when there is none."""
        event = self.get(id)
        if event is None:
            raise NotFound(f"There is no event {id} in the inbox.")
        return event

    def save(self, event: InboxEvent) -> bool:
        """Stores the change if nobody else changed the event since it was read; else False."""
        return _save(self._store, "inbox", event)

    def change(self, id: str, change: Callable[[InboxEvent], None]) -> InboxEvent:
        """Applies `change` to the event as it is now and saves it, as often as it takes; returns the event."""
        while True:
            event = self.require(id)
            change(event)
            if self.save(event):
                return event

    def due(self, now: Instant, limit: int, after: Key | None = None) -> list[Key]:
        """(due_at, id) of events to apply, the longest overdue first, following `after`."""
        return self._store.keys("inbox", order_by="due_at", until=later(now, 0.001), after=after, limit=limit)

    def list(self, status: EventStatus | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """Events, newest first, a page at a time."""
        equal = {"status": str(status)} if status else {}
        found = self._store.find(
            "inbox", equal=equal, order_by="received_at", descending=True, after=_after(cursor), limit=limit + 1
        )
        return _page(found, limit, "received_at", InboxEvent)


class Locks:
    """Locks with an end: a process that dies holds its lock until it runs out, never for ever."""

    def __init__(self, store: Store, clock: Clock, token: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._store = store
        self._clock = clock
        self._token = token

    def acquire(self, name: str, seconds: float) -> str | None:
        """A token when the lock is ours for `seconds`, or None when another process holds it."""
        now = to_instant(self._clock())
        held = self._store.get("locks", name)
        lock = {"id": name, "version": 1, "token": self._token(), "until": later(now, seconds)}
        if held is None:
            taken = self._store.insert("locks", lock)
        elif held["until"] <= now:
            lock["version"] = held["version"] + 1
            taken = self._store.replace("locks", lock, held["version"])
        else:
            taken = False
        return lock["token"] if taken else None

    def release(self, name: str, token: str) -> None:
        """Gives the lock back, if `token` still holds it."""
        held = self._store.get("locks", name)
        if held is not None and held["token"] == token:
            # Ended, not deleted: a version that starts again at 1 could be mistaken for the old one.
            self._store.replace("locks", {**held, "version": held["version"] + 1, "until": ""}, held["version"])


class Heartbeats:
    """When each job last finished, and with what result."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def beat(self, name: str, result: dict[str, Any]) -> None:
        """Notes that the job `name` has just finished."""
        while True:
            held = self._store.get("heartbeats", name)
            version = held["version"] if held else 0
            beat = {"id": name, "version": version + 1, "at": to_instant(self._clock()), "result": result}
            if self._store.replace("heartbeats", beat, version) if held else self._store.insert("heartbeats", beat):
                return

    def last(self, name: str) -> dict[str, Any] | None:
        """`{"at": Instant, "result": {...}}` of the last beat, or None."""
        return self._store.get("heartbeats", name)


class Counters:
    """Counts by name and day (UTC), such as `stripe.unneeded.customer.created`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, name: str) -> int:
        """Counts one more today; returns today's count."""
        return self._store.increment("counters", f"{self._clock():%Y-%m-%d}.{name}")
