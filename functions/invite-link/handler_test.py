"""invite-link: one signed call lets the buyer in; every failure of a platform is an answer order-store understands."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ConfigurationError
from pushcart.stepcall import StepRequest
from support.step_calls import EMAIL, SECRETS, Context, Event, environment, invite, load_handler, order, run, step

NAMES = ("internal-key", "discourse-api-key", "thinkific-api-key", "platform-key")

CONFIG: dict[str, dict[str, Any]] = {
    "discourse": {"groups": [41], "expires_days": 30},
    "thinkific": {"course": 90210, "expires_days": 365},
    "http": {"data": {"plan": "studio"}},
}
PROVIDERS = {"discourse": "discourse", "thinkific": "thinkific", "http": "platform"}


SHOP = """
shop: {name: S, url: https://s.example, currency: EUR, support: a@s.example, sender: a@s.example,
       admins: [a@s.example]}
products: [{sku: a, name: A, price: 1}]
%s
"""


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    shared_sandbox.platform.set_secret(SECRETS["platform-key"])
    return shared_sandbox


@pytest.fixture
def started(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    secrets = {name: SECRETS[name] for name in NAMES}
    variables = environment(
        tmp_path / "secrets",
        "invite-link",
        secrets,
        provider_timeout="1",
        discourse_url=f"{sandbox.url}/discourse",
        thinkific_url=f"{sandbox.url}/thinkific",
        platform_url=f"{sandbox.url}/platform/hooks/pushcart",
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    handler = load_handler("invite-link")
    handler.start()
    yield handler
    handler.stop()


@pytest.fixture
def ask(started: ModuleType) -> Callable[[StepRequest], dict[str, Any]]:
    return lambda call: run(started, "invite-link", call)


@pytest.mark.parametrize("platform", list(CONFIG))
def test_a_buyer_is_let_in(ask: Any, sandbox: Sandbox, platform: str) -> None:
    answer = ask(invite(platform, **CONFIG[platform]))
    assert answer["statusCode"] == 200
    result = answer["body"]["result"]
    assert result["platform"] == platform
    assert result["link"].startswith("http")
    assert answer["body"]["note"]
    assert sandbox.calls(PROVIDERS[platform])


@pytest.mark.parametrize("platform", list(CONFIG))
def test_the_answer_and_the_log_hold_no_address(ask: Any, caplog: pytest.LogCaptureFixture, platform: str) -> None:
    caplog.set_level(logging.DEBUG)
    answer = ask(invite(platform, **CONFIG[platform]))
    assert answer["statusCode"] == 200
    assert EMAIL not in json.dumps(answer)
    # What a function writes: ours, and of the packages' what is a warning.
    written = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("pushcart") or record.levelno >= logging.WARNING
    ]
    assert "ada" not in unquote(" ".join(written)).lower()


def test_the_log_line_gets_the_order_and_the_step(started: ModuleType) -> None:
    context = Context()
    run(started, "invite-link", invite("http", **CONFIG["http"]), context=context)
    assert context.log_fields == {"order_id": "o_1001", "step": "invite"}


def test_a_call_without_our_signature_reaches_nobody(started: ModuleType, sandbox: Sandbox) -> None:
    assert started.handle(Event(b"{}"), Context())["statusCode"] == 401
    assert run(started, "invite-link", invite("http"), key="x" * 40)["statusCode"] == 401
    assert run(started, "mailing-list", invite("http"))["statusCode"] == 401
    assert sandbox.calls() == []


@pytest.mark.parametrize("platform", list(CONFIG))
@pytest.mark.parametrize(
    ("kind", "rule", "status", "code"),
    [
        ("refused", {}, 503, "provider_unavailable"),
        ("lost_answer", {}, 503, "provider_unavailable"),
        ("html", {}, 503, "provider_unavailable"),
        ("status", {"status": 401}, 422, "provider_refused"),
        ("status", {"status": 404}, 422, "provider_refused"),
        ("status", {"status": 409}, 503, "provider_unavailable"),
        ("status", {"status": 429, "retry_after": 33}, 429, "provider_busy"),
        ("status", {"status": 429}, 429, "provider_busy"),
        ("status", {"status": 503}, 503, "provider_unavailable"),
    ],
)
def test_a_failing_platform_is_told_apart_and_the_next_call_succeeds(
    ask: Any, sandbox: Sandbox, platform: str, kind: str, rule: dict[str, Any], status: int, code: str
) -> None:
    sandbox.fault(PROVIDERS[platform], kind, method="POST", **rule)
    answer = ask(invite(platform, **CONFIG[platform]))
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (status, code)
    assert answer["headers"].get("Retry-After") == ("33" if "retry_after" in rule else None)
    assert "ada" not in json.dumps(answer).lower()
    again = ask(invite(platform, **CONFIG[platform]))
    assert again["statusCode"] == 200
    made = [sandbox.discourse.invites, sandbox.thinkific.enrollments, sandbox.platform.links]
    assert sum(len(things) for things in made) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (step("invite", {"platform": "moodle"}), "platform"),
        (step("invite", {}), "platform"),
        (step("invite", {"platform": "thinkific", "course": "nine"}), "course"),
        (step("purchase"), "purchase"),
        (step("invite", {"platform": "http"}, order(email=None)), "no mail address"),
        (step("invite", {"platform": "http"}, order=None), "needs an order"),
    ],
)
def test_a_call_that_makes_no_sense_is_400_and_says_why(ask: Any, call: StepRequest, says: str) -> None:
    answer = ask(call)
    assert answer["statusCode"] == 400
    assert says in answer["body"]["error"]["message"]


def test_a_changed_secret_is_used_at_the_next_call(ask: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.platform.set_secret("a-new-platform-key-1")
    assert ask(invite("http"))["statusCode"] == 422
    (tmp_path / "secrets" / "platform-key").write_text("a-new-platform-key-1")
    assert ask(invite("http"))["statusCode"] == 200


def test_a_platform_added_to_shop_yml_is_there_without_a_restart(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop.yml"
    shop.write_text(SHOP % "")
    secrets = {name: SECRETS[name] for name in ("internal-key", "platform-key")}
    for name, value in environment(tmp_path / "secrets", "invite-link", secrets, shop_file=str(shop)).items():
        monkeypatch.setenv(name, value)
    handler = load_handler("invite-link")
    handler.start()
    answer = run(handler, "invite-link", invite("http"))
    assert answer["statusCode"] == 400
    assert "platforms" in answer["body"]["error"]["message"]
    shop.write_text(SHOP % f"platforms: {{http: {{url: '{sandbox.url}/platform/hook'}}}}")
    assert run(handler, "invite-link", invite("http"))["statusCode"] == 200
    handler.stop()


def start_with(monkeypatch: pytest.MonkeyPatch, folder: Path, secrets: dict[str, str], **variables: str) -> None:
    for name, value in environment(folder, "invite-link", secrets, **variables).items():
        monkeypatch.setenv(name, value)
    handler = load_handler("invite-link")
    handler.start()
    handler.stop()


def test_the_start_lists_every_problem_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as refused:
        start_with(monkeypatch, tmp_path, {"platform-key": "short"}, provider_timeout="soon", thinkific_url="x")
    text = "; ".join(refused.value.problems)
    for word in (
        "internal-key",
        "discourse-api-key",
        "thinkific-api-key",
        "platform-key",
        "provider_timeout",
        "thinkific_url",
    ):
        assert word in text


def test_mistakes_in_shop_yml_stand_beside_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.yml").write_text("shop: {}\nproducts: []\n")
    with pytest.raises(ConfigurationError) as refused:
        start_with(monkeypatch, tmp_path / "secrets", {}, shop_file=str(tmp_path / "shop.yml"))
    text = "; ".join(refused.value.problems)
    assert "internal-key" in text
    assert "shop.yml line 1" in text


def test_only_the_platforms_in_use_need_their_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mails").mkdir()
    (tmp_path / "shop.yml").write_text("""
shop: {name: S, url: https://s.example, currency: EUR, support: a@s.example, sender: a@s.example,
       admins: [a@s.example]}
platforms:
  discourse: {url: https://forum.s.example}
  http: {url: https://learn.s.example}
products:
  - {sku: a, name: A, price: 1, fulfilment: [{step: invite, platform: http}]}
""")
    secrets = {name: SECRETS[name] for name in ("internal-key", "platform-key")}
    start_with(monkeypatch, tmp_path / "secrets", secrets, shop_file=str(tmp_path / "shop.yml"))
    (tmp_path / "secrets" / "platform-key").write_text("unused")
    with pytest.raises(ConfigurationError, match="platform-key"):
        start_with(monkeypatch, tmp_path / "secrets", {}, shop_file=str(tmp_path / "shop.yml"))
