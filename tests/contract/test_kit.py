"""Kit: the exact JSON of v4 and v3, amounts in every kind of currency, and tokens that are never used twice."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.clock import to_instant
from pushcart.domain.catalogue import SequenceStep
from pushcart.errors import BadRequest, ProviderBusy, ProviderRefused, ProviderUnavailable, StoreUnavailable
from pushcart.providers.http import Http
from pushcart.providers.kit import KitV4, purchase_body
from pushcart.providers.kit_oauth import KitTokens
from pushcart.providers.kit_v3 import KitV3
from pushcart.repositories import Locks
from pushcart.store import Store, connect
from support.step_calls import NOW, ROOT, line, order, step
from support.wire import Wire

FIXTURES = ROOT / "tests" / "fixtures" / "kit"


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


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


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as running:
        yield running


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()


def hold_tokens(store: Store, seconds: int = 7200, seed: str = "seed-1", access: str = "access-1") -> None:
    """What the store holds after an earlier refresh."""
    import hashlib

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


# What a purchase looks like


def two_lines() -> Any:
    return order(
        [
            line("li_1", "wheel-basics", 4900, 2, amount_discount=980, amount_tax=950, amount_total=9770),
            line("li_2", "studio-plans", 3000, amount_discount=300, amount_total=2700),
        ],
        shipping=499,
    )


def test_v4_purchase_is_what_the_documents_show(wire: Wire, store: Store) -> None:
    hold_tokens(store)
    wire.say(201, fixture("v4.purchase.response.json"))
    answer = Shop(wire.url, store, Now()).kit.purchase(step("purchase", view=two_lines()))
    seen = wire.seen[0]
    assert (seen.method, seen.path) == ("POST", "/v4/purchases")
    assert seen.headers["Authorization"] == "Bearer access-1"
    assert seen.json == fixture("v4.purchase.request.json")
    assert b'"unit_price":49.00' in seen.body
    assert answer.result == {"purchase_id": 31}
    assert answer.note == "purchase recorded in Kit"


def test_v3_purchase_carries_the_secret_and_the_older_time(wire: Wire) -> None:
    wire.say(201, fixture("v3.purchase.response.json"))
    kit = KitV3(Http("Kit", wire.url, Now(), timeout=2, secret="kit-api-secret"), lambda: "kit-v3-secret-1")
    answer = kit.purchase(step("purchase", view=order([line(unit=1200, quantity=2)], "JPY")))
    assert wire.seen[0].path == "/v3/purchases"
    assert wire.seen[0].json == fixture("v3.purchase.request.json")
    assert answer.result == {"purchase_id": 8}


@pytest.mark.parametrize(
    ("currency", "unit", "as_text"),
    [
        ("EUR", 4900, "49.00"),
        ("eur", 1, "0.01"),
        ("JPY", 1050, "1050"),
        ("KWD", 10500, "10.500"),
        ("HUF", 99000, "990.00"),
    ],
)
def test_amounts_are_in_major_units_of_their_currency(currency: str, unit: int, as_text: str) -> None:
    body = purchase_body(step("purchase", view=order([line(unit=unit)], currency)))
    assert str(body["total"]) == str(body["subtotal"]) == as_text
    assert str(body["products"][0]["unit_price"]) == as_text
    assert body["currency"] == currency.upper()


def test_a_purchase_of_some_lines_leaves_the_others_and_the_shipping_out() -> None:
    view = two_lines()
    body = purchase_body(step("purchase", view=view, lines=view.lines[1:]))
    assert (str(body["total"]), str(body["shipping"])) == ("27.00", "0.00")
    assert [product["lid"] for product in body["products"]] == ["li_2"]


def test_a_purchase_that_names_no_lines_is_about_the_whole_order() -> None:
    body = purchase_body(step("purchase", view=two_lines(), lines=[]))
    assert (str(body["total"]), str(body["shipping"])) == ("129.69", "4.99")


def test_a_line_without_a_unit_amount_or_sku_still_has_both() -> None:
    odd = line(sku=None, unit=500, quantity=3)
    odd.unit_amount, odd.price_id = None, "price_1"
    product = purchase_body(step("purchase", view=order([odd])))["products"][0]
    assert str(product["unit_price"]) == "5.00"
    assert (product["pid"], product["sku"]) == ("price_1", "price_1")


def test_a_free_order_is_a_purchase_of_nothing() -> None:
    free = line(amount_discount=4900, amount_total=0)
    body = purchase_body(step("purchase", view=order([free])))
    assert (str(body["total"]), str(body["discount"]), body["status"]) == ("0.00", "49.00", "paid")


def test_a_buyer_without_a_name_keeps_the_one_kit_has() -> None:
    assert "first_name" not in purchase_body(step("purchase", view=order(name=None)))


def test_an_order_without_an_address_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="no mail address"):
        purchase_body(step("purchase", view=order(email=None)))


# Sequences


RESULTS = {"invite": {"link": "https://forum.example/invites/1", "nested": {"id": 7}}}
FIELDS = {"invitation_link": "invite.link", "number": "invite.nested.id"}


def sequence(**more: Any) -> Any:
    return step("sequence", {"sequence": 7301}, results=RESULTS, **more)


def test_v4_sequence_upserts_the_subscriber_and_then_adds_it(wire: Wire, store: Store) -> None:
    hold_tokens(store)
    wire.say(200, {"subscriber": {"id": 5}}).say(201, {"subscriber": {"id": 5}})
    answer = Shop(wire.url, store, Now()).kit.sequence(sequence(), SequenceStep(sequence=7301, fields=FIELDS))
    assert [(seen.path, seen.json) for seen in wire.seen] == [
        (
            "/v4/subscribers",
            {
                "email_address": "ada@example.com",
                "first_name": "Ada",
                "fields": {"invitation_link": "https://forum.example/invites/1", "number": "7"},
            },
        ),
        ("/v4/sequences/7301/subscribers", {"email_address": "ada@example.com"}),
    ]
    assert (answer.result, answer.note) == ({"sequence": 7301}, "added to sequence 7301 in Kit")


def test_v3_sequence_is_one_call(wire: Wire) -> None:
    wire.say(200, {"subscription": {"id": 1}})
    kit = KitV3(Http("Kit", wire.url, Now(), timeout=2, secret="kit-api-secret"), lambda: "kit-v3-secret-1")
    kit.sequence(sequence(), SequenceStep(sequence=7301, fields=FIELDS))
    assert wire.seen[0].path == "/v3/sequences/7301/subscribe"
    assert wire.seen[0].json == {
        "api_secret": "kit-v3-secret-1",
        "email": "ada@example.com",
        "first_name": "Ada",
        "fields": {"invitation_link": "https://forum.example/invites/1", "number": "7"},
    }


@pytest.mark.parametrize("path", ["invite.url", "invitation.link", "invite", "invite.link.more", "invite.nested", ""])
def test_a_field_whose_path_leads_nowhere_is_named_and_nothing_is_sent(wire: Wire, store: Store, path: str) -> None:
    wire.say(200, {})
    with pytest.raises(BadRequest) as refused:
        Shop(wire.url, store, Now()).kit.sequence(sequence(), SequenceStep(sequence=1, fields={"where": path}))
    assert f"fields.where: {path} is not among the earlier results (invite.link, invite.nested)" in str(refused.value)
    assert wire.seen == []


def test_a_custom_field_that_kit_ignores_is_told_in_the_timeline(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    fields = SequenceStep(sequence=7301, fields={"invitation_link": "invite.link"})
    assert "no custom field" in shop.kit.sequence(sequence(), fields).note
    sandbox.kit.add_custom_field("Invitation link")
    assert shop.kit.sequence(sequence(), fields).note == "added to sequence 7301 in Kit"
    assert sandbox.kit.subscribers["ada@example.com"]["fields"] == {
        "invitation_link": "https://forum.example/invites/1"
    }


def test_a_sequence_asked_for_twice_has_the_buyer_once(sandbox: Sandbox, store: Store) -> None:
    shop = in_sandbox(sandbox, store)
    for _ in range(2):
        shop.kit.sequence(sequence(), SequenceStep(sequence=7301))
    assert sandbox.kit.sequence_members == {7301: ["ada@example.com"]}


# Tokens


def test_the_refresh_is_what_the_documents_show(wire: Wire, store: Store) -> None:
    wire.say(200, fixture("token.response.json"))
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
    answer = fixture("token.response.json")
    wire.say(200, answer).say(200, {**answer, "access_token": "access-3", "refresh_token": "refresh-3"})
    assert shop.tokens.access() == "access-2"
    assert shop.tokens.access() == "access-2"
    now.moment += timedelta(seconds=7200 - 60)
    assert shop.tokens.access() == "access-3"
    assert [seen.json["refresh_token"] for seen in wire.seen] == ["seed-1", "refresh-2"]


def test_a_token_is_refreshed_before_it_ends(store: Store, wire: Wire) -> None:
    hold_tokens(store, seconds=100)
    wire.say(200, fixture("token.response.json"))
    assert Shop(wire.url, store, Now()).tokens.access() == "access-2"
    assert wire.seen[0].json["refresh_token"] == "refresh-1"


def test_a_changed_seed_starts_anew(store: Store, wire: Wire) -> None:
    hold_tokens(store)
    wire.say(200, fixture("token.response.json"))
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
        ("html", {}, ProviderUnavailable),
        ("garbage", {}, ProviderUnavailable),
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
    wire.say(200, fixture("token.response.json"))
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


def test_tokens_are_never_logged(sandbox: Sandbox, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    shop = in_sandbox(sandbox, store)
    shop.kit.purchase(step("purchase"))
    secrets = [*sandbox.kit.tokens().values(), shop.seed, "kit-client-secret-1"]
    assert "new access token" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


# Failures of Kit itself


@pytest.mark.parametrize(
    ("kind", "rule", "error"),
    [
        ("refused", {}, ProviderUnavailable),
        ("timeout", {"delay": 3}, ProviderUnavailable),
        ("lost_answer", {}, ProviderUnavailable),
        ("truncated", {}, ProviderUnavailable),
        ("html", {}, ProviderUnavailable),
        ("garbage", {}, ProviderUnavailable),
        ("status", {"status": 400}, ProviderRefused),
        ("status", {"status": 404}, ProviderRefused),
        ("status", {"status": 409}, ProviderUnavailable),
        ("status", {"status": 422}, ProviderRefused),
        ("status", {"status": 429}, ProviderBusy),
        ("status", {"status": 429, "retry_after": 9}, ProviderBusy),
        ("status", {"status": 500}, ProviderUnavailable),
        ("status", {"status": 503}, ProviderUnavailable),
    ],
)
def test_after_any_failure_a_retry_leaves_one_purchase(
    sandbox: Sandbox, store: Store, kind: str, rule: dict[str, Any], error: type[ProviderUnavailable]
) -> None:
    shop = in_sandbox(sandbox, store)
    sandbox.fault("kit", kind, path="/v4/purchases", **rule)
    with pytest.raises(error) as raised:
        shop.kit.purchase(step("purchase"))
    assert type(raised.value) is error
    if error is ProviderBusy:
        assert raised.value.retry_after == rule.get("retry_after", 60)
    assert "ada" not in raised.value.message
    answer = shop.kit.purchase(step("purchase"))
    assert list(sandbox.kit.purchases) == ["o_1001.s1"]
    assert answer.result == {"purchase_id": sandbox.kit.purchases["o_1001.s1"]["id"]}


def test_v3_a_wrong_secret_is_a_refusal_that_names_it(sandbox: Sandbox) -> None:
    kit = KitV3(Http("Kit", f"{sandbox.url}/kit", sandbox.now, timeout=2, secret="kit-api-secret"), lambda: "")
    with pytest.raises(ProviderRefused, match="look at the secret kit-api-secret"):
        kit.purchase(step("purchase"))


def test_v3_a_lost_answer_and_a_retry_leave_one_purchase(sandbox: Sandbox) -> None:
    kit = KitV3(Http("Kit", f"{sandbox.url}/kit", sandbox.now, timeout=2, secret="kit-api-secret"), lambda: "s3cret")
    sandbox.fault("kit", "lost_answer", path="/v3/purchases")
    with pytest.raises(ProviderUnavailable):
        kit.purchase(step("purchase"))
    kit.purchase(step("purchase"))
    assert len(sandbox.kit.purchases) == 1
