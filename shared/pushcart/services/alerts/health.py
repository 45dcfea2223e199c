"""How long what order-store calls has been failing: one document for each function or provider, written at changes.

`measures`, id `health.NAME`: `{"failing_since": Instant or None, "last_at": Instant, "error": text, "failures": n}`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

import msgspec

from pushcart.clock import Clock, Instant, later, seconds_between, to_instant
from pushcart.errors import (
    FunctionFailed,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    PushcartError,
    StoreUnavailable,
)
from pushcart.services.alerts.incidents import scrub
from pushcart.services.metrics.watching import Unwatched
from pushcart.store import Document, Store

log = logging.getLogger(__name__)

#: Seconds between two writes about something that goes on failing.
WRITE_EVERY = 60

#: HTTP statuses with which a provider refuses us and not one order: the key is wrong or not paid for.
KEY_REFUSED = frozenset({401, 402, 403})


class Ailing(msgspec.Struct, kw_only=True):
    """What `name` has been doing since `failing_since`: it failed so many times, last at `last_at` with `error`."""

    name: str
    failing_since: Instant
    last_at: Instant
    error: str
    failures: int


class Health(Unwatched):
    """Notes who fails and who works; a `Watcher`. Thread-safe; a store that is away costs no call anything."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, Document | None] = {}
        self._unwritten: dict[str, int] = {}
        self._pause_until: Instant = ""
        self._lock = threading.Lock()

    def called(self, name: str, error: PushcartError | None, seconds: float) -> None:
        """A refusal of one order is an answer; a rate limit says nothing either way."""
        if error is None or _is_answer(error):
            self.well(name)
        elif not isinstance(error, ProviderBusy) and not (isinstance(error, FunctionFailed) and error.busy):
            self.failed(name, error.message)

    def failed(self, name: str, why: str) -> None:
        """`name` could not do what it was asked; `why` is kept without addresses and keys."""
        with self._lock:
            now = to_instant(self._clock())
            known = self._known.get(name)
            self._unwritten[name] = self._unwritten.get(name, 0) + 1
            ill = known is not None and known["failing_since"] is not None
            if ill and known is not None and seconds_between(known["last_at"], now) < WRITE_EVERY:
                return
            self._write(name, now, scrub(why)[:300])

    def well(self, name: str) -> None:
        """`name` did what it was asked, or answered as it should."""
        known = self._known.get(name)
        if known is not None and known["failing_since"] is None:
            return
        with self._lock:
            self._write(name, to_instant(self._clock()), None)

    def _write(self, name: str, now: Instant, error: str | None) -> None:
        """Changes the document as it is now; `error` None says that all is well."""
        if now < self._pause_until:
            return
        id = f"health.{name}"
        try:
            while True:
                held = self._store.get("measures", id)
                if error is None and (held is None or held["failing_since"] is None):
                    self._known[name] = held or {"failing_since": None}
                    self._unwritten.pop(name, None)
                    return
                document = _changed(held, id, now, error, self._unwritten.get(name, 0))
                version = held["version"] if held else 0
                insert, replace = self._store.insert, self._store.replace
                if replace("measures", document, version) if held else insert("measures", document):
                    self._known[name] = document
                    self._unwritten.pop(name, None)
                    return
        except StoreUnavailable as gone:
            # The store may take seconds to say no, and the work has to go on.
            self._pause_until = later(now, WRITE_EVERY)
            log.warning("the health of %s could not be noted: %s", name, gone.message)


def _changed(held: Document | None, id: str, now: Instant, error: str | None, failures: int) -> Document:
    version = held["version"] + 1 if held else 1
    if error is None:
        return {"id": id, "version": version, "failing_since": None, "last_at": now, "error": "", "failures": 0}
    since = held["failing_since"] if held else None
    before = held["failures"] if held and since else 0
    document = {"id": id, "version": version, "failing_since": since or now, "last_at": now}
    return {**document, "error": error, "failures": before + failures}


def ailing(store: Store, names: Iterable[str]) -> list[Ailing]:
    """Those of `names` that are failing. Raises `StoreUnavailable`."""
    found = []
    for name in names:
        held = store.get("measures", f"health.{name}")
        if held is not None and held["failing_since"] is not None:
            found.append(msgspec.convert({**held, "name": name}, Ailing))
    return found


def _is_answer(error: PushcartError) -> bool:
    if isinstance(error, ProviderRefused):
        return error.status not in KEY_REFUSED
    if isinstance(error, FunctionFailed):
        return error.permanent and error.answered
    return not isinstance(error, ProviderError | ProviderUnavailable) and error.http_status < 500
