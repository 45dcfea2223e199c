"""An event in the inbox: what a provider told us, kept whole, and how far we are with it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pushcart.clock import Instant


class EventStatus(StrEnum):
    """`pending` will be applied; `ignored` is not this shop's; `dead` waits for the owner."""

    PENDING = "pending"
    APPLIED = "applied"
    IGNORED = "ignored"
    DEAD = "dead"


class InboxEvent(msgspec.Struct, kw_only=True):
    """One event. `id` is `source:event_id`, so that a second delivery finds the first.

    `object_type` and `object_id` name what it is about, `payment_intent` and `charge` what that belongs to.
    `alarm` says that the owner has to hear of it, `told_owner` that they have.
    """

    id: str
    version: int = 0
    source: str
    event_id: str
    type: str
    object_type: str | None = None
    object_id: str | None = None
    payment_intent: str | None = None
    charge: str | None = None
    api_version: str | None = None
    livemode: bool = False
    created_at: Instant | None = None
    received_at: Instant
    status: EventStatus = EventStatus.PENDING
    due_at: Instant | None = None
    attempts: int = 0
    deferrals: int = 0
    error: str | None = None
    order_id: str | None = None
    done_at: Instant | None = None
    alarm: bool = False
    told_owner: bool = False
    notices: int = 0
    body: str

    @property
    def wants_telling(self) -> bool:
        """Whether the owner has still to hear of it."""
        return self.alarm and not self.told_owner
