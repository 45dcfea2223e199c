"""Memory and cold start of every function, and which imports they owe it to."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import requests

from bench.probing import probe
from bench.surroundings import FUNCTIONS, pss_mib
from local.shop import LocalShop
from support.customers import WHEEL, Customer, eventually
from support.databases import DATABASES, fresh
from support.step_calls import invite, step

ROUNDS = 5
#: How many of the packages that cost most are named.
DOMINANT = 4

_carts = count(1)


class Sold(NamedTuple):
    """The ids of Stripe's event and of Autopay's notification that brought the money of two purchases."""

    event: str
    notification: str


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """PSS after a first purchase in each way and a first sweep, on each kind of store; seconds until the first 200."""
    by_store = {kind: _memory(folder / kind, kind, say) for kind in DATABASES}
    with LocalShop(folder / "cold", catch_up=False) as shop:
        say(f"cold starts, {ROUNDS} of each function")
        calls = first_calls(shop, _purchase(shop))
        cold = {name: median(cold_start(shop, name, call) for _ in range(ROUNDS)) for name, call in calls.items()}
    say("what the imports cost")
    dominant = {name: _dominant(probe(folder / "probe", name)["grown"]) for name in FUNCTIONS}
    return {
        "pss_mib": by_store["sqlite"],
        "pss_mib_by_store": by_store,
        "pss_mib_max": max(by_store["sqlite"].values()),
        "pss_mib_max_any_store": max(mib for memory in by_store.values() for mib in memory.values()),
        "pss_mib_sum": sum(by_store["sqlite"].values()),
        "cold_start_s": cold,
        "cold_start_s_max": max(cold.values()),
        "imports_mib": dominant,
    }


def _memory(folder: Path, kind: str, say: Callable[[str], None]) -> dict[str, float]:
    say(f"memory after the first purchase, on {kind}")
    folder.mkdir()
    with LocalShop(folder, catch_up=False, store=fresh(kind, folder)) as shop:
        _purchase(shop)
        shop.catch_up()
        return {name: pss_mib(shop.gateway.pid(name) or 0) for name in FUNCTIONS}


PLANS = {"sku": "studio-plans", "options": {}, "price": 1500}
SHIRT = {"sku": "studio-shirt", "options": {"Size": "M"}, "price": 2900}


def _purchase(shop: LocalShop) -> Sold:
    """Buys what needs every function: by a payment link, and by a cart for each way to pay."""
    buyer = Customer(shop)
    buyer.buy(WHEEL)
    buyer.wait(fulfilment="fulfilled")
    cart(shop, "stripe")
    paid = shop.sandbox.autopay.pay(cart(shop, "autopay")["url"])
    eventually(lambda: shop.order(paid["order_id"])["fulfilment_status"] == "fulfilled")
    shop.sandbox.stripe.buy(session=cart(shop, "stripe", SHIRT)["url"].rpartition("/")[2])
    eventually(lambda: shop.gateway.pid("printful-webhook"))
    shop.client.call("alert", "/watch", {})
    event = shop.sandbox.stripe.events("checkout.session.completed")[0]["id"]
    return Sold(event, paid["notifications"][-1]["id"])


def cart(shop: LocalShop, pay: str, item: dict[str, Any] = PLANS) -> dict[str, Any]:
    """Sends a new cart as the shop's page does; what the checkout answers."""
    body = {
        "token": f"bench-cart-{next(_carts):06}",
        "items": [{"quantity": 1, **item}],
        "currency": "EUR",
        "email": "ann@example.com",
        "name": "Ann Example",
        "pay": pay,
    }
    headers = {"Origin": shop.catalogue.shop.url}
    answer = requests.post(f"{shop.gateway.url}/function/checkout/", json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return dict(answer.json())


def first_calls(shop: LocalShop, sold: Sold) -> dict[str, Callable[[], Any]]:
    """For each function one call that it answers with 200 when all is well."""

    def webhook() -> None:
        status = shop.sandbox.stripe.deliver(sold.event)
        assert status == 200, status

    def notification() -> None:
        status = shop.sandbox.autopay.deliver(sold.notification)
        assert status == 200, status

    def step_call(function: str, request: Any) -> Callable[[], Any]:
        return lambda: shop.client.call(function, "/", request)

    return {
        "stripe-webhook": webhook,
        "checkout": lambda: cart(shop, "stripe"),
        "autopay-webhook": notification,
        "order-store": shop.orders,
        "invite-link": step_call("invite-link", invite("http")),
        "mailing-list": step_call("mailing-list", step("purchase")),
        "email-dispatch": step_call("email-dispatch", step("email", {"template": "receipt", "to": "buyer"})),
        "catch-up": shop.catch_up,
        "printful-webhook": lambda: shop.sandbox.printful.deliver(shop.sandbox.printful.events()[0]),
        "printful-order": lambda: shop.client.call("printful-order", "/doctor", method="GET"),
        "alert": lambda: shop.client.call("alert", "/watch", {}),
    }


def cold_start(shop: LocalShop, name: str, call: Callable[[], Any]) -> float:
    """Seconds from starting the function's process to its first 200; the gateway holds the call meanwhile."""
    shop.gateway.kill(name)
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _dominant(grown: dict[str, int]) -> dict[str, float]:
    return {name: round(kib / 1024, 1) for name, kib in list(grown.items())[:DOMINANT]}
