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

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart import auth, doctor, shapes, startup
from pushcart import clock as clocks
from pushcart.config import Config, Reads
from pushcart.crash import Point, point
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import FunctionFailed, PushcartError
from pushcart.gateway import Gateway
from pushcart.providers import printful
from pushcart.repositories import CATCH_UP, Heartbeats, Locks
from pushcart.services.upkeep import checkup, joined
from pushcart.services.upkeep.joined import Joined
from pushcart.store import connect
from pushcart.web import Request, Router

READS = Reads(
    variables=("gateway_url", "sweep_seconds", *joined.VARIABLES),
    needs=("internal-key", "store-url", "stripe-api-key"),
    may_need=(printful.SECRET, "shop"),
)

log = logging.getLogger(__name__)

#: Seconds order-store may take beyond the sweep's own limit, to finish the step in hand.
MARGIN = 15

#: Seconds beyond a sweep's limit in which a run may still begin something.
AFTER_SWEEP = 5

#: Seconds for the look at what is to be told.
WATCH = 10


class Recover(msgspec.Struct, forbid_unknown_fields=True):
    """Where to go on, and whether to repair."""

    cursor: str | None = None
    apply: bool = False


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._config, self._clock = config, clock
        self._stopping = threading.Event()
        self._timeout = config.number("sweep_seconds") + MARGIN
        self._store = connect(config.secret("store-url"))
        self._locks, self._heartbeats = Locks(self._store, clock), Heartbeats(self._store, clock)
        self._gateways: list[Gateway] = []
        self._gateway, self._alert = self._gateway_for(self._timeout), self._gateway_for(WATCH)
        self._joined = Joined(config, catalogue, self._store, clock, self._gateway, self._gateway_for)
        self._router = Router(config, clock)
        self._router.add("POST", "/", lambda request: self._run())
        self._router.add("GET", "/", lambda request: {"last": self._heartbeats.last(CATCH_UP)})
        self._router.add("POST", "/recover", self._recover)
        self._router.add("GET", "/recover", lambda request: {"last": self._joined.last_recovery()})
        doctor.add(self._router, config, clock, lambda: checkup.probes(self._heartbeats, clock))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        cron = event.method == "POST" and event.path in ("", "/") and not event.body
        if not cron or auth.HEADER in event.headers:
            return self._router.handle(event, context)
        try:
            self._run()
        except PushcartError as error:
            return error.answer(context.log_fields, stranger=True)
        return {"statusCode": 202}

    def _run(self) -> dict[str, Any]:
        end = time.monotonic() + self._config.number("sweep_seconds") + AFTER_SWEEP
        token = self._locks.acquire(CATCH_UP, self._timeout + MARGIN)
        if token is None:
            return {"running": True}
        try:
            point(Point.SWEEP_LOCKED)
            swept, failed = self._sweep()
            point(Point.SWEEP_DONE)
            found = self._joined.run(lambda: time.monotonic() < end and not self._stopping.is_set())
            if failed is None:
                self._heartbeats.beat(CATCH_UP, swept)
            self._watch()
            if failed is not None:
                raise failed
        finally:
            self._locks.release(CATCH_UP, token)
        return {"swept": swept, "found": found}

    def _sweep(self) -> tuple[dict[str, Any], FunctionFailed | None]:
        """What order-store did. When it fails, what never came is asked for all the same."""
        try:
            return self._gateway.call("order-store", "/sweep"), None
        except FunctionFailed as error:
            return {}, error

    def _watch(self) -> None:
        """Has the owner told of what is wrong; that this fails is for its own watch to notice."""
        try:
            self._alert.call("alert", "/watch", {})
        except FunctionFailed as error:
            log.warning("nobody looks at what is to be told: %s", error.message)

    def _recover(self, request: Request) -> Any:
        asked = request.json(Recover)
        return self._joined.recover(asked.cursor, apply=asked.apply)

    def _gateway_for(self, seconds: float) -> Gateway:
        key = lambda: self._config.secret("internal-key")  # noqa: E731
        self._gateways.append(Gateway(self._config["gateway_url"], key, self._clock, timeout=seconds))
        return self._gateways[-1]

    def stopping(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.close()
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
