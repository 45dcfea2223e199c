"""invite-link: lets the buyer in. Carries out steps of kind `invite` at the platform that shop.yml names.

POST /         signed, a StepRequest · 200 the buyer is in · 4xx a person has to look · 429, 503 later
GET  /doctor   signed · what is wrong, seen from here
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from pushcart import doctor, needs, shapes, startup
from pushcart.clock import Clock, clock_from_environment
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue, InviteStep
from pushcart.errors import BadRequest
from pushcart.providers import discourse, signed_http, thinkific
from pushcart.providers.from_shop import FromShop
from pushcart.providers.http import Http
from pushcart.providers.limiter import Limiter
from pushcart.providers.request import settings_of
from pushcart.stepcall import StepAnswer, StepRequest, step_router

SECRETS = needs.PLATFORM_SECRETS

READS = Reads(
    variables=("provider_timeout", "discourse_url", "thinkific_url", "platform_url", "shop_file"),
    needs=("internal-key",),
    may_need=(*SECRETS.values(), "shop"),
)


class Platform(Protocol):
    """What lets a buyer in. Raises ProviderRefused, ProviderUnavailable or BadRequest; `check` changes nothing."""

    def invite(self, call: StepRequest, step: InviteStep) -> StepAnswer: ...

    def check(self, catalogue: Catalogue) -> str: ...


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._catalogue = catalogue
        self._connections: list[Http] = []
        self._platforms = FromShop(catalogue, self._connect)
        self.router = step_router(config, clock, {"invite": self._invite})
        doctor.add(self.router, config, clock, self._probes)

    def close(self) -> None:
        for http in self._connections:
            http.close()

    def _invite(self, call: StepRequest) -> StepAnswer:
        step = settings_of(call, InviteStep)
        platform = self._platforms().get(step.platform)
        if platform is None:
            raise BadRequest(f"shop.yml has no section platforms: with {step.platform}: in it")
        return platform.invite(call, step)

    def _probes(self) -> doctor.Probes:
        catalogue, platforms = self._catalogue(), self._platforms()
        needed = needs.for_invites(catalogue)
        settings = partial(doctor.settings, partial(self._config.check, needed.secrets))
        probes = {"configuration": doctor.Probe(settings)}
        for name in needs.platforms(catalogue):
            check = partial(platforms[name].check, catalogue)
            probes[name] = doctor.Probe(
                check, f"look at platforms.{name} in shop.yml and at the secret {SECRETS[name]}"
            )
        return probes

    def _connect(self, catalogue: Catalogue) -> dict[str, Platform]:
        """The platforms that shop.yml has a section for."""
        config, clock, sections = self._config, self._clock, catalogue.platforms
        found: dict[str, Platform] = {}
        if sections.discourse:
            url, user = config["discourse_url"] or sections.discourse.url, sections.discourse.username
            http = self._http(discourse.NAME, url, "discourse", Limiter(discourse.CALLS_PER_MINUTE))
            found["discourse"] = discourse.Discourse(http, clock, user, self._secret("discourse"))
        if sections.thinkific:
            url, subdomain = config["thinkific_url"], sections.thinkific.subdomain
            http = self._http(thinkific.NAME, url, "thinkific", Limiter(thinkific.CALLS_PER_MINUTE))
            found["thinkific"] = thinkific.Thinkific(http, clock, subdomain, self._secret("thinkific"))
        if sections.http:
            http = self._http(signed_http.NAME, config["platform_url"] or sections.http.url, "http", None)
            found["http"] = signed_http.SignedHttp(http, clock, self._secret("http"))
        return found

    def _http(self, name: str, url: str, platform: str, limiter: Limiter | None) -> Http:
        timeout = self._config.number("provider_timeout")
        http = Http(name, url, self._clock, timeout=timeout, secret=SECRETS[platform], limiter=limiter)
        self._connections.append(http)
        return http

    def _secret(self, platform: str) -> Callable[[], str]:
        return lambda: self._config.secret(SECRETS[platform])


app: App


def start() -> None:
    """Reads the configuration and shop.yml; `ConfigurationError` names everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, needs.for_invites)
    app = App(config, shop, clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    return app.router.handle(event, context)


def stop() -> None:
    app.close()
