"""What goes wrong with any course platform: after every failure a retry lets the buyer in once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import BadRequest, ProviderError, ProviderRefused, ProviderUnavailable
from support.invites import at, at_sandbox
from support.provider_calls import FAILURES, retried
from support.step_calls import order
from support.wire import Wire

CONFIG: dict[str, dict[str, Any]] = {
    "discourse": {"groups": [41], "expires_days": 30},
    "thinkific": {"course": 90210, "expires_days": 30},
    "http": {"data": {"plan": "studio"}},
}
PROVIDERS = {"discourse": "discourse", "thinkific": "thinkific", "http": "platform"}


def effects(sandbox: Sandbox, platform: str) -> set[int]:
    """How often each thing that an invite makes is there."""
    return {
        "discourse": {len(sandbox.discourse.invites)},
        "thinkific": {len(sandbox.thinkific.users), len(sandbox.thinkific.enrollments)},
        "http": {len(sandbox.platform.links)},
    }[platform]


@pytest.mark.parametrize("platform", list(CONFIG))
@pytest.mark.parametrize(
    ("kind", "rule", "error"),
    [
        ("timeout", {"delay": 1.5}, ProviderUnavailable),
        ("status", {"status": 401}, ProviderRefused),
        *FAILURES,
    ],
)
def test_after_any_failure_a_retry_lets_the_buyer_in_once(
    sandbox: Sandbox, platform: str, kind: str, rule: dict[str, Any], error: type[ProviderError]
) -> None:
    ask = at_sandbox(sandbox, platform)
    sandbox.fault(PROVIDERS[platform], kind, method="POST", **rule)
    answer = retried(lambda: ask(**CONFIG[platform]), error, rule.get("retry_after"))
    assert effects(sandbox, platform) == {1}
    assert answer.result["link"].startswith("http")
    assert "ada@" not in json.dumps(answer.result) + answer.note


@pytest.mark.parametrize("platform", list(CONFIG))
def test_an_order_without_an_address_is_a_bad_request_and_nobody_is_asked(wire: Wire, platform: str) -> None:
    wire.say(200, {})
    with pytest.raises(BadRequest, match="no mail address"):
        at(wire.url, platform)(order(email=None), **CONFIG[platform])
    assert wire.seen == []
