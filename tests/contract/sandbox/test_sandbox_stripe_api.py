"""Stripe's API as the official SDK sees it: objects, lists, expansion, idempotency, errors."""

from __future__ import annotations

import pytest
import requests
import stripe

from local.sandbox import Sandbox

CART = {
    "mode": "payment",
    "success_url": "http://127.0.0.1/ok?session={CHECKOUT_SESSION_ID}",
    "client_reference_id": "ord_1",
    "locale": "pl",
    "metadata": {"order_id": "ord_1"},
    "line_items": [
        {
            "quantity": 3,
            "price_data": {
                "currency": "jpy",
                "unit_amount": 800,
                "product_data": {"name": "Tea", "metadata": {"sku": "tea"}},
            },
        }
    ],
}


def test_a_key_is_needed_and_only_test_keys_open_the_door(sb: Sandbox) -> None:
    """401 with Stripe's error, which the SDK turns into its own exception."""
    for key in ("sk_live_1234567890", "nonsense"):
        client = stripe.StripeClient(key, base_addresses={"api": f"{sb.url}/stripe"})
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            client.v1.events.list()
    answer = requests.get(f"{sb.url}/stripe/v1/events", timeout=5)
    assert answer.status_code == 401
    assert "did not provide an API key" in answer.json()["error"]["message"]


def test_a_restricted_key_is_accepted(sb: Sandbox) -> None:
    client = stripe.StripeClient("rk_test_1", base_addresses={"api": f"{sb.url}/stripe"})
    assert client.v1.events.list().data == []


def test_a_cart_becomes_a_session_with_its_own_lines(api: stripe.StripeClient) -> None:
    """Amounts are minor units: three teas of 800 yen are 2400, never times a hundred."""
    session = api.v1.checkout.sessions.create(CART)
    assert session.id.startswith("cs_test_")
    assert session.status == "open"
    assert session.payment_status == "unpaid"
    assert (session.amount_total, session.currency, session.locale) == (2400, "jpy", "pl")
    assert session.metadata.to_dict() == {"order_id": "ord_1"}
    assert session.payment_link is None
    assert session.client_reference_id == "ord_1"
    assert session.payment_intent is None
    assert "line_items" not in session.to_dict()
    lines = api.v1.checkout.sessions.line_items.list(session.id, {"expand": ["data.price.product"]}).data
    assert [(line.description, line.quantity, line.amount_total) for line in lines] == [("Tea", 3, 2400)]
    assert lines[0].price.product.metadata.to_dict() == {"sku": "tea"}


def test_a_session_adds_the_first_shipping_option(api: stripe.StripeClient) -> None:
    session = api.v1.checkout.sessions.create(
        {
            **CART,
            "shipping_options": [
                {
                    "shipping_rate_data": {
                        "display_name": "Post",
                        "type": "fixed_amount",
                        "fixed_amount": {"amount": 500, "currency": "jpy"},
                    }
                }
            ],
        }
    )
    assert session.amount_subtotal == 2400
    assert session.amount_total == 2900
    assert session.total_details.amount_shipping == session.shipping_cost.amount_total == 500


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"line_items": []}, "line_items"),
        ({"success_url": ""}, "success_url"),
        (
            {"line_items": [{"price_data": {"currency": "eur", "unit_amount": 1, "product_data": {"name": "x"}}}]},
            "line_items[0][quantity]",
        ),
        ({"line_items": [{"quantity": 1, "price": "price_none"}]}, "line_items[0][price]"),
        ({"line_items": [{"quantity": 0, "price": "price_none"}]}, "line_items[0][quantity]"),
        ({"expires_at": 1}, "expires_at"),
        ({"mode": "subscription"}, "mode"),
        ({"metadata": {"long": "x" * 501}}, "metadata[long]"),
        ({"colour": "red"}, "colour"),
        ({"shipping_address_collection": {"countries": ["PL"]}}, "shipping_address_collection[countries]"),
    ],
)
def test_a_session_that_stripe_would_refuse_is_refused(api: stripe.StripeClient, change: dict, param: str) -> None:
    """Every refusal names the parameter; unknown ones are checked against the SDK's own declarations."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.checkout.sessions.create({**CART, **change})
    assert refused.value.param == param
    assert refused.value.http_status == 400


def test_prices_of_two_currencies_do_not_mix(sb: Sandbox, api: stripe.StripeClient) -> None:
    product = api.v1.products.create({"name": "Mug", "metadata": {"sku": "mug"}})
    items = [
        {"quantity": 1, "price": api.v1.prices.create({"product": product.id, "currency": c, "unit_amount": 100}).id}
        for c in ("eur", "usd")
    ]
    with pytest.raises(stripe.InvalidRequestError, match="same currency"):
        api.v1.checkout.sessions.create({**CART, "line_items": items})


def test_a_link_made_through_the_api_sells(sb: Sandbox, api: stripe.StripeClient) -> None:
    product = api.v1.products.create({"name": "Mug", "default_price_data": {"currency": "kwd", "unit_amount": 1500}})
    made = api.v1.payment_links.create({"line_items": [{"price": product.default_price, "quantity": 2}]})
    assert made.url == f"{sb.url}/stripe/pay/{made.id}"
    assert api.v1.payment_links.line_items.list(made.id).data[0].amount_total == 3000
    session = sb.stripe.buy(made.id).object
    assert (session["amount_total"], session["currency"], session["payment_link"]) == (3000, "kwd", made.id)


def test_fixed_ids_are_kept(sb: Sandbox, api: stripe.StripeClient, course: dict) -> None:
    """The shop's file names prices and links, so a caller may fix their ids."""
    sb.stripe.add_payment_link([{**course, "price_id": "price_course", "product_id": "prod_course"}], "plink_course")
    assert api.v1.payment_links.retrieve("plink_course").id == "plink_course"
    price = api.v1.prices.retrieve("price_course", {"expand": ["product"]})
    assert price.product.id == "prod_course"
    assert price.product.metadata.to_dict() == {"sku": "course"}


