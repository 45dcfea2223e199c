"""Stripe's webhook endpoint: check the signature, write the event to the inbox, answer. Nothing more.

POST /   200 stored, known already, or nothing for this shop · 400 bad signature, body or mode
         413 too large · 503 the store is down, so Stripe has to try again
"""

from __future__ import annotations

from typing import Any

from pushcart import clock as clocks
from pushcart import shapes
from pushcart.config import Config, Reads
from pushcart.errors import BadSignature, MethodNotAllowed, PushcartError, TooLarge
from pushcart.gateway import Gateway, Hints
from pushcart.repositories import Counters, Inbox
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.alerts.signatures import SignatureAlarm
from pushcart.services.metrics.acktimes import AckTimes
from pushcart.services.stripe_inbox import StripeInbox
from pushcart.store import connect

READS = Reads(
    variables=("gateway_url", "stripe_mode", "max_event_bytes"),
    needs=("internal-key", "store-url", "stripe-webhook-secret"),
)

#: Seconds until a hint to order-store counts as lost.
HINT_TIMEOUT = 5


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        self._config = config
        self._store = connect(config.secret("store-url"))
        self._inbox = StripeInbox(
            Inbox(self._store), Counters(self._store, clock), clock, livemode=config["stripe_mode"] == "live"
        )
        self._gateway = Gateway(
            config["gateway_url"], lambda: config.secret("internal-key"), clock, timeout=HINT_TIMEOUT
        )
        self._hints = Hints(self._gateway, "order-store", "/kick")
        self._alarm = SignatureAlarm(
            Incidents(self._store, clock), self._gateway, "stripe-webhook", "stripe-webhook-secret"
        )
        self.acks = AckTimes(self._store, "stripe-webhook")

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            event_id = self._receive(event)
        except PushcartError as error:
            if isinstance(error, BadSignature):
                self._alarm.failed()
            return error.answer(context.log_fields, stranger=True)
        if event_id:
            context.log_fields["event"] = event_id
            self._hints.send(event_id)
        return {"statusCode": 200, "body": {"received": True}}

    def _receive(self, event: Any) -> str | None:
        if event.method != "POST":
            raise MethodNotAllowed("This is Stripe's webhook endpoint; it takes POST only.")
        if len(event.body) > self._config.number("max_event_bytes"):
            raise TooLarge(f"No event of Stripe's is larger than {self._config['max_event_bytes']} bytes.")
        secrets = self._config.secret_lines("stripe-webhook-secret")
        return self._inbox.receive(event.body, event.headers.get("Stripe-Signature"), secrets)

    def close(self) -> None:
        self._hints.close()
        self.acks.close()
        self._gateway.close()
        self._store.close()


app: App


def start() -> None:
    """Reads the configuration; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config = Config(READS)
    config.check()
    app = App(config, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.acks.timed(app.handle, event, context)


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
