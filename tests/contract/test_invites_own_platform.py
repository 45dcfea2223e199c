"""A platform of one's own: the whole invite with its signature, the answers it may give, one effect each."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderRefused, ProviderUnavailable
from support.invites import KEY, at, at_sandbox
from support.provider_calls import fixture
from support.step_calls import NOW
from support.wire import Wire


def test_own_platform_gets_the_whole_invite_signed(wire: Wire) -> None:
    wire.say(200, {"link": "https://learn.example/welcome/1", "expires_at": "2026-12-21T09:45:36+01:00"})
    answer = at(wire.url, "http")(data={"plan": "studio"}, expires_days=30)
    seen = wire.seen[0]
    assert (seen.method, seen.path) == ("POST", "/hooks/pushcart")
    assert seen.json == fixture("platform/invite.request.json")
    assert seen.headers["Idempotency-Key"] == "o_1001.s1"
    stamp = str(int(NOW.timestamp()))
    mac = hmac.new(KEY.encode(), f"{stamp}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert seen.headers["X-Pushcart-Signature"] == f"t={stamp},v1={mac}"
    assert answer.result == {
        "platform": "http",
        "link": "https://learn.example/welcome/1",
        "expires_at": "2026-12-21T08:45:36.000Z",
    }


@pytest.mark.parametrize(("status", "body"), [(204, b""), (202, b""), (200, {}), (201, {"link": None})])
def test_own_platform_may_answer_without_a_link(wire: Wire, status: int, body: Any) -> None:
    wire.say(status, body)
    assert at(wire.url, "http")().result == {"platform": "http"}


@pytest.mark.parametrize("link", ["javascript:alert(1)", "/welcome", "mailto:a@b.c"])
def test_own_platforms_link_must_be_a_web_address(wire: Wire, link: str) -> None:
    wire.say(200, {"link": link})
    with pytest.raises(ProviderRefused, match="no http or https address"):
        at(wire.url, "http")()


def test_own_platforms_end_without_a_zone_is_not_guessed(wire: Wire) -> None:
    wire.say(200, {"expires_at": "2026-12-21T09:45:36"})
    with pytest.raises(ProviderUnavailable, match="expires_at"):
        at(wire.url, "http")()


def test_own_platform_verifies_the_signature_and_sees_one_key(sandbox: Sandbox) -> None:
    ask = at_sandbox(sandbox, "http")
    first, second = ask(data={"plan": "studio"}), ask(data={"plan": "studio"})
    assert first.result == second.result
    assert len(sandbox.platform.links) == 1
    sandbox.platform.set_secret("another-key-9876543210")
    with pytest.raises(ProviderRefused, match="401"):
        ask(data={"plan": "other"})
