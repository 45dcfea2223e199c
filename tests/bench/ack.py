"""Acknowledgement: a signed webhook, durable in the inbox, answered 200.

Beside it, in turns, the same template answering a constant, and one SQLite commit for each event without any HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from bench import load
from bench.series import Effort, Series
from bench.sink import sink
from bench.surroundings import SECRETS, STACK, WEBHOOK_SECRET, YARDSTICK, functions, port
from local.sandbox import Sandbox
from pushcart.store import connect

ROUNDS = 3
EFFORT = Effort(requests=3000, per_second=50, seconds=20, warm_up=300)
ITEM = {"sku": "course", "name": "Course", "unit_amount": 4900, "currency": "eur"}


class Events:
    """Webhook bodies of the sandbox's Stripe, each with an id of its own."""

    def __init__(self) -> None:
        with Sandbox(autosend=False) as sandbox:
            link = sandbox.stripe.add_payment_link([ITEM])
            sandbox.stripe.buy(link)
            event = sandbox.stripe.events("checkout.session.completed")[0]
            self._text = sandbox.stripe.signed(event)[0].decode()
        self._id = event["id"]
        self._numbers = count(1)

    def take(self, number: int) -> list[str]:
        return [self._text.replace(self._id, f"evt_{next(self._numbers):024}") for _ in range(number)]


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of the acknowledgement; `Refused` when a webhook was not answered 200 or is not in the inbox."""
    events, store_url = Events(), f"sqlite:///{folder}/ack.db"
    secrets = {**SECRETS, "store-url": store_url}
    with (
        sink() as hints,
        functions(folder / "ours", STACK, f"http://127.0.0.1:{hints}", secrets) as shop,
        functions(folder / "constant", YARDSTICK, "", {}) as yardstick,
    ):
        constant = Series(port(yardstick, "constant"), events.take, EFFORT, secret=WEBHOOK_SECRET)
        ours = Series(port(shop, "stripe-webhook"), events.take, EFFORT, secret=WEBHOOK_SECRET)
        ceiling = _ceiling(events)
        inserts = []
        for number in range(1, ROUNDS + 1):
            say(f"acknowledgement, round {number} of {ROUNDS}")
            constant.flat_out()
            ours.flat_out()
            inserts.append(_bare_inserts(folder / "bare.db", events.take(EFFORT.requests // 2)))
            constant.steadily()
            ours.steadily()
    _all_durable(store_url, ours.sent)
    rate, constant_rate, insert_rate = median(ours.rates), median(constant.rates), median(inserts)
    return {
        "ack_per_s": rate,
        "constant_per_s": constant_rate,
        "sqlite_inserts_per_s": insert_rate,
        "load_client_per_s": ceiling,
        "ack_rate_vs_constant": rate / constant_rate,
        "ack_rate_vs_sqlite": rate / insert_rate,
        "ack_p50_ms": median(ours.p50),
        "ack_p99_ms": median(ours.p99),
        "constant_p99_ms": median(constant.p99),
        "ack_p99_vs_constant": median(ours.p99) / median(constant.p99),
    }


def _ceiling(events: Events) -> float:
    """What the load client itself can do, against a server that does next to nothing."""
    with sink("200 OK") as nothing:
        return load.run(load.Plan(nothing, events.take(EFFORT.requests), WEBHOOK_SECRET)).rate


def _bare_inserts(path: Path, bodies: list[str]) -> float:
    """Rows a second into an empty SQLite file as durable as the store's: WAL, full synchronisation, a commit each."""
    for old in _files(path):
        old.unlink()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE inbox (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
    rows = [(json.loads(body)["id"], body) for body in bodies]
    began = time.perf_counter()
    for row in rows:
        connection.execute("INSERT INTO inbox VALUES (?, ?)", row)
    seconds = time.perf_counter() - began
    connection.close()
    return len(rows) / seconds


def _files(path: Path) -> Iterator[Path]:
    return path.parent.glob(f"{path.name}*")


def _all_durable(store_url: str, sent: int) -> None:
    store = connect(store_url)
    stored = store.count("inbox")
    store.close()
    if stored != sent:
        raise load.Refused(f"{sent} webhooks were answered 200, but the inbox holds {stored}")
