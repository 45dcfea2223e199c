"""Checkouts of forms that a browser sends by itself: no script has given them a token that would name the cart.

So a form that is sent twice is two orders. Where there are pieces for one of them only, that one is what the buyer
means: after a double click the browser shows the answer to the second form, whichever came first here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from pushcart.clock import Clock, Instant, later, to_instant
from pushcart.domain.cart import Cart
from pushcart.errors import CartRefused
from pushcart.services.checkout import Begun

#: Seconds for which the same form is taken for the same wish: a provider may take so long to answer, or not to.
TWICE = 30

#: Forms that are remembered, and of one form how many times it came: anybody may send any number.
MOST, MOST_TIMES = 1000, 8


@dataclass
class _Lately:
    """When a form came last, and the tokens of those that may have the pieces."""

    at: Instant
    tokens: list[str] = field(default_factory=list)


class Forms:
    """`begin` is the checkout's, `token` makes unguessable text. What came lately is kept in memory alone."""

    def __init__(self, begin: Callable[[Cart], Begun], clock: Clock, token: Callable[[], str]) -> None:
        self._begin = begin
        self._clock = clock
        self._token = token
        self._lock = threading.Lock()
        self._seen: dict[str, _Lately] = {}

    def begin(self, wanted: Cart, sender: str) -> Begun:
        """As the checkout's; a form for which pieces lack leads to the order of the same `sender` that has them.

        `sender` is the same for the same form from the same buyer and for nothing else, or empty where nobody can say.
        """
        if wanted.token or not sender:
            return self._begin(wanted)
        token = self._token()
        lately = self._note(sender, token)
        try:
            return self._begin(msgspec.structs.replace(wanted, token=token))
        except CartRefused as error:
            refused = error
        with self._lock:
            others = [one for one in lately.tokens if one != token]
            lately.tokens = others
        for other in others if any(problem["code"] == "sold_out" for problem in refused.problems) else ():
            try:
                return self._begin(msgspec.structs.replace(wanted, token=other))
            except CartRefused:
                continue
        raise refused

    def _note(self, sender: str, token: str) -> _Lately:
        now = to_instant(self._clock())
        with self._lock:
            lately = self._seen.pop(sender, None)
            if lately is None or later(lately.at, TWICE) <= now:
                lately = _Lately(now)
            lately.at = now
            lately.tokens = [*lately.tokens, token][:MOST_TIMES]
            self._seen[sender] = lately
            if len(self._seen) > MOST:
                del self._seen[next(iter(self._seen))]
        return lately
