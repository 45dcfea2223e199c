"""invite-link: lets the buyer in. Carries out steps of kind `invite` at the platform that shop.yml names.

POST /   signed, a StepRequest · 200 the buyer is in · 4xx a person has to look · 429, 503 later
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pushcart import startup
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

#: The secret each platform needs.
SECRETS = {"discourse": "discourse-api-key", "thinkific": "thinkific-api-key", "http": "platform-key"}

READS = Reads(
    variables=("provider_timeout", "discourse_url", "thinkific_url", "platform_url", "shop_file"),
    needs=("internal-key",),
    may_need=(*SECRETS.values(), "shop"),
)


class Platform(Protocol):
    """What lets a buyer in. Raises ProviderRefused, ProviderUnavailable or BadRequest."""

    def invite(self, call: StepRequest, step: InviteStep) -> StepAnswer: ...


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._connections: list[Http] = []
        self._platforms = FromShop(catalogue, self._connect)
        self.router = step_router(config, clock, {"invite": self._invite})

    def close(self) -> None:
        for http in self._connections:
            http.close()

    def _invite(self, call: StepRequest) -> StepAnswer:
        step = settings_of(call, InviteStep)
        platform = self._platforms().get(step.platform)
        if platform is None:
            raise BadRequest(f"shop.yml has no section platforms: with {step.platform}: in it")
        return platform.invite(call, step)

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


def _needs(catalogue: Catalogue) -> startup.Needs:
    used = {step.platform for _, step in catalogue.steps() if isinstance(step, InviteStep)}
    return startup.Needs(secrets=[SECRETS[platform] for platform in sorted(used)])


app: App


def start() -> None:
    """Reads the configuration and shop.yml; `ConfigurationError` names everything that is wrong."""
    global app
    config, shop = startup.load(READS, _needs)
    app = App(config, shop, clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    return app.router.handle(event, context)


def stop() -> None:
    app.close()
