"""The pool that applies events and drives orders, and the sweep that finds what nobody is working on.

The store holds all that matters, so the pool may forget: what it drops, the next sweep finds.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec

from pushcart.clock import Clock, to_instant
from pushcart.errors import StoreUnavailable
from pushcart.repositories import Inbox, Orders
from pushcart.services.driver import Driver, is_dead_and_untold
from pushcart.services.intake import Intake

log = logging.getLogger(__name__)


class Swept(msgspec.Struct):
    """What one sweep took on, and whether it stopped with more to do."""

    events: int
    orders: int
    more: bool


class Work:
    """Events and orders to be worked on, each at most once at a time in this process's queue."""

    def __init__(
        self, intake: Intake, driver: Driver, orders: Orders, inbox: Inbox, clock: Clock, workers: int
    ) -> None:
        self._intake = intake
        self._driver = driver
        self._orders = orders
        self._inbox = inbox
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="work")
        self._queued: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def event(self, event_id: str) -> Future[None]:
        """Applies the event and drives its order, soon."""
        return self._submit(event_id, self._handle_event, event_id)

    def order(self, order_id: str) -> Future[None]:
        """Drives the order, soon."""
        return self._submit(order_id, self._driver.drive, order_id)

    def sweep(self, batch: int, seconds: float) -> Swept:
        """Takes on unapplied events, due steps, lost leases and delayed mails; returns when they are done.

        Costs what is due, not what exists. Stops taking on more after `seconds`. `StoreUnavailable` when the
        store cannot say what is due.
        """
        end = time.monotonic() + seconds
        events = orders = 0
        while True:
            now = to_instant(self._clock())
            due_events = self._inbox.due(now, batch)
            wait([self.event(id) for id in due_events], timeout=max(0, end - time.monotonic()))
            due_orders = self._orders.due(to_instant(self._clock()), batch)
            unfinished = wait([self.order(id) for id in due_orders], timeout=max(0, end - time.monotonic())).not_done
            events += len(due_events)
            orders += len(due_orders)
            more = max(len(due_events), len(due_orders)) == batch
            if not more or time.monotonic() >= end:
                return Swept(events, orders, more or bool(unfinished))

    def close(self) -> None:
        """Finishes the steps and events in hand; what only waits is left to the next sweep."""
        self._driver.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _handle_event(self, event_id: str) -> None:
        event = self._inbox.get(event_id)
        if event is not None and is_dead_and_untold(event):
            self._driver.tell_of_dead_event(event)
            return
        order_id = self._intake.apply(event_id)
        if order_id is not None:
            self._driver.drive(order_id)

    def _submit(self, key: str, job: Callable[[str], object], argument: str) -> Future[None]:
        with self._lock:
            waiting = self._queued.get(key)
            if waiting is not None and not waiting.cancelled():
                return waiting
            # The context carries the call's id into what the job logs.
            future = self._pool.submit(contextvars.copy_context().run, self._run, key, job, argument)
            self._queued[key] = future
            return future

    def _run(self, key: str, job: Callable[[str], object], argument: str) -> None:
        with self._lock:
            self._queued.pop(key, None)
        try:
            job(argument)
        except StoreUnavailable as error:
            log.warning("%s left to the next sweep: %s", key, error.message)
        except Exception:
            log.exception("%s failed on a mistake of ours; the next sweep tries again", key)
