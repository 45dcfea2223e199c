"""The parts of order-store, joined: what takes on events and steps, what answers the owner, and the figures of both."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from functools import partial

from pushcart import gateway
from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.doctor import Probes
from pushcart.domain import planning
from pushcart.domain.catalogue import Catalogue
from pushcart.providers import printful, stripe_payments
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services import checkup, link_payments
from pushcart.services.alerts.bell import Bell
from pushcart.services.alerts.health import Health
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake
from pushcart.services.metrics.exposition import Metrics
from pushcart.services.metrics.figures import StoreFigures
from pushcart.services.metrics.watching import Watched, Watchers
from pushcart.services.owner import Owner
from pushcart.services.prints import SOURCE as PRINTFUL
from pushcart.services.prints import Prints
from pushcart.services.stock import Stock
from pushcart.services.work import Work
from pushcart.store import connect

VARIABLES = (
    *("gateway_url", "step_timeout", "drive_workers", "lease_seconds"),
    *("stripe_mode", "stripe_url", "shop_file", *printful.VARIABLES),
)

#: This function's share of the calls that Printful allows in a minute, 120 in all.
CALLS_A_MINUTE = 30


class Joined:
    """`work` does what is due and has to be stopped, `owner` answers the owner, `figures` counts."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._config, self._catalogue = config, catalogue
        self._store = connect(config.secret("store-url"))
        workers = config.number("drive_workers")
        self._gateway = gateway.connect(config, clock, timeout=config.number("step_timeout"), connections=workers + 2)
        self._payments = stripe_payments.connect(config)
        orders, inbox = Orders(self._store), Inbox(self._store)
        source = random.Random()

        self.figures = Metrics(StoreFigures(self._store, clock), clock)
        watcher = Watchers(self.figures, Health(self._store, clock), Bell(self._gateway))
        stripe = Watched(self._payments, "Stripe", watcher, ("payment", "session_of"))
        printer = Watched(printful.connect(config, clock, CALLS_A_MINUTE), "Printful", watcher, ("order",))

        prints = Prints(orders, printer, printful.news, catalogue, clock)
        sources, others = {"stripe": stripe, **link_payments.every(clock)}, {PRINTFUL: prints.apply}
        counters, stock = Counters(self._store, clock), Stock(self._store, catalogue, clock)
        intake = Intake(orders, inbox, counters, sources, stock, catalogue, clock, source, others)
        token = partial(secrets.token_hex, 8)
        lease, recorders = config.number("lease_seconds"), {planning.PRINT: prints.record}
        driver = Driver(orders, inbox, self._gateway, clock, token, source, lease, recorders=recorders, watcher=watcher)
        self.work = Work(intake, driver, orders, inbox, clock, workers, watcher)
        self.figures.watch(self.work)
        self.owner = Owner(orders, inbox, intake, self.work, catalogue, clock)

    def probes(self) -> Probes:
        """What the doctor looks at."""
        return checkup.probes(self._config, self._store, self._payments, self._catalogue)

    def close(self) -> None:
        """Finishes what is in hand, then gives the connections back."""
        self.work.close()
        self._gateway.close()
        self._store.close()
