"""The owner's API: find an order, see what happened, help it along. Bad input is a clear 4xx and changes nothing."""

from __future__ import annotations

import pytest

from pushcart.errors import FunctionFailed
from support.customers import PLANS, WHEEL, Customer, eventually


def refused(shop, path, body=None, *, method="POST", **query):
    with pytest.raises(FunctionFailed) as error:
        shop.ask(path, body, method=method, **query)
    return error.value.status, error.value.message


@pytest.fixture(scope="module")
def three(shop):
    """Three orders of three buyers: a course, the plans, and a course that was refunded."""
    buyers = [Customer(shop) for _ in range(3)]
    for buyer, link in zip(buyers, (WHEEL, PLANS, WHEEL), strict=True):
        buyer.buy(link)
        buyer.wait(fulfilment="fulfilled")
    shop.sandbox.stripe.refund(buyers[2].session["id"])
    buyers[2].wait(payment="refunded")
    return buyers


def test_orders_are_found_by_each_filter(shop, three):
    course, plans, refunded = (buyer.order()["id"] for buyer in three)

    def ids(**query):
        return {order["id"] for order in shop.orders(limit="200", **query)}

    assert ids(email=three[0].email.upper()) == {course}
    assert {course, refunded} <= ids(sku="wheel-basics")
    assert plans not in ids(sku="wheel-basics")
    assert refunded in ids(payment_status="refunded")
    assert course not in ids(payment_status="refunded")
    assert {course, plans} <= ids(fulfilment_status="fulfilled")
    assert ids(until="2020-01-01") == set()
    assert {course, plans, refunded} <= ids(since="2020-01-01", until="2100-01-01T00:00:00Z")


def test_pages_follow_one_another_newest_first(shop, three):
    seen, cursor = [], None
    while True:
        page = shop.ask("/orders", method="GET", limit="2", **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        cursor = page["cursor"]
        if not cursor:
            break
    assert len({order["id"] for order in seen}) == len(seen) == len(shop.orders(limit="200"))
    assert [order["created_at"] for order in seen] == sorted((order["created_at"] for order in seen), reverse=True)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"payment_status": "payed"}, "none of unpaid, paid"),
        ({"limit": "0"}, "from 1 to 200"),
        ({"limit": "many"}, "from 1 to 200"),
        ({"since": "yesterday"}, "write it like 2026-11-21"),
        ({"since": "2026-11-21T08:00:00"}, "write it like 2026-11-21"),
        ({"cursor": "rubbish"}, "not one of ours"),
        ({"colour": "red"}, "Unknown in the query: colour"),
    ],
)
def test_a_bad_query_is_a_clear_400(shop, query, complaint):
    status, message = refused(shop, "/orders", method="GET", **query)
    assert status == 400
    assert complaint in message


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
    [
        ("/orders/o-none/retry", {}, 404, "There is no order o-none"),
        ("/orders/o-none/handled", {}, 404, "There is no order"),
        ("/events/stripe:evt_none/replay", None, 404, "There is no event"),
        ("/orders/{id}/retry", {"step": "nothing"}, 404, "has no step nothing"),
        ("/orders/{id}/retry", {"stp": "receipt"}, 400, "unknown field `stp`"),
        ("/orders/{id}/retry", [1], 400, "does not fit"),
        ("/orders/{id}/retry", {}, 409, "has no dead step"),
        ("/orders/{id}/retry", {"step": "receipt"}, 409, "is done"),
        ("/orders/{id}/resend", {}, 400, "Say which mail"),
        ("/orders/{id}/resend", {"step": "wheel-basics.invite"}, 409, "is no mail"),
        ("/orders/{id}/handled", {"note": 5}, 400, "does not fit"),
        ("/orders/{id}/handled", {}, 409, "Nothing in order"),
        ("/orders/{id}/release", {}, 409, "is not held for its amount"),
        ("/orders/{id}/explode", {}, 404, "nothing at"),
    ],
)
def test_a_bad_request_is_a_clear_4xx_and_changes_nothing(shop, three, path, body, status, complaint):
    before = three[0].order()
    answer = refused(shop, path.format(id=before["id"]), body)
    assert answer[0] == status
    assert complaint in answer[1]
    assert three[0].order() == before


def test_a_mail_can_be_sent_once_more(shop, three):
    before = len(shop.sandbox.mails(three[1].email))
    shop.ask(f"/orders/{three[1].order()['id']}/resend", {"step": "receipt"})
    eventually(lambda: len(shop.sandbox.mails(three[1].email)) == before + 1)
    three[1].wait(fulfilment="fulfilled")


def test_a_dead_step_tells_the_owner_and_a_retry_finishes_the_order(shop, customer):
    shop.sandbox.fault("discourse", "status", status=403, times=1)
    customer.buy(WHEEL)
    order = customer.wait(fulfilment="needs_attention")
    step = next(step for step in order["steps"] if step["id"] == "wheel-basics.invite")
    assert step["state"] == "dead"
    assert "Discourse" in step["error"]
    assert [order_["id"] for order_ in shop.orders(fulfilment_status="needs_attention", email=customer.email)] == [
        order["id"]
    ]
    told = [mail for mail in customer.effects()["owner mails"] if "New order" not in mail]
    assert len(told) == 1
    shop.ask(f"/orders/{order['id']}/retry", {})
    customer.wait(fulfilment="fulfilled")
    assert customer.effects()["sequences"] == 1


def test_what_the_owner_handled_by_hand_is_let_go(shop, customer):
    shop.sandbox.fault("discourse", "status", status=422, times=1)
    customer.buy(WHEEL)
    order = customer.wait(fulfilment="needs_attention")
    shop.ask(f"/orders/{order['id']}/handled", {"note": "invited over the phone"})
    order = customer.wait(fulfilment="fulfilled")
    assert any("invited over the phone" in entry["what"] for entry in order["history"])
    assert "Throwing on the Wheel: your way in" not in customer.effects()["buyer mails"]


def test_an_event_can_be_seen_whole_and_replayed_without_a_second_effect(shop, three):
    event = next(
        e for e in shop.ask("/events", method="GET", limit="200")["items"] if e["order_id"] == three[0].order()["id"]
    )
    assert "body" not in event
    assert '"checkout.session"' in shop.ask(f"/events/{event['id']}", method="GET")["body"]
    before = three[0].effects()
    shop.ask(f"/events/{event['id']}/replay")
    eventually(lambda: shop.ask(f"/events/{event['id']}", method="GET")["status"] == "applied")
    assert three[0].effects() == before
