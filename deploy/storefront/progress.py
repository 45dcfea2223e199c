"""How far a build is."""

from __future__ import annotations

from collections.abc import Callable

#: Told the number of things done, the number in all, and what was done last.
Progress = Callable[[int, int, str], None]


class Work:
    """Counts what is done of what there is to do; there may turn out to be more."""

    def __init__(self, tell: Progress) -> None:
        self._tell = tell
        self._done = self._total = 0

    def expect(self, more: int) -> None:
        self._total += more

    def done(self, what: str) -> None:
        self._done += 1
        self._tell(self._done, self._total, what)
