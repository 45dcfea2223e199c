"""`pushcart doctor` against a running shop: all green when all is well, and red for each thing that is broken."""

from __future__ import annotations

import json
import sqlite3

import pytest

from local.shop import LocalShop
from support.command import pushcart, shop_of
from support.examining import INTERNAL, WEBHOOKS, examine, wrong


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    """A shop that the tests may break, each mending it again."""
    with LocalShop(tmp_path_factory.mktemp("ill"), catch_up=False) as shop:
        shop.catch_up()
        yield shop


@pytest.fixture(autouse=True)
def mended(ill):
    yield
    ill.sandbox.world.faults.clear()


def endpoint(shop):
    (found,) = shop.sandbox.stripe.newest("webhook_endpoint")
    return found


def test_a_shop_in_which_all_is_well_is_all_green(ill):
    checks = examine(ill)
    skipped = {name: one["text"] for (_, name), one in checks.items() if one["status"] == "skip"}
    assert set(skipped) == {"sells studio-apron", "sells studio-shirt"}, "sold by the shop's own checkout alone"
    assert {one["status"] for one in checks.values()} == {"pass", "skip"}
    assert {where for where, _ in checks} == {"gateway", *WEBHOOKS, *INTERNAL}
    assert {name for where, name in checks if where == "checkout"} == {"clock", "configuration", "store"}
    assert checks[("autopay-webhook", "answers")]["text"] == "refuses a call that is none of its provider's"
    expected = {"store", "mode", "stripe key", "stripe clock", "webhook endpoint", "webhook API version"}
    assert expected <= {name for where, name in checks if where == "order-store"}
    assert {f"sells {product.sku}" for product in ill.catalogue.products} <= {name for _, name in checks}
    assert {"discourse", "thinkific", "http", "kit", "sendgrid", "heartbeat"} <= {name for _, name in checks}
    assert {"printful", "printful webhook"} <= {name for where, name in checks if where == "printful-order"}
    assert {"store", "alert-urls"} <= {name for where, name in checks if where == "alert"}
    assert "without the secret of its address" in checks[("printful-webhook", "answers")]["text"]


def test_the_doctor_changes_nothing_at_any_provider(ill):
    before = len(ill.sandbox.calls())
    examine(ill)
    asked = [call for call in ill.sandbox.calls()[before:] if call.path != "/v4/oauth/token"]
    assert asked
    assert {call.method for call in asked} == {"GET"}
    assert ill.sandbox.mails() == []


def test_people_see_a_table_with_what_to_do(ill):
    endpoint(ill)["enabled_events"].remove("charge.refunded")
    try:
        done = pushcart("doctor", at={**shop_of(ill), "COLUMNS": "200"})
    finally:
        endpoint(ill)["enabled_events"].append("charge.refunded")
    assert done.code == 1
    assert "does not get charge.refunded → add these events at https://dashboard.stripe.com/webhooks" in done.words
    assert "wrong" in done.words


# The machine, the store, the functions


def test_a_missing_secret_is_named_by_the_function_that_needs_it(ill):
    file = ill.state_dir / "secrets-all" / "discourse-api-key"
    was = file.read_text()
    try:
        file.write_text("unused")
        found = examine(ill)
        told = found[("invite-link", "configuration")]
        assert told["status"] == "fail"
        assert "the secret discourse-api-key is missing or empty; write it to .secrets/" in told["text"]
        assert found[("mailing-list", "configuration")]["status"] == "pass"
    finally:
        file.write_text(was)


def test_without_printfuls_key_what_is_printed_waits_and_who_places_it_says_so(ill):
    file = ill.state_dir / "secrets-all" / "printful-api-key"
    was = file.read_text()
    try:
        file.write_text("unused")
        found = examine(ill)
    finally:
        file.write_text(was)
    for name in ("configuration", "printful"):
        told = found[("printful-order", name)]
        assert (told["status"], "printful-api-key is missing or empty" in told["text"]) == ("fail", True)
    assert found[("mailing-list", "configuration")]["status"] == "pass"


@pytest.mark.parametrize(
    ("secret", "text", "told", "webhook"),
    [
        ("autopay-key", "unused", "the secret autopay-key is missing or empty", "skip"),
        ("autopay-key", "short", "the secret autopay-key should be at least 8 characters", "pass"),
        ("stripe-api-key", "unused", "the secret stripe-api-key is missing or empty", "pass"),
    ],
)
def test_a_way_to_pay_whose_key_is_not_usable_is_told_by_checkout(ill, secret, text, told, webhook):
    """Autopay's webhook says of itself whether it is in use; nobody could pay there all the same."""
    ill.client.call("checkout", "/doctor", method="GET")  # it would not start without its key
    file = ill.state_dir / "secrets-all" / secret
    was = file.read_text()
    try:
        file.write_text(text)
        found = examine(ill)
    finally:
        file.write_text(was)
    assert found[("checkout", "configuration")]["status"] == "fail"
    assert told in found[("checkout", "configuration")]["text"]
    assert found[("autopay-webhook", "answers")]["status"] == webhook


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("my secret telephone", "the secret alert-urls should be lines like critical twilio://"),
        ("critical twilio://AC1:telephone@1/2", "twilio: Apprise cannot use this address"),
    ],
)
def test_an_address_for_alerts_that_reaches_nobody_is_red_and_not_repeated(ill, text, told):
    file = ill.state_dir / "secrets-all" / "alert-urls"
    was = file.read_text()
    try:
        file.write_text(text)
        found = [one for (where, _), one in examine(ill).items() if where == "alert"]
    finally:
        file.write_text(was)
    assert any(told in one["text"] for one in found if one["status"] == "fail")
    assert not any("telephone" in one["text"] for one in found)


