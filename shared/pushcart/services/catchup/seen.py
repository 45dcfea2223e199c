"""What we saw at a provider ourselves goes the way of what it tells us: as an event in the inbox, each once.

The id says what was seen, so that whoever sees the same again finds the event there.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from pushcart.clock import Instant
from pushcart.domain.event import InboxEvent
from pushcart.domain.parcels import PrintFacts
from pushcart.providers.stripe_listing import ListedSession
from pushcart.services.prints import SOURCE


def digest(*parts: Any) -> str:
    """16 letters and digits that stand for what was seen."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def session_seen(session: ListedSession, what: str, now: Instant) -> InboxEvent:
    """That this Checkout Session was found in a list; `what` ends the event's id."""
    return InboxEvent(
        id=f"stripe:seen.{session.id}.{what}",
        source="stripe",
        event_id=f"seen.{session.id}.{what}",
        type="checkout.session.seen",
        object_type="checkout.session",
        object_id=session.id,
        livemode=session.livemode,
        received_at=now,
        due_at=now,
        body=msgspec.json.encode({"id": session.id, "object": "checkout.session"}).decode(),
    )


def print_seen(facts: PrintFacts, now: Instant) -> InboxEvent:
    """That this order of Printful's was found in a list, in the state it has there."""
    costs = msgspec.to_builtins(facts.costs)
    what = digest(facts.status, sorted(parcel.key for parcel in facts.parcels), facts.updated_at, costs)
    named = {"id": facts.number, "external_id": facts.external_id, "status": facts.status}
    return InboxEvent(
        id=f"{SOURCE}:seen.{facts.number}.{what}",
        source=SOURCE,
        event_id=f"seen.{facts.number}.{what}",
        type="order_seen",
        object_type="print",
        object_id=facts.number,
        livemode=True,
        received_at=now,
        due_at=now,
        body=msgspec.json.encode({"type": "order_seen", "data": {"order": named}}).decode(),
    )
