"""What all the stand-ins share: time, ids, records, faults and the sandbox's own address."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint

from local.sandbox.chaos import Chaos
from local.sandbox.faults import Faults
from local.sandbox.ids import Ids
from local.sandbox.records import Records

Headers = dict[str, str]


class Answer(NamedTuple):
    """A provider's own error answer, as a fault of kind `status` sends it."""

    body: str
    content_type: str
    headers: Headers


class World:
    """The clock reads UTC and runs ahead by the seconds in `clock_file`, when there is one."""

    def __init__(self, clock: Callable[[], datetime] | None, seed: int, clock_file: Path | None) -> None:
        self._clock = clock or (lambda: datetime.now(UTC))
        self._clock_file = clock_file
        self._advanced = 0
        self._clock_lock = threading.Lock()
        self.ids = Ids(seed)
        self.records = Records()
        self.faults = Faults()
        self.chaos = Chaos()
        self.stopping = threading.Event()
        self.url = ""

    def now(self) -> datetime:
        return self._clock() + timedelta(seconds=self.advanced())

    def timestamp(self) -> int:
        return int(self.now().timestamp())

    def iso(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def advanced(self) -> int:
        """Seconds the clock runs ahead of the real one. An absent or empty file means none."""
        if self._clock_file is None:
            return self._advanced
        try:
            return int(self._clock_file.read_text().strip() or 0)
        except FileNotFoundError:
            return 0

    def advance(self, seconds: int) -> int:
        """Moves the clock ahead (never back: leases and retries count on it) and returns the new total."""
        if seconds < 0:
            raise ValueError("time only travels forward: advance_seconds must be 0 or more")
        with self._clock_lock:
            total = self.advanced() + seconds
            if self._clock_file is None:
                self._advanced = total
            else:
                # Replaced in one go, for the functions read the file at any moment.
                fresh = self._clock_file.with_suffix(".new")
                fresh.write_text(str(total))
                fresh.replace(self._clock_file)
            return total


class Provider(ABC):
    """One stand-in: `blueprint` holds its routes, `actions` names the methods the admin API may call.

    The server handles a provider's requests one at a time, under `lock`, so each is atomic.
    """

    name: str
    actions: tuple[str, ...] = ()

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.reset()

    @abstractmethod
    def blueprint(self) -> Blueprint:
        """The routes, mounted under `/{name}`."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything received, but not its settings. Ids go on, so that none ever comes twice."""

    @abstractmethod
    def error(self, status: int, retry_after: int | None) -> Answer:
        """The provider's own answer to a failure with this status; `retry_after` in seconds."""
