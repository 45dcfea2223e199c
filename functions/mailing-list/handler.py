"""mailing-list: records purchases and fills mail sequences at Kit, over its API v4 or v3.

POST /         signed, a StepRequest of kind `purchase` or `sequence` · 200 done · 4xx a person has to look ·
               429, 503 later
GET  /doctor   signed · what is wrong, seen from here
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from pushcart import doctor, needs, shapes, startup
from pushcart.clock import Clock, clock_from_environment
from pushcart.config import VARIABLES, Config, Reads
from pushcart.domain.catalogue import Catalogue, SequenceStep
from pushcart.errors import BadRequest
from pushcart.providers import kit, kit_v3
from pushcart.providers.from_shop import FromShop
from pushcart.providers.http import Http
from pushcart.providers.kit_oauth import KitTokens
from pushcart.providers.limiter import Limiter
from pushcart.providers.request import settings_of
from pushcart.repositories import Locks
from pushcart.stepcall import StepAnswer, StepRequest, step_router
from pushcart.store import connect

READS = Reads(
    variables=("provider_timeout", "kit_url", "kit_client_id", "shop_file"),
    needs=("internal-key",),
    may_need=("store-url", "kit-client-secret", "kit-refresh-token", "kit-api-secret", "shop"),
)


class MailingList(Protocol):
    """Where purchases and sequences are kept. Raises ProviderRefused, ProviderUnavailable or BadRequest.

    `check` changes nothing.
    """

    def purchase(self, call: StepRequest) -> StepAnswer: ...

    def sequence(self, call: StepRequest, step: SequenceStep) -> StepAnswer: ...

    def check(self) -> str: ...


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._catalogue = catalogue
        self._to_close: list[Callable[[], None]] = []
        self._list = FromShop(catalogue, self._connect)
        self.router = step_router(config, clock, {"purchase": self._purchase, "sequence": self._sequence})
        doctor.add(self.router, config, clock, self._probes)

    def close(self) -> None:
        for close in self._to_close:
            close()

    def _purchase(self, call: StepRequest) -> StepAnswer:
        return self._the_list().purchase(call)

    def _sequence(self, call: StepRequest) -> StepAnswer:
        return self._the_list().sequence(call, settings_of(call, SequenceStep))

    def _the_list(self) -> MailingList:
        kept = self._list()
        if kept is None:
            raise BadRequest("shop.yml has no mailing_list: or no step that uses it; put it back for this order")
        return kept

    def _probes(self) -> doctor.Probes:
        needed, kept = needs.for_mailing_list(self._catalogue()), self._list()
        settings = partial(doctor.settings, partial(self._config.check, *needed))
        unused = [doctor.Check(name="kit", status="skip", text="no step of shop.yml uses a mailing list")]
        return {
            "configuration": doctor.Probe(settings),
            "kit": doctor.Probe(kept.check if kept else lambda: unused, "look at the secrets that begin with kit-"),
        }

    def _connect(self, catalogue: Catalogue) -> MailingList | None:
        config, needed = self._config, needs.for_mailing_list(catalogue)
        if not needed.secrets:
            return None
        v3 = "kit-api-secret" in needed.secrets
        http = Http(
            kit.NAME,
            kit_address(config, v3=v3),
            self._clock,
            timeout=config.number("provider_timeout"),
            secret="kit-api-secret" if v3 else "kit-refresh-token",
            limiter=Limiter(kit.CALLS_PER_MINUTE),
            busy_wait=kit.BUSY_WAIT,
        )
        self._to_close.append(http.close)
        if v3:
            return kit_v3.KitV3(http, lambda: config.secret("kit-api-secret"))
        store = connect(config.secret("store-url"))
        self._to_close.append(store.close)
        tokens = KitTokens(
            http,
            store,
            Locks(store, self._clock),
            self._clock,
            client_id=config["kit_client_id"],
            client_secret=lambda: config.secret("kit-client-secret"),
            seed=lambda: config.secret("kit-refresh-token"),
        )
        return kit.KitV4(http, tokens)


def kit_address(config: Config, *, v3: bool) -> str:
    """The variable `kit_url`; v3, whose own address is another, uses that one unless the variable was changed."""
    url = config["kit_url"]
    return kit_v3.URL if v3 and url == VARIABLES["kit_url"].default else url


app: App


def start() -> None:
    """Reads the configuration and shop.yml; `ConfigurationError` names everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, needs.for_mailing_list)
    app = App(config, shop, clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    return app.router.handle(event, context)


def stop() -> None:
    app.close()
