"""What the public webhooks share: take in, acknowledge, hint; how long that took, and how much of it is forged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pushcart import gateway
from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.errors import BadSignature, PushcartError, TooLarge
from pushcart.gateway import Hints
from pushcart.repositories import Counters, Inbox
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.alerts.signatures import SignatureAlarm
from pushcart.services.metrics.acktimes import AckTimes
from pushcart.store import connect

VARIABLES = ("gateway_url", "stripe_mode", "max_event_bytes")
SECRETS = ("internal-key", "store-url")

#: Seconds until a hint to order-store counts as lost.
HINT_TIMEOUT = 5


@dataclass(frozen=True)
class Receipt:
    """The ids of the events that are new, and the function's answer that tells the provider so."""

    event_ids: list[str]
    answer: dict[str, Any]


def received(event_id: str | None) -> Receipt:
    """The receipt for a provider that goes by the status alone; None when there is nothing new."""
    return Receipt([event_id] if event_id else [], {"statusCode": 200, "body": {"received": True}})


class Webhook(ABC):
    """One public function. `secret` names what its provider proves itself with."""

    #: What says that a call is somebody else's.
    forged: ClassVar[type[PushcartError]] = BadSignature

    def __init__(self, config: Config, clock: Clock, secret: str) -> None:
        name = config["function_name"]
        self.config = config
        self.livemode = config["stripe_mode"] == "live"
        self._store = connect(config.secret("store-url"))
        self.inbox, self.counters = Inbox(self._store), Counters(self._store, clock)
        self._gateway = gateway.connect(config, clock, timeout=HINT_TIMEOUT)
        self._hints = Hints(self._gateway, "order-store", "/kick")
        self._alarm = SignatureAlarm(Incidents(self._store, clock), self._gateway, name, secret)
        self._acks = AckTimes(self._store, name)

    @abstractmethod
    def receive(self, event: Any) -> Receipt:
        """Verifies the call and stores what it tells. Raises our errors, and then nothing is acknowledged."""

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """One call, as the template makes it."""
        return self._acks.timed(self._handle, event, context)

    def check_size(self, event: Any, what: str, most: int | None = None) -> None:
        """Raises `TooLarge` for a body beyond `max_event_bytes`, or `most` if that is less."""
        limit = self.config.number("max_event_bytes")
        limit = limit if most is None else min(limit, most)
        if len(event.body) > limit:
            raise TooLarge(f"No {what} is larger than {limit} bytes.")

    def close(self) -> None:
        """Sends the hints that wait and gives the connections back."""
        self._hints.close()
        self._acks.close()
        self._gateway.close()
        self._store.close()

    def _handle(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            receipt = self.receive(event)
        except PushcartError as error:
            if isinstance(error, self.forged):
                self._alarm.failed()
            return error.answer(context.log_fields, stranger=True)
        if receipt.event_ids:
            context.log_fields["event"] = ", ".join(receipt.event_ids)
        for event_id in receipt.event_ids:
            self._hints.send(event_id)
        return receipt.answer
