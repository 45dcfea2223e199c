"""Our own count of calls to a provider, so that its rate limit is not hit in the first place.

Counted per process, which is enough: faasd runs one replica of each function, and one function talks to
one provider.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from pushcart.clock import passing
from pushcart.errors import ProviderBusy

#: The longest a call waits here for a free slot, in seconds; beyond that the step is put off instead.
LONGEST_WAIT = 1.0

_WINDOW = 60.0


class Limiter:
    """At most `per_minute` calls in any 60 seconds. Thread-safe; `monotonic` gives seconds that pass."""

    def __init__(
        self,
        per_minute: int,
        monotonic: Callable[[], float] = passing,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._sleep = sleep
        self._taken: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self, provider: str) -> None:
        """Counts one call. Waits up to a second for a free slot, else `ProviderBusy` says when there is one."""
        patience = LONGEST_WAIT
        while wait := self._try():
            if wait > patience:
                raise ProviderBusy(
                    provider, f"our own limit of {self._per_minute} calls a minute is used up", retry_after=wait
                )
            patience -= wait
            self._sleep(wait)

    def _try(self) -> float:
        """0 when the call is counted, else the seconds until a slot is free."""
        with self._lock:
            now = self._monotonic()
            while self._taken and self._taken[0] <= now - _WINDOW:
                self._taken.popleft()
            if len(self._taken) < self._per_minute:
                self._taken.append(now)
                return 0.0
            # Never 0: that would say that the call is counted.
            return max(self._taken[0] + _WINDOW - now, 0.001)
