"""The three course platforms as the tests of invites ask them, at a test's own server or at the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from local.sandbox import Sandbox
from pushcart.domain.catalogue import InviteStep
from pushcart.providers.discourse import Discourse
from pushcart.providers.http import Http
from pushcart.providers.signed_http import SignedHttp
from pushcart.providers.thinkific import Thinkific
from pushcart.stepcall import StepAnswer
from support.step_calls import NOW, SECRETS, invite

KEY = SECRETS["platform-key"]


def platforms(discourse: str, thinkific: str, own: str, clock: Callable[[], datetime]) -> dict[str, Any]:
    def http(name: str, url: str) -> Http:
        return Http(name, url, clock, timeout=1, secret="a-key")

    return {
        "discourse": Discourse(http("Discourse", discourse), clock, "system", lambda: "discourse-key-1"),
        "thinkific": Thinkific(http("Thinkific", thinkific), clock, "meadow", lambda: "thinkific-key-1"),
        "http": SignedHttp(http("your platform", own), clock, lambda: KEY),
    }


def asking(chosen: Any, platform: str) -> Callable[..., StepAnswer]:
    def run(view: Any = None, **config: Any) -> StepAnswer:
        answer: StepAnswer = chosen.invite(invite(platform, view), InviteStep(platform=platform, **config))
        return answer

    return run


def at(url: str, platform: str) -> Callable[..., StepAnswer]:
    """Invites at a server under test."""
    return asking(platforms(url, url, url + "/hooks/pushcart", lambda: NOW)[platform], platform)


def at_sandbox(sandbox: Sandbox, platform: str) -> Callable[..., StepAnswer]:
    """Invites at the sandbox, whose own platform then verifies signatures with `KEY`."""
    sandbox.platform.set_secret(KEY)
    url = sandbox.url
    chosen = platforms(f"{url}/discourse", f"{url}/thinkific", f"{url}/platform/hook", sandbox.now)[platform]
    return asking(chosen, platform)
