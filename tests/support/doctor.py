"""A handler's own doctor, asked as the owner's command does."""

from __future__ import annotations

from datetime import datetime
from types import ModuleType
from typing import Any

from requests.structures import CaseInsensitiveDict

from pushcart import auth
from pushcart.clock import system_clock
from support.step_calls import INTERNAL_KEY, Context, Event


def examine(handler: ModuleType, function: str, now: datetime | None = None) -> dict[str, dict[str, Any]]:
    """The checks by name; `now` is the caller's time."""
    signature = auth.sign(INTERNAL_KEY, now or system_clock(), function, "GET", "/doctor", "", b"")
    event = Event(b"", "GET", "/doctor", headers=CaseInsensitiveDict({auth.HEADER: signature}))
    answer = handler.handle(event, Context())
    assert answer["statusCode"] == 200, answer
    return {check["name"]: check for check in answer["body"]["checks"]}
