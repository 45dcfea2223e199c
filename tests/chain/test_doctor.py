"""`pushcart doctor` against a running shop: all green when all is well, and red for each thing that is broken."""

from __future__ import annotations

import json
import sqlite3

import pytest

from local.shop import LocalShop
from pushcart.services.stripe_inbox import EVENT_TYPES
from support.command import pushcart, shop_of

INTERNAL = ("checkout", "order-store", "invite-link", "mailing-list", "email-dispatch", "catch-up")
WEBHOOKS = ("stripe-webhook", "autopay-webhook")
PRODUCT, PRICE, LINK = "wheel-basics", "price_1PushcartWheelBasics", "plink_1PushcartWheelBasics"


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


def examine(shop):
    """The checks of the functions by (where, name), as the command prints them."""
    done = pushcart("doctor", "--json", at=shop_of(shop))
    assert done.code in (0, 1), done.err
    checks = {(one["where"], one["name"]): one for one in done.json["checks"] if one["where"] != "this machine"}
    assert checks[("gateway", "answers")]["status"] == "pass"
    return checks


def wrong(shop, status="fail"):
    """What the functions themselves find wrong, by name: the text and what to do."""
    found = {}
    for function in INTERNAL:
        checks = shop.client.call(function, "/doctor", method="GET")["checks"]
        found |= {one["name"]: f"{one['text']} | {one['fix']}" for one in checks if one["status"] == status}
    return found


def stripe(shop, object_id):
    return shop.sandbox.stripe.lookup(object_id)


def endpoint(shop):
    (found,) = shop.sandbox.stripe.newest("webhook_endpoint")
    return found


def test_a_shop_in_which_all_is_well_is_all_green(ill):
    checks = examine(ill)
    skipped = {name: one["text"] for (_, name), one in checks.items() if one["status"] == "skip"}
    assert set(skipped) == {"sells studio-apron"}, "sold by the shop's own checkout alone"
    assert {one["status"] for one in checks.values()} == {"pass", "skip"}
    assert {where for where, _ in checks} == {"gateway", *WEBHOOKS, *INTERNAL}
    assert {name for where, name in checks if where == "checkout"} == {"clock", "configuration", "store"}
    assert checks[("autopay-webhook", "answers")]["text"] == "refuses a call that is none of its provider's"
    expected = {"store", "mode", "stripe key", "stripe clock", "webhook endpoint", "webhook API version"}
    assert expected <= {name for where, name in checks if where == "order-store"}
    assert {f"sells {product.sku}" for product in ill.catalogue.products} <= {name for _, name in checks}
    assert {"discourse", "thinkific", "http", "kit", "sendgrid", "heartbeat"} <= {name for _, name in checks}


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


# Stripe


def test_a_missing_event_is_named_and_a_star_covers_all(ill):
    was = list(endpoint(ill)["enabled_events"])
    try:
        endpoint(ill)["enabled_events"] = sorted(EVENT_TYPES - {"charge.dispute.created", "refund.failed"})
        assert "does not get charge.dispute.created, refund.failed" in wrong(ill)["webhook endpoint"]
        endpoint(ill)["enabled_events"] = ["*"]
        assert wrong(ill) == {}
    finally:
        endpoint(ill)["enabled_events"] = was


def test_an_endpoint_of_another_api_version_is_pointed_out(ill):
    was = endpoint(ill)["api_version"]
    try:
        for version, told in (("2020-03-02", "2020-03-02, while"), (None, "the default of your account, while")):
            endpoint(ill)["api_version"] = version
            assert told in wrong(ill, "warn")["webhook API version"]
    finally:
        endpoint(ill)["api_version"] = was


@pytest.mark.parametrize(("field", "value"), [("status", "disabled"), ("livemode", True)])
def test_an_endpoint_that_is_not_enabled_for_this_mode_is_red(ill, field, value):
    was = endpoint(ill)[field]
    try:
        endpoint(ill)[field] = value
        assert "not enabled for test payments" in wrong(ill)["webhook endpoint"]
    finally:
        endpoint(ill)[field] = was


def test_in_test_mode_no_endpoint_is_pointed_out_because_stripe_listen_may_do(ill):
    was = endpoint(ill)["url"]
    try:
        endpoint(ill)["url"] = "https://elsewhere.example/stripe"
        assert "only while stripe listen forwards them" in wrong(ill, "warn")["webhook endpoint"]
    finally:
        endpoint(ill)["url"] = was


@pytest.mark.parametrize(
    ("object_id", "change", "complaint"),
    [
        (PRICE, {"unit_amount": 4800}, "it costs 48.00 EUR at Stripe, shop.yml says 49.00 EUR"),
        (PRICE, {"currency": "pln"}, "it is in PLN, shop.yml says 49.00 EUR"),
        (PRICE, {"unit_amount": None}, "it has no fixed amount"),
        (PRICE, {"active": False}, "this price is archived"),
        (LINK, {"active": False}, "this payment link is switched off"),
    ],
)
def test_what_stripe_sells_otherwise_than_shop_yml_is_red(ill, object_id, change, complaint):
    found = stripe(ill, object_id)
    was = dict(found)
    try:
        found.update(change)
        assert f"{object_id}: {complaint}" in wrong(ill)[f"sells {PRODUCT}"]
    finally:
        found.update(was)