def test_a_store_that_cannot_be_written_is_red(ill):
    with sqlite3.connect(ill.state_dir / "shop.db", isolation_level=None) as blocking:
        blocking.execute("BEGIN EXCLUSIVE")
        try:
            found = wrong(ill)
        finally:
            blocking.execute("ROLLBACK")
    blocking.close()
    assert "look at the secret store-url" in found["store"]
    assert wrong(ill) == {}


def test_a_webhook_without_its_secret_is_red_because_it_refuses_stripe_too(ill):
    file = ill.state_dir / "secrets-all" / "stripe-webhook-secret"
    was = file.read_text()
    try:
        file.write_text("nonsense")
        told = examine(ill)[("stripe-webhook", "answers")]
        assert told["status"] == "fail"
        assert "where an unsigned call should be refused" in told["text"]
    finally:
        file.write_text(was)


def test_functions_that_do_not_start_are_one_failed_check_each_with_their_logs(ill):
    broken = {"email-dispatch": "sendgrid-api-key", "stripe-webhook": "stripe-webhook-secret"}
    # Marked as unused, these would be no mistake.
    may_do_without = ("autopay-webhook", "alert", "printful-webhook")
    broken |= {"checkout": "autopay-key", "autopay-webhook": "autopay-key", "printful-order": "printful-api-key"}
    broken |= {"alert": "alert-urls", "printful-webhook": "printful-webhook-secret"}
    files = [ill.state_dir / "secrets-all" / name for name in broken.values()]
    were = [file.read_text() for file in files]
    try:
        for function, file in zip(broken, files, strict=True):
            file.write_text("short" if function in may_do_without else "unused")
            ill.gateway.kill(function)
        checks = examine(ill)
        for function in broken:
            told = [(name, one["status"], one["fix"]) for (where, name), one in checks.items() if where == function]
            assert told == [("answers", "fail", f"faas-cli logs {function}")]
    finally:
        for file, was in zip(files, were, strict=True):
            file.write_text(was)


def test_a_wrong_internal_key_is_told_as_such(ill, tmp_path):
    (tmp_path / "key").write_text("x" * 40)
    done = pushcart("doctor", "--json", at={**shop_of(ill), "PUSHCART_KEY_FILE": str(tmp_path / "key")})
    assert done.code == 1
    (told,) = [one for one in done.json["checks"] if one["where"] == "order-store"]
    assert "sign with the internal key that is deployed" in told["fix"]


def test_without_a_key_this_machine_is_examined_all_the_same(ill, tmp_path):
    done = pushcart("doctor", "--json", at={**shop_of(ill), "PUSHCART_KEY_FILE": str(tmp_path / "none")})
    assert done.code == 1
    (told,) = [one for one in done.json["checks"] if one["where"] == "gateway"]
    assert (told["name"], told["status"]) == ("key", "fail")
    assert any(one["where"] == "this machine" for one in done.json["checks"])


def test_a_gateway_that_is_not_there_is_exit_3_and_this_machine_is_examined_all_the_same(ill):
    at = {**shop_of(ill), "OPENFAAS_URL": "http://127.0.0.1:9"}
    done = pushcart("doctor", "--json", at=at)
    assert done.code == 3
    assert {one["where"] for one in done.json["checks"]} == {"this machine", "gateway"}
    assert json.loads(done.out)["ok"] is False


# Time: last, because it only goes forward


@pytest.mark.parametrize(
    ("ahead", "status", "heartbeat"), [(0, "pass", "pass"), (60, "warn", "pass"), (280, "fail", "fail")]
)
def test_a_clock_that_is_off_and_a_heartbeat_that_is_old_are_seen(ill, ahead, status, heartbeat):
    """The functions' clock runs ahead of the command's, which is this machine's own."""
    if ahead == 0:
        ill.catch_up()
    ill.advance(ahead - ill.sandbox.world.advanced())
    checks = examine(ill)
    for function in INTERNAL:
        assert checks[(function, "clock")]["status"] == status
    assert checks[("catch-up", "heartbeat")]["status"] == heartbeat


def test_clocks_that_are_so_far_apart_that_no_call_is_accepted_are_told_as_such(ill):
    ill.advance(400 - ill.sandbox.world.advanced())
    told = examine(ill)[("order-store", "answers")]
    assert "too old or from the future; check both clocks" in told["text"]
