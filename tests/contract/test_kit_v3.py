"""Kit's older v3, which signs in with a secret in the body: its exact JSON, a wrong secret, a lost answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from local.sandbox import Sandbox
from pushcart.domain.catalogue import SequenceStep
from pushcart.errors import ProviderRefused, ProviderUnavailable
from pushcart.providers.http import Http
from pushcart.providers.kit_v3 import KitV3
from support.kit import FIELDS, Now, sequence
from support.provider_calls import fixture
from support.step_calls import line, order, step
from support.wire import Wire


def client(url: str, clock: Callable[[], datetime], secret: str = "kit-v3-secret-1") -> KitV3:
    return KitV3(Http("Kit", url, clock, timeout=2, secret="kit-api-secret"), lambda: secret)


def test_v3_purchase_carries_the_secret_and_the_older_time(wire: Wire) -> None:
    wire.say(201, fixture("kit/v3.purchase.response.json"))
    kit = client(wire.url, Now())
    answer = kit.purchase(step("purchase", view=order([line(unit=1200, quantity=2)], "JPY")))
    assert wire.seen[0].path == "/v3/purchases"
    assert wire.seen[0].json == fixture("kit/v3.purchase.request.json")
    assert answer.result == {"purchase_id": 8}


def test_v3_sequence_is_one_call(wire: Wire) -> None:
    wire.say(200, {"subscription": {"id": 1}})
    kit = client(wire.url, Now())
    kit.sequence(sequence(), SequenceStep(sequence=7301, fields=FIELDS))
    assert wire.seen[0].path == "/v3/sequences/7301/subscribe"
    assert wire.seen[0].json == {
        "api_secret": "kit-v3-secret-1",
        "email": "ada@example.com",
        "first_name": "Ada",
        "fields": {"invitation_link": "https://forum.example/invites/1", "number": "7"},
    }


def test_v3_a_wrong_secret_is_a_refusal_that_names_it(sandbox: Sandbox) -> None:
    kit = client(f"{sandbox.url}/kit", sandbox.now, "")
    with pytest.raises(ProviderRefused, match="look at the secret kit-api-secret"):
        kit.purchase(step("purchase"))


def test_v3_a_lost_answer_and_a_retry_leave_one_purchase(sandbox: Sandbox) -> None:
    kit = client(f"{sandbox.url}/kit", sandbox.now, "s3cret")
    sandbox.fault("kit", "lost_answer", path="/v3/purchases")
    with pytest.raises(ProviderUnavailable):
        kit.purchase(step("purchase"))
    kit.purchase(step("purchase"))
    assert len(sandbox.kit.purchases) == 1
