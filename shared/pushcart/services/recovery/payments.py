"""The payments' part of a recovery: every completed session of Stripe's against its order, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pushcart.clock import Clock, to_instant
from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Order
from pushcart.domain.payment import PaymentFacts
from pushcart.providers.stripe_listing import ListedSession, StripeListing
from pushcart.repositories import Orders
from pushcart.services.catchup import seen
from pushcart.services.catchup.payments import order_of
from pushcart.services.intake import foreign
from pushcart.services.recovery.findings import Finding
from pushcart.services.recovery.repairs import Repairs
from pushcart.services.recovery.walk import (
    WINDOW,
    Held,
    Item,
    Place,
    Tally,
    held,
    orders_before,
    whole_seconds,
    work_through,
)
from pushcart.store import Store

#: Sessions without an order near them, after which no more are listed: each costs a request of its own.
MOST_UNKNOWN = 100


class Reader(Protocol):
    """Reads one payment whole."""

    def payment(self, session_id: str) -> PaymentFacts | None:
        """What Stripe says now about this session; None when it takes no money."""


class PaymentsPhase:
    """`livemode` is this installation's mode."""

    def __init__(
        self,
        listing: StripeListing,
        reader: Reader,
        store: Store,
        repairs: Repairs,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
        *,
        livemode: bool,
    ) -> None:
        self._listing = listing
        self._reader = reader
        self._store, self._orders = store, Orders(store)
        self._repairs = repairs
        self._catalogue = catalogue
        self._clock = clock
        self._livemode = livemode

    def window(self, place: Place, tally: Tally, go_on: Callable[[], bool]) -> Place | None:
        """See `slices.Phase`."""
        orders, orders_from = orders_before(self._store, place.until)
        near = _Near(orders)
        sessions, sessions_from = self._sessions(orders_from, place.until, near)
        listed = {session.id for session in sessions}
        items = [
            Item(one.created, f"s {one.id}", "sessions", lambda one=one: self._session(one, near, tally))  # type: ignore[misc]
            for one in sessions
        ]
        items += [
            Item(one.second, f"o {one.id}", "orders", lambda one=one: self._order(one, listed, tally))  # type: ignore[misc]
            for one in orders
        ]
        return work_through(items, max(orders_from, sessions_from), tally, go_on)

    def _sessions(self, since: int, until: int, near: _Near) -> tuple[list[ListedSession], int]:
        """Completed sessions created in [since, until), and the second from which on they are all there."""
        found: list[ListedSession] = []
        after, unknown = None, 0
        while True:
            page = self._listing.sessions(since=since or None, until=until, after=after, charges=True)
            found += page.items
            unknown += sum(near.of(session) is None for session in page.items)
            after = page.last
            if after is None:
                return found, 0
            whole = whole_seconds(found, lambda session: session.created, until)
            if whole is not None and (len(found) >= WINDOW or unknown >= MOST_UNKNOWN):
                return found, whole

    def _session(self, session: ListedSession, near: _Near, tally: Tally) -> None:
        order = near.of(session) or _held(order_of(session, self._orders))
        if order is None:
            if session.paid and session.mode == "payment" and session.livemode == self._livemode:
                self._without_order(session, tally)
            return
        amount = money.plain(session.amount_total, session.currency)
        if not session.paid:
            if order.received and order.session == session.id:
                self._not_paid(session, order, tally)
            return
        if order.received and order.session != session.id:
            if session.id not in order.paid_twice:
                self._again("paid_twice", f"{amount} were paid a second time for this order", session, order, tally)
            return
        if session.livemode != self._livemode:
            tally.findings.append(self._wrong_mode(order, session.id))
        elif not order.received:
            text = f"{amount} were paid, but the order is {order.status}"
            self._again("order_not_paid", text, session, order, tally)
        else:
            self._amounts(session, order, tally)

    def _amounts(self, session: ListedSession, order: Held, tally: Tally) -> None:
        currency = session.currency
        theirs, ours = money.plain(session.amount_total, currency), money.plain(order.total, order.currency)
        if theirs != ours:
            self._again("amount_differs", f"{theirs} at Stripe, {ours} here", session, order, tally)
            return
        if session.refunded is not None and session.refunded != order.refunded:
            theirs, ours = money.plain(session.refunded, currency), money.plain(order.refunded, currency)
            self._again("refund_differs", f"{theirs} refunded at Stripe, {ours} here", session, order, tally)
        elif session.disputed is not None and session.disputed != (order.dispute is not None):
            text = "disputed at Stripe, not here" if session.disputed else "disputed here, not at Stripe"
            self._again("dispute_differs", text, session, order, tally)
        elif not order.settled:
            # The list does not say how a dispute stands, and there are few of them.
            facts = self._reader.payment(session.id)
            status = facts.dispute.status if facts and facts.dispute else "gone"
            if status != order.dispute:
                text = f"the dispute is {status} at Stripe, {order.dispute} here"
                self._again("dispute_differs", text, session, order, tally, status)

    def _without_order(self, session: ListedSession, tally: Tally) -> None:
        """A payment that made no order: a loss, unless somebody else on this account sells it."""
        catalogue = self._catalogue()
        theirs = session.payment_link in catalogue.stripe.ignore
        facts = None if theirs else self._reader.payment(session.id)
        if facts is None or foreign(facts, catalogue, ours=bool(facts.order_id)):
            tally.checked["foreign"] += 1
            return
        amount = money.plain(session.amount_total, session.currency)
        event = self._seen(session, "no order")
        finding = self._repairs.by_event(
            "paid_without_order",
            f"{amount} were paid, but there is no order",
            event,
            order=session.order_id,
            lost=True,
            apply=tally.apply,
        )
        tally.findings.append(finding)

    def _order(self, order: Held, listed: set[str], tally: Tally) -> None:
        """An order that counts as paid by Stripe, and whose session was not in the list."""
        if not order.received or order.provider != "stripe" or order.session is None or order.session in listed:
            return
        if order.livemode != self._livemode:
            tally.findings.append(self._wrong_mode(order, order.session))
            return
        session = self._listing.session(order.session) if _askable(order.session) else None
        if session is None:
            text = f"{money.plain(order.total, order.currency)} are noted as paid, but Stripe knows no {order.session}"
            finding = self._repairs.by_hand("order_unknown_to_stripe", text, order=order.id, object=order.session)
            tally.findings.append(finding)
        elif not session.paid:
            self._not_paid(session, order, tally)

    def _not_paid(self, session: ListedSession, order: Held, tally: Tally) -> None:
        text = f"the order is {order.status}, but Stripe says that nothing was paid"
        self._again("not_paid_at_stripe", text, session, order, tally)

    def _again(
        self, code: str, text: str, session: ListedSession, order: Held, tally: Tally, *seen_besides: str
    ) -> None:
        """A difference that ends when the payment is read again."""
        ours = (order.id, order.status, order.total, order.refunded, order.dispute)
        event = self._seen(session, code, ours, *seen_besides)
        tally.findings.append(self._repairs.by_event(code, text, event, order=order.id, apply=tally.apply))

    def _seen(self, session: ListedSession, *ours: object) -> InboxEvent:
        what = seen.digest(session, *ours)
        return seen.session_seen(session, what, to_instant(self._clock()))

    def _wrong_mode(self, order: Held, session_id: str) -> Finding:
        mode = "test" if self._livemode else "live"
        text = f"{session_id} was paid in {mode} mode, and this shop is not in it"
        return self._repairs.by_hand("wrong_mode", text, order=order.id, object=session_id)


class _Near:
    """The orders of a window, by their session and by their id."""

    def __init__(self, orders: list[Held]) -> None:
        self._by_session = {order.session: order for order in orders if order.session}
        self._by_id = {order.id: order for order in orders}

    def of(self, session: ListedSession) -> Held | None:
        found = self._by_session.get(session.id)
        return found or (self._by_id.get(session.order_id) if session.order_id else None)


def _held(order: Order | None) -> Held | None:
    return None if order is None else held(order)


def _askable(session_id: str) -> bool:
    """Whether it can be part of an address."""
    return session_id.replace("_", "").isalnum() and session_id.isascii()
