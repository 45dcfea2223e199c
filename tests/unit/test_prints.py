"""A message about a print makes us read it again; what it says changes one order of ours, or none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pushcart.domain import delivery, steps
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.domain.parcels import PrintFacts
from pushcart.errors import Conflict, ProviderUnavailable, PushcartError
from pushcart.gateway import Gateway
from pushcart.providers import printful
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake
from pushcart.services.owner import Owner
from pushcart.services.prints import SOURCE, Prints
from pushcart.services.stock import Stock
from pushcart.stepcall import StepRequest
from pushcart.web import Request
from support import goods, shop
from support.goods import CATALOGUE, facts, parcel
from support.processes import LEASE, Clock, Provider, Quiet
from support.shop import NOW, states


class Printer:
    """Printful: its orders by number. `meanwhile` happens once, after the next look and before its answer is used."""

    def __init__(self, *known: PrintFacts) -> None:
        self.known = {one.number: one for one in known}
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.meanwhile: Callable[[], None] | None = None

    def order(self, reference: str) -> PrintFacts | None:
        self.asked.append(reference)
        if self.error is not None:
            raise self.error
        found = self.known.get(reference)
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        return found


class Placing(Gateway):
    """Functions that do what they are asked; the one that places prints says what Printful made of it."""

    def __init__(self) -> None:
        self.asked: list[StepRequest] = []

    def call(self, function: str, path: str, body: Any = None, **how: Any) -> Any:
        self.asked.append(body)
        if function != "printful-order":
            return {"result": {}, "note": ""}
        return {"result": {"print": msgspec.to_builtins(facts("pending")), "external_id": "o-1"}, "note": ""}


class Place:
    """An order-store's part for prints, on a store."""

    def __init__(self, store: Any) -> None:
        self.orders, self.inbox, self.clock, self.printer = Orders(store), Inbox(store), Clock(), Printer()
        self.prints = Prints(self.orders, self.printer, printful.news, lambda: CATALOGUE, self.clock)
        stock = Stock(store, lambda: CATALOGUE, self.clock)
        counters, sources = Counters(store, self.clock), {"stripe": Provider()}
        parts: Any = (self.orders, self.inbox, counters, sources, stock, lambda: CATALOGUE, self.clock)
        self.intake = Intake(*parts, random.Random(0), {SOURCE: self.prints.apply})

    def event(self, type: str = "order_updated", name: Any = "o-1", number: str = "100", **data: Any) -> InboxEvent:
        """A message as the webhook keeps it."""
        body = {"type": type, "created": 1, "store": 1, "data": {"order": {"id": 100, "external_id": name}, **data}}
        return InboxEvent(
            id=f"printful:{type}.{number}",
            source=SOURCE,
            event_id=f"{type}.{number}",
            type=type,
            object_type="print",
            object_id=number,
            received_at=NOW,
            due_at=NOW,
            body=json.dumps(body),
        )


@pytest.fixture
def place(store) -> Place:
    return Place(store)


def test_a_message_changes_its_order_by_what_printful_says_now_not_by_what_the_message_says(place):
    place.orders.add(goods.placed())
    place.printer.known["100"] = facts("fulfilled", parcel())
    changed = place.prints.apply(place.event("order_failed", reason="an old story"))
    assert changed is not None
    kept = place.orders.require("o-1")
    assert (kept.prints[0].status, kept.fulfilment_status) == ("fulfilled", "fulfilled")
    assert goods.mails_of_parcels(kept) == ["printful-1"]
    assert (place.printer.asked, kept.open_attention()) == (["100"], [])


def test_the_message_adds_its_reason(place):
    place.orders.add(goods.placed())
    place.printer.known["100"] = facts("onhold")
    place.prints.apply(place.event("order_put_hold", reason="the picture is too small"))
    [item] = place.orders.require("o-1").open_attention()
    assert item.text == "Printful holds the order: the picture is too small"


def test_a_parcel_came_back_when_the_message_was_sent_whenever_it_is_worked_on(place):
    place.orders.add(goods.placed())
    place.printer.known["100"] = facts("fulfilled", parcel())
    named = {"id": 100, "external_id": "o-1", "status": "fulfilled", "created": 1_794_000_000, "items": []}
    shipment = {"id": 1, "carrier": "DPD", "items": []}
    event = place.event("package_returned", order=named, shipment=shipment, reason="unclaimed")
    event.created_at = "2026-11-19T10:00:00.000Z"
    place.prints.apply(event)
    [back] = place.orders.require("o-1").parcels
    assert (back.returned_at, back.reason) == ("2026-11-19T10:00:00.000Z", "unclaimed")


