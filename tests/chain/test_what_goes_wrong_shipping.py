"""What goes wrong in shops that have things printed and sent, each by its name, and that it is not here.

Like test_what_goes_wrong: messages are lost, late and repeated, functions die; Printful's own record is the judge.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.carts import COURSE, HOME, Shopper
from support.customers import eventually

#: Longer than any lease, than the first waits of the retry schedule, and than what catch-up waits between two listings.
LONG = 700

SHIRT = {"sku": "studio-shirt", "quantity": 1, "options": {"Size": "M"}, "price": 2900}
KIT = {"sku": "clay-kit", "quantity": 1, "price": 2400}


class Reader(Shopper):
    """A buyer of a shirt, and what Printful and their letter box know about them."""

    def __init__(self, shop: LocalShop, *items: dict[str, Any], **more: Any) -> None:
        super().__init__(shop, *(items or (SHIRT,)), **more)
        self.printful = shop.sandbox.printful

    def prints(self) -> list[dict[str, Any]]:
        """All that Printful has for this buyer, under whatever number."""
        return self.printful.orders(to=self.email)

    def print_number(self) -> int:
        """Printful's number of the one order it has for this buyer."""
        [made] = self.prints()
        return int(made["id"])

    def parcel_mails(self) -> int:
        return sum("parcel" in mail.custom_args["step"] for mail in self.shop.sandbox.mails(self.email))


@pytest.fixture
def messages(shop) -> Iterator[Callable[..., None]]:
    """Printful's messages wait until a test delivers them: `messages(kind, about, times)`."""
    printful = shop.sandbox.printful
    printful.autosend = False

    def deliver(kind: str, about: int, times: int = 1) -> None:
        for event in printful.events(kind, about):
            assert printful.deliver(event, times) == 200

    yield deliver
    printful.autosend = True


@pytest.fixture
def crash_at(shop) -> Iterator[Callable[[Point], Any]]:
    """The process that next comes to this point is killed there."""
    yield shop.crash_file.write_text
    shop.crash_file.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def nothing_is_left(shop) -> Iterator[None]:
    """A fault that a failed test leaves would fail the next one as well."""
    yield
    shop.sandbox.world.faults.clear()
    shop.sandbox.chaos(0, 0)


def catch_up_until(shop: LocalShop, done: Callable[[], Any]) -> Any:
    """Catch-up runs and time passes until `done` gives something; returns it."""
    for _ in range(10):
        with contextlib.suppress(FunctionFailed):
            shop.catch_up()
        with contextlib.suppress(AssertionError):
            return eventually(done, seconds=2)
        shop.advance(LONG)
    raise AssertionError("catch-up did not bring it about")


def bought(shop: LocalShop, *items: dict[str, Any], **more: Any) -> Reader:
    """A buyer who has paid by card."""
    reader = Reader(shop, *items, **more)
    reader.begin()
    reader.pay()
    return reader


def at_rest(reader: Reader) -> Callable[[], Any]:
    """For `catch_up_until`: the order, once Printful has it and no step is under way but the owner's own."""

    def order() -> Any:
        found = reader.order()
        states = [step["state"] for step in found["steps"] if not step["by_owner"]] if found else []
        return found if states and found["prints"] and not {"due", "running", "failed"} & set(states) else None

    return order


def in_state(reader: Reader, status: str) -> Callable[[], Any]:
    """The same, once the order knows that Printful says this of it."""

    def order() -> Any:
        found = at_rest(reader)()
        return found if found and found["prints"][-1]["status"] == status else None

    return order


def step(order: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in order["steps"] if one["name"] == name)


def test_a_retry_places_a_second_order_because_it_looks_up_another_id(shop):
    """Printful takes the order, its answer is lost: the second attempt finds it under the order's own id."""
    shop.sandbox.fault("printful", "lost_answer", method="POST", path="/orders", times=1)
    reader = bought(shop)
    order = catch_up_until(shop, at_rest(reader))
    assert [one["external_id"] for one in reader.prints()] == [order["id"]]
    assert [one["number"] for one in order["prints"]] == [str(reader.print_number())]


