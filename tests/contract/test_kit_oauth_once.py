"""Kit's refresh token works once: threads, processes, a failing store and a crash never use it twice."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderBusy, ProviderRefused, StoreUnavailable
from pushcart.providers.kit_oauth import KitTokens
from pushcart.repositories import Locks
from pushcart.store import Store, connect
from support.kit import Now, Shop, in_sandbox, refreshes
from support.provider_calls import fixture
from support.step_calls import ROOT
from support.wire import Wire


def test_two_processes_never_use_one_refresh_token_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    seed = sandbox.kit.tokens()["refresh_token"]
    sandbox.fault("kit", "slow", path="/v4/oauth/token", delay=0.3)
    stores = [connect(f"sqlite:///{tmp_path}/shop.db") for _ in range(4)]
    pause = threading.Event()
    shops = [
        Shop(f"{sandbox.url}/kit", one, sandbox.now, seed, sleep=lambda _: pause.wait(0.05) and None) for one in stores
    ]
    barrier, got = threading.Barrier(8), []

    def ask(shop: Shop) -> None:
        barrier.wait()
        got.append(shop.tokens.access())

    threads = [threading.Thread(target=ask, args=(shop,)) for shop in shops for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()
    assert refreshes(sandbox) == 1
    assert got == [sandbox.kit.tokens()["access_token"]] * 8


def test_threads_whose_token_was_refused_together_refresh_once(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    old = shop.tokens.access()
    sandbox.kit.expire_access_token()
    barrier, got = threading.Barrier(6), []

    def renew() -> None:
        barrier.wait()
        got.append(shop.tokens.renew(old))

    threads = [threading.Thread(target=renew) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refreshes(sandbox) == 2
    assert len(set(got)) == 1


def test_a_lock_that_a_dead_process_holds_makes_us_come_back_later(store: Store, wire: Wire) -> None:
    now, slept = Now(), []
    wire.say(200, fixture("kit/token.response.json"))
    assert Locks(store, now).acquire("kit-token", 120)
    shop = Shop(wire.url, store, now, sleep=slept.append)
    with pytest.raises(ProviderBusy) as busy:
        shop.tokens.access()
    assert busy.value.retry_after == 10
    assert (sum(slept), wire.seen) == (5, [])
    now.moment += timedelta(seconds=121)
    assert shop.tokens.access() == "access-2"


class FailingStore:
    """A store whose writes to `tokens` fail while `down`; everything else goes to the real one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def call(collection: str, *more: Any) -> Any:
            if self.down and collection == "tokens" and name in ("insert", "replace"):
                raise StoreUnavailable("the disk is full")
            return verb(collection, *more)

        return call


def test_new_tokens_that_the_store_did_not_take_are_written_at_the_next_use(sandbox: Sandbox, store: Store) -> None:
    failing = FailingStore(store)
    shop = in_sandbox(sandbox, failing)  # type: ignore[arg-type]
    failing.down = True
    with pytest.raises(StoreUnavailable):
        shop.tokens.access()
    failing.down = False
    assert shop.tokens.access() == sandbox.kit.tokens()["access_token"]
    assert refreshes(sandbox) == 1
    held = store.get("tokens", "kit")
    assert held is not None
    assert held["refresh_token"] == sandbox.kit.tokens()["refresh_token"]


def test_tokens_that_were_never_written_give_way_to_a_new_seed(sandbox: Sandbox, store: Store) -> None:
    failing = FailingStore(store)
    shop = in_sandbox(sandbox, failing)  # type: ignore[arg-type]
    failing.down = True
    with pytest.raises(StoreUnavailable):
        shop.tokens.access()
    failing.down = False
    shop.seed = sandbox.kit.tokens()["refresh_token"]
    other = Shop(f"{sandbox.url}/kit", store, sandbox.now, shop.seed)
    token = other.tokens.access()
    assert shop.tokens.access() == token == sandbox.kit.tokens()["access_token"]
    assert shop.tokens.renew(token) == sandbox.kit.tokens()["access_token"] != token
    assert refreshes(sandbox) == 3


class LateLocks(Locks):
    """Locks that are free only after another process has done `meanwhile`."""

    meanwhile: Callable[[], Any] | None = None

    def acquire(self, name: str, seconds: float) -> str | None:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().acquire(name, seconds)


def test_a_refresh_by_another_process_just_before_our_lock_is_used(sandbox: Sandbox, store: Store) -> None:
    other = in_sandbox(sandbox, store)
    locks = LateLocks(store, sandbox.now)
    locks.meanwhile = other.tokens.access
    ours = KitTokens(
        other.http, store, locks, sandbox.now, client_id="app-1", client_secret=lambda: "s", seed=lambda: other.seed
    )
    assert ours.access() == sandbox.kit.tokens()["access_token"]
    assert refreshes(sandbox) == 1


def test_dying_between_kits_answer_and_the_store_ends_in_a_clear_alert_and_a_new_seed_mends_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    seed = sandbox.kit.tokens()["refresh_token"]
    (tmp_path / "crash").write_text("token_refreshed")
    script = textwrap.dedent(f"""
        from pushcart.clock import system_clock
        from pushcart.providers.http import Http
        from pushcart.providers.kit_oauth import KitTokens
        from pushcart.repositories import Locks
        from pushcart.store import connect
        store = connect("sqlite:///{tmp_path}/shop.db")
        http = Http("Kit", "{sandbox.url}/kit", system_clock, timeout=5, secret="kit-refresh-token")
        KitTokens(http, store, Locks(store, system_clock), system_clock, client_id="app-1",
                  client_secret=lambda: "s", seed=lambda: "{seed}").access()
    """)
    environ = {"PYTHONPATH": str(ROOT / "shared"), "crash_file": str(tmp_path / "crash")}
    died = subprocess.run([sys.executable, "-c", script], env=environ, timeout=30, check=False)
    assert died.returncode == -9
    assert refreshes(sandbox) == 1

    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert store.get("tokens", "kit") is None
    shop = Shop(f"{sandbox.url}/kit", store, lambda: sandbox.now() + timedelta(seconds=300), seed)
    with pytest.raises(ProviderRefused, match="authorise the app again"):
        shop.tokens.access()
    shop.seed = sandbox.kit.tokens()["refresh_token"]
    assert shop.tokens.access() == sandbox.kit.tokens()["access_token"]
    store.close()
