"""printful-webhook: what Printful says at the secret address is in the inbox before it is acknowledged."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ConfigurationError
from pushcart.providers.printful_shapes import EVENT_TYPES
from pushcart.repositories import Inbox
from pushcart.services.print_inbox import fingerprint
from pushcart.store import connect
from support.provider_calls import fixture
from support.step_calls import Context, Event, environment, load_handler
from support.wire import Wire

NAME = "printful-webhook"
SECRET = "a-secret-of-at-least-24-letters"
PREVIOUS = "previous_secret_of_24_letters"
MESSAGE = {
    "type": "package_shipped",
    "created": 1622456737,
    "retries": 0,
    "store": 952434,
    "data": {"shipment": fixture("printful/order.json")["shipments"][0], "order": fixture("printful/order.json")},
}
EVENT_ID = f"printful:package_shipped.11360229.{fingerprint(MESSAGE)}"


@pytest.fixture
def gateway() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire.say(202)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: Wire) -> Iterator[Callable[..., ModuleType]]:
    """Starts the function with this secret and these variables."""
    started = []

    def start(secret: str = SECRET, **variables: str) -> ModuleType:
        given = {
            "internal-key": "k" * 40,
            "store-url": f"sqlite:///{tmp_path}/shop.db",
            "printful-webhook-secret": secret,
        }
        settings = environment(tmp_path / "secrets", NAME, given, gateway_url=gateway.url, **variables)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        handler = load_handler(NAME)
        handler.start()
        started.append(handler)
        return handler

    yield start
    for handler in started:
        handler.stop()


@pytest.fixture
def started(start: Callable[..., ModuleType]) -> ModuleType:
    return start()


@pytest.fixture
def inbox(started: ModuleType, tmp_path: Path) -> Iterator[Inbox]:
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Inbox(store)
    store.close()


def post(
    handler: ModuleType,
    message: Any = MESSAGE,
    path: str = f"/{SECRET}",
    method: str = "POST",
    context: Context | None = None,
) -> dict[str, Any]:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    answer: dict[str, Any] = handler.handle(Event(body, method, path), context or Context())
    return answer


def test_a_message_is_kept_whole_with_what_it_is_about(started: ModuleType, inbox: Inbox) -> None:
    assert post(started)["statusCode"] == 200
    kept = inbox.require(EVENT_ID)
    assert (kept.source, kept.type) == ("printful", "package_shipped")
    assert (kept.object_type, kept.object_id) == ("print", "11360229")
    assert (kept.created_at, kept.livemode) == ("2021-05-31T10:25:37.000Z", False)
    assert json.loads(kept.body) == MESSAGE


def test_a_live_installation_keeps_live_messages(start: Any, tmp_path: Path) -> None:
    post(start(stripe_mode="live"))
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert Inbox(store).require(EVENT_ID).livemode
    store.close()


def test_the_hint_to_order_store_carries_the_id_and_nothing_else(started: ModuleType, gateway: Wire) -> None:
    post(started)
    started.stop()
    [hint] = gateway.seen
    assert (hint.path, hint.json) == ("/async-function/order-store/kick", {"events": [EVENT_ID]})
    assert "X-Pushcart-Signature" in hint.headers


def test_a_repeat_is_acknowledged_and_changes_nothing_whichever_attempt_it_is(
    started: ModuleType, inbox: Inbox, gateway: Wire
) -> None:
    for retries in (0, 1, 5):
        again = dict(reversed({**MESSAGE, "retries": retries}.items()))
        assert post(started, again)["statusCode"] == 200
    started.stop()
    assert len(gateway.seen) == 1
    assert [kept.id for kept in inbox.list().items] == [EVENT_ID]


def test_another_message_about_the_same_order_is_another_event(started: ModuleType, inbox: Inbox) -> None:
    shipment = {**MESSAGE["data"]["shipment"], "id": 11, "reshipment": True}
    post(started)
    post(started, {**MESSAGE, "data": {**MESSAGE["data"], "shipment": shipment}})
    post(started, {**MESSAGE, "type": "order_updated"})
    assert len(inbox.list().items) == 3


def test_every_message_that_printful_sends_is_taken_in(started: ModuleType, inbox: Inbox) -> None:
    with Sandbox(autosend=False) as sandbox:
        printful = sandbox.printful
        number = printful.steal("o_1001", quantity=2)["id"]
        printful.hold(number)
        printful.release(number)
        printful.fail(number)
        printful.confirm(number)
        printful.ship(number, {printful.order(number)["items"][0]["id"]: 1})
        printful.send_back(number)
        printful.cancel(number)
        printful.refund(number)
        messages = printful.events()
    for message in messages:
        assert post(started, message.body)["statusCode"] == 200
    kept = inbox.list().items
    assert {event.object_id for event in kept} == {str(number)}
    assert {event.type for event in kept} == {message.type for message in messages}
    assert {event.type for event in kept} == EVENT_TYPES - {"order_put_hold_approval"}


WRONG = ["", "/", "//", f"/{SECRET}x", f"/{SECRET[:-1]}", f"/{SECRET}/orders", f"/x/{SECRET}", f"/{SECRET.upper()}"]
WRONG += ["/unused", "/\udcff", "/ü", "/" + "x" * 10_000]


def test_at_another_address_nothing_is_said_kept_or_hinted_at(started: ModuleType, inbox: Inbox, gateway: Wire) -> None:
    for number, path in enumerate(WRONG):
        for body in (MESSAGE,) if number else (MESSAGE, b"{"):
            answer = post(started, body, path)
            assert answer["statusCode"] == 401, path
            assert answer["body"] == {"error": {"code": "unauthorised", "message": "This is not the address."}}
    started.stop()
    assert (inbox.list().items, gateway.seen) == ([], [])


def test_during_a_rotation_both_secrets_are_accepted_and_afterwards_the_new_one_alone(
    start: Any, tmp_path: Path
) -> None:
    handler = start(f"{SECRET}\n{PREVIOUS}\n")
    for secret in (SECRET, PREVIOUS):
        assert post(handler, path=f"/{secret}")["statusCode"] == 200
    assert post(handler, path=f"/{SECRET}{PREVIOUS}")["statusCode"] == 401
    (tmp_path / "secrets" / "printful-webhook-secret").write_text(SECRET)
    assert post(handler, path=f"/{PREVIOUS}")["statusCode"] == 401
    assert post(handler)["statusCode"] == 200


def test_while_the_store_is_down_nothing_is_acknowledged_and_afterwards_it_is(
    started: ModuleType, tmp_path: Path, inbox: Inbox, gateway: Wire
) -> None:
    (tmp_path / "shop.db").mkdir()
    answer = post(started)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (503, "store_unavailable")
    assert gateway.seen == []
    (tmp_path / "shop.db").rmdir()
    assert post(started)["statusCode"] == 200
    assert inbox.get(EVENT_ID)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        {},
        {"type": "package_shipped"},
        {**MESSAGE, "type": None},
        {**MESSAGE, "type": "../counters"},
        {**MESSAGE, "created": "yesterday"},
        {**MESSAGE, "created": 10**12},
        {**MESSAGE, "data": None},
        {**MESSAGE, "data": {"order": None}},
        {**MESSAGE, "data": {"order": {"id": "1 OR 1"}}},
        {**MESSAGE, "data": {"order": {"id": -1}}},
        {**MESSAGE, "data": {"order": {"external_id": "o_1001"}}},
    ],
    ids=lambda message: str(message)[:60],
)
def test_what_is_no_message_of_printfuls_is_a_400_and_not_kept(started: ModuleType, inbox: Inbox, message: Any) -> None:
    answer = post(started, message)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (400, "bad_request")
    assert inbox.list().items == []


def test_a_message_nobody_needs_is_acknowledged_counted_and_not_kept(
    started: ModuleType, inbox: Inbox, gateway: Wire, tmp_path: Path
) -> None:
    assert post(started, {"type": "stock_updated", "data": {"product_id": 7}})["statusCode"] == 200
    started.stop()
    assert (inbox.list().items, gateway.seen) == ([], [])
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert store.get("counters", f"{today}.printful.unneeded.stock_updated")["value"] == 1
    store.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_is_a_message(started: ModuleType, inbox: Inbox, method: str) -> None:
    assert post(started, method=method)["statusCode"] == 405
    assert post(started, method=method, path="/")["statusCode"] == 401
    assert inbox.list().items == []


def test_a_body_above_the_limit_is_a_413(start: Any) -> None:
    size = len(json.dumps(MESSAGE))
    assert post(start(max_event_bytes=str(size - 1)))["statusCode"] == 413
    assert post(start(max_event_bytes=str(size)))["statusCode"] == 200


def test_a_gateway_that_is_down_does_not_delay_or_fail_the_acknowledgement(started: ModuleType, gateway: Wire) -> None:
    gateway.say(500)
    begun = time.monotonic()
    assert post(started)["statusCode"] == 200
    assert time.monotonic() - begun < 1


def test_neither_the_secret_nor_anything_personal_is_logged(
    started: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    context = Context()
    post(started, context=context)
    post(started, b"{", context=Context())
    assert context.log_fields == {"event": EVENT_ID}
    for private in (SECRET, "Lovelace", "ada@"):
        assert private not in caplog.text
    assert SECRET not in started.shown_path(f"/{SECRET}")


@pytest.mark.parametrize("secret", ["unused", "unused\n", ""])
def test_at_a_shop_without_printful_the_function_runs_and_says_so_to_every_post(start: Any, secret: str) -> None:
    handler = start(secret)
    for path in ("/", f"/{SECRET}", "/unused"):
        answer = post(handler, path=path)
        assert (answer["statusCode"], answer["body"]["error"]["code"]) == (404, "not_found")


def test_a_secret_that_is_too_short_keeps_the_function_from_starting(start: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        start("short", stripe_mode="prod")
    for name in ("printful-webhook-secret", "stripe_mode"):
        assert name in error.value.message
    assert "short" not in error.value.message
