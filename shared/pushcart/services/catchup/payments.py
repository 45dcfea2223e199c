"""Asks Stripe for what never arrived: its events since the last time, and the sessions that were paid.

Some events are never generated, and a webhook may be lost in many ways; so objects are listed besides events. What is
found goes into the inbox under the id it would have had, so that it is there once, whoever brings it.
https://docs.stripe.com/webhooks#event-delivery-behaviors
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import Clock, to_instant
from pushcart.crash import Point, point
from pushcart.domain.order import Order
from pushcart.domain.payment import RECEIVED
from pushcart.errors import BadRequest, ProviderRefused, WrongMode
from pushcart.providers.stripe_listing import EVENTS_KEPT, Listed, ListedEvent, ListedSession, StripeListing
from pushcart.repositories import Cursors, Inbox, Orders
from pushcart.services.catchup import seen
from pushcart.services.stripe_inbox import EVENT_TYPES, StripeInbox

log = logging.getLogger(__name__)

EVENTS, SESSIONS = "stripe.events", "stripe.sessions"

#: Seconds before the last listing that are listed again: an event may show late, and clocks differ.
OVERLAP = 300

#: Seconds that the first listing goes back: as long as Stripe itself would try to deliver.
AT_FIRST = 3 * 86_400

#: Seconds between two listings of sessions, and how long a session may be open before it is completed, and an hour.
EVERY, LONGEST_OPEN = 600, 25 * 3600


class Window(msgspec.Struct):
    """What is being listed: created from `gte` to `lte` (Unix seconds), so far down to the object `after`."""

    gte: int
    lte: int
    after: str | None = None


class Place(msgspec.Struct, kw_only=True):
    """How far a listing is: all up to `at` (Unix seconds) is taken in, and `window` is being listed."""

    at: int
    window: Window | None = None


class Found(msgspec.Struct):
    """What one run brought: ids of `events` that are new in the inbox, and how many were `skipped` as not ours or odd.

    `gap` says that events were missed which Stripe no longer has; `finished` that the listing came to its end.
    """

    events: list[str] = []
    skipped: int = 0
    gap: bool = False
    finished: bool = False


class _Walk:
    """Goes through a list of Stripe's page by page, and remembers where it is after each page."""

    def __init__(self, cursors: Cursors, name: str) -> None:
        self._cursors = cursors
        self._name = name

    def place(self) -> tuple[Place | None, int]:
        """Where the last run stopped, and the version it was written as."""
        kept = self._cursors.read(self._name)
        return (msgspec.convert(kept, Place), kept["version"]) if kept else (None, 0)

    def run(
        self,
        place: Place,
        version: int,
        page: Callable[[Window], Listed],
        found: Found,
        take: Callable[[Any, Found], None],
        go_on: Callable[[], bool],
    ) -> bool:
        """Lists `place.window` to its end; True when it got there before `go_on` said no, or somebody else was at it.

        A page is taken in whole before it is remembered as done, so whoever dies in between takes it in again.
        """
        window = place.window
        assert window is not None
        while True:
            listed = self._listed(window, page)
            for item in listed.items:
                take(item, found)
            found.skipped += listed.odd
            ended = listed.last is None
            window.after = listed.last
            if ended:
                place.at, place.window = window.lte, None
            point(Point.PAGE_TAKEN)
            if not self._cursors.write(self._name, msgspec.to_builtins(place), version):
                log.warning("another run has gone on with %s", self._name)
                return False
            point(Point.CURSOR_MOVED)
            version += 1
            if ended:
                return True
            if not go_on():
                return False

    @staticmethod
    def _listed(window: Window, page: Callable[[Window], Listed]) -> Listed:
        try:
            return page(window)
        except ProviderRefused as error:
            if window.after is None or error.details.get("reason") != "resource_missing":
                raise
            window.after = None  # Stripe has forgotten the object we stopped at: from the top
            return page(window)


class StripeCatchUp:
    """`livemode` is this installation's mode."""

    def __init__(
        self,
        listing: StripeListing,
        events: StripeInbox,
        inbox: Inbox,
        orders: Orders,
        cursors: Cursors,
        clock: Clock,
        *,
        livemode: bool,
    ) -> None:
        self._listing = listing
        self._take = events.take
        self._inbox = inbox
        self._orders = orders
        self._cursors = cursors
        self._clock = clock
        self._livemode = livemode

    def events(self, found: Found, go_on: Callable[[], bool]) -> Found:
        """Takes in the events since the last time, as long as `go_on` says so, and adds what came to `found`.

        Raises the `ProviderError`s; what was taken in until then is in `found`, and stays.
        """
        walk, now = _Walk(self._cursors, EVENTS), self._now()
        place, version = walk.place()
        place = place or Place(at=now - AT_FIRST)
        if now - place.at > EVENTS_KEPT:
            found.gap, place = True, Place(at=now - EVENTS_KEPT)
            log.warning("the last look at Stripe's events is longer ago than Stripe keeps them")
        # A clock that was set back must not open a window that ends before it begins.
        place.window = place.window or Window((place.at if place.at <= now else now - AT_FIRST) - OVERLAP, now)
        found.finished = walk.run(place, version, self._events, found, self._event, go_on)
        return found

    def taken_until(self) -> int:
        """All events created before this Unix second are in the inbox; 0 before the first listing."""
        place, _ = _Walk(self._cursors, EVENTS).place()
        return place.at if place else 0

    def sessions(self, found: Found, go_on: Callable[[], bool]) -> Found:
        """The same for completed sessions, unless they were listed a moment ago; nothing is taken in that is known."""
        walk, now = _Walk(self._cursors, SESSIONS), self._now()
        place, version = walk.place()
        place = place or Place(at=now - AT_FIRST)
        if place.window is None and 0 <= now - place.at < EVERY:
            found.finished = True
            return found
        place.window = place.window or Window((place.at if place.at <= now else now - AT_FIRST) - LONGEST_OPEN, now)
        found.finished = walk.run(place, version, self._sessions, found, self._session, go_on)
        return found

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def _events(self, window: Window) -> Listed:
        return self._listing.events(EVENT_TYPES, window.gte, window.lte, window.after)

    def _sessions(self, window: Window) -> Listed:
        return self._listing.sessions(since=window.gte, until=window.lte + 1, after=window.after)

    def _event(self, event: ListedEvent, found: Found) -> None:
        try:
            taken = self._take(event.body, listed=True)
        except (BadRequest, WrongMode) as error:
            log.warning("an event of Stripe's that was listed is not taken: %s", error.message)
            found.skipped += 1
            return
        if taken is not None:
            found.events.append(taken)

    def _session(self, session: ListedSession, found: Found) -> None:
        if session.mode != "payment" or session.livemode != self._livemode:
            found.skipped += 1
            return
        order = order_of(session, self._orders)
        if session.paid:
            # A paid session that the order does not count on has paid for it a second time.
            known = order is not None and order.payment_status in RECEIVED and order.session_id == session.id
        else:
            known = order is not None
        event = seen.session_seen(session, "paid" if session.paid else "unpaid", to_instant(self._clock()))
        if not known and self._inbox.get(event.id) is None and self._inbox.add(event):
            found.events.append(event.id)


def order_of(session: ListedSession, orders: Orders) -> Order | None:
    """The order that this session pays for, or None: by the session, else by the id that our checkout noted in it."""
    found = orders.by_session(session.id)
    return found or (orders.get(session.order_id) if session.order_id else None)
