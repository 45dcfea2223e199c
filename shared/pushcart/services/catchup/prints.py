"""Asks Printful for what never arrived: its orders, newest first, down to the oldest that was still open.

Once a day it goes on to those that ended long ago, because a parcel may be sent again. Those that differ from what ours
say become events in the inbox. Those that no order of ours asked for are remembered, and alarmed about once it is sure
that no payment is on its way that would explain them: whoever has the key can order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from pushcart import commands
from pushcart.clock import Clock, Instant, from_instant, to_instant
from pushcart.crash import Point, point
from pushcart.domain.delivery import print_step
from pushcart.domain.event import EventStatus
from pushcart.domain.order import Order, PaymentStatus
from pushcart.domain.parcels import ARCHIVED, ENDED, FULFILLED, PrintFacts, order_of
from pushcart.repositories import Cursors, Inbox, Orders
from pushcart.services.alerts.incidents import Condition, Incidents, Level
from pushcart.services.catchup import seen
from pushcart.services.catchup.payments import Found

log = logging.getLogger(__name__)

PRINTS, STRANGE = "printful.orders", "printful.strange"

#: Orders asked for at once; a hundred with all their files can be more than one answer may hold.
PAGE = 50

#: Pages in one run, so that the recovery gets its share; and orders listed once more, because some may be deleted.
MOST_PAGES, OVERLAP = 10, 5

#: Seconds between two listings, between two that go back as far as may be, and how far that is.
EVERY, EVERY_FAR, FURTHEST = 600, 86_400, 60 * 86_400

#: Seconds that a strange order is only remembered; and at most, while events wait that might explain it.
STRANGE_FOR, STRANGE_AT_MOST = 600, 3600

#: Strange orders that are told of one by one; more at once are one thing.
ONE_BY_ONE = 3

#: The most that are remembered, and how long: until none of them is listed any more.
MOST_STRANGE, REMEMBERED = 2_000, FURTHEST + 86_400


class Printer(Protocol):
    """Where Printful's orders are listed."""

    def page(self, offset: int, limit: int = 100) -> Any:
        """`items` (PrintFacts), newest first, the `total`, and how many were too `odd` to be read."""


class Strange(msgspec.Struct):
    """An order at Printful that no order of ours asked for: when we saw it first (Unix), and whether it was told."""

    since: int
    name: str | None = None
    told: bool = False


class PrintCatchUp:
    """`printer` is asked; `taken_until` says up to when (Unix) Stripe's events have been taken in."""

    def __init__(
        self,
        printer: Printer,
        inbox: Inbox,
        orders: Orders,
        cursors: Cursors,
        incidents: Incidents,
        clock: Clock,
        taken_until: Callable[[], int],
    ) -> None:
        self._printer = printer
        self._inbox = inbox
        self._orders = orders
        self._cursors = cursors
        self._incidents = incidents
        self._clock = clock
        self._taken_until = taken_until

    def run(self, found: Found, go_on: Callable[[], bool]) -> Found:
        """Lists what may have changed, unless that was done a moment ago, and looks at what is strange.

        A listing that is cut off goes on at the next run where it was. Raises the `ProviderError`s.
        """
        kept = self._cursors.read(PRINTS) or {}
        now = int(self._clock().timestamp())
        if kept.get("walk") or _is_due(kept, "listed_at", EVERY, now):
            self._list(kept, now, found, go_on)
        else:
            found.finished = True
        self._alarm(now)
        return found

    def _list(self, kept: dict[str, Any], now: int, found: Found, go_on: Callable[[], bool]) -> None:
        walk, version = kept.get("walk") or _begun(kept, now), kept.get("version", 0)
        for _ in range(MOST_PAGES):
            page = self._printer.page(walk["offset"], PAGE)
            strange: list[PrintFacts] = []
            for facts in page.items:
                created = _seconds(facts.created_at)
                if created < walk["until"]:
                    continue
                if not self._take(facts, found):
                    strange.append(facts)
                elif facts.status not in ENDED:
                    walk["oldest_open"] = min(walk["oldest_open"], created)
            note_strange(self._cursors, strange, now)
            walk["offset"] += PAGE
            found.skipped += page.odd
            last = walk["offset"] >= page.total or (
                bool(page.items) and _seconds(page.items[-1].created_at) < walk["until"]
            )
            going = {**kept, "walk": {**walk, "offset": max(walk["offset"] - OVERLAP, 0)}}
            open_since = walk["oldest_open"] - 86_400
            done = {"open_since": open_since, "listed_at": walk["began"], "far_at": walk["far_at"]}
            point(Point.PAGE_TAKEN)
            if not self._cursors.write(PRINTS, done if last else going, version) or last:
                found.finished = last
                return
            version += 1
            if not go_on():
                return

    def _take(self, facts: PrintFacts, found: Found) -> bool:
        """Has the order read again that says something else; False when no order of ours asked for this print."""
        order = order_for(facts, self._orders)
        if order is None:
            return False
        if difference(order, facts):
            event = seen.print_seen(facts, to_instant(self._clock()))
            if self._inbox.get(event.id) is None and self._inbox.add(event):
                found.events.append(event.id)
        return True

    def _alarm(self, now: int) -> None:
        kept = self._cursors.read(STRANGE)
        if kept is None:
            return
        known = _strange(kept)
        explained = [number for number, one in known.items() if not one.told and find(one.name, self._orders)]
        left = {number: one for number, one in known.items() if number not in explained}
        ripe = [number for number, one in left.items() if not one.told and self._ripe(one, now)]
        for condition in strange_conditions(ripe):
            self._incidents.see(condition)
        for number in ripe:
            left[number].told = True
        if ripe or explained:
            self._cursors.write(STRANGE, {"orders": msgspec.to_builtins(left)}, kept["version"])

    def _ripe(self, one: Strange, now: int) -> bool:
        """Whether nothing can explain it any more: all of Stripe's events since are taken in, and applied."""
        age = now - one.since
        if age < STRANGE_FOR or self._taken_until() <= one.since:
            return False
        return age >= STRANGE_AT_MOST or not self._inbox.list(EventStatus.PENDING, limit=1).items