@pytest.mark.parametrize("point", [Point.STEP_LEASED, Point.BEFORE_PROVIDER, Point.AFTER_PROVIDER, Point.STEP_ANSWERED])
def test_a_crash_between_placed_and_noted_prints_it_twice_or_never(shop, crash_at, point):
    """Whichever process dies with the order half placed, Printful has it once, and the order knows its number."""
    crash_at(point)
    reader = bought(shop)
    eventually(lambda: not shop.crash_file.exists())
    order = catch_up_until(shop, at_rest(reader))
    assert [one["number"] for one in order["prints"]] == [str(reader.print_number())]


def test_a_retry_by_hand_orders_once_more(shop):
    """The owner retries a step that failed at Printful: it is confirmed there, not ordered a second time."""
    reader = bought(shop)
    catch_up_until(shop, at_rest(reader))
    shop.sandbox.printful.fail(reader.print_number(), "Card was declined")
    order = catch_up_until(shop, in_state(reader, "failed"))
    assert (step(order, "print")["state"], order["fulfilment_status"]) == ("dead", "needs_attention")
    assert "Card was declined" in step(order, "print")["error"]
    shop.ask(f"/orders/{order['id']}/retry", {})
    order = catch_up_until(shop, in_state(reader, "pending"))
    assert (order["fulfilment_status"], len(reader.prints())) == ("in_progress", 1)


def test_a_late_event_downgrades_the_state_and_erases_the_tracking(shop, messages):
    """The parcel is heard of first; what was said before it, and said again after it, takes nothing back."""
    reader = bought(shop)
    catch_up_until(shop, at_rest(reader))
    number = reader.print_number()
    shop.sandbox.printful.ship(number, tracking="13490001")
    messages("package_shipped", number)
    shipped = eventually(in_state(reader, "fulfilled"))
    assert [one["tracking_number"] for one in shipped["parcels"]] == ["13490001"]
    for kind in ("order_created", "order_updated", "package_shipped"):
        messages(kind, number, times=2)
    shop.catch_up()
    order = eventually(at_rest(reader))
    assert order["fulfilment_status"] == "fulfilled"
    assert (order["prints"], order["parcels"], reader.parcel_mails()) == (shipped["prints"], shipped["parcels"], 1)


def test_every_parcel_is_taken_for_the_only_one(shop):
    """Two parcels are two mails, and the order is not done before the second; a reshipment is a third."""
    reader = bought(shop, {**SHIRT, "quantity": 2})
    catch_up_until(shop, at_rest(reader))
    number = reader.print_number()
    [(item, _)] = shop.sandbox.printful.left(number).items()
    shop.sandbox.printful.ship(number, {item: 1})
    order = eventually(in_state(reader, "partial"))
    assert (order["fulfilment_status"], order["parcels"][0]["more"]) == ("in_progress", True)
    shop.sandbox.printful.ship(number)
    order = eventually(in_state(reader, "fulfilled"))
    assert (order["fulfilment_status"], len(order["parcels"]), reader.parcel_mails()) == ("fulfilled", 2, 2)
    shop.sandbox.printful.ship(number, reshipment=True)
    eventually(lambda: reader.parcel_mails() == 3)
    assert [one["reshipment"] for one in eventually(at_rest(reader))["parcels"]] == [False, False, True]


def test_the_message_about_the_parcel_never_comes_and_the_buyer_hears_nothing(shop):
    """Printful believes that it was taken: catch-up lists its orders and finds the parcel."""
    reader = bought(shop)
    catch_up_until(shop, at_rest(reader))
    shop.sandbox.chaos(lost=1)
    shop.sandbox.printful.ship(reader.print_number())
    shop.advance(LONG)
    order = catch_up_until(shop, in_state(reader, "fulfilled"))
    assert (len(order["parcels"]), reader.parcel_mails()) == (1, 1)


def test_an_order_that_fell_back_to_a_draft_waits_there_for_ever(shop):
    """Its costs were not worked out in time, so it is confirmed once more; nobody has to look."""
    shop.sandbox.printful.fall_back = 1
    reader = bought(shop)
    order = catch_up_until(shop, in_state(reader, "pending"))
    assert (step(order, "print")["state"], len(reader.prints())) == ("done", 1)


