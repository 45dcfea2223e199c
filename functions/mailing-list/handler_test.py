"""mailing-list: purchases and sequences at Kit, once each, with tokens that survive restarts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ConfigurationError
from pushcart.stepcall import StepRequest
from support.doctor import examine
from support.step_calls import EMAIL, SECRETS, Context, Event, environment, load_handler, order, run, step

RESULTS = {"invite": {"link": "https://forum.example/invites/1"}}
SEQUENCE = step(
    "sequence", {"sequence": 7301, "fields": {"invitation_link": "invite.link"}}, results=RESULTS, key="o_1001.s2"
)

SHOP = """
shop: {name: S, url: https://s.example, currency: EUR, support: a@s.example, sender: a@s.example,
       admins: [a@s.example]}
mailing_list: {kit: {api: %s}}
products:
  - {sku: wheel-basics, name: A, price: 49, fulfilment: [%s]}
"""


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    shared_sandbox.kit.add_custom_field("Invitation link")
    return shared_sandbox


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Starts the function for one of Kit's APIs, with the secrets that it needs and no others."""
    running = []

    seed = sandbox.kit.tokens()["refresh_token"]

    def start(api: str, steps: str = "{step: purchase}") -> ModuleType:
        v4 = {
            "store-url": f"sqlite:///{tmp_path}/shop.db",
            "kit-client-secret": SECRETS["kit-client-secret"],
            "kit-refresh-token": seed,
        }
        secrets = v4 if api == "v4" else {"kit-api-secret": SECRETS["kit-api-secret"]}
        shop = tmp_path / "shop.yml"
        shop.write_text(SHOP % (api, steps))
        variables = environment(
            tmp_path / "secrets",
            "mailing-list",
            {"internal-key": SECRETS["internal-key"], **secrets},
            provider_timeout="1",
            kit_url=f"{sandbox.url}/kit",
            kit_client_id="app-1",
            shop_file=str(shop),
        )
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        handler = load_handler("mailing-list")
        handler.start()
        running.append(handler)
        return handler

    yield start
    for handler in running:
        handler.stop()


@pytest.fixture(params=["v4", "v3"])
def ask(request: pytest.FixtureRequest, start: Callable[[str], ModuleType]) -> Callable[[StepRequest], dict[str, Any]]:
    handler = start(request.param)
    return lambda call: run(handler, "mailing-list", call)


def test_a_purchase_is_recorded_once_however_often_it_is_asked_for(ask: Any, sandbox: Sandbox) -> None:
    first, second = ask(step("purchase")), ask(step("purchase"))
    recorded = sandbox.kit.purchases["o_1001.s1"]
    assert first["statusCode"] == second["statusCode"] == 200
    assert (
        first["body"]
        == second["body"]
        == {"result": {"purchase_id": recorded["id"]}, "note": "purchase recorded in Kit"}
    )
    assert len(sandbox.kit.purchases) == 1
    assert (recorded["total"], recorded["currency"], recorded["email_address"]) == (49.0, "EUR", EMAIL)


def test_a_sequence_gets_the_buyer_with_the_link(ask: Any, sandbox: Sandbox) -> None:
    assert ask(SEQUENCE)["body"] == {"result": {"sequence": 7301}, "note": "added to sequence 7301 in Kit"}
    assert sandbox.kit.sequence_members == {7301: [EMAIL]}
    assert sandbox.kit.subscribers[EMAIL]["fields"] == {"invitation_link": RESULTS["invite"]["link"]}


@pytest.mark.parametrize(
    ("kind", "rule", "status", "code"),
    [
        ("refused", {}, 503, "provider_unavailable"),
        ("lost_answer", {}, 503, "provider_unavailable"),
        ("html", {}, 503, "provider_unavailable"),
        ("status", {"status": 404}, 422, "provider_refused"),
        ("status", {"status": 409}, 503, "provider_unavailable"),
        ("status", {"status": 422}, 422, "provider_refused"),
        ("status", {"status": 429, "retry_after": 33}, 429, "provider_busy"),
        ("status", {"status": 429}, 429, "provider_busy"),
        ("status", {"status": 500}, 503, "provider_unavailable"),
    ],
)
@pytest.mark.parametrize("call", [step("purchase"), SEQUENCE], ids=["purchase", "sequence"])
def test_a_failing_kit_is_told_apart_and_the_next_call_succeeds(
    ask: Any, sandbox: Sandbox, call: StepRequest, kind: str, rule: dict[str, Any], status: int, code: str
) -> None:
    sandbox.fault("kit", kind, path="purchases|sequences", **rule)
    answer = ask(call)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (status, code)
    if status == 429:
        assert answer["headers"]["Retry-After"] == str(rule.get("retry_after", 60))
    assert "ada" not in json.dumps(answer).lower()
    assert ask(call)["statusCode"] == 200
    assert len(sandbox.kit.purchases) + sum(map(len, sandbox.kit.sequence_members.values())) == 1


def test_v3_being_shut_out_is_a_refusal(start: Any, sandbox: Sandbox) -> None:
    handler = start("v3")
    sandbox.fault("kit", "status", status=401, path="purchases")
    answer = run(handler, "mailing-list", step("purchase"))
    assert answer["statusCode"] == 422
    assert "kit-api-secret" in answer["body"]["error"]["message"]


def test_v4_an_expired_token_is_renewed_without_anybody_noticing(start: Any, sandbox: Sandbox) -> None:
    handler = start("v4")
    assert run(handler, "mailing-list", step("purchase"))["statusCode"] == 200
    sandbox.kit.expire_access_token()
    assert run(handler, "mailing-list", step("purchase", key="o_1001.s9"))["statusCode"] == 200


