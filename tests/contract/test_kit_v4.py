"""Kit's v4: the exact JSON of purchases and sequences, amounts in any currency, one purchase per order."""

from __future__ import annotations

from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.domain.catalogue import SequenceStep
from pushcart.errors import BadRequest, ProviderError, ProviderUnavailable
from pushcart.providers.kit import purchase_body
from pushcart.stepcall import OrderView
from pushcart.store import Store
from support.kit import FIELDS, Now, Shop, hold_tokens, in_sandbox, sequence
from support.provider_calls import FAILURES, fixture, retried
from support.step_calls import line, order, step
from support.wire import Wire

# Purchases


def two_lines() -> OrderView:
    return order(
        [
            line("li_1", "wheel-basics", 4900, 2, amount_discount=980, amount_tax=950, amount_total=9770),
            line("li_2", "studio-plans", 3000, amount_discount=300, amount_total=2700),
        ],
        shipping=499,
    )


def test_v4_purchase_is_what_the_documents_show(wire: Wire, store: Store) -> None:
    hold_tokens(store)
    wire.say(201, fixture("kit/v4.purchase.response.json"))
    answer = Shop(wire.url, store, Now()).kit.purchase(step("purchase", view=two_lines()))
    seen = wire.seen[0]
    assert (seen.method, seen.path) == ("POST", "/v4/purchases")
    assert seen.headers["Authorization"] == "Bearer access-1"
    assert seen.json == fixture("kit/v4.purchase.request.json")
    assert b'"unit_price":49.00' in seen.body
    assert answer.result == {"purchase_id": 31}
    assert answer.note == "purchase recorded in Kit"


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


# Failures of Kit itself


@pytest.mark.parametrize(("kind", "rule", "error"), [("timeout", {"delay": 3}, ProviderUnavailable), *FAILURES])
def test_after_any_failure_a_retry_leaves_one_purchase(
    sandbox: Sandbox, store: Store, kind: str, rule: dict[str, Any], error: type[ProviderError]
) -> None:
    shop = in_sandbox(sandbox, store)
    sandbox.fault("kit", kind, path="/v4/purchases", **rule)
    answer = retried(lambda: shop.kit.purchase(step("purchase")), error, rule.get("retry_after", 60))
    assert list(sandbox.kit.purchases) == ["o_1001.s1"]
    assert answer.result == {"purchase_id": sandbox.kit.purchases["o_1001.s1"]["id"]}
