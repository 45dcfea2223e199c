"""The checkout: a cart as the shop's page sends it becomes a stored order and the place where it is paid.

By Stripe, whose part a stand-in plays that has a session at hand at once, and by Autopay's signed links, for which
nobody is asked. Beside them, in turns, the same template answering a constant. What the sandbox's Stripe alone can do
is measured too: it is itself a Python server on the same processor, so that with it the figure would be of both.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from bench import load
from bench.series import Effort, Series
from bench.sink import NUMBER, sink
from bench.surroundings import ROOT, SECRETS, STACK, YARDSTICK, functions, port
from local.gateway.supervisor import Supervisor
from local.sandbox import Sandbox
from pushcart import shopfile
from pushcart.clock import system_clock, to_instant
from pushcart.config import UNUSED, Config, Reads
from pushcart.domain.order import Order, derived_id
from pushcart.providers.paylinks.autopay import Provider
from pushcart.repositories import Orders
from pushcart.store import connect

ROUNDS = 3
BY_STRIPE = Effort(requests=400, per_second=20, seconds=6, warm_up=50)
BY_LINK = Effort(requests=400, per_second=20, seconds=3, warm_up=50)
CONSTANT = Effort(requests=1500, per_second=20, seconds=3, warm_up=100)
#: Sessions made at the sandbox alone.
SESSIONS = 200
#: Seconds that links are signed for, in each round.
SIGNING = 0.5

SHOP_FILE = ROOT / "deploy" / "shop" / "shop.yml"
SESSIONS_PATH = "/v1/checkout/sessions"
ITEMS = [
    {"sku": "wheel-basics", "quantity": 1, "options": {}, "price": 4900},
    {"sku": "studio-plans", "quantity": 2, "options": {}, "price": 1500},
]
BUYER = {"email": "ann@example.com", "name": "Ann Example"}
SERVICE_ID, LINK_KEY, API_KEY = "123456", "autopay-key-1", "sk_test_bench"


class Carts:
    """Carts paid in one way, each with a token of its own: every one is another buyer's."""

    def __init__(self, pay: str) -> None:
        self._cart = {"items": ITEMS, "currency": "EUR", "locale": "en-GB", "pay": pay, **BUYER}
        self._tokens = (f"{pay}-cart-{number:016}" for number in count(1))

    def take(self, number: int) -> list[str]:
        return [json.dumps({**self._cart, "token": next(self._tokens)}) for _ in range(number)]


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of the checkout; `Refused` when a cart was not answered 200 or is not exactly one order."""
    say("checkout: what the sandbox's Stripe alone can do")
    headers = {"Origin": shopfile.read(SHOP_FILE).shop.url}
    sandbox_rate, session = _sandbox(folder / "sandbox", headers)
    store_url = f"sqlite:///{folder}/checkout.db"
    with (
        sink("200 OK", session) as stripe,
        _shop(folder / "ours", store_url, f"http://127.0.0.1:{stripe}") as shop,
        functions(folder / "constant", YARDSTICK, "", {}) as yardstick,
    ):
        here = port(shop, "checkout")
        by_stripe = Series(here, Carts("stripe").take, BY_STRIPE, headers=headers)
        by_link = Series(here, Carts("autopay").take, BY_LINK, headers=headers)
        constant = Series(port(yardstick, "constant"), Carts("stripe").take, CONSTANT, headers=headers)
        signed = []
        for number in range(1, ROUNDS + 1):
            say(f"checkout, round {number} of {ROUNDS}")
            for one in (constant, by_stripe, by_link):
                one.flat_out()
            signed.append(_signed_links(folder))
            for one in (constant, by_stripe, by_link):
                one.steadily()
    _one_order_each(store_url, by_stripe.sent, by_link.sent)
    rate, link_rate, constant_rate = median(by_stripe.rates), median(by_link.rates), median(constant.rates)
    return {
        "checkout_per_s": rate,
        "checkout_p50_ms": median(by_stripe.p50),
        "checkout_p99_ms": median(by_stripe.p99),
        "checkout_rate_vs_constant": rate / constant_rate,
        "checkout_constant_per_s": constant_rate,
        "checkout_constant_p50_ms": median(constant.p50),
        "checkout_constant_p99_ms": median(constant.p99),
        "checkout_link_per_s": link_rate,
        "checkout_link_p50_ms": median(by_link.p50),
        "checkout_link_rate_vs_constant": link_rate / constant_rate,
        "links_signed_per_s": median(signed),
        "sandbox_sessions_per_s": sandbox_rate,
    }


def _shop(folder: Path, store_url: str, stripe_url: str) -> AbstractContextManager[Supervisor]:
    """The shop's functions, of which only the checkout is called."""
    secrets = {**SECRETS, "stripe-api-key": API_KEY, "autopay-key": LINK_KEY, "shop": UNUSED, "store-url": store_url}
    return functions(folder, STACK, "", secrets, stripe_url=stripe_url, autopay_service_id=SERVICE_ID)


