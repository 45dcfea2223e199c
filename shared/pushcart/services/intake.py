"""From an event in the inbox to the order it is about: read the payment, change the order, mark the event."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from pushcart.clock import Clock, Instant, later, to_instant
from pushcart.crash import Point, point
from pushcart.domain import attention, payment, planning, steps
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order, Payment, PaymentStatus, Phase
from pushcart.domain.payment import PaymentFacts
from pushcart.domain.retry import MAX_DEFERRALS, next_attempt, put_off
from pushcart.errors import ProviderBusy, ProviderRefused, PushcartError, StoreUnavailable
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services.stock import Stock

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What an order's id may look like; Printful's limit for `external_id`, the narrowest of all.
ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


#: What an event's object may be when its id is the session's itself.
PAYMENTS = frozenset({"checkout.session", "payment"})

#: Seconds until a payment is looked at again whose provider did not answer.
CHECK_AGAIN = 600

#: Seconds before a cart in which a reminder was sent, or something bought, that make another reminder a nuisance.
REMIND_ONCE_IN = 7 * 86_400


class Payments(Protocol):
    """Where the truth about a payment is read; one adapter for each payment provider."""

    def order_id(self, session_id: str) -> str:
        """The id of the order that a payment makes which no checkout of ours began."""

    def payment(self, session_id: str, order: Order | None, event: InboxEvent | None) -> PaymentFacts | None:
        """What the provider says now, or None when it is no payment.

        `order` and `event` are what is known of it, for a provider that cannot be asked.
        """

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        """The session behind a payment, or None when it is not this shop's."""