def test_v4_a_restart_goes_on_with_the_stored_tokens(start: Any, sandbox: Sandbox) -> None:
    for key in ("o_1001.s1", "o_1001.s9"):
        assert run(start("v4"), "mailing-list", step("purchase", key=key))["statusCode"] == 200
    assert len(sandbox.calls("kit", "POST", "/v4/oauth/token")) == 1


def test_a_shop_yml_that_changes_is_followed(start: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    handler = start("v3")
    assert run(handler, "mailing-list", step("purchase"))["statusCode"] == 200
    (tmp_path / "shop.yml").write_text(SHOP % ("v3", ""))
    answer = run(handler, "mailing-list", step("purchase"))
    assert answer["statusCode"] == 400
    assert "put it back" in answer["body"]["error"]["message"]
    (tmp_path / "shop.yml").write_text(SHOP % ("v3", "{step: sequence, sequence: 7}"))
    assert run(handler, "mailing-list", step("purchase", key="o_1001.s9"))["statusCode"] == 200
    assert len(sandbox.kit.purchases) == 2


def test_nothing_personal_and_no_token_is_logged(
    start: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seed = sandbox.kit.tokens()["refresh_token"]
    answer = run(start("v4"), "mailing-list", SEQUENCE)
    assert answer["statusCode"] == 200
    for secret in (EMAIL, seed, *sandbox.kit.tokens().values(), SECRETS["kit-client-secret"]):
        assert secret not in caplog.text
        assert secret not in json.dumps(answer)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (step("sequence", {"sequence": "7301"}), "sequence"),
        (step("sequence", {"sequence": 1, "fields": {"x": "invite.link"}}), "fields.x: invite.link"),
        (step("purchase", view=order(email=None)), "no mail address"),
        (step("invite", {"platform": "http"}), "invite"),
    ],
)
def test_a_call_that_makes_no_sense_is_400_and_says_why(
    ask: Any, sandbox: Sandbox, call: StepRequest, says: str
) -> None:
    answer = ask(call)
    assert answer["statusCode"] == 400
    assert says in answer["body"]["error"]["message"]
    assert [one.path for one in sandbox.calls() if "oauth" not in one.path] == []


def test_a_call_without_our_signature_reaches_nobody(start: Any, sandbox: Sandbox) -> None:
    handler = start("v3")
    assert handler.handle(Event(b"{}"), Context())["statusCode"] == 401
    assert run(handler, "mailing-list", step("purchase"), key="x" * 40)["statusCode"] == 401
    assert sandbox.calls() == []


def start_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path, shop: str, secrets: dict[str, str], **variables: str
) -> ModuleType:
    (folder / "shop.yml").write_text(shop)
    filled = {"shop_file": str(folder / "shop.yml"), **variables}
    for name, value in environment(folder / "secrets", "mailing-list", secrets, **filled).items():
        monkeypatch.setenv(name, value)
    handler = load_handler("mailing-list")
    handler.start()
    handler.stop()
    return handler


INTERNAL = {"internal-key": SECRETS["internal-key"]}


def test_the_start_lists_every_problem_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as refused:
        start_with(monkeypatch, tmp_path, SHOP % ("v4", "{step: purchase}"), {"store-url": "nowhere"}, kit_url="x")
    text = "; ".join(refused.value.problems)
    for word in ("internal-key", "store-url", "kit-client-secret", "kit-refresh-token", "kit_client_id", "kit_url"):
        assert word in text
    assert "kit-api-secret" not in text


def test_v3_needs_the_api_secret_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = SHOP % ("v3", "{step: sequence, sequence: 1}")
    with pytest.raises(ConfigurationError) as refused:
        start_with(monkeypatch, tmp_path, shop, INTERNAL)
    assert len(refused.value.problems) == 1
    assert "kit-api-secret" in refused.value.problems[0]
    start_with(monkeypatch, tmp_path, shop, {**INTERNAL, "kit-api-secret": SECRETS["kit-api-secret"]})


def test_a_shop_without_such_steps_needs_nothing_and_says_so_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = start_with(monkeypatch, tmp_path, SHOP % ("v4", ""), INTERNAL)
    answer = run(handler, "mailing-list", step("purchase"))
    assert answer["statusCode"] == 400
    assert "mailing_list" in answer["body"]["error"]["message"]


def test_v3_lives_at_its_own_address_unless_another_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path, "mailing-list", SECRETS).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("kit_url", "")
    handler = load_handler("mailing-list")
    assert handler.kit_address(handler.Config(handler.READS), v3=True) == "https://api.convertkit.com"
    assert handler.kit_address(handler.Config(handler.READS), v3=False) == "https://api.kit.com"
    monkeypatch.setenv("kit_url", "http://127.0.0.1:9/kit")
    assert handler.kit_address(handler.Config(handler.READS), v3=True) == "http://127.0.0.1:9/kit"


@pytest.mark.parametrize("api", ["v4", "v3"])
def test_the_doctor_asks_the_api_that_is_used(start, api: str) -> None:
    checks = examine(start(api), "mailing-list")
    assert (checks["kit"]["status"], checks["configuration"]["status"]) == ("pass", "pass")


def test_the_doctor_leaves_kit_alone_when_no_step_uses_it(start, sandbox: Sandbox) -> None:
    assert examine(start("v4", steps=""), "mailing-list")["kit"]["status"] == "skip"
    assert sandbox.calls("kit") == []
