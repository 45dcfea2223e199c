"""The watch: looks at everything each minute, and has the owner told of what is wrong, or wrong no more."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from pushcart.clock import Clock, Instant, seconds_between, to_instant
from pushcart.domain.alerting import AlertSettings
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import StoreUnavailable
from pushcart.repositories import CATCH_UP, HEARTBEAT_AGE, Heartbeats
from pushcart.services.alerts import conditions
from pushcart.services.alerts import of_orders as conditions_orders
from pushcart.services.alerts.conditions import DiskUsage
from pushcart.services.alerts.incidents import Condition, Incident, Incidents
from pushcart.services.alerts.memory import Memory
from pushcart.services.alerts.teller import Teller
from pushcart.store import Store

log = logging.getLogger(__name__)

#: Seconds the store may be away before the owner is told.
STORE_AWAY = 120


class Watch:
    """One at a time in this process; `folders` are what the disks hold, by name.

    Two processes may watch at once: what they see is the same, and what they tell is claimed.
    """

    def __init__(
        self,
        store: Store,
        teller: Teller,
        catalogue: Callable[[], Catalogue],
        settings: Callable[[], AlertSettings],
        clock: Clock,
        *,
        folders: Mapping[str, str],
        disk_usage: Callable[[str], Any] = shutil.disk_usage,
    ) -> None:
        self._store = store
        self._teller = teller
        self._catalogue = catalogue
        self._settings = settings
        self._clock = clock
        self._folders = folders
        self._usage: Callable[[str], DiskUsage] = disk_usage
        self._heartbeats = Heartbeats(store, clock)
        self._incidents = Incidents(store, clock)
        #: The store's own absence cannot stand in the store.
        self._memory = Incidents(Memory(), clock)  # type: ignore[arg-type]
        self._started = to_instant(clock())
        self._away_since: Instant | None = None
        self._running = threading.Lock()
        self._again = threading.Event()

    def run(self) -> dict[str, Any]:
        """Looks and tells: `{"wrong": n, "told": n, "store": bool}`, or `{"running": True}` when it is at it already.

        One that is asked for meanwhile follows at once: what made somebody ask may have been missed.
        """
        self._again.set()
        result: dict[str, Any] = {"running": True}
        while self._again.is_set():
            if not self._running.acquire(blocking=False):
                break
            try:
                self._again.clear()
                result = self._once()
            finally:
                self._running.release()
        return result

    def answer(self, id: str, note: str) -> Incident:
        """The owner has an incident in hand. Raises `NotFound`, `Conflict` and `StoreUnavailable`."""
        known = self._memory.get(id)
        held = self._memory if known is not None and known.state == "open" else self._incidents
        return held.answer(id, note)

    def away(self) -> list[Incident]:
        """What stands in memory alone, because the store is away."""
        return self._memory.open()

    def _once(self) -> dict[str, Any]:
        now = to_instant(self._clock())
        wrong = 0
        try:
            self._store.ping()
            seen, whole = self._look(now)
            for condition in seen:
                self._incidents.see(condition)
            if whole:
                self._incidents.expire(spared=self._unseen(now))
            wrong = len(seen)
            there = True
        except StoreUnavailable as error:
            log.error("the watch finds the store away: %s", error.message)
            there = False
        self._note_store(now, there=there)
        told = self._teller.tell(self._memory)
        if there:
            try:
                told += self._teller.tell(self._incidents)
            except StoreUnavailable as error:
                log.error("what is to be told waits for the store: %s", error.message)
                there = False
        return {"wrong": wrong, "told": told, "store": there}

    def _look(self, now: Instant) -> tuple[list[Condition], bool]:
        """What is wrong, and whether everything could be looked at: only then may what was not seen be over."""
        zone = ZoneInfo(self._catalogue().shop.timezone)
        looks: dict[str, Callable[[], list[Condition]]] = {
            "orders": partial(conditions_orders.of_orders, self._store, now, zone),
            "events": partial(conditions.of_events, self._store, now),
            "providers": partial(conditions.of_providers, self._store, now),
            "heartbeat": partial(conditions.of_heartbeat, self._last_beat(), now, self._started),
            "disks": self._disks,
            "keys": lambda: conditions.of_keys(self._settings().keys, self._clock(), zone),
        }
        seen: list[Condition] = []
        whole = True
        for name, look in looks.items():
            try:
                seen += look()
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("the watch could not look at %s", name)
                whole = False
        return seen, whole

    def _unseen(self, now: Instant) -> tuple[str, ...]:
        """The ids' beginnings of what nobody can have seen just now, so that it is not over for that."""
        if seconds_between(self._started, now) <= HEARTBEAT_AGE:
            return ("",)  # nobody has been waited for long enough yet
        missed = conditions.of_heartbeat(self._last_beat(), now, self._started)
        return ("doctor.", f"{CATCH_UP}.") if missed else ()

    def _last_beat(self) -> Instant | None:
        last = self._heartbeats.last(CATCH_UP)
        return last["at"] if last else None

    def _disks(self) -> list[Condition]:
        return conditions.of_disks(self._usage, self._folders)

    def _note_store(self, now: Instant, *, there: bool) -> None:
        if there:
            self._away_since = None
            self._memory.end("store")
            return
        self._away_since = self._away_since or now
        if seconds_between(self._away_since, now) >= STORE_AWAY:
            self._memory.see(conditions.of_store(self._away_since, self._disks()))


class Timer:
    """Runs the watch every `seconds`, so that a cron that does not call is noticed. Ends with the process at latest."""

    def __init__(self, watch: Watch, seconds: float = 60.0) -> None:
        self._watch = watch
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Lets a watch in hand end, for so many seconds at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._watch.run()
            except Exception:
                # The thread is the only one: no mistake may end it.
                log.exception("the watch failed; the next one comes in %.0f s", self._seconds)
