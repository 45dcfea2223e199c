"""A small cron-connector: posts an empty body to functions by their `schedule` annotation (UTC)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from local.gateway.errors import ScheduleError

UNITS = {"h": 3600, "m": 60, "s": 1}
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 6))
# 29 February comes within eight years even around a century that has none.
LONGEST_WAIT_DAYS = 8 * 366


class Schedule:
    """`@every 1m30s`, or five fields: minute hour day-of-month month day-of-week (0 is Sunday).

    A field is `*`, numbers, ranges `1-5`, steps `*/5` or `0-30/10`, or a list of these. As cron has it, when
    both days are restricted, either one is enough. Raises ScheduleError.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._every: timedelta | None = None
        if text.startswith("@every "):
            self._every = _duration(text)
            return
        parts = text.split()
        if len(parts) != len(FIELDS):
            raise ScheduleError(f"the schedule {text!r} has {len(parts)} fields; write five, or '@every 1m'")
        self._sets = [_field(part, *bounds) for part, bounds in zip(parts, FIELDS, strict=True)]
        self._any_day = [parts[2][0] in "*?", parts[4][0] in "*?"]

    def next_after(self, moment: datetime) -> datetime:
        """The first time after `moment` (UTC); raises ScheduleError when there is none."""
        if self._every:
            return moment + self._every
        minutes, hours, _, _, _ = self._sets
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for days in range(LONGEST_WAIT_DAYS):
            day = midnight + timedelta(days=days)
            if not self._is_day(day):
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    if (candidate := day.replace(hour=hour, minute=minute)) > moment:
                        return candidate
        raise ScheduleError(f"the schedule {self.text!r} never comes")

    def _is_day(self, day: datetime) -> bool:
        _, _, days, months, weekdays = self._sets
        fits = [day.day in days, day.isoweekday() % 7 in weekdays]
        return day.month in months and (all(fits) if any(self._any_day) else any(fits))


def _duration(text: str) -> timedelta:
    spelled = text.removeprefix("@every ").strip()
    if not re.fullmatch(r"(\d+[hms])+", spelled):
        raise ScheduleError(f"the schedule {text!r} is not understood; write for example '@every 1m30s'")
    seconds = sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([hms])", spelled))
    if seconds < 1:
        raise ScheduleError(f"the schedule {text!r} must be at least a second long")
    return timedelta(seconds=seconds)


def _field(text: str, name: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(?:[*?]|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not match:
            raise ScheduleError(f"{part!r} is no {name}; use numbers {low} to {high}, '*', '1-5' or '*/5'")
        first, last, step = match.groups()
        start = int(first) if first else low
        # As in cron, 'N/step' runs from N to the end; a plain N is itself alone.
        end = int(last) if last else start if first and not step else high
        if not low <= start <= end <= high or step == "0":
            raise ScheduleError(f"{part!r} is no {name}; it must lie between {low} and {high}")
        values.update(range(start, end + 1, int(step or 1)))
    return values


class CronConnector:
    """Calls `fire(name)` when a function's schedule says so, on a thread per call: no retry and no overlap
    guard, as the real one. With `every` (seconds) all functions are called in that rhythm instead."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        fire: Callable[[str], object],
        every: float | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._schedules, self._fire, self._every, self._clock = schedules, fire, every, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cron", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Fire nothing more; calls that run are left to finish."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _next(self, name: str, moment: datetime) -> datetime:
        if self._every:
            return moment + timedelta(seconds=self._every)
        return self._schedules[name].next_after(moment)

    def _run(self) -> None:
        due = {name: self._next(name, self._clock()) for name in self._schedules}
        while due and not self._stop.wait(max(0.0, (min(due.values()) - self._clock()).total_seconds())):
            moment = self._clock()
            for name in [name for name, when in due.items() if when <= moment]:
                threading.Thread(target=self._fire, args=(name,), name=f"cron-{name}", daemon=True).start()
                due[name] = self._next(name, moment)
