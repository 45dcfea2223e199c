"""How a recovery goes back in time: what is in a window, in order, and where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from pushcart import commands
from pushcart.clock import Instant, from_instant, from_timestamp
from pushcart.domain.order import Attention, Order, Payment, PaymentStatus
from pushcart.domain.parcels import CANCELLED, Print
from pushcart.domain.payment import RECEIVED
from pushcart.errors import ProviderError, ProviderRefused, ProviderUnreadable
from pushcart.services.recovery.findings import Finding
from pushcart.store import Store

#: The most orders, or objects of a provider, that one window holds; a second that has more is held whole.
WINDOW = 1_000

#: Orders read from the store at once.
ORDERS = 100


class Place(msgspec.Struct, array_like=True, frozen=True):
    """How far back all is compared: what is older than `until` (Unix seconds) is left to do.

    Of the second before `until`, all up to `key` is done as well. `offset` is where the provider's list goes on that is
    asked for by number.
    """

    until: int
    key: str = ""
    offset: int = 0


class Tally:
    """What a slice has found and counted, and the place it has come to."""

    def __init__(self, *, apply: bool) -> None:
        self.apply = apply
        self.findings: list[Finding] = []
        self.checked: Counter[str] = Counter()
        self.place = Place(0)


class Item(NamedTuple):
    """One thing to compare, from the second (Unix) it was made in. `key` tells it from others of that second."""

    second: int
    key: str
    kind: str
    look: Callable[[], None]


class Held(msgspec.Struct, kw_only=True, frozen=True):
    """What a comparison needs of an order, so that a window of them takes little memory."""

    id: str
    second: int
    status: PaymentStatus
    session: str | None = None
    provider: str | None = None
    currency: str = ""
    total: int = 0
    refunded: int = 0
    livemode: bool = False
    dispute: str | None = None
    settled: bool = True
    paid_twice: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()

    @property
    def received(self) -> bool:
        return self.status in RECEIVED


class _Order(msgspec.Struct):
    """What `held` reads of an order; to make the rest of it as well takes several times as long."""

    id: str
    created_at: Instant
    payment_status: PaymentStatus
    session_id: str | None = None
    payment: Payment | None = None
    attention: list[Attention] = []
    prints: list[Print] = []


def held(order: Order | _Order) -> Held:
    """The order, as far as it is compared. `settled` says that no bank has still to decide on it."""
    payment = order.payment
    dispute = payment.dispute if payment else None
    twice = tuple(item.subject for item in order.attention if item.code == "paid_twice")
    money = {
        "provider": payment.provider,
        "currency": payment.currency.upper(),
        "total": payment.amount_total,
        "refunded": payment.amount_refunded,
        "livemode": payment.livemode,
        "dispute": dispute.status if dispute else None,
        "settled": dispute is None or dispute.won or dispute.lost,
    }
    return Held(
        id=order.id,
        second=second_of(order.created_at),
        status=order.payment_status,
        session=order.session_id,
        paid_twice=twice,
        prints=tuple(one.number for one in order.prints if not one.let_go and one.status != CANCELLED),
        **(money if payment else {}),  # type: ignore[arg-type]
    )


def second_of(instant: Instant) -> int:
    """The Unix second an instant lies in."""
    return int(from_instant(instant).timestamp())


def orders_before(store: Store, until: int) -> tuple[list[Held], int]:
    """The orders made before `until` (Unix), newest first, and the second from which on they are all there.

    That is 0 when there are no older ones.
    """
    found: list[Held] = []
    last: tuple[str, str] | None = None
    while True:
        page = store.find(
            "orders", order_by="created_at", until=from_timestamp(until), descending=True, after=last, limit=ORDERS
        )
        found += [held(msgspec.convert(document, _Order)) for document in page]
        if len(page) < ORDERS:
            return found, 0
        last = page[-1]["created_at"], page[-1]["id"]
        if len(found) >= WINDOW and found[-1].second < found[0].second:
            return found, found[-1].second + 1


def whole_seconds(found: Sequence[Any], second: Callable[[Any], int], until: int) -> int | None:
    """From which second on a list that goes on, newest first, holds all that was made before `until`; None: of none."""
    last = second(found[-1]) + 1 if found else until
    return last if last < until else None


def work_through(items: Iterable[Item], lower: int, tally: Tally, go_on: Callable[[], bool]) -> Place | None:
    """Looks at the items from `tally.place` down to the second `lower`, and counts them.

    Where to go on: behind the last item, when `go_on` says no; else at `lower`, or None when that is 0.
    """
    start = tally.place
    left = sorted(
        (item for item in items if lower <= item.second < start.until and not _done(item, start)),
        key=lambda item: (-item.second, item.key),
    )
    for number, item in enumerate(left):
        if number and not go_on():
            return tally.place
        try:
            item.look()
        except (ProviderUnreadable, ProviderRefused) as error:
            if error.status in (401, 403):
                raise
            # One object must not keep all that is older from being compared.
            tally.findings.append(_not_compared(item, error))
        tally.checked[item.kind] += 1
        tally.place = Place(item.second + 1, item.key, start.offset)
    return Place(lower, "", start.offset) if lower else None


def _not_compared(item: Item, error: ProviderError) -> Finding:
    of_ours, name = item.key.split(" ", 1)
    return Finding(
        code="not_compared",
        text=f"{name} could not be compared: {error.message}",
        order=name if of_ours == "o" else None,
        object=None if of_ours == "o" else name,
        repair="no",
        command=commands.recover(),
    )


def _done(item: Item, start: Place) -> bool:
    return item.second == start.until - 1 and item.key <= start.key
