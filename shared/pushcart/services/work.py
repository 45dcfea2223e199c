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
from dataclasses import dataclass

import msgspec

from pushcart.clock import Clock, Instant, to_instant
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.errors import StoreUnavailable
from pushcart.repositories import Inbox, Key, Orders
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake
from pushcart.services.metrics.watching import UNWATCHED, Watcher, Watchers

log = logging.getLogger(__name__)


#: Seconds within which a waiting sweep notices that the process is to stop.
STOP_CHECK = 0.2


#: What a look at an order's payment is called among the jobs.
LOOK = "payment of "


class Swept(msgspec.Struct):
    """What one sweep took on, and whether it stopped with more to do."""

    events: int
    orders: int
    more: bool


@dataclass
class Job:
    """One event or order in the queue; `again` when it was asked for once more while it ran."""

    future: Future[None]
    pool: ThreadPoolExecutor
    running: bool = False
    again: bool = False


class Work:
    """Events and orders to be worked on, each at most once at a time in this process.

    Events, orders and looks at payments nobody told of have workers of their own: a Stripe that does not answer must
    not keep paid orders from their steps, and carts that were left not those that were paid.
    """

    def __init__(
        self,
        intake: Intake,
        driver: Driver,
        orders: Orders,
        inbox: Inbox,
        clock: Clock,
        workers: int,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._intake = intake
        self._driver = driver
        self._orders = orders
        self._inbox = inbox
        self._clock = clock
        self._watcher = Watchers(watcher)
        self._events = ThreadPoolExecutor(workers, thread_name_prefix="events")
        self._drives = ThreadPoolExecutor(workers, thread_name_prefix="orders")
        self._looks = ThreadPoolExecutor(2, thread_name_prefix="looks")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def event(self, event_id: str) -> Future[None]:
        """Applies the event and has its order driven, soon."""
        return self._submit(self._events, event_id, self._handle_event)

    def order(self, order_id: str) -> Future[None]:
        """Drives the order, soon."""
        return self._submit(self._drives, order_id, self._handle_order)

    def sweep(self, batch: int, seconds: float) -> Swept:
        """Takes on unapplied events, due steps, lost leases and delayed mails, each once, a batch at a time.

        Costs what is due, not what exists. Returns when all is done, after `seconds`, or when the process is
        to stop. `StoreUnavailable` when the store cannot say what is due.
        """
        end = time.monotonic() + seconds
        now = to_instant(self._clock())
        swept = Swept(events=0, orders=0, more=False)
        last_event: Key | None = None
        last_order: Key | None = None
        while True:
            orders = self._orders.due(now, batch, last_order)
            events = self._inbox.due(now, batch, last_event)
            jobs = [self.order(id) for _, id in orders] + [self.event(id) for _, id in events]
            swept.orders += len(orders)
            swept.events += len(events)
            finished = self._wait(jobs, end) and self._wait(self._open_looks(), end)
            swept.more = not finished or batch in (len(orders), len(events))
            last_order = orders[-1] if orders else last_order
            last_event = events[-1] if events else last_event
            if not swept.more or time.monotonic() >= end or self._stopping.is_set():
                return swept

    def in_hand(self) -> dict[tuple[str, str], int]:
        """How many jobs are `running`, and `waiting` for a worker, of each pool: `events`, `orders`, `looks`."""
        names = {self._events: "events", self._drives: "orders", self._looks: "looks"}
        counts = {(name, state): 0 for name in names.values() for state in ("running", "waiting")}
        with self._lock:
            for job in self._jobs.values():
                counts[names[job.pool], "running" if job.running else "waiting"] += 1
        return counts

    def stop(self) -> None:
        """Takes on nothing more and lets every sweep and drive end; what only waits is left to the next sweep."""
        self._stopping.set()
        self._driver.stop()
        for pool in (self._events, self._drives, self._looks):
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """`stop`, and waits for the steps and events in hand."""
        self.stop()
        for pool in (self._events, self._drives, self._looks):
            pool.shutdown(wait=True)

    def _wait(self, jobs: list[Future[None]], end: float) -> bool:
        """True when all jobs are done before `end`; a stop ends the wait."""
        while not self._stopping.is_set():
            left = end - time.monotonic()
            jobs = list(wait(jobs, timeout=max(0, min(left, STOP_CHECK))).not_done)
            if not jobs or left <= 0:
                break
        return not jobs

    def _handle_order(self, order_id: str) -> None:
        if self._driver.drive(order_id):
            self._submit(self._looks, f"{LOOK}{order_id}", lambda _: self._handle_check(order_id))

    def _handle_check(self, order_id: str) -> None:
        if self._intake.check(order_id) is not None:
            self.order(order_id)

    def _open_looks(self) -> list[Future[None]]:
        with self._lock:
            return [job.future for key, job in self._jobs.items() if key.startswith(LOOK)]

    def _handle_event(self, event_id: str) -> None:
        began = to_instant(self._clock())
        order_id = self._intake.apply(event_id)
        if order_id is not None:
            self._watcher.event_ended("applied")
            self.order(order_id)
            return
        event = self._inbox.get(event_id)
        if event is None:
            return
        if outcome := _outcome(event, began):
            self._watcher.event_ended(outcome)
        if event.wants_telling:
            self._driver.tell_of_event(event)

    def _submit(self, pool: ThreadPoolExecutor, key: str, job: Callable[[str], object]) -> Future[None]:
        with self._lock:
            known = self._jobs.get(key)
            if known is not None and not known.future.cancelled():
                known.again = known.running
                return known.future
            if self._stopping.is_set():
                stopped: Future[None] = Future()
                stopped.cancel()
                return stopped
            # The context carries the call's id into what the job logs.
            future = pool.submit(contextvars.copy_context().run, self._run, key, job)
            self._jobs[key] = Job(future, pool)
            return future

    def _run(self, key: str, job: Callable[[str], object]) -> None:
        again = True
        while again:
            with self._lock:
                self._jobs[key].running, self._jobs[key].again = True, False
            try:
                job(key)
            except StoreUnavailable as error:
                log.warning("%s left to the next sweep: %s", key, error.message)
            except Exception:
                log.exception("%s failed on a mistake of ours; the next sweep tries again", key)
            with self._lock:
                again = self._jobs[key].again and not self._stopping.is_set()
                if not again:
                    del self._jobs[key]


def _outcome(event: InboxEvent, began: Instant) -> str | None:
    """What became of an event at an attempt since `began` that changed no order; None when it was over before."""
    if event.status is EventStatus.PENDING:
        return "put_off"
    return str(event.status) if event.done_at is not None and event.done_at >= began else None