def test_a_link_that_sells_something_else_is_red(ill):
    lines = ill.sandbox.stripe.lines
    was = lines[LINK]
    try:
        lines[LINK] = lines["plink_1PushcartPlans"]
        assert f"{LINK}: it sells price_1PushcartPlans and not {PRICE}" in wrong(ill)[f"sells {PRODUCT}"]
    finally:
        lines[LINK] = was


@pytest.mark.parametrize(("object_id", "kind"), [(PRICE, "price"), (LINK, "payment_link")])
def test_an_id_that_stripe_does_not_know_is_red(ill, object_id, kind):
    table = ill.sandbox.stripe._tables[kind]
    was = table.pop(object_id)
    try:
        told = wrong(ill)[f"sells {PRODUCT}"]
        assert f"No such {kind.replace('_', ' ')}: '{object_id}'" in told
        assert "correct the id in shop.yml" in told
    finally:
        table[object_id] = was


def test_a_price_with_an_amount_in_the_shops_currency_counts(ill):
    """Stripe shows the further currencies of a price only to those who ask for them."""
    price = stripe(ill, PRICE)
    was = dict(price)
    try:
        price.update(currency="usd", unit_amount=5300)
        ill.sandbox.stripe.set_currency_option(PRICE, "eur", 4900)
        assert wrong(ill) == {}
        ill.sandbox.stripe.set_currency_option(PRICE, "eur", 4800)
        assert "it costs 48.00 EUR at Stripe" in wrong(ill)[f"sells {PRODUCT}"]
    finally:
        price.update(was)
        ill.sandbox.stripe._currency_options.clear()


@pytest.mark.parametrize(
    ("path", "name", "right"),
    [
        ("/webhook_endpoints", "webhook endpoint", "Webhook Endpoints"),
        ("/prices", f"sells {PRODUCT}", "Prices and Products"),
        ("/payment_links", f"sells {PRODUCT}", "Payment Links"),
    ],
)
def test_what_a_restricted_key_may_not_read_is_a_warning(ill, path, name, right):
    ill.sandbox.fault("stripe", "status", status=403, path=path, times=None)
    assert f"give the key Read on {right}" in wrong(ill, "warn")[name]
    assert wrong(ill) == {}


def test_a_key_that_may_not_read_what_orders_are_made_from_is_red(ill):
    ill.sandbox.fault("stripe", "status", status=403, path="/(charges|disputes)", times=None)
    assert "give the key Read on Charges, Disputes" in wrong(ill)["stripe key"]


def test_a_key_that_cannot_read_a_payment_as_orders_do_is_red(ill):
    """What is expanded in a Checkout Session may need a right that listing sessions does not."""
    ill.sandbox.stripe.open_session(LINK)
    ill.sandbox.fault("stripe", "status", status=403, path="/checkout/sessions/cs_", times=None)
    told = wrong(ill)["stripe key"]
    assert "cannot be read as an order" in told
    assert "give the key Read on Prices and Products too" in told
    ill.sandbox.world.faults.clear()
    assert wrong(ill) == {}


def test_a_key_that_stripe_does_not_know_is_red_and_said_once(ill):
    ill.sandbox.fault("stripe", "status", status=401, times=None)
    assert set(wrong(ill)) == {"stripe key"}
    assert "Invalid API Key" in wrong(ill)["stripe key"]


def test_a_key_of_the_other_mode_is_red(ill):
    file = ill.state_dir / "secrets-all" / "stripe-api-key"
    was = file.read_text()
    try:
        file.write_text("sk_live_abcdef")
        assert "is a key of the other mode" in wrong(ill)["mode"]
    finally:
        file.write_text(was)


# The other providers


@pytest.mark.parametrize(
    ("provider", "how", "name", "told"),
    [
        ("discourse", {"kind": "status", "status": 403}, "discourse", "look at the secret discourse-api-key"),
        ("discourse", {"kind": "refused"}, "discourse", "failed: ConnectionError"),
        ("thinkific", {"kind": "status", "status": 404}, "thinkific", "GET /api/public/v1/courses/90210: 404"),
        ("thinkific", {"kind": "html"}, "thinkific", "the answer is not JSON"),
        ("kit", {"kind": "status", "status": 401}, "kit", "Kit: "),
        ("kit", {"kind": "status", "status": 500}, "kit", "500"),
        ("sendgrid", {"kind": "status", "status": 401}, "sendgrid", "look at the secret sendgrid-api-key"),
        ("stripe", {"kind": "status", "status": 503}, "stripe key", "look at stripe_url"),
    ],
)
def test_a_provider_that_is_down_or_refuses_us_is_red(ill, provider, how, name, told):
    how = dict(how)
    ill.sandbox.fault(provider, how.pop("kind"), times=None, **how)
    found = wrong(ill)
    assert set(found) == {name}
    assert told in found[name]


def test_a_rate_limit_is_no_failure(ill):
    ill.sandbox.fault("discourse", "status", status=429, times=None)
    assert "ask again in a minute" in wrong(ill, "warn")["discourse"]
    assert wrong(ill) == {}


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
    # Marked as unused, Autopay's key would be no mistake of its webhook's.
    broken |= {"checkout": "autopay-key", "autopay-webhook": "autopay-key"}
    files = [ill.state_dir / "secrets-all" / name for name in broken.values()]
    were = [file.read_text() for file in files]
    try:
        for function, file in zip(broken, files, strict=True):
            file.write_text("short" if function == "autopay-webhook" else "unused")
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
