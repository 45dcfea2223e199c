"""Printful's webhook endpoint: check the address, write the message to the inbox, answer. Nothing more.

POST /SECRET   200 stored, known already, or nothing for this shop · 400 no message of Printful's · 401 another address
               404 the shop does not use Printful · 413 too large · 503 the store is down, so Printful has to try again
"""

from __future__ import annotations

import logging
from typing import Any

from pushcart import clock as clocks
from pushcart import shapes
from pushcart.config import Config, Reads
from pushcart.errors import MethodNotAllowed, NotFound, Unauthorised
from pushcart.services import print_inbox, webhook
from pushcart.services.print_inbox import PrintInbox
from pushcart.services.webhook import Receipt, Webhook, received

log = logging.getLogger(__name__)

SECRET = "printful-webhook-secret"

READS = Reads(
    variables=webhook.VARIABLES,
    needs=webhook.SECRETS,
    may_need=(SECRET,),
)

#: The largest message taken, in bytes: it is not signed, and a flood of them must not fill the store so soon.
MOST_BYTES = 131_072


class App(Webhook):
    """The function's parts, joined."""

    forged = Unauthorised

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        super().__init__(config, clock, SECRET)
        self._messages = PrintInbox(self.inbox, self.counters, clock, livemode=self.livemode)

    def receive(self, event: Any) -> Receipt:
        if not in_use(self.config):
            raise NotFound("This shop has nothing made by Printful.")
        print_inbox.verify(event.path.strip("/"), self.config.secret_lines(SECRET))
        if event.method != "POST":
            raise MethodNotAllowed("This is where Printful sends its messages; it takes POST only.")
        self.check_size(event, "message of Printful's", MOST_BYTES)
        return received(self._messages.receive(event.body))


def in_use(config: Config) -> bool:
    """Whether the secret is there; `unused` in it says that the shop does without Printful."""
    return bool(config.secret_text(SECRET))


app: App


def start() -> None:
    """Reads the configuration; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config = Config(READS)
    if in_use(config):
        config.check((SECRET,))
    else:
        config.check()
        log.warning("Printful is not in use: every message is refused")
    app = App(config, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.handle(event, context)


def shown_path(path: str) -> str:
    """What a log line may show of a request's path, also of one that never gets here: the address is the secret."""
    return "/..."


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
