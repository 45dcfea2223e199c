"""Printful's client: its orders in our words, and every answer that is none as an error that says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushcart.domain.parcels import Costs, ParcelItem
from pushcart.errors import AnswerTooLarge, ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.providers.printful import news
from support.printful import KEY, NOT_FOUND, TAKEN, answered, client, refused
from support.provider_calls import fixture
from support.wire import Wire

ORDER = fixture("printful/order.json")
BARE = fixture("printful/order.bare.json")


def listed(*orders: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    paging = {"total": len(orders) if total is None else total, "offset": 0, "limit": 100}
    return {"code": 200, "result": list(orders), "paging": paging}


def test_an_order_is_read_in_our_words(wire: Wire) -> None:
    wire.say(200, answered())
    found = client(wire, store="952434").order("@o_1001")
    assert found is not None
    assert (found.number, found.external_id, found.status) == ("11360229", "o_1001", "fulfilled")
    assert (found.created_at, found.updated_at) == ("2018-10-15T06:16:04.000Z", "2018-10-15T07:53:20.000Z")
    assert found.costs == Costs(currency="USD", subtotal=1295, shipping=260, tax=145, total=1700)
    [parcel] = found.parcels
    assert (parcel.key, parcel.carrier, parcel.service) == ("printful-10", "FEDEX", "FedEx SmartPost")
    assert (parcel.tracking_number, parcel.shipped_at) == ("0000000001", "2020-05-05T22:01:00.000Z")
    assert parcel.items == [ParcelItem(name="Apron - S", quantity=2, line="li_1")]
    [call] = wire.seen
    assert (call.method, call.path) == ("GET", "/orders/@o_1001")
    assert (call.headers["Authorization"], call.headers["X-PF-Store-Id"]) == (f"Bearer {KEY}", "952434")


def test_an_order_that_says_little_is_read_too_and_no_odd_link_gets_into_a_mail(wire: Wire) -> None:
    wire.say(200, {"result": BARE})
    found = client(wire).order("21510")
    assert found is not None
    assert (found.external_id, found.costs, found.error) == (None, None, None)
    first, second = found.parcels
    assert (first.tracking_number, first.tracking_url, first.carrier) == ("12345", None, "")
    assert (first.shipped_at, first.items) == ("2020-05-05T22:01:00.000Z", [])
    assert (second.tracking_number, second.shipped_at, second.items) == (None, "2014-01-27T12:18:02.000Z", [])
    assert "X-PF-Store-Id" not in wire.seen[0].headers


def test_what_printful_does_not_have_is_none(wire: Wire) -> None:
    wire.say(404, NOT_FOUND)
    assert client(wire).order("@o_1001") is None
    assert client(wire).order("1136") is None
    assert len(wire.seen) == 2


@pytest.mark.parametrize("reference", ["@", "", "@../stores", "@o 1", "@" + "o" * 33, "1/confirm"])
def test_what_can_be_no_name_of_an_order_is_not_asked_for(wire: Wire, reference: str) -> None:
    wire.say(200, answered())
    assert client(wire).order(reference) is None
    assert wire.seen == []


@pytest.mark.parametrize("change", [{"external_id": "o_1002"}, {"external_id": None}, {"external_id": "O_1001"}])
def test_an_answer_about_another_order_is_not_taken_for_this_one(wire: Wire, change: dict[str, Any]) -> None:
    wire.say(200, answered(**change))
    with pytest.raises(ProviderUnavailable, match="asked about @o_1001"):
        client(wire).order("@o_1001")
    with pytest.raises(ProviderUnavailable, match="asked about 7"):
        client(wire).confirm("7")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "11360229"},
        {"id": 0},
        {"status": ""},
        {"status": None},
        {"created": "2018-10-15"},
        {"created": 10**12},
        {"items": [{"quantity": -1}]},
        {"items": "none"},
        {"shipments": [{"carrier": "FEDEX"}]},
    ],
    ids=str,
)
def test_an_answer_that_is_not_as_documented_is_asked_for_again_and_not_guessed_at(
    wire: Wire, change: dict[str, Any]
) -> None:
    wire.say(200, answered(**change))
    with pytest.raises(ProviderUnavailable):
        client(wire).order("@o_1001")


@pytest.mark.parametrize(
    "costs", [{"total": 17.0}, {"total": "-1.00"}, {"currency": "dollars"}, {"total": None}], ids=str
)
def test_costs_that_make_no_sense_do_not_hide_the_order(wire: Wire, costs: dict[str, Any]) -> None:
    wire.say(200, answered(costs={**ORDER["costs"], **costs}))
    found = client(wire).order("@o_1001")
    assert found is not None
    assert found.costs is None


@pytest.mark.parametrize(
    ("currency", "total", "minor"),
    [("JPY", "1700.00", 1700), ("EUR", "17.00", 1700), ("JPY", "1250.50", 1251), ("EUR", "12.955", 1296)],
)
def test_costs_have_the_decimals_of_their_currency(wire: Wire, currency: str, total: str, minor: int) -> None:
    wire.say(200, answered(costs={"currency": currency, "total": total}))
    found = client(wire).order("@o_1001")
    assert found is not None
    assert found.costs == Costs(currency=currency, subtotal=0, shipping=0, tax=0, total=minor)


def test_an_order_is_placed_and_confirmed_in_one_call(wire: Wire) -> None:
    wire.say(200, answered(status="pending"))
    made = client(wire).place("o_1001", {"name": "Ada"}, [{"sync_variant_id": 1, "quantity": 2}], shipping="STANDARD")
    assert (made.number, made.status) == ("11360229", "pending")
    [call] = wire.seen
    assert (call.method, call.path, call.query) == ("POST", "/orders", {"confirm": "1"})
    assert call.json == {
        "external_id": "o_1001",
        "recipient": {"name": "Ada"},
        "items": [{"sync_variant_id": 1, "quantity": 2}],
        "shipping": "STANDARD",
    }


def test_a_refusal_keeps_printfuls_own_words(wire: Wire) -> None:
    wire.say(400, TAKEN)
    with pytest.raises(ProviderRefused, match="Order with this External ID already exists") as raised:
        client(wire).place("o_1001", {}, [])
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(429, {"Retry-After": "7"}, 7), (429, {}, 60), (419, {}, 60)], ids=str
)
def test_a_rate_limit_is_no_failure(wire: Wire, status: int, headers: dict[str, str], wait: float) -> None:
    wire.say(status, refused("Too many requests", status), headers)
    with pytest.raises(ProviderBusy) as raised:
        client(wire).order("@o_1001")
    assert raised.value.retry_after == wait


def test_a_token_that_is_not_accepted_names_the_secret(wire: Wire) -> None:
    wire.say(401, refused("Malformed Authorization header.", 401))
    with pytest.raises(ProviderRefused, match="look at the secret printful-api-key"):
        client(wire).page(0)


def test_a_page_holds_orders_and_how_many_there_are(wire: Wire) -> None:
    wire.say(200, listed(ORDER, BARE, total=102))
    page = client(wire).page(100, 50)
    assert ([one.number for one in page.items], page.total, page.odd) == (["11360229", "21510"], 102, 0)
    assert wire.seen[0].query == {"offset": "100", "limit": "50"}


def test_one_odd_order_does_not_hide_the_others_of_its_page(wire: Wire) -> None:
    bad_item = {**ORDER, "items": "none"}
    wire.say(200, listed({**ORDER, "id": "x"}, BARE, bad_item, {}, [], total=5))
    page = client(wire).page(0)
    assert ([one.number for one in page.items], page.total, page.odd) == (["21510"], 5, 4)


LARGE = {**ORDER, "notes": "x" * 1_100_000}


def test_a_page_too_large_to_read_is_read_in_smaller_and_smaller_pieces(wire: Wire) -> None:
    wire.say(200, listed(LARGE, total=60)).say(200, listed(LARGE, total=60))
    for number in (1, 2, 3):
        wire.say(200, listed({**BARE, "id": number}, {}, total=60))
    page = client(wire).page(0)
    assert ([one.number for one in page.items], page.total, page.odd) == (["1", "2", "3"], 60, 3)
    asked = [(int(call.query["offset"]), int(call.query["limit"])) for call in wire.seen]
    assert asked == [(0, 100), (0, 50), (0, 25), (25, 25), (50, 50)]


def test_one_order_that_is_too_large_by_itself_is_an_error(wire: Wire) -> None:
    wire.say(200, listed(LARGE, total=60))
    with pytest.raises(AnswerTooLarge):
        client(wire).page(0)
    assert [int(call.query["limit"]) for call in wire.seen] == [100, 50, 25, 12, 6, 3, 1]


def test_a_page_that_is_garbage_is_asked_for_once(wire: Wire) -> None:
    wire.say(200, b"<html>")
    with pytest.raises(ProviderUnavailable, match="not JSON"):
        client(wire).page(0)
    assert len(wire.seen) == 1


STORES = {"code": 200, "result": [{"id": 952434, "name": "Meadow", "type": "native"}, {"id": 7, "name": "Other"}]}


def test_the_check_says_which_store_the_token_opens(wire: Wire) -> None:
    wire.say(200, listed(total=12)).say(200, STORES)
    assert client(wire, "952434").check() == "accepts the token for Meadow; 12 orders"


@pytest.mark.parametrize(
    ("store", "says"), [("12", "does not open store 12; it opens 952434"), ("", "set printful_store")]
)
def test_the_check_finds_a_store_that_is_wrong_or_not_chosen(wire: Wire, store: str, says: str) -> None:
    wire.say(200, listed()).say(200, STORES)
    with pytest.raises(ProviderRefused, match=says):
        client(wire, store).check()


def test_a_token_that_may_not_list_stores_is_good_enough(wire: Wire) -> None:
    wire.say(200, listed(total=3)).say(403, refused("This endpoint requires the scope stores_list", 403))
    assert client(wire).check().startswith("accepts the token; 3 orders")


def test_a_parcel_that_came_back_is_news_with_its_reason() -> None:
    data = {"reason": "Address  unknown", "shipment": ORDER["shipments"][0], "order": ORDER}
    told = news("package_returned", data, "2026-11-21T08:45:36.120Z")
    assert told.parcel is not None
    assert (told.parcel.key, told.parcel.reason) == ("printful-10", "Address unknown")
    assert told.parcel.returned_at == "2026-11-21T08:45:36.120Z"
    assert told.reason is None
    without = news("package_returned", data)
    assert without.parcel is not None
    assert without.parcel.returned_at == "2018-10-15T07:53:20.000Z"


def test_a_refund_to_the_shop_is_news_in_minor_units_of_the_costs() -> None:
    assert news("order_refunded", {"amount": "13.50", "order": ORDER}).refunded == 1350
    yen = {**ORDER, "costs": {"currency": "JPY", "total": "1700"}}
    assert news("order_refunded", {"amount": "13", "order": yen}).refunded == 13


@pytest.mark.parametrize("type", ["order_failed", "order_canceled", "order_put_hold", "order_put_hold_approval"])
def test_why_something_is_wrong_is_news(type: str) -> None:
    assert news(type, {"reason": "No paper", "order": ORDER}).reason == "No paper"


@pytest.mark.parametrize("type", ["order_updated", "order_remove_hold", "package_shipped", "order_seen"])
def test_a_reason_that_is_no_trouble_is_not(type: str) -> None:
    told = news(type, {"reason": "All is well", "amount": "1.00", "shipment": ORDER["shipments"][0], "order": ORDER})
    assert (told.reason, told.refunded, told.parcel) == (None, None, None)


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, True, 1e300, "NaN", "-1.00", {"id": "x"}], ids=str)
@pytest.mark.parametrize("part", ["reason", "amount", "shipment", "order"])
def test_news_that_cannot_be_read_are_left_out(part: str, odd: Any) -> None:
    whole = {"reason": "No paper", "amount": "13.50", "shipment": ORDER["shipments"][0], "order": ORDER}
    for type in ("package_returned", "order_refunded", "order_failed"):
        told = news(type, {**whole, part: odd})
        assert told.type == type
        json.dumps([told.reason, told.refunded], allow_nan=False)
    if part == "amount" and odd != 7:
        assert news("order_refunded", {**whole, part: odd}).refunded is None
