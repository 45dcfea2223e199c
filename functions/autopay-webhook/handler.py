"""Autopay's address for notifications: check the hash, write what it says to the inbox, confirm. Nothing more.

POST /   200 stored or known already, with the confirmation Autopay waits for · 400 bad hash or body
         404 the shop does not use Autopay · 413 too large · 503 the store is down, so Autopay has to try again
"""

from __future__ import annotations

import logging
from typing import Any

from pushcart import clock as clocks
from pushcart import shapes
from pushcart.config import Config, Reads
from pushcart.errors import BadSignature, MethodNotAllowed, NotFound, PushcartError, TooLarge
from pushcart.gateway import Gateway, Hints
from pushcart.providers import paylinks
from pushcart.repositories import Counters, Inbox
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.alerts.signatures import SignatureAlarm
from pushcart.services.metrics.acktimes import AckTimes
from pushcart.services.notifications import Notifications, Receipt
from pushcart.store import connect

log = logging.getLogger(__name__)

#: The only place that says whose notifications these are.
PROVIDER = paylinks.provider("autopay")

READS = Reads(
    variables=("gateway_url", "stripe_mode", "max_event_bytes", *PROVIDER.variables),
    needs=("internal-key", "store-url"),
    may_need=PROVIDER.secrets,
)

#: Seconds until a hint to order-store counts as lost.
HINT_TIMEOUT = 5


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        self._config = config
        self._store = connect(config.secret("store-url"))
        self._notifications = Notifications(
            Inbox(self._store),
            Counters(self._store, clock),
            clock,
            PROVIDER(config),
            livemode=config["stripe_mode"] == "live",
        )
        self._gateway = Gateway(
            config["gateway_url"], lambda: config.secret("internal-key"), clock, timeout=HINT_TIMEOUT
        )
        self._hints = Hints(self._gateway, "order-store", "/kick")
        self._alarm = SignatureAlarm(
            Incidents(self._store, clock), self._gateway, "autopay-webhook", PROVIDER.secrets[0]
        )
        self.acks = AckTimes(self._store, "autopay-webhook")

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            receipt = self._receive(event)
        except PushcartError as error:
            if isinstance(error, BadSignature):
                self._alarm.failed()
            return error.answer(context.log_fields, stranger=True)
        if receipt.event_ids:
            context.log_fields["event"] = ", ".join(receipt.event_ids)
        for event_id in receipt.event_ids:
            self._hints.send(event_id)
        return receipt.answer

    def _receive(self, event: Any) -> Receipt:
        if event.method != "POST":
            raise MethodNotAllowed(f"This is where {PROVIDER.name} sends its notifications; it takes POST only.")
        if len(event.body) > self._config.number("max_event_bytes"):
            raise TooLarge(f"No notification is larger than {self._config['max_event_bytes']} bytes.")
        if not in_use(self._config):
            raise NotFound(f"This shop takes no payments through {PROVIDER.name}.")
        return self._notifications.receive(event.body)

    def close(self) -> None:
        self._hints.close()
        self.acks.close()
        self._gateway.close()
        self._store.close()


def in_use(config: Config) -> bool:
    """Whether the provider's secrets are there; `unused` in one of them says that the shop does without it."""
    return all(config.secret_text(name) for name in PROVIDER.secrets)


app: App


def start() -> None:
    """Reads the configuration; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config = Config(READS)
    if in_use(config):
        config.check(PROVIDER.secrets, PROVIDER.variables)
    else:
        config.check()
        log.warning("%s is not in use: every notification is refused", PROVIDER.name)
    app = App(config, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.acks.timed(app.handle, event, context)


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
