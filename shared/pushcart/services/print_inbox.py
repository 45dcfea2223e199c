"""A webhook of Printful's becomes an event in the inbox: address, shape, type, then one durable write.

Printful does not sign its webhooks, so the last part of their address is a secret, and nothing in them is believed: the
order they name is read again before anything changes. https://developers.printful.com/docs/#tag/Webhook-API
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from pushcart.clock import Clock, from_timestamp, to_instant
from pushcart.crash import Point, point
from pushcart.domain.event import InboxEvent
from pushcart.errors import BadRequest, ConfigurationError, Unauthorised
from pushcart.providers.printful_shapes import EVENT_TYPES, PROVIDER, Id, Seconds
from pushcart.repositories import Counters, Inbox


class Named(msgspec.Struct):
    """What an event's order is found by; the rest is read from Printful itself."""

    id: Id


class About(msgspec.Struct):
    order: Named


class PrintfulEvent(msgspec.Struct):
    """A message as Printful sends it, as far as the inbox needs it; `data` is decoded for the types we act on."""

    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,60}\Z")]
    data: msgspec.Raw
    created: Seconds | None = None


class PrintInbox:
    """Takes in one webhook at a time. `livemode` is this installation's mode; Printful has none."""

    def __init__(self, inbox: Inbox, counters: Counters, clock: Clock, *, livemode: bool) -> None:
        self._inbox = inbox
        self._counters = counters
        self._clock = clock
        self._livemode = livemode

    def receive(self, body: bytes) -> str | None:
        """Stores the event; the id of a new one of ours, or None when there is nothing to do.

        Raises `BadRequest` (400) and `StoreUnavailable` (503).
        """
        try:
            event = msgspec.json.decode(body, type=PrintfulEvent)
            ours = event.type in EVENT_TYPES
            about = msgspec.json.decode(event.data, type=About) if ours else None
            text, said = body.decode(), msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"The body is no message of Printful's: {error}") from None
        if about is None:
            self._counters.add(f"{PROVIDER}.unneeded.{event.type}")
            return None
        kept = self._event(event, about.order.id, fingerprint(said), text)
        stored = self._inbox.add(kept)
        point(Point.EVENT_STORED)
        if not stored:
            self._counters.add(f"{PROVIDER}.duplicate")
        return kept.id if stored else None

    def _event(self, event: PrintfulEvent, number: int, hash: str, text: str) -> InboxEvent:
        now = to_instant(self._clock())
        event_id = f"{event.type}.{number}.{hash}"
        return InboxEvent(
            id=f"{PROVIDER}:{event_id}",
            source=PROVIDER,
            event_id=event_id,
            type=event.type,
            object_type="print",
            object_id=str(number),
            livemode=self._livemode,
            created_at=from_timestamp(event.created) if event.created is not None else None,
            received_at=now,
            due_at=now,
            body=text,
        )


def fingerprint(message: dict[str, Any]) -> str:
    """16 hexadecimal digits that are the same for every delivery of a message, whichever attempt it was."""
    once = {name: value for name, value in message.items() if name != "retries"}
    return hashlib.sha256(msgspec.json.encode(once, order="sorted")).hexdigest()[:16]


def verify(shown: str, secrets: Sequence[str]) -> None:
    """Returns when `shown` is one of the secrets, in the same time whichever it is; else `Unauthorised`."""
    if not secrets or not all(secrets):
        raise ConfigurationError(["the secret printful-webhook-secret is empty; an empty one would accept anybody"])
    digest = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).digest()
    fits = [hmac.compare_digest(digest, hashlib.sha256(secret.encode()).digest()) for secret in secrets]
    if not any(fits):
        raise Unauthorised("This is not the address.")
