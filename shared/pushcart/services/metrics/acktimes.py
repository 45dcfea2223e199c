"""How long a webhook takes to acknowledge: counted in its process, kept in the store, shown by order-store.

One document for each function in the collection `measures`, `{id: "ack.NAME", version, counts, seconds}`: `counts` has
one number for each of `BOUNDS` and a last one for what took longer, `seconds` is the sum of all. They only grow.

An acknowledgement costs no write: counts gather in memory and go to the store together from a thread of their own. A
process that is killed loses the counts of at most that time. A write whose answer is lost may count twice.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.errors import StoreUnavailable
from pushcart.providers import paylinks
from pushcart.store import Document, Store

log = logging.getLogger(__name__)

#: The functions that take a provider's webhooks: each times its acknowledgements.
WEBHOOKS = ("stripe-webhook", *paylinks.functions(), "printful-webhook")

#: Upper bounds in seconds.
BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Times(msgspec.Struct):
    """What was counted. Kept under other bounds than today's, it does not fit and is begun anew."""

    counts: list[int]
    seconds: float = 0.0

    @staticmethod
    def none() -> Times:
        return Times([0] * (len(BOUNDS) + 1))

    def add(self, other: Times) -> None:
        self.counts = [here + there for here, there in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


class AckTimes:
    """Counts the acknowledgements of one function; writes what was counted every `every` seconds."""

    def __init__(self, store: Store, function: str, every: float = 10.0) -> None:
        self._store = store
        self._id = id_of(function)
        self._every = every
        self._times = Times.none()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acktimes", daemon=True)
        self._thread.start()

    def timed(self, handle: Callable[[Any, Any], dict[str, Any]], event: Any, context: Any) -> dict[str, Any]:
        """The handler's answer. One that acknowledges (2xx) counts, with the time from the call to the answer."""
        began = time.perf_counter()
        answer = handle(event, context)
        if answer["statusCode"] < 300:
            self.seen(time.perf_counter() - began)
        return answer

    def seen(self, seconds: float) -> None:
        """Counts one acknowledgement; asks nobody and waits for nobody."""
        place = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._times.counts[place] += 1
            self._times.seconds += seconds
        if not self._counted.is_set():
            self._counted.set()

    def flush(self) -> bool:
        """Writes what was counted; False when the store did not take it: it is kept for the next time."""
        with self._writing:
            with self._lock:
                times, self._times = self._times, Times.none()
                self._counted.clear()
            if not any(times.counts):
                return True
            try:
                self._merge(times)
            except StoreUnavailable as error:
                log.warning("the times of acknowledgements wait for the store: %s", error.message)
                with self._lock:
                    self._times.add(times)
                    self._counted.set()
                return False
            return True

    def close(self) -> None:
        """Writes what was counted and stops. Returns when that is done, or the store has not taken it."""
        self._closing.set()
        self._counted.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._counted.wait()
            if not self._closing.wait(self._every):
                try:
                    self.flush()
                except Exception:
                    # Figures are never worth a webhook; what could not be counted is gone.
                    log.exception("the times of acknowledgements could not be kept")

    def _merge(self, times: Times) -> None:
        """Adds to the function's document, which its other processes write too."""
        while True:
            held = self._store.get("measures", self._id)
            version = held["version"] if held else 0
            total = read(held) or Times.none()
            total.add(times)
            document: Document = {"id": self._id, "version": version + 1, **msgspec.to_builtins(total)}
            stored = self._store.replace("measures", document, version) if held else False
            if stored or (not held and self._store.insert("measures", document)):
                return


def id_of(function: str) -> str:
    """The document's id."""
    return f"ack.{function}"


def read(document: Document | None) -> Times | None:
    """What a document holds; None without one, or when it was counted under other bounds."""
    if document is None or len(document["counts"]) != len(BOUNDS) + 1:
        return None
    return msgspec.convert(document, Times)
