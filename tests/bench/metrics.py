"""The figures of `/metrics`: what a scrape costs a shop with 200,000 orders, in time and in order-store's memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import requests

from bench.surroundings import SECRETS, STACK, functions, port, pss_mib
from bench.sweep import TOKEN, in_sqlite
from local.gateway.supervisor import Supervisor
from pushcart import auth
from pushcart.clock import system_clock
from pushcart.domain import payment
from pushcart.domain.order import Order
from pushcart.repositories import Orders
from pushcart.services.metrics import exposition as metrics
from pushcart.store import connect
from support.scrapes import Scrape
from support.shop import NOW, catalogue, facts, line, run_all

SIZE = 200_000
#: Processes started anew: each looks into the store at its first scrape, and keeps what it saw for a while.
ROUNDS = 5
#: Scrapes of one process, all but the first from what it keeps.
SCRAPES = 200
NAME = "order-store"
PROM_TOKEN = "m" * 32


def measure(folder: Path, say: Callable[[str], None], size: int = SIZE) -> dict[str, Any]:
    """Milliseconds of a scrape with a look into the store and of one without, and MiB before and after many."""
    url = f"sqlite:///{folder}/shop.db"
    say(f"metrics: {size:,} orders into sqlite")
    fill(url, size)
    secrets = {**SECRETS, "store-url": url, "stripe-api-key": "sk_test_bench", metrics.SECRET: PROM_TOKEN}
    looks: list[float] = []
    kept: list[float] = []
    # Nothing is due, so nobody is called: the gateway's address may lead nowhere.
    with functions(folder / "functions", STACK, "http://127.0.0.1:1", secrets) as shop:
        for number in range(1, ROUNDS + 1):
            say(f"metrics: scrapes, round {number} of {ROUNDS}")
            address = _started(shop)
            before = _pss(shop)
            looks.append(_scrape(address, size))
            kept += [_scrape(address, size) for _ in range(SCRAPES - 1)]
            after = _pss(shop)
    return {
        "metrics_ms": 1000 * median(looks),
        "metrics_kept_ms": 1000 * median(kept),
        "metrics_pss_mib_before": before,
        "metrics_pss_mib": after,
    }


def fill(url: str, size: int) -> None:
    """A shop with so many fulfilled orders, all alike but for their ids."""
    store = connect(url)
    order = Order(id=TOKEN, created_at=NOW, updated_at=NOW)
    lines = [line(price="price_book", amount=2000)]
    paid = facts(session_id=f"cs_{TOKEN}", payment_intent=f"pi_{TOKEN}", lines=lines)
    payment.update(order, paid, catalogue(), NOW, "checkout.session.completed")
    run_all(order)
    assert Orders(store).add(order)
    store.close()
    in_sqlite(url, size - 1)


def _started(shop: Supervisor) -> str:
    """The address of a fresh order-store that has used its store once, as any has that does its work."""
    if shop.running(NAME):
        shop.restart(NAME, drain=10)
    address = f"http://127.0.0.1:{port(shop, NAME)}"
    signature = auth.sign(SECRETS["internal-key"], system_clock(), NAME, "POST", "/sweep", "", b"")
    swept = requests.post(f"{address}/sweep", headers={auth.HEADER: signature}, timeout=60)
    assert swept.json() == {"events": 0, "orders": 0, "more": False}, swept.text
    return address


def _scrape(address: str, size: int) -> float:
    """Seconds that a scrape took; it is one of all these orders."""
    began = time.perf_counter()
    answer = requests.get(f"{address}{metrics.PATH}", headers={"Authorization": f"Bearer {PROM_TOKEN}"}, timeout=60)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    shown = f'pushcart_orders_by_payment_status{{payment_status="paid"}} {float(size)}'
    assert shown in answer.text, Scrape(answer.text).matching("pushcart_orders_by_payment_status")
    return seconds


def _pss(shop: Supervisor) -> float:
    process = shop.running(NAME)
    assert process is not None
    return pss_mib(process.pid)
