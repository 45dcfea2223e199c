"""Kit's tokens: when and with what they are refreshed, and what the owner is told when Kit refuses them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable, ProviderUnreadable
from pushcart.store import Store
from support.kit import Now, Shop, hold_tokens, in_sandbox, refreshes
from support.provider_calls import fixture
from support.step_calls import step
from support.wire import Wire


def test_the_refresh_is_what_the_documents_show(wire: Wire, store: Store) -> None:
    wire.say(200, fixture("kit/token.response.json"))
    assert Shop(wire.url, store, Now()).tokens.access() == "access-2"
    seen = wire.seen[0]
    assert (seen.method, seen.path) == ("POST", "/v4/oauth/token")
    assert seen.json == {
        "client_id": "app-1",
        "client_secret": "kit-client-secret-1",
        "grant_type": "refresh_token",
        "refresh_token": "seed-1",
    }
    assert "Authorization" not in seen.headers


def test_the_first_refresh_uses_the_seed_and_later_ones_the_stored_token(wire: Wire, store: Store) -> None:
    now = Now()
    shop = Shop(wire.url, store, now)
    answer = fixture("kit/token.response.json")
    wire.say(200, answer).say(200, {**answer, "access_token": "access-3", "refresh_token": "refresh-3"})
    assert shop.tokens.access() == "access-2"
    assert shop.tokens.access() == "access-2"
    now.moment += timedelta(seconds=7200 - 60)
    assert shop.tokens.access() == "access-3"
    assert [seen.json["refresh_token"] for seen in wire.seen] == ["seed-1", "refresh-2"]


def test_a_token_is_refreshed_before_it_ends(store: Store, wire: Wire) -> None:
    hold_tokens(store, seconds=100)
    wire.say(200, fixture("kit/token.response.json"))
    assert Shop(wire.url, store, Now()).tokens.access() == "access-2"
    assert wire.seen[0].json["refresh_token"] == "refresh-1"


def test_a_changed_seed_starts_anew(store: Store, wire: Wire) -> None:
    hold_tokens(store)
    wire.say(200, fixture("kit/token.response.json"))
    shop = Shop(wire.url, store, Now())
    assert shop.tokens.access() == "access-1"
    shop.seed = "seed-2"
    assert shop.tokens.access() == "access-2"
    assert shop.tokens.access() == "access-2"
    assert [seen.json["refresh_token"] for seen in wire.seen] == ["seed-2"]


def test_the_store_holds_no_seed_and_survives_a_new_process(sandbox: Sandbox, store: Store) -> None:
    seed = sandbox.kit.tokens()["refresh_token"]
    in_sandbox(sandbox, store).kit.purchase(step("purchase"))
    assert seed not in json.dumps(store.get("tokens", "kit"))
    again = Shop(f"{sandbox.url}/kit", store, sandbox.now, seed=seed)
    again.kit.purchase(step("purchase"))
    assert refreshes(sandbox) == 1
    assert len(sandbox.kit.purchases) == 1


def test_a_token_that_ended_early_is_refreshed_once_and_the_call_repeated(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    shop.kit.purchase(step("purchase"))
    sandbox.kit.expire_access_token()
    shop.kit.purchase(step("purchase", key="o_1001.s2"))
    assert refreshes(sandbox) == 2
    assert sorted(sandbox.kit.purchases) == ["o_1001.s1", "o_1001.s2"]


def test_a_second_401_is_a_refusal_and_not_a_loop(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    sandbox.fault("kit", "status", status=401, path="/v4/purchases", times=None)
    with pytest.raises(ProviderRefused) as refused:
        shop.kit.purchase(step("purchase"))
    assert refused.value.status == 401
    assert len(sandbox.calls("kit", "POST", "/v4/purchases")) == 2
    assert refreshes(sandbox) == 2


def test_a_revoked_refresh_token_tells_the_owner_what_to_do(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    sandbox.kit.revoke_refresh_token()
    with pytest.raises(ProviderRefused) as refused:
        shop.kit.purchase(step("purchase"))
    assert "authorise the app again" in refused.value.message
    assert "kit-refresh-token" in refused.value.message
    assert "invalid_grant" in refused.value.message
    assert shop.seed not in refused.value.message


@pytest.mark.parametrize(
    ("kind", "rule", "error"),
    [
        ("status", {"status": 503}, ProviderUnavailable),
        ("status", {"status": 429}, ProviderBusy),
        ("refused", {}, ProviderUnavailable),
        ("html", {}, ProviderUnreadable),
        ("garbage", {}, ProviderUnreadable),
    ],
)
def test_a_refresh_that_did_not_happen_leaves_the_old_token_for_the_next_try(
    sandbox: Sandbox, store: Store, kind: str, rule: dict[str, Any], error: type[Exception]
) -> None:
    shop = in_sandbox(sandbox, store)
    sandbox.fault("kit", kind, path="/v4/oauth/token", **rule)
    with pytest.raises(error):
        shop.tokens.access()
    shop.kit.purchase(step("purchase"))
    assert len(sandbox.kit.purchases) == 1


def test_tokens_are_never_logged(sandbox: Sandbox, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    shop = in_sandbox(sandbox, store)
    shop.kit.purchase(step("purchase"))
    secrets = [*sandbox.kit.tokens().values(), shop.seed, "kit-client-secret-1"]
    assert "new access token" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]
