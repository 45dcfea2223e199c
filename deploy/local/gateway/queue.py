"""The async queue as OpenFaaS CE has it: one message at a time, no retry, failures are lost."""

from __future__ import annotations

import logging
import threading
from collections import deque

from local.gateway.errors import UnknownFunction
from local.gateway.proxy import Call, Proxy

log = logging.getLogger("local.gateway")

MAX_BODY_BYTES = 256_000


class AsyncQueue:
    """Makes the calls that are put in, in order, on one thread."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="queue-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, call: Call) -> None:
        with self._changed:
            self._calls.append(call)
            self._changed.notify()

    def stop(self, seconds: float) -> None:
        """Finish the call at hand, for at most `seconds`; what still waits is lost."""
        with self._changed:
            self._stopping = True
            lost = len(self._calls)
            self._changed.notify()
        if lost:
            log.warning("%d queued async calls are lost with the gateway", lost)
        self._thread.join(seconds)

    def _next(self) -> Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._stopping)
            return None if self._stopping else self._calls.popleft()

    def _work(self) -> None:
        while call := self._next():
            try:
                status = self._proxy.deliver(call)
            except UnknownFunction as error:
                log.warning("an async call is lost: %s", error)
                continue
            if status >= 300:
                log.warning("the async call to %s was answered %d and is lost", call.name, status)
