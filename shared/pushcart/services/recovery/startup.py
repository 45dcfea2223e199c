"""The recovery after a start: asked for at each, worked off in slices beside everything else, its result kept."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import Clock, Instant, seconds_between, to_instant
from pushcart.crash import Point, point
from pushcart.errors import BadRequest
from pushcart.repositories import Cursors
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.recovery.findings import Finding
from pushcart.services.recovery.repairs import alarm
from pushcart.services.recovery.slices import Recovery

log = logging.getLogger(__name__)

RECOVERY = "recovery"

#: Seconds within which a recovery that came to its end need not be done again.
FRESH = 6 * 3600

#: Findings that are kept to be looked at, and those that no event repairs, to be told of.
KEPT, TOLD = 100, 1_000


class Report(msgspec.Struct, kw_only=True):
    """One whole recovery: when it began and ended (None: it is going on), what it compared and what it found.

    `counts` are its findings by code, `findings` the first of them, `by_hand` those that a human has to look at.
    `again` asks for another one after it.
    """

    started_at: Instant
    finished_at: Instant | None = None
    cursor: str | None = None
    checked: dict[str, int] = {}
    counts: dict[str, int] = {}
    findings: list[Finding] = []
    by_hand: list[Finding] = []
    again: bool = False


class StartUp:
    """One recovery at a time for all that start; a process that dies leaves its place to the next."""

    def __init__(self, recovery: Callable[[], Recovery], cursors: Cursors, incidents: Incidents, clock: Clock) -> None:
        self._recovery = recovery
        self._cursors = cursors
        self._incidents = incidents
        self._clock = clock

    def last(self) -> dict[str, Any] | None:
        """The last recovery's report, or that of the one going on; None before the first."""
        report, _ = self._read()
        return msgspec.to_builtins(report) if report else None

    def ask(self, *, whole: bool = False) -> None:
        """Asks for a recovery, unless one is going on or has just ended; a `whole` one in any case, after that."""
        report, version = self._read()
        now = to_instant(self._clock())
        if report is None:
            self._write(Report(started_at=now), version)
        elif report.finished_at is None:
            if whole and not report.again:
                report.again = True
                self._write(report, version)
        elif whole or not 0 <= seconds_between(report.finished_at, now) < FRESH:
            self._write(Report(started_at=now), version)

    def work(self, seconds: float, go_on: Callable[[], bool]) -> bool:
        """Does slices of about so many seconds while `go_on` says so; True when nothing is left to do.

        Raises the `ProviderError`s.
        """
        report, version = self._read()
        while report is not None and report.finished_at is None:
            if not go_on():
                return False
            try:
                part = self._recovery().slice(report.cursor, seconds, apply=True)
            except BadRequest:
                report.cursor = None  # another version of Pushcart wrote it, or Printful is no longer used
                part = self._recovery().slice(None, seconds, apply=True)
            self._add(report, part.checked, part.findings)
            report.cursor = part.cursor
            if part.cursor is None:
                report.finished_at = to_instant(self._clock())
                alarm(report.by_hand, self._incidents)
                log.info("recovery finished: %s", report.counts or "nothing found")
            point(Point.SLICE_DONE)
            if not self._write(report, version):
                return False  # another run has gone on with it
            version += 1
            if part.wait is not None:
                return False
        if report is not None and report.again:
            self._write(Report(started_at=to_instant(self._clock())), version)
            return False
        return True

    @staticmethod
    def _add(report: Report, checked: dict[str, int], findings: list[Finding]) -> None:
        report.checked = dict(Counter(report.checked) + Counter(checked))
        report.counts = dict(Counter(report.counts) + Counter(finding.code for finding in findings))
        report.findings = [*report.findings, *findings][:KEPT]
        report.by_hand = [*report.by_hand, *(one for one in findings if one.repair == "no")][:TOLD]

    def _read(self) -> tuple[Report | None, int]:
        kept = self._cursors.read(RECOVERY)
        return (msgspec.convert(kept, Report), kept["version"]) if kept else (None, 0)

    def _write(self, report: Report, version: int) -> bool:
        return self._cursors.write(RECOVERY, msgspec.to_builtins(report), version)