def find(name: str | None, orders: Orders) -> Order | None:
    """The order of ours that asked for a print called `name`, or None."""
    if not name:
        return None
    for id in dict.fromkeys((name, order_of(name))):
        order = orders.get(id) if id else None
        if order is not None and (print_step(order, name) is not None or _never_planned(order)):
            return order
    return None


def _never_planned(order: Order) -> bool:
    """Whether the money had gone back when this order was first heard of, as after the loss of a store.

    What it asked for cannot be told from its steps then; its number is its own all the same.
    """
    return not order.planned and order.payment_status in (PaymentStatus.REFUNDED, PaymentStatus.DISPUTED)


def order_for(facts: PrintFacts, orders: Orders) -> Order | None:
    """The order of ours that asked for this print, or None."""
    return find(facts.external_id, orders)


def difference(order: Order, facts: PrintFacts) -> str | None:
    """In a few words, what Printful says and our order does not; None when both say the same, or nothing is owed."""
    if print_step(order, facts.external_id) is None:
        return None
    ours = next((one for one in order.prints if one.number == facts.number), None)
    if ours is None:
        return "the order does not know that it was placed"
    delivered = ours.status in (FULFILLED, ARCHIVED)  # what was delivered stays delivered, whatever is said later
    if ours.status != facts.status and (facts.status == FULFILLED or not delivered):
        return f"it is {facts.status} at Printful, and {ours.status} here"
    known = {parcel.key: parcel for parcel in order.parcels}
    for parcel in facts.parcels:
        if parcel.key not in known:
            return f"the parcel {parcel.tracking_number or parcel.id} is missing"
        if parcel.returned_at and not known[parcel.key].returned_at:
            return f"the parcel {parcel.tracking_number or parcel.id} came back"
    if facts.costs is not None and facts.costs != ours.costs:
        return "its costs are others"
    return None


def note_strange(cursors: Cursors, found: Iterable[PrintFacts], now: int) -> None:
    """Remembers orders of Printful's that nobody asked for, each from when it was first seen (`now`, Unix)."""
    kept = cursors.read(STRANGE)
    known = {number: one for number, one in _strange(kept or {}).items() if one.since > now - REMEMBERED}
    new = {facts.number: Strange(now, facts.external_id) for facts in found if facts.number not in known}
    if new:
        cursors.write(STRANGE, {"orders": msgspec.to_builtins(_fitting(known | new))}, kept["version"] if kept else 0)


def _fitting(known: dict[str, Strange]) -> dict[str, Strange]:
    """As many as may be remembered: the oldest that were told make room, then the newest wait."""
    if len(known) <= MOST_STRANGE:
        return known
    by_need = sorted(known.items(), key=lambda item: (item[1].told, -item[1].since if item[1].told else item[1].since))
    return dict(by_need[:MOST_STRANGE])


def strange_conditions(numbers: list[str]) -> list[Condition]:
    """What the owner is told: each by itself, or many at once as one thing."""
    groups = [[number] for number in numbers] if len(numbers) <= ONE_BY_ONE else [numbers]
    return [_condition(group) for group in groups]


def _condition(numbers: list[str]) -> Condition:
    several = len(numbers) > 1
    named = ", ".join(numbers[:5]) + (", ..." if len(numbers) > 5 else "")
    what = f"{len(numbers)} orders at Printful that no order of the shop asked for: {named}."
    return Condition(
        id=f"strange_print.{numbers[0]}",
        level=Level.CRITICAL,
        what=what if several else f"Printful has the order {named}, which no order of the shop asked for.",
        means="If you did not place it there yourself, somebody with your Printful key or login orders at your cost.",
        command=commands.recover(),
        count=len(numbers),
    )


def _begun(kept: dict[str, Any], now: int) -> dict[str, Any]:
    """A listing from the newest order on: down to the oldest that was still open, once a day as far as may be."""
    far = _is_due(kept, "far_at", EVERY_FAR, now)
    since, far_at = (0, now) if far else (kept["open_since"], kept["far_at"])
    return {"offset": 0, "until": max(since, now - FURTHEST), "oldest_open": now, "began": now, "far_at": far_at}


def _is_due(kept: dict[str, Any], name: str, seconds: int, now: int) -> bool:
    """Whether what was done when `name` says is to be done again; also when the clock was ahead then."""
    return not 0 <= now - kept.get(name, 0) < seconds


def _strange(kept: dict[str, Any]) -> dict[str, Strange]:
    return msgspec.convert(kept.get("orders", {}), dict[str, Strange])


def _seconds(instant: Instant) -> int:
    moment: datetime = from_instant(instant)
    return int(moment.timestamp())
