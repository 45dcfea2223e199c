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
from pushcart.errors import MethodNotAllowed, NotFound, PushcartError, TooLarge, Unauthorised
from pushcart.gateway import Gateway, Hints
from pushcart.repositories import Counters, Inbox
from pushcart.services import print_inbox
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.alerts.signatures import SignatureAlarm
from pushcart.services.metrics.acktimes import AckTimes
from pushcart.services.print_inbox import PrintInbox
from pushcart.store import connect

log = logging.getLogger(__name__)

SECRET = "printful-webhook-secret"

READS = Reads(
    variables=("gateway_url", "stripe_mode", "max_event_bytes"),
    needs=("internal-key", "store-url"),
    may_need=(SECRET,),
)

#: The largest message taken, in bytes: it is not signed, and a flood of them must not fill the store so soon.
MOST_BYTES = 131_072

#: Seconds until a hint to order-store counts as lost.
HINT_TIMEOUT = 5


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        self._config = config
        self._store = connect(config.secret("store-url"))
        self._inbox = PrintInbox(
            Inbox(self._store), Counters(self._store, clock), clock, livemode=config["stripe_mode"] == "live"
        )
        self._gateway = Gateway(
            config["gateway_url"], lambda: config.secret("internal-key"), clock, timeout=HINT_TIMEOUT
        )
        self._hints = Hints(self._gateway, "order-store", "/kick")
        self._alarm = SignatureAlarm(Incidents(self._store, clock), self._gateway, "printful-webhook", SECRET)
        self.acks = AckTimes(self._store, "printful-webhook")

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            event_id = self._receive(event)
        except PushcartError as error:
            if isinstance(error, Unauthorised):
                self._alarm.failed()
            return error.answer(context.log_fields, stranger=True)
        if event_id:
            context.log_fields["event"] = event_id
            self._hints.send(event_id)
        return {"statusCode": 200, "body": {"received": True}}

    def _receive(self, event: Any) -> str | None:
        if not in_use(self._config):
            raise NotFound("This shop has nothing made by Printful.")
        print_inbox.verify(event.path.strip("/"), self._config.secret_lines(SECRET))
        if event.method != "POST":
            raise MethodNotAllowed("This is where Printful sends its messages; it takes POST only.")
        most = min(MOST_BYTES, self._config.number("max_event_bytes"))
        if len(event.body) > most:
            raise TooLarge(f"No message of Printful's is larger than {most} bytes.")
        return self._inbox.receive(event.body)

    def close(self) -> None:
        self._hints.close()
        self.acks.close()
        self._gateway.close()
        self._store.close()


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
    return app.acks.timed(app.handle, event, context)


def shown_path(path: str) -> str:
    """What a log line may show of a request's path, also of one that never gets here: the address is the secret."""
    return "/..."


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