class Intake:
    """Applies events: those of the payment providers, `payments` by the name that events have as their source.

    `others` apply the events of other sources: each gives the order that an event is about, changed and saved, or None
    when it is not this shop's.
    """

    def __init__(
        self,
        orders: Orders,
        inbox: Inbox,
        counters: Counters,
        payments: Mapping[str, Payments],
        stock: Stock,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
        random_source: random.Random,
        others: Mapping[str, Callable[[InboxEvent], Order | None]] = {},
    ) -> None:
        self._orders = orders
        self._inbox = inbox
        self._counters = counters
        self._payments = payments
        self._stock = stock
        self._catalogue = catalogue
        self._clock = clock
        self._random = random_source
        self._others = others

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
            order = _attempt(lambda: self._order_of(event))
        except StoreUnavailable:
            raise
        except PushcartError as error:
            self._failed(event, error)
            return None
        point(Point.ORDER_WRITTEN)
        event.status = EventStatus.IGNORED if order is None else EventStatus.APPLIED
        event.order_id = order.id if order else None
        event.due_at, event.error = None, None
        event.done_at = to_instant(self._clock())
        # A lost race means that another thread applied the same event with the same outcome.
        if self._inbox.save(event) and order is None:
            self._counters.add(f"{event.source}.foreign.{event.type}")
        point(Point.EVENT_APPLIED)
        return event.order_id

    def check(self, order_id: str) -> str | None:
        """Looks at the payment of an unpaid checkout whose time has come; the order's id when it changed.

        A provider that cannot be asked is asked again in ten minutes, for two weeks; then a human has to look.
        """
        order = self._orders.get(order_id)
        now = to_instant(self._clock())
        if order is None or order.payment is None or order.check_at is None or order.check_at > now:
            return None
        try:
            provider, session_id = order.payment.provider, order.session_id or ""
            _attempt(lambda: self.sync(provider, session_id, "a look at the payment", known=order.id))
        except StoreUnavailable:
            raise
        except PushcartError as error:
            self._look_again(order, now, error.message)
        return order_id

    def _look_again(self, order: Order, now: Instant, why: str) -> None:
        log.warning("the payment of order %s could not be looked at: %s", order.id, why)

        def put_off_the_look(fresh: Order) -> None:
            if fresh.check_at != order.check_at:
                return
            fresh.check_at = later(now, CHECK_AGAIN)
            if later(fresh.created_at, payment.CHECK_FOR) <= now:
                fresh.check_at = None
                text = f"for two weeks it could not be found out whether this was paid: {why}"
                attention.require(fresh, "payment_unknown", "", text, now)
            steps.settle(fresh, now)

        self._stock.follow(self._orders.change(order.id, put_off_the_look))

    def sync(
        self,
        provider: str,
        session_id: str,
        cause: str,
        event: InboxEvent | None = None,
        known: str | None = None,
    ) -> Order | None:
        """Reads the payment and makes its order say the same; None when it is not this shop's.

        `event` is what made us look, `known` the id of the order when it is known.

        The order is read before the payment, so a change saved meanwhile is never overwritten with older news.
        """
        payments = self._payments[provider]
        order_id = known or payments.order_id(session_id)
        while True:
            order = (self._orders.by_session(session_id) if session_id else None) or self._orders.get(order_id)
            facts = payments.payment(session_id, order, event) if session_id else _never_began(order)
            if facts is None:
                return None
            if order is None and facts.order_id and facts.order_id != order_id and ORDER_ID.fullmatch(facts.order_id):
                order_id = facts.order_id
                continue  # a checkout of ours made it under this id: look for that order first, then read again
            now = to_instant(self._clock())
            if order is None:
                if foreign(facts, self._catalogue(), ours=bool(facts.order_id)):
                    return None
                order = Order(id=order_id, created_at=facts.created_at, updated_at=now)
                order.note(event.received_at if event else now, f"received {cause}", facts.provider)
            if not self._change(order, facts, now, cause):
                return order
            self._follow(order, now)
            if self._save(order):
                return order

    def _follow(self, order: Order, now: Instant) -> None:
        """Has the stock say what the order will say: before it is saved, so that whoever dies between does it again."""
        over = self._stock.follow(order)
        if over:
            names = ", ".join(f"{short.sku} {short.choice}".strip() for short in over)
            attention.require(order, "oversold", names, f"more was sold of {names} than there is in stock", now)
            steps.settle(order, now)

    def _change(self, order: Order, facts: PaymentFacts, now: Instant, cause: str) -> bool:
        """Changes the order in memory; False when these facts are about a session the order does not count on."""
        paid = facts.money in ("paid", "no_payment_required")
        known = order.payment_status in payment.RECEIVED
        if order.session_id in (None, facts.session_id) or (paid and not known):
            before = order.payment_status
            payment.update(order, facts, self._catalogue(), now, cause)
            if order.payment_status is PaymentStatus.EXPIRED is not before:
                self._remind(order, now)
            return True
        if not paid:
            return False  # an abandoned second checkout of the same cart
        text = f"the checkout session {facts.session_id} paid for this order a second time"
        attention.require(order, "paid_twice", facts.session_id, text, now)
        steps.settle(order, now)
        return True

    def _remind(self, order: Order, now: Instant) -> None:
        """Plans one mail about a cart that was left, for a buyer who asked for it and whom it would not annoy."""
        template = self._catalogue().checkout.reminder
        if not (template and order.intent and order.intent.remind and order.email):
            return
        others = self._orders.list({"email": order.email}, since=later(order.created_at, -REMIND_ONCE_IN)).items
        if any(_needless(other, order) for other in others):
            return
        planning.plan_reminder(order, template, now)
        steps.settle(order, now)

    def _save(self, order: Order) -> bool:
        return self._orders.save(order) if order.version else self._orders.add(order)

    def _order_of(self, event: InboxEvent) -> Order | None:
        if event.source in self._others:
            return self._others[event.source](event)
        if event.object_type in PAYMENTS:
            session_id = event.object_id
        else:
            order = self._orders.by_payment_intent(event.payment_intent) if event.payment_intent else None
            payments = self._payments[event.source]
            session_id = order.session_id if order else payments.session_of(event.payment_intent, event.charge)
        return self.sync(event.source, session_id, event.type, event) if session_id else None

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


def _attempt(job: Callable[[], T]) -> T:
    """What `job` gives. A mistake of ours becomes a `PushcartError`, so that it is counted, ends, and is told."""
    try:
        return job()
    except PushcartError:
        raise
    except Exception as error:
        log.exception("a mistake of ours")
        raise PushcartError(f"a mistake in Pushcart ({type(error).__name__}); see order-store's log") from error


def _never_began(order: Order | None) -> PaymentFacts | None:
    """The facts of a checkout that stopped before its buyer was given anywhere to pay."""
    if order is None or order.intent is None or order.payment is None:
        return None
    fields = {name: getattr(order.payment, name) for name in Payment.__struct_fields__}
    return PaymentFacts(
        **fields, created_at=order.created_at, money="expired", order_id=order.id, buyer=order.buyer, lines=order.lines
    )


def _needless(other: Order, order: Order) -> bool:
    """Whether `other` of the same buyer makes a reminder of `order` needless: bought, reminded of, or a later cart.

    Of two carts that end at the same moment only the later is reminded of, whoever looks first.
    """
    if other.id == order.id:
        return False
    newer = other.intent is not None and (other.created_at, other.id) > (order.created_at, order.id)
    reminded = any(step.phase is Phase.REMINDER for step in other.steps)
    return newer or reminded or other.payment_status in payment.RECEIVED


def foreign(facts: PaymentFacts, catalogue: Catalogue, *, ours: bool) -> bool:
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
