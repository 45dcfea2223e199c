"""The one public page about the shop's health, for an uptime monitor outside; it says nothing about anybody.

https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from pushcart.clock import Clock, Instant, seconds_between, to_instant
from pushcart.domain.event import EventStatus
from pushcart.errors import StoreUnavailable
from pushcart.repositories import CATCH_UP, HEARTBEAT_AGE, Heartbeats
from pushcart.services.alerts.conditions import LATE
from pushcart.services.alerts.incidents import Incidents, Level
from pushcart.store import Store

#: Seconds for which an answer is kept: whoever asks more often costs nothing.
KEPT = 5.0

TYPE = "application/health+json"


class Vitals:
    """`monotonic` gives seconds."""

    def __init__(self, store: Store, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: tuple[float, dict[str, Any]] | None = None

    def answer(self) -> dict[str, Any]:
        """The function's answer: 200 when all is well, else 503.

        Checked are the store, the age of catch-up's heartbeat, that of the oldest unapplied event, and how many
        critical incidents nobody has answered.
        """
        with self._lock:
            now = self._monotonic()
            if self._kept is None or now - self._kept[0] >= KEPT:
                body = self._look()
                self._kept = self._monotonic(), body
            body = self._kept[1]
        headers = {"Content-Type": TYPE, "Cache-Control": "no-store"}
        return {"statusCode": 200 if body["status"] == "pass" else 503, "body": body, "headers": headers}

    def _look(self) -> dict[str, Any]:
        try:
            self._store.ping()
            checks = {"store": [_check(True)], **self._figures(to_instant(self._clock()))}
        except StoreUnavailable:
            checks = {"store": [_check(False)]}
        well = all(check["status"] == "pass" for found in checks.values() for check in found)
        return {"status": "pass" if well else "fail", "checks": checks}

    def _figures(self, now: Instant) -> dict[str, list[dict[str, Any]]]:
        beat = Heartbeats(self._store, self._clock).last(CATCH_UP)
        beat_age = seconds_between(beat["at"], now) if beat else None
        waiting = self._store.find("inbox", equal={"status": str(EventStatus.PENDING)}, order_by="received_at", limit=1)
        event_age = seconds_between(waiting[0]["received_at"], now) if waiting else 0.0
        critical = sum(
            incident.level is Level.CRITICAL and incident.answered_at is None
            for incident in Incidents(self._store, self._clock).open()
        )
        return {
            "catch-up:heartbeat": [_check(beat_age is not None and beat_age <= HEARTBEAT_AGE, beat_age, "s")],
            "inbox:oldest": [_check(event_age <= LATE, event_age, "s")],
            "incidents:critical": [_check(critical == 0, critical)],
        }


def _check(well: bool, value: float | None = None, unit: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"status": "pass" if well else "fail"}
    if value is not None:
        found["observedValue"] = round(value)
    if unit:
        found["observedUnit"] = unit
    return found
