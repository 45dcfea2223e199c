"""Time, always UTC and always injected.

Documents keep instants as text (`2026-11-21T08:45:36.120Z`): fixed width, so that text order is time
order in every database, and readable in the owner's tools.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: An instant as documents keep it: ISO 8601, UTC, three decimals, `Z`. Sorts as text.
Instant = str

#: Gives the time now, aware and in UTC.
Clock = Callable[[], datetime]


def to_instant(moment: datetime) -> Instant:
    """An aware datetime as an `Instant`; ValueError for a naive one, whose zone nobody knows."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone; use an aware datetime in UTC")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_instant(instant: Instant) -> datetime:
    """An `Instant` as an aware datetime in UTC; ValueError when it is not one or names no zone."""
    moment = datetime.fromisoformat(instant)
    if moment.tzinfo is None:
        raise ValueError(f"{instant} names no time zone; end it with Z")
    return moment.astimezone(UTC)


def from_timestamp(seconds: int) -> Instant:
    """A provider's Unix time in seconds as an `Instant`."""
    return to_instant(datetime.fromtimestamp(seconds, UTC))


def later(instant: Instant, seconds: float) -> Instant:
    """The instant `seconds` after `instant`."""
    return to_instant(from_instant(instant) + timedelta(seconds=seconds))


def seconds_between(start: Instant, end: Instant) -> float:
    """Seconds from `start` to `end`; negative when `end` is earlier."""
    return (from_instant(end) - from_instant(start)).total_seconds()


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def offset_clock(path: Path) -> Clock:
    """The machine's clock plus the whole seconds written in `path`, read at each call.

    The local gateway uses it to let days pass, so that delayed mails can be watched.
    """

    return lambda: system_clock() + timedelta(seconds=_ahead(path))


def clock_from_environment() -> Clock:
    """The machine's clock, or an `offset_clock` where the environment names a `clock_file`."""
    path = os.environ.get("clock_file")
    return offset_clock(Path(path)) if path else system_clock


def passing() -> float:
    """Seconds that pass, for waits and limits: they jump with the `clock_file`, but not when somebody sets the clock.

    Only the difference between two of them means something.
    """
    path = os.environ.get("clock_file")
    return time.monotonic() + (_ahead(Path(path)) if path else 0)


def _ahead(path: Path) -> int:
    try:
        return int(path.read_text() or "0")
    except FileNotFoundError:
        return 0
