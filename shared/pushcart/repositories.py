"""What the functions keep: orders, the inbox, locks, heartbeats and counters. Written once, above the store's port."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from pushcart.clock import Clock, Instant, later, to_instant
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import BadRequest, NotFound
from pushcart.store import Document, Store

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V", Order, InboxEvent)

#: The value something is sorted by, and its id.
Key = tuple[str, str]


def _document(value: msgspec.Struct) -> Document:
    document: Document = msgspec.to_builtins(value)
    return document


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


class _Versioned(Generic[V]):
    """Documents of one kind. Every write is conditional on the version that was read."""

    _collection: ClassVar[str]
    _shape: type[V]
    _missing: ClassVar[str]

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, id: str) -> V | None:
        """The document, or None."""
        document = self._store.get(self._collection, id)
        return None if document is None else msgspec.convert(document, self._shape)

    def require(self, id: str) -> V:
        """The document; `NotFound` when there is none."""
        value = self.get(id)
        if value is None:
            raise NotFound(self._missing.format(id=id))
        return value

    def add(self, value: V) -> bool:
        """Stores a new document durably as version 1; False when there is one with this id."""
        value.version = 1
        return self._store.insert(self._collection, _document(value))

    def save(self, value: V) -> bool:
        """Stores the change if nobody else changed the document since it was read; else False."""
        read, value.version = value.version, value.version + 1
        saved = self._store.replace(self._collection, _document(value), read)
        if not saved:
            value.version = read
        return saved

    def change(self, id: str, change: Callable[[V], None]) -> V:
        """Applies `change` to the document as it is now and saves it, as often as it takes; returns the document."""
        while True:
            value = self.require(id)
            change(value)
            if self.save(value):
                return value

    def due(self, now: Instant, limit: int, after: Key | None = None) -> list[Key]:
        """(due_at, id) of what wants a look, the longest overdue first, following `after`."""
        return self._store.keys(self._collection, order_by="due_at", until=later(now, 0.001), after=after, limit=limit)


class Orders(_Versioned[Order]):
    """The orders."""

    _collection, _shape, _missing = "orders", Order, "There is no order {id}."

    def by_session(self, session_id: str) -> Order | None:
        """The order this checkout session pays for, or None."""
        return self._one("session_id", session_id)

    def by_payment_intent(self, payment_intent: str) -> Order | None:
        """The order this payment belongs to, or None."""
        return self._one("payment_intent", payment_intent)

    def _one(self, field: str, value: str) -> Order | None:
        found = self._store.find("orders", equal={field: value}, order_by="created_at", limit=1)
        return msgspec.convert(found[0], Order) if found else None

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


class Inbox(_Versioned[InboxEvent]):
    """Events as they arrived, each once, until they are applied."""

    _collection, _shape, _missing = "inbox", InboxEvent, "There is no event {id} in the inbox."

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


#: The job that cron calls every minute, and the seconds after which its heartbeat is missed.
CATCH_UP, HEARTBEAT_AGE = "catch-up", 180


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


class Cursors:
    """How far a job that goes through something long has come."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, name: str) -> Document | None:
        """What was written last, with its `version`, or None."""
        return self._store.get("cursors", name)

    def write(self, name: str, values: dict[str, Any], version: int) -> bool:
        """Keeps `values` if `version` is the one that was read (0: there was none); False when somebody else wrote."""
        document = {**values, "id": name, "version": version + 1}
        return self._store.replace("cursors", document, version) if version else self._store.insert("cursors", document)


class Counters:
    """Counts by name and day (UTC), such as `stripe.unneeded.customer.created`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, name: str) -> int:
        """Counts one more today; returns today's count."""
        return self._store.increment("counters", f"{self._clock():%Y-%m-%d}.{name}")