def _sandbox(folder: Path, headers: dict[str, str]) -> tuple[float, str]:
    """Sessions a second of the sandbox alone, and one as it answers it, with `NUMBER` in its id and address.

    It is asked what the function asks for a cart.
    """
    store_url = f"sqlite:///{folder}/sandbox.db"
    with Sandbox(autosend=False) as sandbox, _shop(folder, store_url, f"{sandbox.url}/stripe") as shop:
        load.run(load.Plan(port(shop, "checkout"), Carts("stripe").take(1), headers=headers))
        asked = urlencode(sandbox.calls("stripe", "POST", SESSIONS_PATH)[0].form or {})
        made = sandbox.stripe.newest("checkout.session")[0]
        as_form = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"Bearer {API_KEY}",
        }
        address = int(sandbox.url.rpartition(":")[2])
        flat_out = load.Plan(address, [asked] * SESSIONS, path=f"/stripe{SESSIONS_PATH}", headers=as_form)
        rate = load.run(flat_out).rate
    return rate, json.dumps(made).replace(made["id"], f"cs_test_{NUMBER}")


def _signed_links(folder: Path) -> float:
    """Links a second that one process signs, one after another."""
    key = folder / "autopay-key"
    key.write_text(LINK_KEY)
    # A file written a moment ago is read again at each use; on a server it is older.
    os.utime(key, (time.time() - 60,) * 2)
    variables = {"autopay_service_id": SERVICE_ID, "secret_mount_path": str(folder)}
    provider = Provider(Config(Reads(Provider.variables, may_need=Provider.secrets), variables))
    expires_at, made = to_instant(system_clock() + timedelta(hours=1)), 0
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < SIGNING:
        id = derived_id(f"bench {made}")
        provider.link(id, 7900, "EUR", description=f"Order {id}", email=BUYER["email"], expires_at=expires_at)
        made += 1
    return made / seconds


def _one_order_each(store_url: str, by_stripe: int, by_link: int) -> None:
    """Every cart is one order, with a session or a link of its own that is noted in it."""
    store = connect(store_url)
    orders = list(_all(Orders(store)))
    store.close()
    places: dict[str, set[str]] = {"stripe": set(), "autopay": set()}
    for order in orders:
        if order.payment and order.session_id and order.intent and order.session_id in (order.intent.url or ""):
            places[order.payment.provider].add(order.session_id)
    sent, found = (by_stripe, by_link), (len(places["stripe"]), len(places["autopay"]))
    if found != sent or len(orders) != sum(sent):
        raise load.Refused(
            f"{sent} carts by Stripe and by link were answered 200, but there are {len(orders)} orders, of which "
            f"{found} have noted a place of their own to be paid at"
        )


def _all(orders: Orders) -> Iterator[Order]:
    page = orders.list({}, limit=500)
    yield from page.items
    while page.cursor:
        page = orders.list({}, cursor=page.cursor, limit=500)
        yield from page.items
