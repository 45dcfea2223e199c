"""The heart of the shop: turns inbox events into orders, runs what they owe, and answers the owner.

    POST /kick                    {"events": [id, ...]}: apply them soon; a hint, 202
    POST /sweep                   take on everything that is due; answers what it did
    GET  /orders, /orders/ID      list and filter; one order with its timeline
    POST /orders/ID/retry         {"step": id}, or {} for every dead step
    POST /orders/ID/resend        {"step": id}: send a mail once more
    POST /orders/ID/handled       {"note": text}: the owner dealt with what needed a human
    POST /orders/ID/release       fulfil in spite of a wrong amount
    POST /orders/ID/ship          {"carrier": name, ...}: the owner has sent a parcel
    GET  /events, /events/ID      the inbox
    POST /events/ID/replay        apply an event again
    GET  /doctor                  what is wrong, seen from here
    GET  /metrics                 the figures for Prometheus

Every call has to be signed with the internal key, but for the figures, which take a token of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart import clock as clocks
from pushcart import doctor, shapes, startup
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.providers import printful
from pushcart.public import Origins, PublicRouter
from pushcart.services import joined
from pushcart.services.checkup import check_lease, check_mode
from pushcart.services.metrics import exposition as metrics
from pushcart.web import Request, Router

READS = Reads(
    variables=("sweep_batch", "sweep_seconds", *joined.VARIABLES),
    needs=("internal-key", "store-url", "stripe-api-key"),
    may_need=(printful.SECRET, "shop", metrics.SECRET),
)


class Kick(msgspec.Struct):
    """The hint that these events are in the inbox."""

    events: list[str]


class App:
    """The function's routes, and the parts behind them."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._config = config
        self._parts = joined.Joined(config, catalogue, clock)
        signed = Router(config, clock)
        signed.add("POST", "/kick", self._kick)
        signed.add("POST", "/sweep", self._sweep)
        for route in self._parts.owner.routes():
            signed.add(*route)
        doctor.add(signed, config, clock, self._parts.probes)
        self.router = PublicRouter(signed, Origins(lambda: ()), most_bytes=0)
        self.router.add("GET", metrics.PATH, lambda event, context: self._parts.figures.answer(event, config))

    def _kick(self, request: Request) -> Any:
        for event_id in request.json(Kick).events:
            self._parts.work.event(event_id)
        return {"statusCode": 202, "body": {"accepted": True}}

    def _sweep(self, request: Request) -> Any:
        batch, seconds = self._config.number("sweep_batch"), self._config.number("sweep_seconds")
        return msgspec.to_builtins(self._parts.work.sweep(batch, seconds))

    def stopping(self) -> None:
        self._parts.work.stop()

    def close(self) -> None:
        self._parts.close()


app: App


def start() -> None:
    """Reads the configuration and shop.yml; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, checks=(check_mode, check_lease))
    app = App(config, shop, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.router.handle(event, context)


def stopping() -> None:
    """The process is to end: take on nothing more."""
    app.stopping()


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
