"""Called by cron every minute: has order-store take on what is due, then asks Stripe and Printful for what never came.

    POST /         from cron-connector, empty and unsigned · 202
                   signed · 200 with what was swept and found, or that another run is at it
    GET  /         signed · the last heartbeat
    POST /recover  signed · {"cursor": text or null, "apply": false}: one slice of a whole comparison
    GET  /recover  signed · the recovery that the last start asked for
    GET  /doctor   signed · what is wrong, seen from here

Cron-connector cannot sign, so an empty POST is let in; all it can do is start a run that would come within the minute
anyway, never two at a time, and it is told nothing of what there was to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart import auth, doctor, gateway, shapes, startup
from pushcart import clock as clocks
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import PushcartError
from pushcart.gateway import Gateway
from pushcart.providers import printful
from pushcart.repositories import CATCH_UP, Heartbeats
from pushcart.services.upkeep import checkup, joined
from pushcart.services.upkeep.minute import MARGIN, WATCH, Minute
from pushcart.store import connect
from pushcart.web import Request, Router

READS = Reads(
    variables=("gateway_url", "sweep_seconds", *joined.VARIABLES),
    needs=("internal-key", "store-url", "stripe-api-key"),
    may_need=(printful.SECRET, "shop"),
)


class Recover(msgspec.Struct, forbid_unknown_fields=True):
    """Where to go on, and whether to repair."""

    cursor: str | None = None
    apply: bool = False


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._config, self._clock = config, clock
        self._store = connect(config.secret("store-url"))
        self._gateways: list[Gateway] = []
        seconds = config.number("sweep_seconds")
        order_store, alert = self._gateway_for(seconds + MARGIN), self._gateway_for(WATCH)
        self._joined = joined.Joined(config, catalogue, self._store, clock, order_store, self._gateway_for)
        self._minute = Minute(self._store, clock, seconds, order_store, alert, self._joined.run)
        heartbeats = Heartbeats(self._store, clock)
        self._router = Router(config, clock)
        self._router.add("POST", "/", lambda request: self._minute.run())
        self._router.add("GET", "/", lambda request: {"last": heartbeats.last(CATCH_UP)})
        self._router.add("POST", "/recover", self._recover)
        self._router.add("GET", "/recover", lambda request: {"last": self._joined.last_recovery()})
        doctor.add(self._router, config, clock, lambda: checkup.probes(heartbeats, clock))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        cron = event.method == "POST" and event.path in ("", "/") and not event.body
        if not cron or auth.HEADER in event.headers:
            return self._router.handle(event, context)
        try:
            self._minute.run()
        except PushcartError as error:
            return error.answer(context.log_fields, stranger=True)
        return {"statusCode": 202}

    def _recover(self, request: Request) -> Any:
        asked = request.json(Recover)
        return self._joined.recover(asked.cursor, apply=asked.apply)

    def _gateway_for(self, seconds: float) -> Gateway:
        self._gateways.append(gateway.connect(self._config, self._clock, timeout=seconds))
        return self._gateways[-1]

    def stopping(self) -> None:
        self._minute.stop()

    def close(self) -> None:
        for one in self._gateways:
            one.close()
        self._store.close()


app: App


def start() -> None:
    """Reads the configuration and shop.yml; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS)
    app = App(config, shop, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.handle(event, context)


def stopping() -> None:
    """The process is to end: begin nothing more."""
    app.stopping()


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
