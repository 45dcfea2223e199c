"""A Kit client as the tests of Kit use it: its clock, its tokens in a store, and where it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.sandbox import Sandbox
from pushcart.clock import to_instant
from pushcart.providers.http import Http
from pushcart.providers.kit import KitV4
from pushcart.providers.kit_oauth import KitTokens
from pushcart.repositories import Locks
from pushcart.stepcall import StepRequest
from pushcart.store import Store
from support.step_calls import NOW, step

FIELDS = {"invitation_link": "invite.link", "number": "invite.nested.id"}
RESULTS = {"invite": {"link": "https://forum.example/invites/1", "nested": {"id": 7}}}


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


class Shop:
    """A Kit client with its tokens in a store of its own."""

    def __init__(
        self,
        url: str,
        store: Store,
        clock: Callable[[], datetime],
        seed: str = "seed-1",
        sleep: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.seed = seed
        self.http = Http("Kit", url, clock, timeout=2, secret="kit-refresh-token", busy_wait=60)
        self.tokens = KitTokens(
            self.http,
            store,
            Locks(store, clock),
            clock,
            client_id="app-1",
            client_secret=lambda: "kit-client-secret-1",
            seed=lambda: self.seed,
            sleep=sleep,
        )
        self.kit = KitV4(self.http, self.tokens)


def hold_tokens(store: Store, seconds: int = 7200, seed: str = "seed-1", access: str = "access-1") -> None:
    """What the store holds after an earlier refresh."""
    document = {
        "id": "kit",
        "version": 1,
        "seed": hashlib.sha256(seed.encode()).hexdigest(),
        "access_token": access,
        "refresh_token": "refresh-1",
        "expires_at": to_instant(NOW + timedelta(seconds=seconds)),
    }
    assert store.insert("tokens", document)


def in_sandbox(sandbox: Sandbox, store: Store, **more: Any) -> Shop:
    return Shop(f"{sandbox.url}/kit", store, sandbox.now, seed=sandbox.kit.tokens()["refresh_token"], **more)


def refreshes(sandbox: Sandbox) -> int:
    return len(sandbox.calls("kit", "POST", "/v4/oauth/token"))


def sequence() -> StepRequest:
    """A sequence step after an invite that left `RESULTS`, which `FIELDS` asks for."""
    return step("sequence", {"sequence": 7301}, results=RESULTS)
