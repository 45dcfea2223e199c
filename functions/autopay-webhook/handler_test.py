"""autopay-webhook: what Autopay signed is in the inbox before it is confirmed, and nothing else is ever signed."""

from __future__ import annotations

import time

import pytest

from pushcart.errors import ConfigurationError
from pushcart.providers import paylinks
from pushcart.repositories import Inbox
from pushcart.store import connect
from support.autopay import CONFIRMATION, ITN, KEY, SERVICE_ID, form, itn, sha256, transaction
from support.step_calls import Context, Event, environment, load_handler
from support.wire import Wire

PREVIOUS = "previous-key-0123456789"
EVENT_ID = "autopay:123.102686.paid"


@pytest.fixture
def gateway():
    with Wire() as wire:
        yield wire.say(202)


@pytest.fixture
def start(tmp_path, monkeypatch, gateway):
    """Starts the function with this secret and these variables."""
    started = []

    def start(secret: str = KEY, **variables: str):
        given = {
            "internal-key": "k" * 40,
            "store-url": f"sqlite:///{tmp_path}/shop.db",
            "autopay-key": secret,
        }
        variables = {"gateway_url": gateway.url, "autopay_service_id": SERVICE_ID, **variables}
        for name, value in environment(tmp_path / "secrets", "autopay-webhook", given, **variables).items():
            monkeypatch.setenv(name, value)
        handler = load_handler("autopay-webhook")
        handler.start()
        started.append(handler)
        return handler

    yield start
    for handler in started:
        handler.stop()


@pytest.fixture
def started(start):
    return start()


@pytest.fixture
def inbox(started, tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    yield Inbox(store)
    store.close()


def post(handler, xml=ITN, context=None, method="POST"):
    body = xml if isinstance(xml, bytes) else form(xml)
    return handler.handle(Event(body, method=method), context or Context())


def test_autopays_notification_is_kept_whole_and_confirmed_byte_for_byte(started, inbox):
    answer = post(started)
    assert answer["statusCode"] == 200
    assert answer["body"] == CONFIRMATION
    assert answer["headers"]["Content-Type"] == "text/xml; charset=utf-8"
    kept = inbox.require(EVENT_ID)
    assert (kept.source, kept.type) == ("autopay", "payment.paid")
    assert (kept.object_type, kept.object_id) == ("payment", "123")
    assert (kept.created_at, kept.livemode) == ("2020-06-21T15:12:38.000Z", False)
    [notice] = paylinks.provider("autopay").notices(kept.body)
    assert (notice.amount, notice.currency) == (50000, "PLN")


def test_a_live_installation_keeps_live_payments(start, tmp_path):
    post(start(stripe_mode="live"))
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    assert Inbox(store).require(EVENT_ID).livemode
    store.close()


def test_the_hint_to_order_store_carries_the_id_and_nothing_else(started, gateway):
    post(started)
    started.stop()
    [hint] = gateway.seen
    assert (hint.path, hint.json) == ("/async-function/order-store/kick", {"events": [EVENT_ID]})
    assert "X-Pushcart-Signature" in hint.headers


def test_a_repeat_is_confirmed_again_and_changes_nothing(started, inbox, gateway):
    assert [post(started)["body"] for _ in range(3)] == [CONFIRMATION] * 3
    started.stop()
    assert len(gateway.seen) == 1
    assert [kept.id for kept in inbox.list().items] == [EVENT_ID]


def test_each_step_of_a_payment_and_each_attempt_is_an_event_of_its_own(started, inbox):
    for status in ("PENDING", "FAILURE", "SUCCESS"):
        for reference in ("R1", "R2"):
            post(started, itn(transaction(paymentStatus=status, remoteID=reference)))
    assert sorted(kept.id for kept in inbox.list().items) == [
        f"autopay:o-1.{reference}.{status}" for reference in ("R1", "R2") for status in ("failed", "paid", "pending")
    ]


def test_every_transaction_of_a_list_is_kept_and_hinted_at(started, inbox, gateway):
    context = Context()
    post(started, itn(transaction(), transaction(orderID="o-2", remoteID="R2")), context)
    started.stop()
    ids = ["autopay:o-1.R1.paid", "autopay:o-2.R2.paid"]
    assert sorted(kept.id for kept in inbox.list().items) == ids
    assert sorted(id for hint in gateway.seen for id in hint.json["events"]) == ids
    assert context.log_fields == {"event": ", ".join(ids)}


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (itn(hash="0" * 64), "bad_signature"),
        (itn(key="another-key-0123456789"), "bad_signature"),
        (itn(key=""), "bad_signature"),
        (ITN.replace("500.00", "5.00"), "bad_signature"),
        # The hash of a link and of the way back, and an order id that would make a refusal's hash a notification's.
        (
            itn([("orderID", "123"), ("title", "500.00|PLN")], hash=sha256(SERVICE_ID, "123", "500.00", "PLN", KEY)),
            None,
        ),
        (itn([("orderID", "123")], hash=sha256(SERVICE_ID, "123", KEY)), None),
        (itn(transaction(orderID="o-1|R1|49.00|EUR|106|20261121100000|SUCCESS"), hash="0" * 64), None),
        (itn(service_id="654321"), None),
        (b"", None),
        (b"transactions=AAAA", None),
    ],
)
def test_what_autopay_did_not_sign_gets_no_signature_is_kept_nowhere_and_hinted_at_to_nobody(
    started, inbox, gateway, xml, code
):
    answer = post(started, xml)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (400, code or "bad_request")
    assert "CONFIRMED" not in str(answer)
    assert KEY not in str(answer)
    started.stop()
    assert (inbox.list().items, gateway.seen) == ([], [])


