"""What the tests of Kit and of the course platforms share: sample payloads, and failures all of them have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pushcart.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable, ProviderUnreadable
from pushcart.stepcall import StepAnswer
from support.step_calls import ROOT

#: Faults of the sandbox (kind, its rule) and the error each becomes, whichever provider has it.
FAILURES: list[tuple[str, dict[str, Any], type[ProviderError]]] = [
    ("refused", {}, ProviderUnavailable),
    ("lost_answer", {}, ProviderUnavailable),
    ("truncated", {}, ProviderUnavailable),
    ("html", {}, ProviderUnreadable),
    ("garbage", {}, ProviderUnreadable),
    ("status", {"status": 400}, ProviderRefused),
    ("status", {"status": 404}, ProviderRefused),
    ("status", {"status": 409}, ProviderUnavailable),
    ("status", {"status": 422}, ProviderRefused),
    ("status", {"status": 429}, ProviderBusy),
    ("status", {"status": 429, "retry_after": 9}, ProviderBusy),
    ("status", {"status": 500}, ProviderUnavailable),
    ("status", {"status": 503}, ProviderUnavailable),
]


def fixture(name: str) -> Any:
    """The JSON of a file below tests/fixtures."""
    return json.loads((ROOT / "tests" / "fixtures" / name).read_text())


def retried(call: Callable[[], StepAnswer], error: type[ProviderError], wait: float | None) -> StepAnswer:
    """The answer of the second `call`, after the first has failed.

    The first must raise exactly `error` without the buyer's address or name. A ProviderBusy must ask for `wait`
    seconds, or for none in particular (None).
    """
    with pytest.raises(error) as raised:
        call()
    assert type(raised.value) is error
    assert "ada" not in raised.value.message.lower()
    if isinstance(raised.value, ProviderBusy):
        assert raised.value.retry_after == wait
    return call()
