"""The most memory a whole recovery has at once, measured where nothing else works: `python -m support.recovery_peak N`.

Prints bytes. Stripe's sessions and the store's orders are made up as they are read, N of each.
"""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from typing import Any

import msgspec

from pushcart.clock import from_timestamp
from pushcart.domain.order import Order
from pushcart.services.recovery.walk import second_of
from pushcart.store import connect
from support.listings import NOW_UNIX, Listed, ListedSession, Printful, Stripe
from support.recoveries import Shop, mug


class Many:
    """A Stripe that makes up its sessions as they are listed: `count` of them, one a minute."""

    def __init__(self, count: int) -> None:
        self._count = count

    def sessions(
        self, *, since: int | None = None, until: int | None = None, after: str | None = None, charges: bool = False
    ) -> Listed:
        start = max(0, (NOW_UNIX - (until or 0)) // 60 + 1) if after is None else int(after.removeprefix("cs_")) + 1
        last = min(self._count, (NOW_UNIX - since) // 60 + 1 if since else self._count)
        page = [self._session(number) for number in range(start, min(start + 100, last))]
        return Listed(page, page[-1].id if page and start + 100 < last else None)

    def _session(self, number: int) -> ListedSession:
        return ListedSession(
            id=f"cs_{number}",
            created=NOW_UNIX - number * 60,
            mode="payment",
            paid=True,
            currency="EUR",
            amount_total=1200,
            livemode=False,
            refunded=0,
            disputed=False,
        )


class Endless:
    """A store that makes up its orders as they are read, one for each of those sessions."""

    def __init__(self, count: int, order: Order) -> None:
        self._count, self._order = count, msgspec.to_builtins(order)

    def find(self, collection: str, *, until: Any = None, after: Any = None, limit: int = 100, **asked: Any) -> Any:
        assert collection == "orders"
        start = int(after[1].removeprefix("o-")) + 1 if after else max(0, (NOW_UNIX - second_of(until)) // 60 + 1)
        return [self._document(number) for number in range(start, min(start + limit, self._count))]

    def count(self, collection: str) -> int:
        return self._count

    def _document(self, number: int) -> dict[str, Any]:
        made = {"id": f"o-{number}", "session_id": f"cs_{number}", "created_at": from_timestamp(NOW_UNIX - number * 60)}
        return {**self._order, **made}


def an_order() -> Order:
    """One order as a store keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        store = connect(f"sqlite:///{folder}/shop.db")
        order = Shop(store, Stripe(), Printful()).order(mug(0))
        store.close()
    return order


def peak(order: Order, count: int) -> int:
    """Bytes, at the most, while `count` orders are compared."""
    shop: Any = Shop(Endless(count, order), Many(count))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        part = shop.recovery().slice(None, 1000, apply=False)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (part.findings, part.cursor) == ([], None)
    assert part.checked == {"sessions": count, "orders": count}
    return most


if __name__ == "__main__":
    order = an_order()
    peak(order, 1)  # what is cached at first use
    print(peak(order, int(sys.argv[1])))