@pytest.mark.parametrize("name", ["o-2", "o-1-2", "o-1x", "", None, 5, "o-1\0x", "x" * 33, ["o-1"], "somebody-elses-1"])
def test_a_print_that_no_order_here_asked_for_changes_nothing(place, name):
    order = goods.placed()
    place.orders.add(order)
    said = name if isinstance(name, str) and name else None
    place.printer.known["100"] = facts("fulfilled", parcel(), external_id=said)
    assert place.prints.apply(place.event(name=name)) is None
    assert place.orders.require("o-1").version == 1


def test_a_message_that_names_one_order_about_the_print_of_another_changes_only_that_other(place):
    """Whoever knows the webhook's address can write any name into a message."""
    place.orders.add(goods.placed())
    other = goods.bought(goods.shirt())
    other.id = "o-other"
    place.orders.add(other)
    place.printer.known["100"] = facts("fulfilled", parcel())
    assert place.prints.apply(place.event(name="o-other")).id == "o-1"
    assert place.orders.require("o-other").parcels == []


def test_an_order_that_is_here_but_has_nothing_printed_is_left_alone(place):
    place.orders.add(shop.bought(text=goods.GOODS))
    place.printer.known["100"] = facts("fulfilled", parcel())
    assert place.prints.apply(place.event()) is None
    assert place.orders.require("o-1").version == 1


def test_a_number_that_printful_does_not_know_changes_nothing(place):
    place.orders.add(goods.placed())
    assert place.prints.apply(place.event(number="999")) is None
    assert place.orders.require("o-1").version == 1


def test_a_later_print_of_an_order_is_found_by_its_name_with_a_number(place):
    order = goods.bought(goods.shirt(1))
    goods.finish(order)
    goods.pay(order, goods.shirt(1), goods.line(2, "poster"))
    order.id = "o-abc"
    place.orders.add(order)
    place.printer.known["101"] = facts("fulfilled", parcel(), number="101", external_id="o-abc-2")
    place.prints.apply(place.event(name="o-abc-2", number="101"))
    kept = place.orders.require("o-abc")
    assert [(one.external_id, one.retail) for one in kept.prints] == [("o-abc-2", 1500)]


def test_an_order_whose_own_id_ends_like_a_number_is_itself(place):
    order = goods.placed()
    order.id, order.prints[0].external_id = "o-abc-2", "o-abc-2"
    place.orders.add(order)
    place.printer.known["100"] = facts("fulfilled", external_id="o-abc-2")
    assert place.prints.apply(place.event(name="o-abc-2")).id == "o-abc-2"


class Careless(Orders):
    """Orders without the guard: the last writer wins."""

    def save(self, value: Order) -> bool:
        value.version = self.require(value.id).version
        return super().save(value)


@pytest.mark.parametrize("orders", [Orders, Careless])
def test_a_change_that_was_saved_meanwhile_is_kept_and_the_print_is_read_once_more(store, orders):
    """Another process hears of the second parcel between our look and our write; the control shows what gets lost."""
    place = Place(store)
    place.orders.add(goods.placed())
    place.printer.known["100"] = facts("partial", parcel(1), at=1)
    rest = (place.printer, printful.news, lambda: CATALOGUE, place.clock)

    def overtaken() -> None:
        place.printer.known["100"] = facts("fulfilled", parcel(1), parcel(2), at=2)
        Prints(place.orders, *rest).apply(place.event())
        place.orders.change("o-1", lambda order: steps.resend(order, "receipt", NOW))

    place.printer.meanwhile = overtaken
    Prints(orders(store), *rest).apply(place.event())
    kept = place.orders.require("o-1")
    keys = [one.key for one in kept.parcels]
    if orders is Careless:
        assert (kept.prints[0].status, keys, kept.step("receipt.again-1")) == ("partial", ["printful-1"], None)
        return
    assert (kept.prints[0].status, keys) == ("fulfilled", ["printful-1", "printful-2"])
    assert sorted(goods.mails_of_parcels(kept)) == keys
    assert kept.step("receipt.again-1") is not None
    assert len(place.printer.asked) == 3


def test_an_event_about_nothing_of_ours_is_ignored_and_one_that_cannot_be_read_stays_pending(place):
    place.inbox.add(place.event(name="o-unknown"))
    assert place.intake.apply(place.event().id) is None
    assert place.inbox.require(place.event().id).status is EventStatus.IGNORED
    place.inbox.add(place.event("package_shipped"))
    place.printer.error = ProviderUnavailable("Printful", "it is down")
    assert place.intake.apply(place.event("package_shipped").id) is None
    assert place.inbox.require(place.event("package_shipped").id).status is EventStatus.PENDING


def test_an_event_is_applied_once_however_often_it_is_worked_on(place):
    place.orders.add(goods.placed())
    place.printer.known["100"] = facts("fulfilled", parcel())
    place.inbox.add(place.event("order_refunded"))
    for _ in range(3):
        place.intake.apply(place.event("order_refunded").id)
    assert place.inbox.require(place.event("order_refunded").id).status is EventStatus.APPLIED
    assert len(place.printer.asked) == 1


