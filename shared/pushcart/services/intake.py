"""From an event in the inbox to the order it is about: read the payment, change the order, mark the event."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from typing import Protocol

from pushcart.clock import Clock, Instant, to_instant
from pushcart.crash import Point, point
from pushcart.domain import attention, payment, steps
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.domain.payment import PaymentFacts
from pushcart.domain.retry import MAX_DEFERRALS, next_attempt, put_off
from pushcart.errors import ProviderBusy, ProviderRefused, PushcartError, StoreUnavailable
from pushcart.repositories import Counters, Inbox, Orders

log = logging.getLogger(__name__)

#: What an order's id may look like; Printful's limit for `external_id`, the narrowest of all.
ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Payments(Protocol):
    """Where the truth about a payment is read; one adapter for each payment provider."""

    def payment(self, session_id: str) -> PaymentFacts | None:
        """What the provider says now, or None when it is no payment."""

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        """The session behind a payment, or None when it is not this shop's."""


class Intake:
    """Applies events of one payment provider. `order_id` derives an order's id from its session's."""

    def __init__(
        self,
        orders: Orders,
        inbox: Inbox,
        counters: Counters,
        payments: Payments,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
        order_id: Callable[[str], str],
        random_source: random.Random,
    ) -> None:
        self._orders = orders
        self._inbox = inbox
        self._counters = counters
        self._payments = payments
        self._catalogue = catalogue
        self._clock = clock
        self._order_id = order_id
        self._random = random_source

    def apply(self, event_id: str) -> str | None:
        """Applies the event if it is still pending; the id of the order it changed, or None.

        An error of the provider or the shop's file leaves the event pending for a later attempt, and dead
        after the last; a refusal for good is tried again as well, but the owner hears of it at once.
        `StoreUnavailable` is the caller's: nothing was noted.
        """
        event = self._inbox.get(event_id)
        if event is None or event.status is not EventStatus.PENDING:
            return None
        point(Point.EVENT_READ)
        try:
            order = self._order_of(event)
        except StoreUnavailable:
            raise
        except PushcartError as error:
            self._failed(event, error)
            return None
        except Exception as error:
            # A mistake of ours must not make one event fail for ever in silence: it ends dead, and the owner is told.
            log.exception("event %s cannot be applied", event.id)
            self._failed(event, PushcartError(f"a mistake in Pushcart ({type(error).__name__}); see order-store's log"))
            return None
        point(Point.ORDER_WRITTEN)
        event.status = EventStatus.IGNORED if order is None else EventStatus.APPLIED
        event.order_id = order.id if order else None
        event.due_at, event.error = None, None
        event.done_at = to_instant(self._clock())
        # A lost race means that another thread applied the same event with the same outcome.
        if self._inbox.save(event) and order is None:
            self._counters.add(f"stripe.foreign.{event.type}")
        point(Point.EVENT_APPLIED)
        return event.order_id

    def sync(self, session_id: str, cause: str, received_at: Instant | None = None) -> Order | None:
        """Reads the payment and makes its order say the same; None when it is not this shop's.

        `received_at` is when the event came in that is about to make a new order, for its timeline.

        The order is read before the payment, so a change saved meanwhile is never overwritten with older news.
        """
        order_id = self._order_id(session_id)
        while True:
            order = self._orders.by_session(session_id) or self._orders.get(order_id)
            facts = self._payments.payment(session_id)
            if facts is None:
                return None
            if order is None and facts.order_id and facts.order_id != order_id and ORDER_ID.fullmatch(facts.order_id):
                order_id = facts.order_id
                continue  # a checkout of ours made it under this id: look for that order first, then read again
            now = to_instant(self._clock())
            if order is None:
                if _foreign(facts, self._catalogue(), ours=bool(facts.order_id)):
                    return None
                order = Order(id=order_id, created_at=facts.created_at, updated_at=now)
                order.note(received_at or now, f"received {cause}", facts.provider)
            if not self._change(order, facts, now, cause) or self._save(order):
                return order

    def _change(self, order: Order, facts: PaymentFacts, now: Instant, cause: str) -> bool:
        """Changes the order in memory; False when these facts are about a session the order does not count on."""
        paid = facts.money in ("paid", "no_payment_required")
        known = order.payment_status in payment.RECEIVED
        if order.session_id in (None, facts.session_id) or (paid and not known):
            payment.update(order, facts, self._catalogue(), now, cause)
            return True
        if not paid:
            return False  # an abandoned second checkout of the same cart
        text = f"the checkout session {facts.session_id} paid for this order a second time"
        attention.require(order, "paid_twice", facts.session_id, text, now)
        steps.settle(order, now)
        return True

    def _save(self, order: Order) -> bool:
        return self._orders.save(order) if order.version else self._orders.add(order)

    def _order_of(self, event: InboxEvent) -> Order | None:
        if event.object_type == "checkout.session":
            session_id = event.object_id
        else:
            order = self._orders.by_payment_intent(event.payment_intent) if event.payment_intent else None
            session_id = order.session_id if order else self._payments.session_of(event.payment_intent, event.charge)
        return self.sync(session_id, event.type, event.received_at) if session_id else None

    def _failed(self, event: InboxEvent, error: PushcartError) -> None:
        now = to_instant(self._clock())
        event.error = error.message
        retry_after = getattr(error, "retry_after", None)
        if isinstance(error, ProviderBusy) and event.deferrals < MAX_DEFERRALS:
            event.deferrals += 1
            event.due_at = put_off(now, retry_after)
        else:
            event.attempts += 1
            event.due_at = next_attempt(event.attempts, now, self._random, retry_after)
            event.alarm = event.alarm or isinstance(error, ProviderRefused)
        if event.due_at is None:
            event.status, event.done_at = EventStatus.DEAD, now
            event.alarm, event.told_owner = True, False
            event.due_at = now  # once more, for the notice to the owner
        log.warning("event %s not applied, attempt %d: %s", event.id, event.attempts, error.message)
        self._inbox.save(event)


def _foreign(facts: PaymentFacts, catalogue: Catalogue, *, ours: bool) -> bool:
    """Whether somebody else on this Stripe account sells this.

    shop.yml may say so. Money that came in for something unknown is kept for the owner to see; a session that
    nobody paid for and that has nothing of this shop in it is not.
    """
    ignored = set(catalogue.stripe.ignore)
    if facts.payment_link in ignored:
        return True
    if facts.lines and all(ignored & {line.price_id, line.product_id} for line in facts.lines):
        return True
    unpaid = payment.status_of(facts) not in payment.RECEIVED
    return unpaid and not ours and not any(payment.sku_of(line, facts, catalogue) for line in facts.lines)
