"""The stand-in for Printful: its API v1, what becomes of an order, and the webhooks that tell of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from local.sandbox import Sandbox
from local.sandbox.printful import PrintfulError

JOHN = {
    "name": "John Doe",
    "address1": "19749 Dearborn St",
    "city": "Chatsworth",
    "state_code": "CA",
    "country_code": "US",
    "zip": "91311",
}
SHIRTS = [{"sync_variant_id": 1, "quantity": 2, "retail_price": "25.00", "external_id": "li_1"}]


@pytest.fixture
def sb(sb: Sandbox) -> Sandbox:
    sb.printful.add_variant(1, "T-shirt - S", "12.95")
    sb.printful.add_variant(2, "Mug", "7.50")
    return sb


def ask(sb: Sandbox, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    return requests.request(
        method, f"{sb.url}/printful{path}", json=body, headers={"Authorization": "Bearer pf_key", **headers}, timeout=5
    )


def place(sb: Sandbox, external_id: str | None = "ord_1", confirm: int = 1, **changes: Any) -> dict[str, Any]:
    """The answer to an order for two shirts."""
    body = {"external_id": external_id, "recipient": JOHN, "items": SHIRTS, **changes}
    return ask(sb, "POST", f"/orders?confirm={confirm}", body).json()


def status(sb: Sandbox, order: str = "ord_1") -> str:
    return ask(sb, "GET", f"/orders/@{order}").json()["result"]["status"]


def told(sb: Sandbox) -> list[str]:
    return [event.type for event in sb.printful.events()]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "Malformed Authorization header."),
        ("Basic cGY6eA==", "Malformed Authorization header."),
        ("Bearer other", "The access token provided is invalid."),
    ],
)
def test_only_the_token_opens_the_store(sb: Sandbox, header: str, words: str) -> None:
    sb.printful.token = "pf_key"
    refused = ask(sb, "GET", "/orders", Authorization=header)
    assert refused.status_code == 401
    body = refused.json()
    assert (body["code"], body["result"], body["error"]["message"]) == (401, words, words)
    assert ask(sb, "GET", "/orders").status_code == 200
    assert sb.calls("printful")[-1].headers["Authorization"] == "Bearer pf_k…"


def test_a_token_for_several_stores_has_to_name_one(sb: Sandbox) -> None:
    sb.printful.needs_store = True
    [store] = ask(sb, "GET", "/stores").json()["result"]
    assert store == {"id": 952434, "type": "native", "name": "Pushcart sandbox"}
    assert ask(sb, "GET", "/orders").json()["result"] == "This endpoint requires `store_id`!"
    assert ask(sb, "GET", "/orders", **{"X-PF-Store-Id": "1"}).status_code == 403
    assert ask(sb, "GET", "/orders", **{"X-PF-Store-Id": str(store["id"])}).status_code == 200
    assert ask(sb, "GET", f"/stores/{store['id']}", **{"X-PF-Store-Id": str(store["id"])}).json()["result"] == store


def test_an_order_has_printfuls_shape_and_costs(sb: Sandbox) -> None:
    answer = place(sb, retail_costs={"currency": "EUR", "shipping": "4.00"})
    assert (answer["code"], answer["extra"]) == (200, [])
    order = answer["result"]
    assert (order["external_id"], order["status"], order["error"]) == ("ord_1", "pending", None)
    assert order["created"] == order["updated"] == sb.world.timestamp()
    assert order["recipient"]["country_name"] == "United States"
    assert order["costs"] == {
        "currency": "USD",
        "subtotal": "25.90",
        "discount": "0.00",
        "shipping": "5.24",
        "digitization": "0.00",
        "additional_fee": "0.00",
        "fulfillment_fee": "0.00",
        "retail_delivery_fee": "0.00",
        "tax": "2.57",
        "vat": "0.00",
        "total": "33.71",
    }
    assert order["retail_costs"]["subtotal"] == "50.00"
    assert order["retail_costs"]["shipping"] == "4.00"
    [item] = order["items"]
    assert (item["sync_variant_id"], item["external_id"], item["price"]) == (1, "li_1", "12.95")
    assert (item["quantity"], item["retail_price"], item["name"]) == (2, "25.00", "T-shirt - S")
    for path in (f"/orders/{order['id']}", "/orders/@ord_1"):
        assert ask(sb, "GET", path).json()["result"] == order
    poland = {k: v for k, v in JOHN.items() if k != "state_code"} | {"country_code": "PL"}
    costs = place(sb, "ord_2", recipient=poland)["result"]["costs"]
    assert (costs["tax"], costs["vat"]) == ("0.00", "6.54")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": None}, "Missing required parameters"),
        ({"items": []}, "Missing required parameters"),
        ({"recipient": JOHN | {"name": ""}}, "Recipient: Name is missing"),
        ({"recipient": JOHN | {"address1": None}}, "Recipient: Address line 1 is missing"),
        ({"recipient": JOHN | {"zip": ""}}, "Recipient: ZIP/Postal code is missing"),
        ({"recipient": JOHN | {"country_code": "USA"}}, "Recipient: Invalid country code: USA"),
        ({"recipient": JOHN | {"state_code": ""}}, "Recipient: State code is missing"),
        ({"recipient": JOHN | {"state_code": "", "country_code": "AU"}}, "Recipient: State code is missing"),
        ({"items": [{"sync_variant_id": 9}]}, "Item 0: Sync variant not found"),
        ({"items": [*SHIRTS, {"quantity": 1}]}, "Item 1: Missing variant_id"),
        ({"items": [{"sync_variant_id": 1, "quantity": 0}]}, "Item 0: Invalid quantity"),
        ({"items": [{"variant_id": 4011}]}, "Item 0: Item can't be submitted without any print files"),
        ({"items": SHIRTS * 2}, "Item external IDs have to be unique per order"),
        ({"shipping": "ROCKET"}, "Invalid shipping method: ROCKET"),
        ({"external_id": "x" * 33}, "External ID is too long or contains invalid characters"),
        ({"external_id": "ord 1"}, "External ID is too long or contains invalid characters"),
    ],
)
def test_an_order_that_printful_would_refuse_is_refused(sb: Sandbox, changes: dict, words: str) -> None:
    answer = ask(
        sb, "POST", "/orders?confirm=1", {"external_id": "ord_1", "recipient": JOHN, "items": SHIRTS} | changes
    )
    assert (answer.status_code, answer.json()["result"]) == (400, words)
    assert answer.json()["error"]["reason"] == "BadRequest"
    assert (sb.printful.orders(), sb.printful.events()) == ([], [])


def test_an_external_id_is_taken_for_ever_by_its_first_order(sb: Sandbox) -> None:
    first = place(sb)["result"]["id"]
    again = place(sb)
    assert (again["code"], again["error"]["api_error_code"]) == (400, "OR-13")
    assert again["result"] == "Order with this External ID already exists"
    assert ask(sb, "DELETE", f"/orders/{first}").json()["result"]["status"] == "canceled"
    assert place(sb)["error"]["api_error_code"] == "OR-13"
    assert [order["id"] for order in sb.printful.orders()] == [first]


def test_a_draft_is_printed_only_once_it_is_confirmed(sb: Sandbox) -> None:
    assert place(sb, confirm=0)["result"]["status"] == "draft"
    confirmed = ask(sb, "POST", "/orders/@ord_1/confirm")
    assert confirmed.json()["result"]["status"] == "pending"
    assert ask(sb, "POST", "/orders/@ord_1/confirm").json()["code"] == 400
    assert told(sb) == ["order_created", "order_updated"]


def test_a_confirmed_order_may_fall_back_to_draft_while_its_costs_are_computed(sb: Sandbox) -> None:
    sb.printful.fall_back = 2
    fallen = place(sb)["result"]
    assert (fallen["status"], fallen["costs"]["total"]) == ("draft", None)
    assert ask(sb, "POST", "/orders/@ord_1/confirm").json()["result"]["status"] == "draft"
    assert sb.printful.compute("ord_1")["costs"]["total"] == "33.71"
    assert ask(sb, "POST", "/orders/@ord_1/confirm").json()["result"]["status"] == "pending"
    assert told(sb) == ["order_created", "order_updated", "order_remove_hold", "order_updated"]


def test_an_empty_wallet_fails_an_order_until_it_is_filled(sb: Sandbox) -> None:
    sb.printful.balance = 4000
    assert place(sb)["result"]["status"] == "pending"
    assert sb.printful.balance == 4000 - 3371
    short = place(sb, "ord_2")["result"]
    assert short["status"] == "failed"
    assert "Insufficient funds" in short["error"]
    assert sb.printful.events("order_failed")[0].body["data"]["reason"] == short["error"]
    sb.printful.balance = 5000
    assert ask(sb, "POST", "/orders/@ord_2/confirm").json()["result"]["error"] is None
    sb.printful.cancel("ord_2")
    assert sb.printful.balance == 5000


def test_orders_are_listed_newest_first_page_by_page(sb: Sandbox) -> None:
    numbers = [place(sb, f"ord_{n}")["result"]["id"] for n in range(5)]
    sb.printful.start(numbers[0])
    page = ask(sb, "GET", "/orders?offset=1&limit=2").json()
    assert [order["id"] for order in page["result"]] == numbers[3:1:-1]
    assert page["paging"] == {"total": 5, "offset": 1, "limit": 2}
    assert ask(sb, "GET", "/orders").json()["paging"] == {"total": 5, "offset": 0, "limit": 20}
    assert [o["id"] for o in ask(sb, "GET", "/orders?status=inprocess").json()["result"]] == numbers[:1]
    assert ask(sb, "GET", "/orders?offset=5").json()["result"] == []
    for wrong in ("limit=101", "offset=-1", "status=lost"):
        assert ask(sb, "GET", f"/orders?{wrong}").status_code == 400
    for unknown in ("/orders/1", "/orders/@ord_9", "/orders/ord_1", "/products"):
        missing = ask(sb, "GET", unknown)
        assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "NotFound")


def test_parcels_leave_one_by_one_until_everything_is_sent(sb: Sandbox, clock) -> None:
    place(sb, items=[*SHIRTS, {"sync_variant_id": 2}])
    assert sb.printful.start("ord_1")["status"] == "inprocess"
    clock.advance(3600)
    first = sb.printful.ship("ord_1", items={"li_1": 1}, carrier="FEDEX", tracking="0001")
    assert first["status"] == "partial"
    [parcel] = first["shipments"]
    shirt, mug = (item["id"] for item in first["items"])
    assert parcel["items"] == [{"item_id": shirt, "quantity": 1, "picked": 1, "printed": 1}]
    assert (parcel["carrier"], parcel["tracking_number"], parcel["reshipment"]) == ("FEDEX", "0001", False)
    assert (parcel["ship_date"], parcel["shipped_at"]) == ("2026-11-20", sb.world.timestamp())
    assert first["updated"] == sb.world.timestamp()
    with pytest.raises(PrintfulError, match=r"only .* are left"):
        sb.printful.ship("ord_1", items={str(shirt): 2})
    rest = sb.printful.ship("ord_1")
    assert (rest["status"], len(rest["shipments"])) == ("fulfilled", 2)
    assert [(i["item_id"], i["quantity"]) for i in rest["shipments"][1]["items"]] == [(shirt, 1), (mug, 1)]
    again = sb.printful.ship("ord_1", items={mug: 1}, reshipment=True)
    assert (again["status"], again["shipments"][2]["reshipment"]) == ("fulfilled", True)
    shipped = sb.printful.events("package_shipped")
    assert [e.body["data"]["shipment"]["id"] for e in shipped] == [s["id"] for s in again["shipments"]]
    assert shipped[0].body["data"]["order"]["status"] == "partial"
    with pytest.raises(PrintfulError, match="is fulfilled"):
        sb.printful.ship("ord_1")


def test_what_may_go_wrong_on_the_way_is_told_with_its_reason(sb: Sandbox) -> None:
    number = place(sb)["result"]["id"]
    assert sb.printful.hold(number, "Low resolution")["status"] == "onhold"
    with pytest.raises(PrintfulError, match="is onhold, not"):
        sb.printful.ship(number)
    assert sb.printful.release(number)["status"] == "pending"
    assert sb.printful.fail(number, "Bad address")["error"] == "Bad address"
    assert ask(sb, "POST", f"/orders/{number}/confirm").json()["result"]["error"] is None
    sb.printful.ship(number)
    assert ask(sb, "DELETE", f"/orders/{number}").status_code == 400
    assert sb.printful.send_back(number, reason="Unclaimed")["status"] == "fulfilled"
    sb.printful.refund(number, 1350)
    place(sb, "ord_2")
    sb.printful.cancel("ord_2", "Sold out")
    said = {e.type: e.body["data"] for e in sb.printful.events()}
    reasons = {kind: data["reason"] for kind, data in said.items() if "reason" in data}
    assert reasons == {
        "order_put_hold": "Low resolution",
        "order_remove_hold": None,
        "order_failed": "Bad address",
        "package_returned": "Unclaimed",
        "order_canceled": "Sold out",
    }
    assert said["order_refunded"]["amount"] == "13.50"
    assert said["package_returned"]["shipment"]["items"][0]["quantity"] == 2
    assert said["order_failed"]["order"]["status"] == "failed"
    assert said["order_canceled"]["order"]["status"] == "canceled"


def test_a_thief_orders_without_an_external_id_or_squats_on_one(sb: Sandbox) -> None:
    stolen = sb.printful.steal()
    assert (stolen["external_id"], stolen["status"]) == (None, "pending")
    assert stolen["recipient"]["name"] == "Mallory"
    assert sb.printful.steal("ord_1")["external_id"] == "ord_1"
    assert place(sb)["error"]["api_error_code"] == "OR-13"
    assert len(ask(sb, "GET", "/orders").json()["result"]) == 2


def test_more_calls_than_the_account_may_make_are_put_off(sb: Sandbox, clock) -> None:
    sb.printful.per_minute = 2
    assert [ask(sb, "GET", "/orders").status_code for _ in range(3)] == [200, 200, 429]
    clock.advance(59)
    late = ask(sb, "GET", "/orders")
    assert (late.status_code, late.headers["Retry-After"]) == (429, "1")
    assert late.json()["error"]["reason"] == "TooManyRequests"
    clock.advance(1)
    assert ask(sb, "GET", "/orders").status_code == 200


def test_faults_answer_in_printfuls_words(sb: Sandbox) -> None:
    sb.fault("printful", "status", status=429, retry_after=7)
    busy = ask(sb, "GET", "/orders")
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    assert "after 7 seconds" in busy.json()["result"]
    sb.fault("printful", "lost_answer", method="POST", path="^/orders$")
    with pytest.raises(requests.ConnectionError):
        place(sb)
    assert status(sb) == "pending"


def test_webhooks_are_unsigned_json_and_come_until_they_are_taken(sb: Sandbox, webhook) -> None:
    sb.printful.configure(webhook_url=webhook.url, autosend=True)
    webhook.statuses = [503]
    place(sb)
    assert sb.printful.wait_idle()
    first, second = (json.loads(body) for body, _ in webhook.got)
    assert (first["type"], first["created"], first["store"]) == ("order_created", sb.world.timestamp(), 952434)
    assert first["data"]["order"] == ask(sb, "GET", "/orders/@ord_1").json()["result"]
    assert (first["retries"], second["retries"]) == (0, 1)
    assert first | {"retries": 1} == second
    assert webhook.got[0][1]["Content-Type"] == "application/json"
    assert [(d.attempt, d.status, d.acknowledged) for d in sb.printful.deliveries] == [(1, 503, False), (2, 200, True)]


def test_a_test_delivers_in_any_order_and_as_often_as_it_likes(sb: Sandbox, webhook) -> None:
    with pytest.raises(ValueError, match="set webhook_url first"):
        sb.printful.deliver()
    sb.printful.webhook_url = webhook.url
    number = place(sb)["result"]["id"]
    sb.printful.ship(number)
    created, shipped, updated = sb.printful.events(about=number)
    assert sb.printful.deliver(shipped, times=2) == 200
    sb.printful.lose = True
    assert sb.printful.deliver(created.id) is None
    sb.printful.lose = False
    assert sb.printful.deliver() == 200
    kinds = [json.loads(body)["type"] for body, _ in webhook.got]
    assert kinds == [shipped.type, shipped.type, created.type, updated.type]
    assert [d.error for d in sb.printful.deliveries].count("lost on the way") == 1


def test_the_webhook_may_be_set_up_through_the_api(sb: Sandbox, webhook) -> None:
    assert ask(sb, "GET", "/webhooks").json()["result"] == {"url": None, "types": [], "params": {}}
    wanted = {"url": webhook.url, "types": ["package_shipped", "order_failed"]}
    assert ask(sb, "POST", "/webhooks", wanted).json()["result"] == wanted | {"params": {}}
    place(sb)
    sb.printful.ship("ord_1")
    sb.printful.deliver()
    assert [json.loads(body)["type"] for body, _ in webhook.got] == ["package_shipped"]
    assert ask(sb, "POST", "/webhooks", wanted | {"types": ["weather"]}).status_code == 400
    assert ask(sb, "DELETE", "/webhooks").json()["result"]["url"] is None
    assert "order_updated" in sb.printful.types


def test_tests_in_another_process_use_the_admin_api(sb: Sandbox, webhook) -> None:
    def act(action: str, **sent: object) -> requests.Response:
        return requests.post(f"{sb.url}/_sandbox/printful/{action}", json=sent, timeout=5)

    assert act("configure", webhook_url=webhook.url, token="pf_key").json()["object"]["autosend"] is False
    assert "pf_key" not in act("configure").text
    act("add_variant", id=3, name="Cap", price="9.00")
    number = place(sb, items=[{"sync_variant_id": 3, "quantity": 2}])["result"]["id"]
    item = sb.printful.order(number)["items"][0]["id"]
    assert act("ship", number=number, items={str(item): 1}, carrier="UPS").json()["object"]["status"] == "partial"
    assert act("ship", number="@ord_1").json()["object"]["status"] == "fulfilled"
    assert act("ship", number=number).status_code == 409
    assert act("hold", number=1).status_code == 404
    assert act("configure", mood="bad").status_code == 400
    assert act("steal").json()["object"]["external_id"] is None
    act("deliver")
    admin = f"{sb.url}/_sandbox/printful"
    shipped = requests.get(f"{admin}/events", params={"type": "package_shipped"}, timeout=5).json()["events"]
    sent = requests.get(f"{admin}/deliveries", timeout=5).json()["deliveries"]
    assert [e["order"] for e in shipped] == [number, number]
    assert {e["id"] for e in shipped} < {d["event_id"] for d in sent}
    listed = requests.get(f"{admin}/orders", params={"status": "fulfilled"}, timeout=5).json()["orders"]
    assert [o["id"] for o in listed] == [number]


def test_the_overview_moves_orders_along(sb: Sandbox) -> None:
    number = place(sb)["result"]["id"]
    for wish, after in (("hold", "onhold"), ("release", "pending"), ("part", "partial"), ("ship", "fulfilled")):
        page = requests.get(f"{sb.url}/", timeout=5).text
        assert f'action="/prints/{number}"' in page
        assert f'value="{wish}"' in page
        assert requests.post(f"{sb.url}/prints/{number}", data={"do": wish}, timeout=5).status_code == 200
        assert status(sb) == after
    requests.post(f"{sb.url}/prints/{number}", data={"do": "send_back"}, timeout=5)
    assert told(sb)[-1] == "package_returned"
    assert requests.post(f"{sb.url}/prints/{number}", data={"do": "start"}, timeout=5).status_code == 409
    assert requests.post(f"{sb.url}/prints/{number}", data={"do": "burn"}, timeout=5).status_code == 400