def test_expansion_reaches_the_charge_and_the_product(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session = sb.stripe.buy(link).object
    got = api.v1.checkout.sessions.retrieve(
        session["id"],
        {"expand": ["payment_intent.latest_charge.refunds", "line_items.data.price.product", "payment_link"]},
    )
    assert got.payment_intent.latest_charge.amount == 4900
    assert got.payment_intent.latest_charge.refunds.data == []
    assert got.line_items.data[0].price.product.name == "Lip-sync course"
    assert got.payment_link.id == link
    plain = api.v1.checkout.sessions.retrieve(session["id"])
    assert isinstance(plain.payment_intent, str)


@pytest.mark.parametrize(
    "path",
    [
        "colour",
        "amount_total",
        "amount_total.x",
        "data.price",
        "status",
        "payment_intent.latest_charge.payment_intent.latest_charge.refunds",
    ],
)
def test_what_cannot_be_expanded_is_an_error(sb: Sandbox, api: stripe.StripeClient, link: str, path: str) -> None:
    session = sb.stripe.buy(link).object
    with pytest.raises(stripe.InvalidRequestError, match=r"cannot (be expanded|expand more)"):
        api.v1.checkout.sessions.retrieve(session["id"], {"expand": [path]})


def test_lists_come_newest_first_in_pages(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    bought = [sb.stripe.buy(link).object["id"] for _ in range(5)]
    first = api.v1.checkout.sessions.list({"limit": 2})
    assert [s.id for s in first.data] == bought[:2:-1]
    assert first.has_more
    assert [s.id for s in first.auto_paging_iter()] == bought[::-1]
    back = api.v1.checkout.sessions.list({"limit": 2, "ending_before": bought[1]})
    assert [s.id for s in back.data] == [bought[3], bought[2]]
    assert back.has_more
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.checkout.sessions.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError, match="No such object"):
        api.v1.checkout.sessions.list({"starting_after": "cs_test_none"})


def test_sessions_are_found_by_time_status_link_and_payment(
    sb: Sandbox, api: stripe.StripeClient, clock, link: str, shirt: dict
) -> None:
    early = sb.stripe.buy(link).object
    clock.advance(60)
    other = sb.stripe.add_payment_link([shirt])["id"]
    late, opened = sb.stripe.buy(other).object, sb.stripe.open_session(other)
    find = api.v1.checkout.sessions.list
    assert [s.id for s in find({"created": {"gte": late["created"]}}).data] == [opened["id"], late["id"]]
    assert [s.id for s in find({"created": {"lt": late["created"]}}).data] == [early["id"]]
    assert [s.id for s in find({"status": "open"}).data] == [opened["id"]]
    assert [s.id for s in find({"payment_link": link}).data] == [early["id"]]
    assert [s.id for s in find({"payment_intent": late["payment_intent"]}).data] == [late["id"]]


def test_charges_refunds_and_disputes_are_found_by_their_payment(
    sb: Sandbox, api: stripe.StripeClient, link: str
) -> None:
    session, other = sb.stripe.buy(link).object, sb.stripe.buy(link).object
    refund = sb.stripe.refund(session, 100).object
    dispute = sb.stripe.dispute(other).object
    intent = session["payment_intent"]
    charge = api.v1.charges.list({"payment_intent": intent}).data[0]
    assert charge.id == refund["charge"]
    assert charge.amount_refunded == 100
    for query in ({"payment_intent": intent}, {"charge": charge.id}):
        assert [r.id for r in api.v1.refunds.list(query).data] == [refund["id"]]
        assert api.v1.disputes.list(query).data == []
    assert [d.id for d in api.v1.disputes.list({"charge": dispute["charge"]}).data] == [dispute["id"]]
    assert api.v1.disputes.retrieve(dispute["id"]).reason == "fraudulent"


def test_the_same_idempotency_key_gets_the_same_answer(sb: Sandbox) -> None:
    """Replayed with a header that says so; with other parameters it is an error of its own type."""

    def post(**data: str) -> requests.Response:
        return requests.post(
            f"{sb.url}/stripe/v1/products",
            data=data,
            timeout=5,
            headers={"Authorization": "Bearer sk_test_1", "Idempotency-Key": "order-1"},
        )

    first, again, other = post(name="Mug"), post(name="Mug"), post(name="Cup")
    assert first.json() == again.json()
    assert first.headers["Idempotency-Key"] == "order-1"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"] != again.headers["Request-Id"]
    assert other.status_code == 400
    assert other.json()["error"]["type"] == "idempotency_error"


def test_the_sdk_names_a_misused_key_and_a_mended_request_may_use_it_again(api: stripe.StripeClient) -> None:
    """What failed the check of its parameters is not kept under its key."""
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.checkout.sessions.create({**CART, "mode": "setup"}, {"idempotency_key": "k"})
    session = api.v1.checkout.sessions.create(CART, {"idempotency_key": "k"})
    assert api.v1.checkout.sessions.create(CART, {"idempotency_key": "k"}).id == session.id
    with pytest.raises(stripe.IdempotencyError):
        api.v1.checkout.sessions.create({**CART, "locale": "de"}, {"idempotency_key": "k"})


def test_a_key_is_forgotten_after_a_day(api: stripe.StripeClient, clock) -> None:
    first = api.v1.products.create({"name": "Mug"}, {"idempotency_key": "k"})
    clock.advance(86400 + 1)
    assert api.v1.products.create({"name": "Mug"}, {"idempotency_key": "k"}).id != first.id


def test_a_refund_through_the_api_names_its_request_in_the_events(
    sb: Sandbox, api: stripe.StripeClient, link: str
) -> None:
    intent = sb.stripe.buy(link).object["payment_intent"]
    refund = api.v1.refunds.create(
        {"payment_intent": intent, "amount": 900, "reason": "requested_by_customer"}, {"idempotency_key": "refund-1"}
    )
    again = api.v1.refunds.create(
        {"payment_intent": intent, "amount": 900, "reason": "requested_by_customer"}, {"idempotency_key": "refund-1"}
    )
    assert again.id == refund.id
    assert refund.status == "succeeded"
    events = sb.stripe.events("charge.refunded")
    assert len(events) == 1
    assert events[0]["request"]["idempotency_key"] == "refund-1"
    assert events[0]["request"]["id"].startswith("req_")


def test_refunds_that_stripe_would_refuse(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    session = sb.stripe.buy(link).object
    payment = {"payment_intent": session["payment_intent"]}
    for params, message in (
        ({**payment, "amount": 4901}, "greater than unrefunded"),
        ({}, "should be provided"),
        ({**payment, "amount": 0}, "at least 1"),
        ({**payment, "reason": "mood"}, "reason"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=message):
            api.v1.refunds.create(params)
    api.v1.refunds.create(payment)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.refunds.create(payment)
    assert refused.value.code == "charge_already_refunded"


def test_missing_objects_and_unknown_urls_are_404(sb: Sandbox, api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        api.v1.checkout.sessions.retrieve("cs_test_none")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (404, "resource_missing", "id")
    assert "No such checkout session: 'cs_test_none'" in str(missing.value)
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        api.v1.customers.list()


def test_an_open_session_is_expired_through_the_api_once(sb: Sandbox, api: stripe.StripeClient, link: str) -> None:
    opened = sb.stripe.open_session(link)
    assert api.v1.checkout.sessions.expire(opened["id"]).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="Only Checkout Sessions with a status"):
        api.v1.checkout.sessions.expire(opened["id"])


def test_a_webhook_endpoint_shows_its_secret_once(api: stripe.StripeClient) -> None:
    made = api.v1.webhook_endpoints.create({"url": "https://shop.example/hook", "enabled_events": ["*"]})
    assert made.secret.startswith("whsec_")
    assert "secret" not in api.v1.webhook_endpoints.list().data[0].to_dict()


def test_the_account_can_be_asked_for(api: stripe.StripeClient) -> None:
    assert api.v1.accounts.retrieve_current().charges_enabled is True
