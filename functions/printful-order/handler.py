"""printful-order: has Printful make what was sold. Carries out steps of kind `print`, one order there for each.

POST /         signed, a StepRequest · 200 Printful has the order · 4xx a person has to look · 429, 503 later
GET  /doctor   signed · what is wrong, seen from here
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pushcart import doctor, needs, shapes, startup
from pushcart.clock import Clock, clock_from_environment
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.providers import printful
from pushcart.providers.printful_orders import PrintOrders
from pushcart.services import print_doctor
from pushcart.stepcall import StepAnswer, StepRequest, step_router

READS = Reads(
    variables=(*printful.VARIABLES, "shop_file"),
    needs=("internal-key",),
    may_need=(printful.SECRET, "shop"),
)

#: This function's share of the 120 that Printful allows the account; order-store and catch-up have the rest.
CALLS_PER_MINUTE = 60


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._config = config
        self._catalogue = catalogue
        self._printful = printful.connect(config, clock, CALLS_PER_MINUTE)
        self._orders = PrintOrders(self._printful, catalogue)
        self.router = step_router(config, clock, {"print": self._print})
        doctor.add(self.router, config, clock, self._probes)

    def close(self) -> None:
        self._printful.close()

    def _print(self, call: StepRequest) -> StepAnswer:
        return self._orders.print(call)

    def _probes(self) -> doctor.Probes:
        catalogue = self._catalogue()
        needed = needs.for_prints(catalogue)
        settings = partial(doctor.settings, partial(self._config.check, needed.secrets))
        probes = {"configuration": doctor.Probe(settings)}
        if not needs.prints(catalogue):
            unused = [doctor.Check(name="printful", status="skip", text="no step of shop.yml prints")]
            return {**probes, "printful": doctor.Probe(lambda: unused)}
        look = f"look at the secret {printful.SECRET} and at printful_store"
        probes["printful"] = doctor.Probe(self._printful.check, look)
        webhook = partial(print_doctor.webhook, self._printful, catalogue)
        return {**probes, print_doctor.NAME: doctor.Probe(webhook, look)}


app: App


def start() -> None:
    """Reads the configuration and shop.yml; `ConfigurationError` names everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, needs.for_prints)
    app = App(config, shop, clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    return app.router.handle(event, context)


def stop() -> None:
    app.close()
