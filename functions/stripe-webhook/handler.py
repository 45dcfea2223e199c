"""Stripe's webhook endpoint: check the signature, write the event to the inbox, answer. Nothing more.

POST /   200 stored, known already, or nothing for this shop · 400 bad signature, body or mode
         413 too large · 503 the store is down, so Stripe has to try again
"""

from __future__ import annotations

from typing import Any

from pushcart import clock as clocks
from pushcart import shapes
from pushcart.config import Config, Reads
from pushcart.errors import MethodNotAllowed
from pushcart.services import webhook
from pushcart.services.stripe_inbox import StripeInbox
from pushcart.services.webhook import Receipt, Webhook, received

SECRET = "stripe-webhook-secret"

READS = Reads(variables=webhook.VARIABLES, needs=(*webhook.SECRETS, SECRET))


class App(Webhook):
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        super().__init__(config, clock, SECRET)
        self._events = StripeInbox(self.inbox, self.counters, clock, livemode=self.livemode)

    def receive(self, event: Any) -> Receipt:
        if event.method != "POST":
            raise MethodNotAllowed("This is Stripe's webhook endpoint; it takes POST only.")
        self.check_size(event, "event of Stripe's")
        secrets = self.config.secret_lines(SECRET)
        return received(self._events.receive(event.body, event.headers.get("Stripe-Signature"), secrets))


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
    return app.handle(event, context)


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
