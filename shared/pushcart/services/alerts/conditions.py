"""What is wrong, read from the store and the machine: each function here gives the conditions of one kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

import msgspec

from pushcart import commands
from pushcart.clock import Instant, later, seconds_between
from pushcart.domain.catalogue import STEP_TYPES
from pushcart.domain.event import EventStatus
from pushcart.repositories import CATCH_UP, HEARTBEAT_AGE
from pushcart.services.alerts.health import ailing
from pushcart.services.alerts.incidents import Condition, Level
from pushcart.services.alerts.of_orders import LASTS
from pushcart.store import Store

#: Seconds an event may wait to be applied, and a provider may fail, before the owner hears of it; and from when on
#: that is critical.
LATE, TOO_LATE = 900, 3_600

#: Days before a key's last one from which on the owner hears of it, and from which on it is critical.
KEY_WARNS, KEY_URGENT = 14, 2

#: The most events that one look reads.
MOST_EVENTS, PAGE = 1_000, 25

_GIB, _MIB = 1 << 30, 1 << 20


class DiskUsage(NamedTuple):
    """As `shutil.disk_usage` gives it, in bytes."""

    total: int
    used: int
    free: int


def of_events(store: Store, now: Instant) -> list[Condition]:
    """Events that wait too long, and those that were given up; by who sent them."""
    found = []
    late = _events_of(store, EventStatus.PENDING, until=later(now, -LATE))
    for source, events in _by_source(late).items():
        urgent = any(event.alarm for event in events) or seconds_between(events[0].received_at, now) >= TOO_LATE
        found.append(
            Condition(
                id=f"unapplied.{source}",
                level=Level.CRITICAL if urgent else Level.WARNING,
                what=f"{_events(events)} of {source} not applied within {LATE // 60} minutes",
                means="payments or parcels may be waiting that no order knows of yet; nothing is lost",
                command=commands.waiting_events(),
                count=len(events),
                lasts=LASTS,
            )
        )
    given_up = _events_of(store, EventStatus.DEAD)
    for source, events in _by_source(given_up).items():
        found.append(
            Condition(
                id=f"dead_event.{source}",
                level=Level.WARNING,
                what=f"{_events(events)} of {source} given up, because it could not be applied",
                means="what it told of is in no order; mend the cause and replay it",
                command=commands.dead_events(),
                count=len(events),
                lasts=LASTS,
            )
        )
    return found


class _Event(msgspec.Struct):
    """The part of an event that is looked at here; its body may be large."""

    id: str
    source: str
    received_at: Instant
    alarm: bool = False


def _events_of(store: Store, status: EventStatus, until: Instant | None = None) -> list[_Event]:
    """The oldest with this status, received before `until`; read a few at a time, for the memory of their bodies."""
    found: list[_Event] = []
    while len(found) < MOST_EVENTS:
        after = (found[-1].received_at, found[-1].id) if found else None
        equal = {"status": str(status)}
        page = store.find("inbox", equal=equal, order_by="received_at", until=until, after=after, limit=PAGE)
        found += [msgspec.convert(document, _Event) for document in page]
        if len(page) < PAGE:
            break
    return found


def _by_source(events: list[_Event]) -> dict[str, list[_Event]]:
    found: dict[str, list[_Event]] = defaultdict(list)
    for event in events:
        found[event.source].append(event)
    return found


def _events(events: list[_Event]) -> str:
    return "1 event was" if len(events) == 1 else f"{len(events)} events were"


def of_providers(store: Store, now: Instant) -> list[Condition]:
    """Functions and providers that have been failing for long."""
    names = {spec.function for spec in STEP_TYPES.values() if spec.function} | {"Stripe", "Printful"}
    found = []
    for one in ailing(store, sorted(names)):
        seconds = seconds_between(one.failing_since, now)
        if seconds <= LATE:
            continue
        urgent = one.name == "Stripe" and seconds >= TOO_LATE
        found.append(
            Condition(
                id=f"failing.{one.name}",
                level=Level.CRITICAL if urgent else Level.WARNING,
                what=f"{one.name} has been failing since {one.failing_since[:16].replace('T', ' ')} UTC: {one.error}",
                means="orders wait for it and are tried again by themselves; the doctor says whose fault it is",
                command=commands.doctor(),
                lasts=LASTS,
            )
        )
    return found


def of_heartbeat(last: Instant | None, now: Instant, started: Instant) -> list[Condition]:
    """catch-up is not run. Whoever watches has to be `started` long enough to have seen it run."""
    if seconds_between(started, now) <= HEARTBEAT_AGE or (last and seconds_between(last, now) <= HEARTBEAT_AGE):
        return []
    since = f"since {last[:16].replace('T', ' ')} UTC" if last else "ever"
    return [
        Condition(
            id="heartbeat.catch-up",
            level=Level.CRITICAL,
            what=f"catch-up has not finished a run {since}; cron should call it every minute",
            means="retries, delayed mails and payments nobody told of wait; new orders go on",
            command=commands.logs(CATCH_UP),
            lasts=LASTS,
        )
    ]


def of_disks(usage: Callable[[str], DiskUsage], folders: Mapping[str, str]) -> list[Condition]:
    """Disks that are nearly full. `folders` are what is on them, by name; two on one disk are told of once."""
    found: dict[tuple[int, int], Condition] = {}
    for name, folder in folders.items():
        try:
            total, _, free = usage(folder)
        except OSError:
            continue
        share = free / total if total else 1.0
        if share >= 0.10 and free >= _GIB:
            continue
        found.setdefault(
            (total, free // _MIB),
            Condition(
                id=f"disk.{name}",
                level=Level.CRITICAL if share < 0.03 or free < 200 * _MIB else Level.WARNING,
                what=f"the disk of {folder} is nearly full: {free / _GIB:.1f} GiB are free",
                means="when it is full nothing can be stored any more, and webhooks are refused until there is space",
                command=commands.full_folders(),
                lasts=LASTS,
            ),
        )
    return list(found.values())


def of_keys(keys: Mapping[str, str], now: datetime, zone: tzinfo) -> list[Condition]:
    """Keys that run out soon, on the days that shop.yml says."""
    today, found = now.astimezone(zone).date(), []
    for name, day in keys.items():
        try:
            left = date.fromisoformat(day) - today
        except ValueError:
            continue
        if left > timedelta(days=KEY_WARNS):
            continue
        ends = f"ran out on {day}" if left < timedelta() else f"runs out on {day}"
        found.append(
            Condition(
                id=f"key.{name}",
                level=Level.CRITICAL if left <= timedelta(days=KEY_URGENT) else Level.WARNING,
                what=f"the key {name} {ends}",
                means="what needs it fails from then on; make a new one, and write its day to alerts.keys in shop.yml",
                command=commands.update_secret(name),
                lasts=LASTS,
            )
        )
    return found


def of_store(since: Instant, low: list[Condition]) -> Condition:
    """The store is away; `low` are the disks that are nearly full, which may be why."""
    why = f" ({low[0].what})" if low else ""
    return Condition(
        id="store",
        level=Level.CRITICAL,
        what=f"the store has not answered since {since[:16].replace('T', ' ')} UTC{why}",
        means="no order goes on, and webhooks are refused and come again; nothing paid is lost",
        command=low[0].command if low else commands.doctor(),
        lasts=86_400,
    )