def test_the_address_is_null_because_the_endpoint_is_on_another_api_version(shop):
    """What the event carries is not looked at: the recipient comes from the session as our own version shows it."""
    stripe = shop.sandbox.stripe
    current, stripe.api_version = stripe.api_version, "2020-08-27"
    try:
        reader = bought(shop)
        catch_up_until(shop, at_rest(reader))
    finally:
        stripe.api_version = current
    sent_to = reader.prints()[0]["recipient"]
    shown = shop.order(reader.id)["shipping"]
    assert (sent_to["name"], sent_to["address1"]) == (reader.name, shown["address"]["line1"])
    assert (sent_to["zip"], sent_to["country_code"]) == (shown["address"]["postal_code"], "PL")


def test_anybody_can_say_that_an_order_was_sent(shop):
    """Printful does not sign: at another address nobody listens, and at the right one a lie is read up on."""
    reader = bought(shop)
    before = catch_up_until(shop, at_rest(reader))
    number = reader.print_number()
    parcel = {"id": 1, "carrier": "NONE", "tracking_number": 666, "tracking_url": "https://evil.example/", "items": []}
    about = {"id": number, "external_id": reader.id, "status": "fulfilled"}
    lie = {"type": "package_shipped", "created": 1, "retries": 0, "store": 1}
    lie["data"] = {"order": about, "shipment": parcel}
    address = shop.sandbox.printful.webhook_url
    wrong = f"{address.rpartition('/')[0]}/{'x' * 32}"
    assert requests.post(wrong, json=lie, timeout=20).status_code == 401
    assert requests.post(address, json=lie, timeout=20).status_code == 200

    def all_applied() -> bool:
        shop.advance(60)  # what others asked of Printful just before may have used up this minute's calls
        shop.catch_up()
        waiting = shop.ask("/events", method="GET", status="pending")["items"]
        return str(number) not in {event["object_id"] for event in waiting}

    eventually(all_applied)
    order = shop.order(reader.id)
    assert (order["prints"][0]["status"], order["parcels"]) == (before["prints"][0]["status"], [])
    assert reader.parcel_mails() == 0


def test_what_was_refunded_before_it_was_made_is_printed_all_the_same(shop):
    """While Printful is away the buyer gets everything back: nothing is ordered when it returns."""
    fault = shop.sandbox.fault("printful", "status", status=503, times=None)
    reader = bought(shop)
    eventually(lambda: (found := reader.order()) and found["steps"] and step(found, "print")["state"] == "failed")
    shop.sandbox.stripe.refund(reader.session_id)
    reader.wait(payment="refunded", fulfilment="cancelled")
    shop.sandbox.world.faults.clear(fault.id)
    for _ in range(3):
        shop.advance(LONG)
        shop.catch_up()
    assert reader.prints() == []


def test_one_cart_makes_several_print_orders_and_waits_for_none(shop):
    """A shirt in two sizes, a course and a kit: one order at Printful; each parcel is told, the last one ends it."""
    reader = bought(shop, SHIRT, {**SHIRT, "options": {"Size": "L"}}, COURSE, KIT)
    order = catch_up_until(shop, at_rest(reader))
    [made] = reader.prints()
    assert [(item["sync_variant_id"], item["quantity"]) for item in made["items"]] == [(4830100102, 1), (4830100103, 1)]
    shop.sandbox.printful.ship(made["id"])
    order = eventually(in_state(reader, "fulfilled"))
    assert order["fulfilment_status"] == "in_progress"
    shop.ask(f"/orders/{order['id']}/ship", {"carrier": "DHL", "tracking_number": "00340434"})
    order = reader.wait(payment="paid", fulfilment="fulfilled")
    assert ([one["provider"] for one in order["parcels"]], reader.parcel_mails()) == (["printful", "owner"], 2)


def test_a_paid_cart_by_signed_link_loses_its_address(shop):
    """Autopay knows no address: what the buyer told the shop's own page is what Printful gets."""
    reader = bought(shop, pay="autopay", shipping=HOME)
    catch_up_until(shop, at_rest(reader))
    [made] = reader.prints()
    assert (made["recipient"]["address1"], made["recipient"]["zip"]) == (HOME["line1"], HOME["postal_code"])
