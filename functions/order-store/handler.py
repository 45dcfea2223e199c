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

import random
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from pushcart import clock as clocks
from pushcart import doctor, shapes, startup
from pushcart.config import Config, Reads
from pushcart.domain import planning
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError
from pushcart.gateway import Gateway
from pushcart.providers import printful
from pushcart.providers.stripe_payments import StripePayments
from pushcart.public import Origins, PublicRouter
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services import checkup, link_payments
from pushcart.services.alerts.bell import Bell
from pushcart.services.alerts.health import Health
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake
from pushcart.services.metrics import exposition as metrics
from pushcart.services.metrics.figures import StoreFigures
from pushcart.services.metrics.watching import Watched, Watchers
from pushcart.services.owner import Owner
from pushcart.services.prints import SOURCE as PRINTFUL
from pushcart.services.prints import Prints
from pushcart.services.stock import Stock
from pushcart.services.work import Work
from pushcart.store import connect
from pushcart.web import Request, Router

READS = Reads(
    variables=(
        "gateway_url",
        "stripe_mode",
        "stripe_url",
        "printful_url",
        "printful_store",
        "provider_timeout",
        "drive_workers",
        "lease_seconds",
        "step_timeout",
        "sweep_batch",
        "sweep_seconds",
        "shop_file",
    ),
    needs=("internal-key", "store-url", "stripe-api-key"),
    may_need=("printful-api-key", "shop", metrics.SECRET),
)


#: This function's share of the calls that Printful allows in a minute, 120 in all.
CALLS_A_MINUTE = 30


class Kick(msgspec.Struct):
    """The hint that these events are in the inbox."""

    events: list[str]


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._config = config
        self._store = connect(config.secret("store-url"))
        orders, inbox = Orders(self._store), Inbox(self._store)
        counters = Counters(self._store, clock)
        source = random.Random()
        payments = StripePayments(
            config["stripe_url"], lambda: config.secret("stripe-api-key"), config.number("provider_timeout")
        )
        self._gateway = Gateway(
            config["gateway_url"],
            lambda: config.secret("internal-key"),
            clock,
            timeout=config.number("step_timeout"),
            connections=config.number("drive_workers") + 2,
        )
        figures = metrics.Metrics(StoreFigures(self._store, clock), clock)
        watcher = Watchers(figures, Health(self._store, clock), Bell(self._gateway))
        stripe = Watched(payments, "Stripe", watcher, ("payment", "session_of"))
        sources = {"stripe": stripe, **link_payments.every(clock)}
        stock = Stock(self._store, catalogue, clock)
        printer = Watched(printful.connect(config, clock, CALLS_A_MINUTE), "Printful", watcher, ("order",))
        prints = Prints(orders, printer, printful.news, catalogue, clock)
        others = {PRINTFUL: prints.apply}
        intake = Intake(orders, inbox, counters, sources, stock, catalogue, clock, source, others)
        token = partial(secrets.token_hex, 8)
        lease = config.number("lease_seconds")
        recorders = {planning.PRINT: prints.record}
        driver = Driver(orders, inbox, self._gateway, clock, token, source, lease, recorders=recorders, watcher=watcher)
        self._work = Work(intake, driver, orders, inbox, clock, config.number("drive_workers"), watcher)
        figures.watch(self._work)
        owner = Owner(orders, inbox, intake, self._work, catalogue, clock)
        signed = Router(config, clock)
        signed.add("POST", "/kick", self._kick)
        signed.add("POST", "/sweep", self._sweep)
        for route in owner.routes():
            signed.add(*route)
        rules = partial(_check_mode, config)
        doctor.add(signed, config, clock, lambda: checkup.probes(config, self._store, payments, catalogue, rules))
        self.router = PublicRouter(signed, Origins(lambda: ()), most_bytes=0)
        self.router.add("GET", metrics.PATH, lambda event, context: figures.answer(event, config))

    def _kick(self, request: Request) -> Any:
        for event_id in request.json(Kick).events:
            self._work.event(event_id)
        return {"statusCode": 202, "body": {"accepted": True}}

    def _sweep(self, request: Request) -> Any:
        swept = self._work.sweep(self._config.number("sweep_batch"), self._config.number("sweep_seconds"))
        return msgspec.to_builtins(swept)

    def stopping(self) -> None:
        self._work.stop()

    def close(self) -> None:
        self._work.close()
        self._gateway.close()
        self._store.close()


def _check_mode(config: Config) -> None:
    mode = config["stripe_mode"]
    if f"_{mode}_" not in config.secret("stripe-api-key"):
        raise ConfigurationError([f"stripe_mode is {mode}, but the secret stripe-api-key is a key of the other mode"])


def _check_lease(config: Config) -> None:
    # The gateway client waits for a cold function besides; a lease that ends first would start a second attempt.
    if config.number("lease_seconds") < 2 * config.number("step_timeout"):
        raise ConfigurationError(["lease_seconds should be at least twice step_timeout"])


app: App


def start() -> None:
    """Reads the configuration and shop.yml; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, checks=(_check_mode, _check_lease))
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
