"""Carries webhooks in the background, several at a time and with retries, so in no certain order."""

from __future__ import annotations

import heapq
import threading
import time
from abc import ABC, abstractmethod

from local.sandbox.chaos import Fate
from local.sandbox.world import World

RETRY_AFTER = (1, 2, 4, 8, 16, 32, 64)
_CARRIERS = 4


class Courier:
    """Carries the messages of one sender. The world's chaos decides what becomes of each, once."""

    def __init__(self, sender: Posting) -> None:
        self._sender = sender
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, str, str, Fate, int]] = []
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
            self._due.clear()
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)

    def send(self, event_id: str, endpoint_id: str) -> None:
        fate = self._sender.world.chaos.fate(self._sender.name, event_id)
        self._schedule(0, event_id, endpoint_id, fate, 0)

    def drop(self) -> None:
        """Forgets what waits; a try under way is finished."""
        with self._wake:
            self._due.clear()
            self._wake.notify_all()

    def wait_idle(self, timeout: float) -> bool:
        with self._wake:
            return self._wake.wait_for(lambda: not self._due and not self._busy, timeout)

    def _schedule(self, delay: float, event_id: str, endpoint_id: str, fate: Fate, tried: int) -> None:
        with self._wake:
            self._serial += 1
            heapq.heappush(self._due, (time.monotonic() + delay, self._serial, event_id, endpoint_id, fate, tried))
            self._wake.notify_all()

    def _carry(self) -> None:
        while True:
            with self._wake:
                while self._running and (not self._due or self._due[0][0] > time.monotonic()):
                    self._wake.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if not self._running:
                    return
                _, _, event_id, endpoint_id, fate, tried = heapq.heappop(self._due)
                self._busy += 1
            try:
                if not self._carried(event_id, endpoint_id, fate) and tried < len(RETRY_AFTER) and self._running:
                    self._schedule(RETRY_AFTER[tried], event_id, endpoint_id, fate, tried + 1)
            finally:
                with self._wake:
                    self._busy -= 1
                    self._wake.notify_all()

    def _carried(self, event_id: str, endpoint_id: str, fate: Fate) -> bool:
        """One try; true when no further one is needed."""
        if fate is Fate.LOST:
            self._sender.attempt(event_id, endpoint_id, lost=True)
            return True
        finished = self._sender.attempt(event_id, endpoint_id)
        if finished and fate is Fate.DOUBLED:
            self._sender.attempt(event_id, endpoint_id, again=True)
        return finished


class Posting(ABC):
    """A stand-in whose messages a courier carries."""

    name: str
    world: World
    _courier: Courier

    @abstractmethod
    def attempt(self, message_id: str, endpoint_id: str, *, lost: bool = False, again: bool = False) -> bool:
        """Posts a message; true when no further try is needed. A `lost` one is only written down, as if somebody
        in between had taken it; `again` posts one that was taken already."""

    def wait_idle(self, timeout: float = 10.0) -> bool:
        """Waits until no background delivery is under way or waiting; false after `timeout` seconds."""
        return self._courier.wait_idle(timeout)

    def start_sending(self) -> None:
        self._courier.start()

    def stop_sending(self) -> None:
        self._courier.stop()
