"""The truth about a payment by signed link: all that the provider's notifications have said about the order.

There is nobody to ask, so the order keeps every notice, and what they mean together does not depend on the order in
which they came: an attempt that was paid stays paid, whatever is said later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pushcart.clock import Clock, to_instant
from pushcart.domain import money
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Notice, Order
from pushcart.domain.payment import PaymentFacts
from pushcart.errors import ProviderRefused
from pushcart.providers import paylinks

#: Of one attempt, the word that counts; SUCCESS may be followed by a FAILURE that was on its way before.
_RANK = {"pending": 0, "failed": 1, "paid": 2}


class LinkPayments:
    """Implements `services.intake.Payments`. `notices` reads a provider's message as the inbox keeps it."""

    def __init__(self, provider: str, notices: Callable[[str], Sequence[Notice]], clock: Clock) -> None:
        self._provider = provider
        self._notices = notices
        self._clock = clock

    def order_id(self, session_id: str) -> str:
        """The order's id is the provider's name for the payment as well."""
        return session_id

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        """Its events always name the order itself."""
        return None

    def payment(self, session_id: str, order: Order | None, event: InboxEvent | None) -> PaymentFacts | None:
        """What the notices kept with the order and the one in `event` say together.

        None for an order that is not there, unless it was paid: `ProviderRefused`, because a human has to look.
        """
        said = [notice for notice in self._notices(event.body) if notice.order_id == session_id] if event else []
        if order is None or order.intent is None or order.payment is None:
            paid = next((notice for notice in said if notice.status == "paid"), None)
            if paid is None:
                return None
            got = money.plain(paid.amount, paid.currency)
            text = f"{got} arrived for {session_id}, which no checkout of this shop made (payment {paid.reference})"
            raise ProviderRefused(self._provider.capitalize(), text)
        return self._facts(order, merge([*order.payment.notices, *said]))

    def _facts(self, order: Order, notices: list[Notice]) -> PaymentFacts:
        assert order.intent is not None
        assert order.payment is not None
        intent = order.intent
        asked = intent.amount_total, intent.currency
        # What was asked for leads, so that it does not matter whether another sum came before or after it.
        paid = sorted(
            (notice for notice in notices if notice.status == "paid"),
            key=lambda notice: (notice.amount, notice.currency) != asked,
        )
        first, money = paid[0] if paid else None, self._money(order, notices)
        return PaymentFacts(
            provider=self._provider,
            session_id=order.id,
            created_at=order.created_at,
            money=money,
            currency=intent.currency,
            amount_subtotal=intent.amount_subtotal,
            amount_total=intent.amount_total,
            amount_discount=intent.amount_discount,
            amount_shipping=intent.amount_shipping,
            amount_received=first.amount if first else None,
            received_currency=first.currency if first else None,
            paid_at=first.at if first else None,
            order_id=order.id,
            payment_intent=first.reference if first else None,
            livemode=order.payment.livemode,
            pending=money == "unpaid" and bool(notices),
            notices=notices,
            paid_again=[notice.reference for notice in paid[1:]],
            buyer=order.buyer,
            shipping=order.shipping,
            lines=copy.deepcopy(intent.lines),
        )

    def _money(self, order: Order, notices: list[Notice]) -> Literal["paid", "unpaid", "expired", "failed"]:
        said = {notice.status for notice in notices}
        if "paid" in said:
            return "paid"
        if "pending" in said:
            return "unpaid"
        assert order.intent is not None
        if order.intent.expires_at is not None and order.intent.expires_at <= to_instant(self._clock()):
            return "expired"
        return "failed" if said else "unpaid"


def every(clock: Clock) -> dict[str, LinkPayments]:
    """One for each provider there is, by name; a provider's module is imported with its first event."""

    def reader(name: str) -> Callable[[str], Sequence[Notice]]:
        return lambda text: paylinks.provider(name).notices(text)

    return {name: LinkPayments(name, reader(name), clock) for name in paylinks.known()}


def merge(notices: Iterable[Notice]) -> list[Notice]:
    """One notice for each attempt, the one that counts, in a fixed order; the first payment leads."""
    best: dict[str, Notice] = {}
    for notice in notices:
        known = best.get(notice.reference)
        if known is None or _weight(notice) > _weight(known):
            best[notice.reference] = notice
    return sorted(best.values(), key=lambda notice: (notice.at or "", notice.reference))


def _weight(notice: Notice) -> tuple[int, str, int, str]:
    return _RANK[notice.status], notice.at or "", notice.amount, notice.currency
