"""A notification of a payment provider becomes events in the inbox: verify, one durable write each, then confirm.

Which provider that is, `PayLinks` hides: nothing here knows one.
"""

from __future__ import annotations

from pushcart.clock import Clock, to_instant
from pushcart.crash import Point, point
from pushcart.domain.event import InboxEvent
from pushcart.providers.paylinks import Message, Notice, PayLinks
from pushcart.repositories import Counters, Inbox
from pushcart.services.webhook import Receipt


class Notifications:
    """Takes in one notification at a time. `livemode` is this installation's mode; the providers do not say theirs."""

    def __init__(self, inbox: Inbox, counters: Counters, clock: Clock, provider: PayLinks, *, livemode: bool) -> None:
        self._inbox = inbox
        self._counters = counters
        self._clock = clock
        self._provider = provider
        self._livemode = livemode

    def receive(self, body: bytes) -> Receipt:
        """Stores what the notification says, each thing once, and confirms it however often it comes.

        Raises what the provider's `receive` does (4xx) and `StoreUnavailable` (503), and then nothing is confirmed.
        """
        message = self._provider.receive(body)
        events = [self._event(message, notice) for notice in message.notices]
        new = [event.id for event in events if self._inbox.add(event)]
        point(Point.EVENT_STORED)
        if len(new) < len(events):
            self._counters.add(f"{self._provider.name}.duplicate")
        return Receipt(new, self._provider.confirmation(message))

    def _event(self, message: Message, notice: Notice) -> InboxEvent:
        now = to_instant(self._clock())
        event_id = f"{notice.order_id}.{notice.reference}.{notice.status}"
        return InboxEvent(
            id=f"{self._provider.name}:{event_id}",
            source=self._provider.name,
            event_id=event_id,
            type=f"payment.{notice.status}",
            object_type="payment",
            object_id=notice.order_id,
            livemode=self._livemode,
            created_at=notice.at,
            received_at=now,
            due_at=now,
            body=message.text,
        )