def test_what_the_placing_function_gave_is_noted_with_its_step(place):
    """Through the driver: the step is done, and the order knows what was made of it and what it cost."""
    place.orders.add(goods.bought(goods.shirt(1, 2)))

    calls = Placing()
    recorders = {"print": place.prints.record}
    parts: Any = (place.orders, place.inbox, calls, place.clock, lambda: "token", random.Random(0), LEASE)
    Driver(*parts, lambda seconds: None, recorders).drive("o-1")
    kept = place.orders.require("o-1")
    assert (states(kept)["print"], kept.prints[0].number, kept.prints[0].retail) == ("done", "100", 5000)
    [asked] = [request for request in calls.asked if request.kind == "print"]
    assert (asked.key, asked.config["items"]) == ("o-1.print", [{"line": "li_1", "sync_variant": 11}])
    assert [(one.id, one.quantity) for one in asked.lines] == [("li_1", 2)]
    assert kept.fulfilment_status == "in_progress"


# The owner's parcel, through the owner's API


def asked(body: dict[str, Any]) -> Request:
    return Request("POST", "/orders/o-1/ship", json.dumps(body).encode(), {})


@pytest.fixture
def owner(place) -> Owner:
    order = goods.bought(goods.line(1, "apron", 3), goods.shirt(2))
    shop.run_all(order)
    place.orders.add(order)
    work: Any = Quiet()
    return Owner(place.orders, place.inbox, place.intake, work, lambda: CATALOGUE, place.clock)


def test_the_owners_parcel_is_kept_with_what_was_in_it(place, owner):
    answer = owner.ship(
        asked({"carrier": "DHL", "tracking_number": "0034", "pieces": {"li_1": 2}, "version": 1}), "o-1"
    )
    assert answer["statusCode"] == 202
    kept = place.orders.require("o-1")
    assert [(one.carrier, one.tracking_number, one.items[0].quantity) for one in kept.parcels] == [("DHL", "0034", 2)]
    assert delivery.to_pack(kept) == {"li_1": 1}


def test_the_same_parcel_said_twice_is_one_because_the_order_has_changed_since(place, owner):
    body = {"carrier": "DHL", "version": 1}
    owner.ship(asked(body), "o-1")
    with pytest.raises(Conflict, match="has changed since version 1"):
        owner.ship(asked(body), "o-1")
    with pytest.raises(Conflict, match="nothing left to pack"):
        owner.ship(asked({"carrier": "DHL"}), "o-1")
    assert len(place.orders.require("o-1").parcels) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pieces": {"li_1": 4}}, "4 of Apron: 3 are left to be packed"),
        ({"pieces": {"li_1": 0}}, "0 of Apron: 3 are left"),
        ({"pieces": {"li_2": 1}}, "1 of Shirt: 0 are left"),
        ({"pieces": {"li_9": 1}}, "has no line 'li_9'; it has li_1, li_2"),
        ({"pieces": {}}, "needs something in it"),
        ({"carrier": ""}, "carrier"),
        ({"tracking_url": "javascript:alert(1)"}, "tracking_url"),
        ({"tracking_url": "https://x y"}, "tracking_url"),
        ({"pieces": {"li_1": "2"}}, "pieces"),
        ({"weight": 3}, "weight"),
        ({"version": 7}, "has changed since version 7"),
    ],
)
def test_a_parcel_that_cannot_be_is_refused_and_changes_nothing(place, owner, changes, complaint):
    with pytest.raises(PushcartError, match=complaint):
        owner.ship(asked({"carrier": "DHL", **changes}), "o-1")
    kept = place.orders.require("o-1")
    assert (kept.version, kept.parcels) == (1, [])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"amount_refunded": 12_700}, "is refunded; nothing of it should be sent"),
        ({"money": "unpaid", "amount_received": None}, "has lost its payment; nothing of it should be sent"),
    ],
)
def test_nothing_is_sent_for_an_order_whose_money_is_not_there(place, owner, changes, told):
    place.orders.change("o-1", lambda order: goods.pay(order, goods.line(1, "apron", 3), goods.shirt(2), **changes))
    with pytest.raises(Conflict, match=told):
        owner.ship(asked({"carrier": "DHL"}), "o-1")


def test_after_a_part_of_the_money_went_back_the_rest_is_still_sent(place, owner):
    lines = goods.line(1, "apron", 3), goods.shirt(2)
    place.orders.change("o-1", lambda order: goods.pay(order, *lines, amount_refunded=100))
    assert owner.ship(asked({"carrier": "DHL"}), "o-1")["statusCode"] == 202