def test_during_a_rotation_both_keys_are_accepted_and_afterwards_the_new_one_alone(start, tmp_path):
    handler = start(f"{KEY}\n{PREVIOUS}\n")
    assert post(handler, itn(key=PREVIOUS))["statusCode"] == 200
    assert post(handler)["body"] == CONFIRMATION
    (tmp_path / "secrets" / "autopay-key").write_text(KEY)
    assert post(handler, itn(key=PREVIOUS))["statusCode"] == 400
    assert post(handler)["body"] == CONFIRMATION


def test_while_the_store_is_down_nothing_is_confirmed_and_afterwards_it_is(started, tmp_path, inbox, gateway):
    (tmp_path / "shop.db").mkdir()
    answer = post(started)
    assert (answer["statusCode"], answer["body"]["error"]["code"]) == (503, "store_unavailable")
    assert "Retry-After" in answer["headers"]
    assert "CONFIRMED" not in str(answer)
    assert gateway.seen == []
    (tmp_path / "shop.db").rmdir()
    assert post(started)["body"] == CONFIRMATION
    assert inbox.get(EVENT_ID)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_is_a_notification(started, inbox, method):
    assert post(started, method=method)["statusCode"] == 405
    assert inbox.list().items == []


def test_a_body_above_the_limit_is_a_413(start):
    handler = start(max_event_bytes=str(len(form(ITN)) - 1))
    assert post(handler)["statusCode"] == 413
    assert post(start(max_event_bytes=str(len(form(ITN)))))["statusCode"] == 200


def test_a_gateway_that_is_down_does_not_delay_or_fail_the_confirmation(started, gateway):
    gateway.say(500)
    begun = time.monotonic()
    assert post(started)["statusCode"] == 200
    assert time.monotonic() - begun < 1


def test_nothing_personal_is_logged(started):
    context = Context()
    post(started, itn([*transaction(), ("customerData", [("fName", "Ada"), ("lName", "Lovelace")])]), context)
    assert context.log_fields == {"event": "autopay:o-1.R1.paid"}


@pytest.mark.parametrize("secret", ["unused", "unused\n", ""])
def test_at_a_shop_without_autopay_the_function_runs_and_says_so_to_every_post(start, tmp_path, secret):
    handler = start(secret, autopay_service_id="")
    for xml in (ITN, itn(key=""), itn(key="unused"), b""):
        answer = post(handler, xml)
        assert (answer["statusCode"], answer["body"]["error"]["code"]) == (404, "not_found")
    (tmp_path / "secrets" / "autopay-key").write_text(KEY)
    assert post(handler)["statusCode"] == 500, "the key alone is not enough"


def test_a_start_with_half_of_what_it_needs_names_all_that_is_missing(tmp_path, monkeypatch):
    given = environment(tmp_path, "autopay-webhook", {"autopay-key": "short"}, stripe_mode="prod")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        load_handler("autopay-webhook").start()
    for name in ("stripe_mode", "internal-key", "store-url", "autopay-key", "autopay_service_id"):
        assert name in error.value.message
