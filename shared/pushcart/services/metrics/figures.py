"""What the store says about the shop at a scrape: counts by its indexes, ages, and what other functions left there.

Every look costs a bounded number of short queries, and one look is good for some seconds, however many ask.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from pushcart.clock import Clock, Instant, to_instant
from pushcart.domain.event import EventStatus
from pushcart.domain.order import FulfilmentStatus, PaymentStatus
from pushcart.errors import StoreUnavailable
from pushcart.repositories import CATCH_UP, Heartbeats, Inbox, Orders
from pushcart.services.metrics import acktimes
from pushcart.store import Store

log = logging.getLogger(__name__)

#: Seconds one look is good for; Prometheus asks every 15 s unless it is told otherwise.
KEEP = 15.0

#: What is due, and incidents, are counted up to here: more says no more.
MOST = 1_000


class Figures(msgspec.Struct):
    """One look. `pending_since` and `heartbeat` are None where there is none."""

    payment: dict[str, int]
    fulfilment: dict[str, int]
    events: dict[str, int]
    pending_since: Instant | None
    due: dict[str, int]
    incidents: dict[str, int]
    acks: dict[str, acktimes.Times]
    heartbeat: Instant | None


class StoreFigures:
    """Looks into the store. `now` is a clock that never goes back, in seconds."""

    def __init__(
        self, store: Store, clock: Clock, keep: float = KEEP, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep
        self._now = now
        self._lock = threading.Lock()
        self._last: Figures | None = None
        self._until: float | None = None

    def read(self) -> Figures | None:
        """The figures of the last look, or of a new one when that is too old; None when the store does not answer."""
        with self._lock:
            if self._until is None or self._now() >= self._until:
                try:
                    self._last = self._look()
                except StoreUnavailable as error:
                    log.warning("no figures: %s", error.message)
                    self._last = None
                self._until = self._now() + self._keep
            return self._last

    def _look(self) -> Figures:
        now, inbox = to_instant(self._clock()), Inbox(self._store)
        oldest = self._store.find("inbox", equal={"status": str(EventStatus.PENDING)}, order_by="received_at", limit=1)
        open_ones = self._store.find("incidents", equal={"state": "open"}, order_by="opened_at", limit=MOST)
        acks = {name: self._store.get("measures", acktimes.id_of(name)) for name in acktimes.WEBHOOKS}
        beat = Heartbeats(self._store, self._clock).last(CATCH_UP)
        return Figures(
            payment=self._counts("orders", "payment_status", PaymentStatus),
            fulfilment=self._counts("orders", "fulfilment_status", FulfilmentStatus),
            events=self._counts("inbox", "status", EventStatus),
            pending_since=oldest[0]["received_at"] if oldest else None,
            due={"orders": len(Orders(self._store).due(now, MOST)), "events": len(inbox.due(now, MOST))},
            incidents=dict(Counter(one["level"] for one in open_ones)),
            acks={name: times for name, held in acks.items() if (times := acktimes.read(held))},
            heartbeat=beat["at"] if beat else None,
        )

    def _counts(
        self, collection: str, field: str, states: type[PaymentStatus | FulfilmentStatus | EventStatus]
    ) -> dict[str, int]:
        return {str(state): self._store.count(collection, {field: str(state)}) for state in states}
