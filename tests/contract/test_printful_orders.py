"""An order is placed at Printful once: looked up before, confirmed when it falls back, left to a human if need be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pushcart.domain.catalogue import Catalogue, PrintStep, Product, Shop
from pushcart.domain.parcels import PrintFacts
from pushcart.errors import BadRequest, ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.providers.printful_orders import PrintOrders
from pushcart.stepcall import StepAnswer, StepRequest
from support.printful import NOT_FOUND, TAKEN, VARIANT, answered, apron, client, printing, refused, shipped
from support.step_calls import line, order
from support.wire import Wire

Script = list[tuple[int, dict[str, Any]]]

PENDING, DRAFT = answered(status="pending"), answered(status="draft")
FAILED = answered(status="failed", error={"message": "Card declined"})
LOOKED, PLACED, CONFIRMED = "GET /orders/@o_1001", "POST /orders", "POST /orders/11360229/confirm"
READ = "GET /orders/11360229"


def shop(**variants: int) -> Catalogue:
    steps = [PrintStep(variants=dict(variants))] if variants else []
    return Catalogue(
        shop=Shop(
            name="S", url="https://s.example", currency="EUR", support="a@s.ex", sender="a@s.ex", admins=["a@s.ex"]
        ),
        products=[Product(sku="apron", name="Apron", price="24.00", fulfilment=steps)],
    )


@pytest.fixture
def ask(wire: Wire) -> Callable[..., StepAnswer]:
    """Carries out the step at a Printful that answers as the script says."""

    def ask(script: Script, call: StepRequest | None = None, catalogue: Catalogue | None = None) -> StepAnswer:
        for status, body in script:
            wire.say(status, body)
        return PrintOrders(client(wire), lambda: catalogue or shop()).print(call or printing())

    return ask


def asked(wire: Wire) -> list[str]:
    return [f"{call.method} {call.path}" for call in wire.seen]


def test_a_new_order_is_placed_whole(ask: Any, wire: Wire) -> None:
    answer = ask([(404, NOT_FOUND), (200, PENDING)], printing(shipping="STANDARD"))
    assert asked(wire) == [LOOKED, PLACED]
    assert wire.seen[1].json == {
        "external_id": "o_1001",
        "recipient": {
            "name": "Ada Lovelace",
            "address1": "1 Kiln Lane",
            "city": "Warszawa",
            "country_code": "PL",
            "zip": "00-001",
            "email": "ada@example.com",
        },
        "items": [
            {
                "sync_variant_id": VARIANT,
                "external_id": "li_1",
                "quantity": 2,
                "retail_price": "24.00",
                "name": "Throwing on the Wheel",
            }
        ],
        "shipping": "STANDARD",
        "retail_costs": {"currency": "EUR", "discount": "0.00", "shipping": "0.00", "tax": "0.00"},
    }
    assert answer.note == "order placed at Printful, 17.00 USD"
    assert (answer.result["external_id"], answer.result["retail"]) == ("o_1001", 4800)
    assert answer.result["print"]["number"] == "11360229"


def test_an_order_that_stands_there_is_not_placed_again(ask: Any, wire: Wire) -> None:
    answer = ask([(200, PENDING)])
    assert asked(wire) == [LOOKED]
    assert answer.note == "order found at Printful, 17.00 USD"


@pytest.mark.parametrize("status", ["onhold", "pending", "inreview", "inprocess", "partial", "fulfilled", "archived"])
def test_what_printful_has_accepted_is_done(ask: Any, wire: Wire, status: str) -> None:
    assert ask([(200, answered(status=status))]).result["print"]["status"] == status
    assert asked(wire) == [LOOKED]


@pytest.mark.parametrize("refusal", [TAKEN, refused("Something went wrong")], ids=["OR-13", "other words"])
def test_a_refusal_because_it_is_there_already_finds_it(ask: Any, wire: Wire, refusal: dict[str, Any]) -> None:
    assert ask([(404, NOT_FOUND), (400, refusal), (200, PENDING)]).note.startswith("order found")
    assert asked(wire) == [LOOKED, PLACED, LOOKED]


def test_a_refusal_of_an_order_that_is_not_there_is_a_humans_with_printfuls_words(ask: Any) -> None:
    with pytest.raises(ProviderRefused, match="Sync variant not found"):
        ask([(404, NOT_FOUND), (400, refused("Sync variant not found")), (404, NOT_FOUND)])


def test_a_token_that_is_refused_is_not_asked_about_again(ask: Any, wire: Wire) -> None:
    with pytest.raises(ProviderRefused, match="printful-api-key"):
        ask([(404, NOT_FOUND), (403, refused("Forbidden", 403))])
    assert asked(wire) == [LOOKED, PLACED]


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ([(404, NOT_FOUND), (200, DRAFT), (200, PENDING)], [LOOKED, PLACED, CONFIRMED]),
        ([(200, DRAFT), (200, PENDING)], [LOOKED, CONFIRMED]),
        ([(404, NOT_FOUND), (400, TAKEN), (200, DRAFT), (200, PENDING)], [LOOKED, PLACED, LOOKED, CONFIRMED]),
        ([(200, FAILED), (200, PENDING)], [LOOKED, CONFIRMED]),
    ],
    ids=["fell back", "left behind", "lost answer", "failed before"],
)
def test_a_draft_or_an_order_that_failed_before_is_confirmed(
    ask: Any, wire: Wire, script: Script, calls: list[str]
) -> None:
    assert ask(script).note == "order confirmed at Printful, 17.00 USD"
    assert asked(wire) == calls


@pytest.mark.parametrize("before", [[(404, NOT_FOUND), (200, DRAFT)], [(200, DRAFT)]], ids=["placed", "found"])
def test_a_draft_that_stays_one_is_tried_again_soon(ask: Any, before: Script) -> None:
    with pytest.raises(ProviderUnavailable, match="still a draft"):
        ask([*before, (200, DRAFT)])


def test_an_order_that_fails_as_it_is_placed_is_not_confirmed_at_once(ask: Any, wire: Wire) -> None:
    with pytest.raises(ProviderRefused, match="Card declined"):
        ask([(404, NOT_FOUND), (200, FAILED)])
    assert asked(wire) == [LOOKED, PLACED]


def test_an_order_that_stays_failed_is_a_humans_with_printfuls_words(ask: Any) -> None:
    with pytest.raises(ProviderRefused, match="failed: Card declined"):
        ask([(200, FAILED), (200, FAILED)])


def test_a_confirmation_that_is_refused_says_why(ask: Any, wire: Wire) -> None:
    with pytest.raises(ProviderRefused, match="Insufficient funds"):
        ask([(200, FAILED), (400, refused("Insufficient funds")), (200, FAILED)])
    assert asked(wire) == [LOOKED, CONFIRMED, READ]


def test_a_confirmation_that_comes_second_is_no_failure(ask: Any) -> None:
    answer = ask([(200, DRAFT), (400, refused("The order is not a draft")), (200, PENDING)])
    assert answer.result["print"]["status"] == "pending"


@pytest.mark.parametrize("status", ["canceled", "a-word-nobody-knows"])
def test_what_will_not_be_made_or_is_not_understood_is_a_humans(ask: Any, status: str) -> None:
    with pytest.raises(ProviderRefused, match="11360229"):
        ask([(200, answered(status=status))])


@pytest.mark.parametrize(
    "items",
    [
        None,
        [],
        [{"quantity": 1, "sync_variant_id": VARIANT}],
        [{"quantity": 3, "sync_variant_id": VARIANT}],
        [{"quantity": 2, "sync_variant_id": 5}],
        [{"quantity": 2, "variant_id": VARIANT}],
        [{"quantity": 2, "sync_variant_id": VARIANT}, {"quantity": 1, "sync_variant_id": 5}],
    ],
    ids=str,
)
@pytest.mark.parametrize("first", [[], [(404, NOT_FOUND), (400, TAKEN)]], ids=["found", "taken"])
def test_an_order_with_other_items_under_our_name_is_not_taken_for_ours(
    ask: Any, wire: Wire, first: Script, items: Any
) -> None:
    with pytest.raises(ProviderRefused, match="stands there as o_1001, but with other items"):
        ask([*first, (200, answered(status="draft", items=items))])
    assert CONFIRMED not in asked(wire)


@pytest.mark.parametrize(
    "change",
    [
        {"items": [{"quantity": 1, "sync_variant_id": VARIANT}, {"quantity": 1, "sync_variant_id": VARIANT}]},
        {"items": [], "incomplete_items": [{"quantity": 2, "sync_variant_id": VARIANT}]},
        {"incomplete_items": [{"quantity": 2, "sync_variant_id": VARIANT}]},
    ],
    ids=["split", "incomplete", "said twice"],
)
def test_our_items_are_ours_however_printful_lists_them(ask: Any, change: dict[str, Any]) -> None:
    assert ask([(200, answered(**change))]).note.startswith("order found")


def test_a_later_step_of_the_order_has_a_name_of_its_own(ask: Any, wire: Wire) -> None:
    ask([(404, NOT_FOUND), (200, answered(external_id="o_1001-2"))], printing(step="print-2", key="o_1001.print-2"))
    assert wire.seen[0].path == "/orders/@o_1001-2"
    assert wire.seen[1].json["external_id"] == "o_1001-2"


def test_prices_are_the_buyers_own_in_the_decimals_of_the_currency(ask: Any, wire: Wire) -> None:
    lines = [
        apron("li_1", 2, amount_discount=500, amount_tax=90),
        apron("li_2", 3, unit_currency="USD", amount_subtotal=10_000),
        line("x" * 40, "apron", 100, 1),
    ]
    ask([(404, NOT_FOUND), (200, PENDING)], printing(shipped(lines, currency="JPY", shipping=700)))
    sent = wire.seen[1].json
    assert [item["retail_price"] for item in sent["items"]] == ["2400", "3333", "100"]
    assert sent["retail_costs"] == {"currency": "JPY", "discount": "500", "shipping": "700", "tax": "90"}
    assert [item.get("external_id") for item in sent["items"]] == ["li_1", "li_2", None]


def test_a_catalogue_variant_goes_with_its_print_files(ask: Any, wire: Wire) -> None:
    files = [{"url": "https://s.example/print.png"}]
    call = printing()
    call.config["items"] = [{"line": "li_1", "variant": 4011, "files": files}]
    ask([(404, NOT_FOUND), (200, PENDING)], call)
    [item] = wire.seen[1].json["items"]
    assert (item["variant_id"], item["files"]) == (4011, files)
    assert "sync_variant_id" not in item


def test_a_choice_that_shop_yml_has_learnt_since_the_sale_is_printed(ask: Any, wire: Wire) -> None:
    call = printing(shipped([apron(options={"Size": "M"})]), variant=None)
    ask([(404, NOT_FOUND), (200, PENDING)], call, shop(M=77))
    assert wire.seen[1].json["items"][0]["sync_variant_id"] == 77


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (printing(order()), "no shipping address; let the checkout ask for one"),
        (printing(shipped([apron(options={"Size": "M"})]), variant=None), r"no Printful variant for .*\(M\)"),
        (printing(shipped([line()]), variant=None), "no Printful variant"),
        (printing(lines=[]), "the line li_1, which is not among"),
        (printing(config={"items": []}), "nothing to print"),
        (printing(config={"items": [{"line": "li_1", "sync_variant": "x"}]}), "settings of the step"),
        (printing(config={}), "settings of the step"),
        (printing(order=None), "needs an order"),
    ],
)
def test_what_only_the_owner_can_complete_says_so_and_orders_nothing(
    ask: Any, wire: Wire, call: StepRequest, says: str
) -> None:
    with pytest.raises(BadRequest, match=says):
        ask([(404, NOT_FOUND)], call)
    assert PLACED not in asked(wire)


@pytest.mark.parametrize("after", [[], [(404, NOT_FOUND)], [(200, DRAFT)]], ids=["lookup", "place", "confirm"])
@pytest.mark.parametrize(("status", "error"), [(429, ProviderBusy), (503, ProviderUnavailable)])
def test_a_printful_that_is_busy_or_away_is_asked_again_later(
    ask: Any, after: Script, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        ask([*after, (status, refused("Later", status))])
    assert type(raised.value) is error


def test_the_result_is_read_back_as_facts(ask: Any) -> None:
    facts = msgspec.convert(ask([(200, answered())]).result["print"], PrintFacts)
    assert (facts.status, facts.parcels[0].tracking_number) == ("fulfilled", "0000000001")
