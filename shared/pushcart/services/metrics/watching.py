"""How what order-store does is reported: a step's end, an event's end, every call to a function or a provider.

The figures of `/metrics` and the health of what order-store calls both listen here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from pushcart.errors import PushcartError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Watcher(Protocol):
    """Hears what happened. Called from many threads, in the middle of the work: it has to be quick."""

    def called(self, name: str, error: PushcartError | None, seconds: float) -> None:
        """A step's function, or a provider (`Stripe`, `Printful`), was asked and took `seconds`.

        `error` is what became of it, or None when all was well.
        """

    def step_ended(self, kind: str, outcome: str, seconds: float) -> None:
        """An attempt at a step of this kind is over: `done`, `failed`, `busy` (put off), `dead`, or `lost`.

        A lost one never answered before its lease ran out; it goes on as another attempt.
        """

    def event_ended(self, outcome: str) -> None:
        """An attempt at an event is over: `applied`, `ignored`, `put_off` or `dead`."""


class Unwatched:
    """Listens to nothing; also for watchers that care for a part only."""

    def called(self, name: str, error: PushcartError | None, seconds: float) -> None:
        """See `Watcher`."""

    def step_ended(self, kind: str, outcome: str, seconds: float) -> None:
        """See `Watcher`."""

    def event_ended(self, outcome: str) -> None:
        """See `Watcher`."""


UNWATCHED = Unwatched()


class Watchers:
    """Several watchers as one. What one of them does wrong is logged and costs no step."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def called(self, name: str, error: PushcartError | None, seconds: float) -> None:
        self._each(lambda one: one.called(name, error, seconds))

    def step_ended(self, kind: str, outcome: str, seconds: float) -> None:
        self._each(lambda one: one.step_ended(kind, outcome, seconds))

    def event_ended(self, outcome: str) -> None:
        self._each(lambda one: one.event_ended(outcome))

    def _each(self, tell: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                tell(watcher)
            except Exception:
                log.exception("%s failed; the work goes on", type(watcher).__name__)


def watched(watcher: Watcher, name: str, call: Callable[[], T]) -> T:
    """What `call` gives or raises, reported under `name`. Mistakes of ours are no news of whoever was called."""
    began = time.perf_counter()
    try:
        answer = call()
    except PushcartError as error:
        watcher.called(name, error, time.perf_counter() - began)
        raise
    watcher.called(name, None, time.perf_counter() - began)
    return answer


class Watched:
    """Stands in for a provider's client: the methods in `asking` are reported under `name`, all else is the client's.

    `asking` names the methods that ask the provider, and no others.
    """

    def __init__(self, client: Any, name: str, watcher: Watcher, asking: Iterable[str]) -> None:
        self._client = client
        self._name = name
        self._watcher = Watchers(watcher)
        self._asking = frozenset(asking)

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._client, attribute)
        if attribute not in self._asking:
            return found
        return lambda *given, **named: watched(self._watcher, self._name, lambda: found(*given, **named))
