"""printful-order: one signed call has Printful make the goods, once; order-store understands every failure."""

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
from support.printful import KEY, VARIANT, printing, shipped
from support.step_calls import EMAIL, SECRETS, Context, Event, environment, load_handler, order, run, step

NAME = "printful-order"
WEBHOOK = "https://gateway.s.example/function/printful-webhook/"
SECRET = "a-secret-of-at-least-24-letters"

SHOP = """
shop: {name: S, url: https://s.example, currency: EUR, support: a@s.example, sender: a@s.example,
       admins: [a@s.example]}
site: {checkout: https://gateway.s.example/function/checkout}
checkout: {shipping: {countries: [PL], rates: [{name: Courier, price: 6}]}}
every_order: {on_parcel: [{step: email, sendgrid_template: d-1}]}
products:
  - {sku: apron, name: Apron, price: 24, ships: true, fulfilment: [%s]}
"""
PRINTS = f"{{step: print, variant: {VARIANT}}}"


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox(autosend=False) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    shared_sandbox.printful.configure(token=KEY, balance=None, webhook_url=WEBHOOK + SECRET)
    shared_sandbox.printful.add_variant(VARIANT, "Apron - S")
    return shared_sandbox


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Starts the function for a shop whose apron has these steps."""
    running = []

    def start(steps: str = PRINTS, key: str = KEY, **variables: str) -> ModuleType:
        (tmp_path / "shop.yml").write_text(SHOP % steps)
        secrets = {"internal-key": SECRETS["internal-key"], "printful-api-key": key}
        given = {
            "provider_timeout": "1",
            "printful_url": f"{sandbox.url}/printful",
            "shop_file": str(tmp_path / "shop.yml"),
            **variables,
        }
        for name, value in environment(tmp_path / "secrets", NAME, secrets, **given).items():
            monkeypatch.setenv(name, value)
        handler = load_handler(NAME)
        handler.start()
        running.append(handler)
        return handler

    yield start
    for handler in running:
        handler.stop()


@pytest.fixture
def ask(start: Callable[..., ModuleType]) -> Callable[[StepRequest], dict[str, Any]]:
    handler = start()
    return lambda call: run(handler, NAME, call)


def test_an_order_is_placed_once_however_often_it_is_asked_for(ask: Any, sandbox: Sandbox) -> None:
    first, second = ask(printing()), ask(printing())
    assert first["statusCode"] == second["statusCode"] == 200
    [made] = sandbox.printful.orders()
    assert (made["external_id"], made["status"]) == ("o_1001", "pending")
    assert [(item["sync_variant_id"], item["quantity"], item["external_id"]) for item in made["items"]] == [
        (VARIANT, 2, "li_1")
    ]
    assert first["body"]["result"] == second["body"]["result"]
    assert (first["body"]["result"]["external_id"], first["body"]["result"]["retail"]) == ("o_1001", 4800)
    assert first["body"]["result"]["print"]["number"] == str(made["id"])
    assert first["body"]["note"].startswith("order placed at Printful, ")
    assert made["costs"]["total"] in first["body"]["note"]


def test_the_answer_and_the_log_hold_no_address(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = json.dumps(ask(printing()))
    for private in (EMAIL, "Kiln", "Lovelace"):
        assert private not in answer + caplog.text


def test_the_log_line_gets_the_order_and_the_step(start: Any) -> None:
    context = Context()
    run(start(), NAME, printing(), context=context)
    assert context.log_fields == {"order_id": "o_1001", "step": "print"}


def test_a_call_without_our_signature_reaches_nobody(start: Any, sandbox: Sandbox) -> None:
    handler = start()
    assert handler.handle(Event(b"{}"), Context())["statusCode"] == 401
    assert run(handler, NAME, printing(), key="x" * 40)["statusCode"] == 401
    assert sandbox.calls("printful") == []


@pytest.mark.parametrize(
    ("kind", "rule", "status", "code"),
    [
        ("refused", {}, 503, "provider_unavailable"),
        ("lost_answer", {}, 503, "provider_unavailable"),
        ("truncated", {}, 503, "provider_unavailable"),
        ("html", {}, 503, "provider_unavailable"),
        ("status", {"status": 401}, 422, "provider_refused"),
        ("status", {"status": 409}, 503, "provider_unavailable"),
        ("status", {"status": 429, "retry_after": 33}, 429, "provider_busy"),
        ("status", {"status": 500}, 503, "provider_unavailable"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_any_failure_the_next_call_leaves_one_order(
    ask: Any, sandbox: Sandbox, method: str, kind: str, rule: dict[str, Any], status: int, code: str
) -> None:
    sandbox.fault("printful", kind, method=method, **rule)
    answer = ask(printing())
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (status, code)
    assert answer["headers"].get("Retry-After") == ("33" if "retry_after" in rule else None)
    assert ask(printing())["statusCode"] == 200
    assert [made["status"] for made in sandbox.printful.orders()] == ["pending"]


def test_an_order_that_falls_back_to_a_draft_is_confirmed(ask: Any, sandbox: Sandbox) -> None:
    sandbox.printful.configure(fall_back=1)
    assert ask(printing())["body"]["note"].startswith("order confirmed at Printful, ")
    assert sandbox.printful.order("@o_1001")["status"] == "pending"


def test_an_order_whose_costs_take_longer_is_tried_again_until_they_are_there(ask: Any, sandbox: Sandbox) -> None:
    sandbox.printful.configure(fall_back=2)
    answer = ask(printing())
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (503, "provider_unavailable")
    sandbox.printful.compute("@o_1001")
    assert ask(printing())["body"]["result"]["print"]["status"] == "pending"
    assert len(sandbox.printful.orders()) == 1


def test_an_empty_wallet_is_a_humans_and_once_it_is_filled_the_retry_goes_on(ask: Any, sandbox: Sandbox) -> None:
    sandbox.printful.configure(balance=0)
    for _ in range(2):
        answer = ask(printing())
        assert (answer["statusCode"], answer["body"]["error"]["code"]) == (422, "provider_refused")
        assert "Insufficient funds" in answer["body"]["error"]["message"]
    sandbox.printful.configure(balance=100_000)
    assert ask(printing())["statusCode"] == 200
    assert [made["status"] for made in sandbox.printful.orders()] == ["pending"]


def test_a_cancelled_order_is_not_placed_again(ask: Any, sandbox: Sandbox) -> None:
    ask(printing())
    sandbox.printful.cancel("@o_1001")
    answer = ask(printing())
    assert (answer["statusCode"], "cancelled" in answer["body"]["error"]["message"]) == (422, True)
    assert len(sandbox.printful.orders()) == 1


def test_somebody_elses_order_under_our_name_is_a_humans(ask: Any, sandbox: Sandbox) -> None:
    sandbox.printful.steal("o_1001")
    answer = ask(printing())
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (422, "provider_refused")
    assert "other items" in answer["body"]["error"]["message"]


def test_a_variant_that_printful_does_not_know_is_a_humans_with_its_words(ask: Any) -> None:
    answer = ask(printing(variant=5))
    assert answer["statusCode"] == 422
    assert "Sync variant not found" in answer["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (printing(order()), "shipping address"),
        (printing(config={"items": "all"}), "items"),
        (step("invite"), "print"),
        (printing(shipped(), order=None), "needs an order"),
    ],
)
def test_a_call_that_makes_no_sense_is_400_and_says_why(
    ask: Any, sandbox: Sandbox, call: StepRequest, says: str
) -> None:
    answer = ask(call)
    assert answer["statusCode"] == 400
    assert says in answer["body"]["error"]["message"]
    assert sandbox.printful.orders() == []


def test_a_changed_token_is_used_at_the_next_call(ask: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.printful.configure(token="printful-token-2")
    assert "printful-api-key" in ask(printing())["body"]["error"]["message"]
    (tmp_path / "secrets" / "printful-api-key").write_text("printful-token-2")
    assert ask(printing())["statusCode"] == 200


def test_the_doctor_finds_the_token_the_store_and_the_webhook_right(start: Any) -> None:
    checks = examine(start(printful_store="952434"), NAME)
    assert {name: check["status"] for name, check in checks.items()} == {
        "clock": "skip",
        "configuration": "pass",
        "printful": "pass",
        "printful webhook": "pass",
    }
    assert SECRET not in str(checks)


@pytest.mark.parametrize(
    ("url", "types", "says"),
    [
        (None, None, "Printful has none"),
        ("https://gateway.s.example/hooks/" + SECRET, None, "does not lead to /function/printful-webhook/"),
        (WEBHOOK, None, "does not end in the secret"),
        ("https://other.example/function/printful-webhook/" + SECRET, None, "another machine than gateway.s.example"),
        ("http://[" + SECRET, None, "is no address"),
        (WEBHOOK + SECRET, ("package_shipped",), "does not get order_canceled, order_created"),
    ],
)
def test_a_webhook_that_is_missing_or_wrong_is_a_warning_that_says_the_address(
    start: Any, sandbox: Sandbox, url: str | None, types: tuple[str, ...] | None, says: str
) -> None:
    sandbox.printful.webhook_url = url
    before, sandbox.printful.types = sandbox.printful.types, types or sandbox.printful.types
    found = examine(start(), NAME)["printful webhook"]
    sandbox.printful.types = before
    assert (found["status"], says in found["text"]) == ("warn", True), found
    assert WEBHOOK + "SECRET" in found["fix"]
    assert SECRET not in str(found)


def test_the_doctor_finds_a_token_that_is_not_accepted(start: Any) -> None:
    found = examine(start(key="printful-token-9"), NAME)["printful"]
    assert (found["status"], "printful-api-key" in found["text"]) == ("fail", True)


def test_a_shop_that_prints_nothing_needs_no_token_and_asks_nobody(start: Any, sandbox: Sandbox) -> None:
    checks = examine(start("", key="unused"), NAME)
    assert (checks["printful"]["status"], sandbox.calls("printful")) == ("skip", [])


def test_a_start_names_everything_that_is_wrong(start: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        start(key="", provider_timeout="soon", printful_url="x", printful_store="mine")
    for name in ("printful-api-key", "provider_timeout", "printful_url", "printful_store"):
        assert name in refused.value.message
