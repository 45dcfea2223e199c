"""A webhook of Stripe's becomes an event in the inbox: signature, mode, type, then one durable write.

https://docs.stripe.com/webhooks
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import stripe

from pushcart.clock import Clock, from_timestamp, to_instant
from pushcart.crash import Point, point
from pushcart.domain.event import InboxEvent
from pushcart.errors import BadRequest, BadSignature, ConfigurationError, WrongMode
from pushcart.repositories import Counters, Inbox

#: Seconds a signature may be old, as Stripe's libraries have it. The SDK does not look at the future, so we do.
TOLERANCE = 300

#: The events this shop acts on; the webhook endpoint should be subscribed to these.
EVENT_TYPES = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "charge.refunded",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
    }
)


#: An id of Stripe's: no database is asked for anything else.
Id = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")]


class StripeObject(msgspec.Struct):
    """The few fields of an event's object that say what it is about; the rest is read from Stripe itself."""

    id: Id
    object: Id
    payment_intent: str | dict[str, Any] | None = None
    charge: str | dict[str, Any] | None = None


class StripeData(msgspec.Struct):
    """The `data` of an event; its object is decoded only for the types we act on."""

    object: msgspec.Raw


class StripeEvent(msgspec.Struct):
    """An event as Stripe sends it, as far as the inbox needs it."""

    id: Id
    type: Id
    livemode: bool
    data: StripeData
    created: Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)] | None = None  # up to the year 9999
    api_version: str | None = None


class StripeInbox:
    """Takes in one signed webhook at a time. `livemode` is this installation's mode."""

    def __init__(self, inbox: Inbox, counters: Counters, clock: Clock, *, livemode: bool) -> None:
        self._inbox = inbox
        self._counters = counters
        self._clock = clock
        self._livemode = livemode

    def receive(self, body: bytes, signature: str | None, secrets: Sequence[str]) -> str | None:
        """Verifies and stores the event; the id of a new event of ours, or None when there is nothing to do.

        Raises `BadSignature`, `BadRequest`, `WrongMode` (all 400) and `StoreUnavailable` (503).
        """
        verify(body, signature, secrets)
        return self.take(body)

    def take(self, body: bytes, *, listed: bool = False) -> str | None:
        """Stores an event that is known to be Stripe's, as `receive` does.

        One that is `listed` at Stripe comes again with every listing: that is no duplicate, and costs no write.
        """
        try:
            event = msgspec.json.decode(body, type=StripeEvent)
            ours = event.type in EVENT_TYPES
            about = msgspec.json.decode(event.data.object, type=StripeObject) if ours else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The body is signed but is no Stripe event: {error}") from None
        if event.livemode != self._livemode:
            here, there = ("live", "test") if self._livemode else ("test", "live")
            raise WrongMode(f"A {there} event at a {here} installation; check stripe_mode and the endpoint's address.")
        if about is None:
            self._counters.add(f"stripe.unneeded.{event.type}")
            return None
        if listed and self._inbox.get(f"stripe:{event.id}") is not None:
            return None
        stored = self._inbox.add(self._event(event, about, body))
        point(Point.EVENT_STORED)
        if not stored and not listed:
            self._counters.add("stripe.duplicate")
        return f"stripe:{event.id}" if stored else None

    def _event(self, event: StripeEvent, about: StripeObject, body: bytes) -> InboxEvent:
        now = to_instant(self._clock())
        return InboxEvent(
            id=f"stripe:{event.id}",
            source="stripe",
            event_id=event.id,
            type=event.type,
            object_type=about.object,
            object_id=about.id,
            payment_intent=_id(about.payment_intent),
            charge=about.id if about.object == "charge" else _id(about.charge),
            api_version=event.api_version,
            livemode=event.livemode,
            created_at=from_timestamp(event.created) if event.created else None,
            received_at=now,
            due_at=now,
            body=body.decode(),
        )


def verify(
    body: bytes, signature: str | None, secrets: Sequence[str], wall_time: Callable[[], float] = time.time
) -> None:
    """Returns when one of the secrets signed exactly these bytes within the tolerance; else `BadSignature`.

    The time is the machine's own, not the injected one, because the SDK compares with that.
    """
    if not secrets or not all(secrets):
        raise ConfigurationError(["the secret stripe-webhook-secret is empty; an empty key would accept anybody"])
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8 text.") from None
    if not signature:
        raise BadSignature("There is no Stripe-Signature; this address is for Stripe's webhooks.")
    stamped = re.search(r"(?:^|,)t=([0-9]{1,12})(?:,|$)", signature)
    if not stamped or not signature.isascii():
        raise BadSignature("The Stripe-Signature does not fit: it should look like t=...,v1=...")
    reason = ""
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance=TOLERANCE)
        except stripe.SignatureVerificationError as error:
            reason = str(error)
        else:
            break
    else:
        raise BadSignature(f"The Stripe-Signature does not fit: {reason}")
    if int(stamped[1]) > wall_time() + TOLERANCE:
        raise BadSignature("The Stripe-Signature is from the future; check this machine's clock.")


def _id(value: str | dict[str, Any] | None) -> str | None:
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
