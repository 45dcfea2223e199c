"""Compares all that Stripe and Printful know with all that the orders say, from now back to the beginning.

In slices, each as long as it is given time. Where a slice ends is in its cursor, a line of text that says how far back
all is compared; nothing else is kept between slices, so memory does not grow, and anybody can go on. What can be put
right safely becomes an event in the inbox (the provider is read again, and the order follows it); for the rest the
owner is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from pushcart.clock import Clock, Instant, from_timestamp
from pushcart.errors import BadRequest, ProviderBusy, ProviderUnavailable
from pushcart.services.recovery.findings import Finding
from pushcart.services.recovery.walk import Place, Tally
from pushcart.store import Store

#: The most findings of one slice; more wait for the next.
MOST_FINDINGS = 2_000

#: Seconds to wait for a provider that does not answer and says nothing else.
WAIT = 5.0


class Slice(msgspec.Struct, kw_only=True):
    """What one slice compared. `cursor` goes on behind it, or is None at the end.

    `checked` counts sessions, orders, prints, and sessions that are `foreign` to this shop. All that was there at
    `upto` is compared, and by now all that is newer than `at`. `orders` is how many there are in all. `wait` asks for
    so many seconds before the next slice.
    """

    findings: list[Finding]
    cursor: str | None
    checked: dict[str, int]
    upto: Instant
    at: Instant
    orders: int | None = None
    wait: float | None = None


class Cursor(msgspec.Struct, array_like=True):
    """Where a recovery is: its phase, how far back, and when it began (Unix)."""

    phase: str
    upto: int
    place: Place


class Phase(Protocol):
    """One thing that is compared, a window at a time."""

    def window(self, place: Place, tally: Tally, go_on: Callable[[], bool]) -> Place | None:
        """Compares what lies below `place`, as long as `go_on` says so; where to go on, or None at the end.

        Raises the `ProviderError`s; `tally.place` is then where to go on.
        """


class Recovery:
    """`phases` by name, in the order in which they are worked through."""

    def __init__(
        self,
        store: Store,
        phases: dict[str, Phase],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._phases = phases
        self._clock = clock
        self._monotonic = monotonic

    def slice(self, cursor: str | None, seconds: float, *, apply: bool) -> Slice:
        """The next slice, of about so many seconds: it begins nothing new after them.

        With `apply` it repairs what is safe. A rate limit ends it where it is. Raises `BadRequest` for a cursor that
        is none of ours, and the other `ProviderError`s when a provider did not even let it begin.
        """
        end = self._monotonic() + seconds
        here = self._read(cursor) if cursor else self._begin()
        tally = Tally(apply=apply)

        def go_on() -> bool:
            return self._monotonic() < end and len(tally.findings) < MOST_FINDINGS

        wait, left = None, True
        while left:
            before = tally.place = here.place
            try:
                place = self._phases[here.phase].window(before, tally, go_on)
            except ProviderUnavailable as error:
                wait = WAIT if error.retry_after is None else error.retry_after
                progressed = tally.place != before or any(tally.checked.values())
                if not progressed and not isinstance(error, ProviderBusy):
                    raise
                here.place = tally.place
                break
            if place is None:
                following = self._after(here)
                if following is None:
                    return self._slice(tally, here, None, cursor, wait)
                here = following
            else:
                here.place = place
            left = go_on()
        return self._slice(tally, here, msgspec.json.encode(here).decode(), cursor, wait)

    def _slice(self, tally: Tally, here: Cursor, cursor: str | None, began: str | None, wait: float | None) -> Slice:
        return Slice(
            findings=tally.findings,
            cursor=cursor,
            checked=dict(tally.checked),
            upto=from_timestamp(here.upto),
            at=from_timestamp(here.place.until if cursor else 0),
            orders=None if began else self._store.count("orders"),
            wait=wait,
        )

    def _begin(self) -> Cursor:
        now = int(self._clock().timestamp()) + 1
        return Cursor(next(iter(self._phases)), now, Place(now))

    def _after(self, here: Cursor) -> Cursor | None:
        names = list(self._phases)
        following = names[names.index(here.phase) + 1 :]
        return Cursor(following[0], here.upto, Place(here.upto)) if following else None

    def _read(self, cursor: str) -> Cursor:
        try:
            read = msgspec.json.decode(cursor, type=Cursor)
        except (msgspec.DecodeError, UnicodeDecodeError):
            read = None
        if read is None or read.phase not in self._phases:
            raise BadRequest("This cursor is none of a recovery's here; begin without one.")
        return read
