"""Carries webhooks in the background, several at a time and with retries, so in no certain order."""

from __future__ import annotations

import heapq
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from local.sandbox.chaos import Fate
from local.sandbox.world import World

RETRY_AFTER = (1, 2, 4, 8, 16, 32, 64)
_CARRIERS = 4


class _Try(NamedTuple):
    """A message to be posted, and how often it was before."""

    message_id: str
    endpoint_id: str
    fate: Fate
    tried: int = 0


class Courier:
    """Carries the messages of one sender. The world's chaos decides what becomes of each, once.

    The first try of a late message waits for the world's clock, which a test may move; a further try of any message
    waits for real seconds.
    """

    def __init__(self, sender: Posting) -> None:
        self._sender = sender
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, _Try]] = []
        self._held: list[tuple[datetime, int, _Try]] = []
        self._serial = 0
        self._busy = 0
        self._running = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._running = True
        self._threads = [
            threading.Thread(target=self._carry, name=f"sandbox-courier-{n}", daemon=True) for n in range(_CARRIERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._wake:
            self._running = False
            self._clear()
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def send(self, message_id: str, endpoint_id: str) -> None:
        world = self._sender.world
        fate, delay = world.chaos.fate(self._sender.name, message_id)
        first = _Try(message_id, endpoint_id, fate)
        if fate is not Fate.LATE:
            self._schedule(0, first)
            return
        with self._wake:
            self._serial += 1
            heapq.heappush(self._held, (world.now() + timedelta(seconds=delay), self._serial, first))
            self._wake.notify_all()

    def drop(self) -> None:
        """Forgets what waits; a try under way is finished."""
        with self._wake:
            self._clear()
            self._wake.notify_all()

    def _clear(self) -> None:
        self._due.clear()
        self._held.clear()

    @property
    def held(self) -> int:
        with self._wake:
            return len(self._held)

    def look_at_the_clock(self) -> None:
        """Has what is held back go out, if its time has come, or wait for less long."""
        with self._wake:
            self._wake.notify_all()

    def wait_idle(self, timeout: float) -> bool:
        def idle() -> bool:
            self._release()
            return not self._due and not self._busy

        with self._wake:
            return self._wake.wait_for(idle, timeout)

    def _schedule(self, delay: float, message: _Try) -> None:
        with self._wake:
            self._serial += 1
            heapq.heappush(self._due, (time.monotonic() + delay, self._serial, message))
            self._wake.notify_all()

    def _release(self) -> None:
        """The late messages whose time has come are due from now on, like any others."""
        while self._held and self._held[0][0] <= self._sender.world.now():
            self._schedule(0, heapq.heappop(self._held)[2])

    def _pause(self) -> float | None:
        """Seconds until something is due; none when nothing waits."""
        self._release()
        pauses = [self._due[0][0] - time.monotonic()] if self._due else []
        if self._held:
            pauses.append((self._held[0][0] - self._sender.world.now()).total_seconds())
        return max(min(pauses), 0.0) if pauses else None

    def _carry(self) -> None:
        while True:
            with self._wake:
                while self._running and (not self._due or self._due[0][0] > time.monotonic()):
                    self._wake.wait(self._pause())
                if not self._running:
                    return
                _, _, message = heapq.heappop(self._due)
                self._busy += 1
            try:
                if not self._carried(message) and message.tried < len(RETRY_AFTER) and self._running:
                    self._schedule(RETRY_AFTER[message.tried], message._replace(tried=message.tried + 1))
            finally:
                with self._wake:
                    self._busy -= 1
                    self._wake.notify_all()

    def _carried(self, message: _Try) -> bool:
        """One try; true when no further one is needed."""
        post, (message_id, endpoint_id, fate, _) = self._sender.attempt, message
        if fate is Fate.LOST:
            post(message_id, endpoint_id, lost=True)
            return True
        finished = post(message_id, endpoint_id)
        if finished and fate is Fate.DOUBLED:
            post(message_id, endpoint_id, again=True)
        return finished


class Posting(ABC):
    """A stand-in whose messages a courier carries. `lose` drops every try, as if the network ate it; `deliveries`
    has all tries, oldest first."""

    name: str
    world: World
    lose: bool
    deliveries: Sequence[Any]
    _courier: Courier

    @abstractmethod
    def attempt(self, message_id: str, endpoint_id: str, *, lost: bool = False, again: bool = False) -> bool:
        """Posts a message; true when no further try is needed. A `lost` one is only written down, as if somebody
        in between had taken it; `again` posts one that was taken already."""

    def wait_idle(self, timeout: float = 10.0) -> bool:
        """Waits until no background delivery is under way or waiting, but for those that the chaos holds back until
        the clock has moved; false after `timeout` seconds."""
        return self._courier.wait_idle(timeout)

    @property
    def held(self) -> int:
        """How many messages the chaos holds back."""
        return self._courier.held

    def look_at_the_clock(self) -> None:
        """To be called after the world's clock was moved."""
        self._courier.look_at_the_clock()

    def start_sending(self) -> None:
        self._courier.start()

    def stop_sending(self) -> None:
        self._courier.stop()
