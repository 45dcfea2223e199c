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
from pushcart.errors import MethodNotAllowed, NotFound
from pushcart.providers import paylinks
from pushcart.services import webhook
from pushcart.services.notifications import Notifications
from pushcart.services.webhook import Receipt, Webhook

log = logging.getLogger(__name__)

#: The only place that says whose notifications these are.
PROVIDER = paylinks.provider("autopay")

READS = Reads(
    variables=(*webhook.VARIABLES, *PROVIDER.variables),
    needs=webhook.SECRETS,
    may_need=PROVIDER.secrets,
)


class App(Webhook):
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        super().__init__(config, clock, PROVIDER.secrets[0])
        self._notifications = Notifications(self.inbox, self.counters, clock, PROVIDER(config), livemode=self.livemode)

    def receive(self, event: Any) -> Receipt:
        if event.method != "POST":
            raise MethodNotAllowed(f"This is where {PROVIDER.name} sends its notifications; it takes POST only.")
        self.check_size(event, "notification")
        if not in_use(self.config):
            raise NotFound(f"This shop takes no payments through {PROVIDER.name}.")
        return self._notifications.receive(event.body)


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
    return app.handle(event, context)


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
