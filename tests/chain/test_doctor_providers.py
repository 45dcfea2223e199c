"""`pushcart doctor` about the providers: red for each thing that is broken at one of them."""

from __future__ import annotations

import pytest

from local.shop import LocalShop
from pushcart.services.stripe_inbox import EVENT_TYPES
from support.examining import wrong

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


def stripe(shop, object_id):
    return shop.sandbox.stripe.lookup(object_id)


def endpoint(shop):
    (found,) = shop.sandbox.stripe.newest("webhook_endpoint")
    return found


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


@pytest.fixture
def rested(ill):
    """printful-order as a new process: one that was examined often in this minute has used up its calls to Printful."""
    ill.gateway.restart("printful-order")
    return ill


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"kind": "status", "status": 401}, "look at the secret printful-api-key"),
        ({"kind": "refused"}, "failed: ConnectionError"),
        ({"kind": "html"}, "the answer is not JSON"),
    ],
)
def test_so_is_a_printful_that_does_not_let_us_at_its_orders(rested, how, told):
    rested.sandbox.fault("printful", path="/orders", times=None, **how)
    found = wrong(rested)
    assert set(found) == {"printful"}
    assert told in found["printful"]


def test_a_printful_that_tells_this_shop_nothing_is_pointed_out(rested):
    """Catch-up asks, so that it is no failure; and the owner learns the address without its secret."""
    printful = rested.sandbox.printful
    was = printful.webhook_url
    try:
        printful.webhook_url = None
        told = wrong(rested, "warn")["printful webhook"]
    finally:
        printful.webhook_url = was
    assert "parcels are told to nobody until catch-up asks" in told
    assert "/function/printful-webhook/SECRET" in told
    assert wrong(rested, "warn") == {}


def test_a_rate_limit_is_no_failure(ill):
    ill.sandbox.fault("discourse", "status", status=429, times=None)
    assert "ask again in a minute" in wrong(ill, "warn")["discourse"]
    assert wrong(ill) == {}
