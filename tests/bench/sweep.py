"""The sweep: what it costs to find and look at 100 due orders among 1,000 and among 200,000."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, cast

from pymongo import MongoClient, monitoring

from pushcart.clock import to_instant
from pushcart.domain import payment, steps
from pushcart.domain.order import Line, Order
from pushcart.repositories import Inbox, Orders
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake
from pushcart.services.work import Work
from pushcart.store import connect
from pushcart.store.mongo import DATABASE
from support.databases import fresh
from support.shop import NOW, catalogue, facts, line, run_all

SIZES = (1_000, 200_000)
#: For a server that reads every document for every query.
SIZES_WITHOUT_INDEX = (300, 1_200)
DUE = 100
ROUNDS = 15
BATCH, SECONDS, WORKERS = 200, 40, 4
#: What makes the copies of an order differ: it is in each of its ids.
TOKEN = "o-00000000"
MONGO_BATCH = 2_000

#: Copies the one stored order, whose id is `TOKEN`: the store's URL, and how many copies.
Multiply = Callable[[str, int], None]


def now() -> datetime:
    """A week after the orders were paid, when the mail of the third day is due."""
    return datetime(2026, 11, 28, tzinfo=UTC)


class Looks:
    """Stands in for the driver: reads the order, as every drive begins, and leaves it due for the next round."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.looked = 0

    def drive(self, order_id: str) -> int:
        order = self._orders.get(order_id)
        assert order is not None
        self.looked += steps.runnable(order, to_instant(now())) is not None
        return 0

    def stop(self) -> None:
        """Nothing is under way for longer than a read."""


class Swept:
    """One store with so many orders, and its sweep."""

    def __init__(self, url: str, size: int, multiply: Multiply) -> None:
        self._store = connect(url)
        orders = Orders(self._store)
        assert orders.add(_order(TOKEN, "price_book"))
        multiply(url, size - DUE - 1)
        for number in range(DUE):
            assert orders.add(_order(f"due-{number}", "price_course"))
        assert self._store.count("orders") == size
        self._looks = Looks(orders)
        intake = cast(Intake, None)  # there is no event in the inbox
        self._work = Work(intake, cast(Driver, self._looks), orders, Inbox(self._store), now, WORKERS)
        self.times: list[float] = []

    def sweep(self) -> None:
        before, began = self._looks.looked, time.perf_counter()
        swept = self._work.sweep(BATCH, SECONDS)
        self.times.append(time.perf_counter() - began)
        assert swept.orders == self._looks.looked - before == DUE, swept

    def close(self) -> None:
        self._work.close()
        self._store.close()


class Wire(monitoring.CommandListener):
    """Counts what crosses the wire to a MongoDB: commands, and documents in their answers."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing to count yet."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.count += 1 + len(event.reply.get("cursor", {}).get("firstBatch", ()))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.count += 1


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """For each store the ratio of the medians, and the milliseconds of the sweep among the most orders.

    A stand-in for MongoDB that reads every document for every query says nothing about time. With no other,
    `sweep_ratio_mongo` is None, and `sweep_crossing_mongo` compares what is asked of the server and answered.
    """
    few, many = _medians("sqlite", SIZES, lambda size: _database("sqlite", folder / str(size)), in_sqlite, say)
    found = {"sweep_ratio_sqlite": many / few, "sweep_ms_sqlite": 1000 * many}
    if finds_by_index(fresh("mongodb", folder)):
        few, many = _medians("MongoDB", SIZES, lambda size: fresh("mongodb", folder), in_mongo, say)
        return found | {"sweep_ratio_mongo": many / few, "sweep_ms_mongo": 1000 * many}
    return found | {"sweep_ratio_mongo": None, "sweep_crossing_mongo": _crossing(folder, say)}


def finds_by_index(url: str) -> bool:
    """Whether this MongoDB says that it finds what is due by an index."""
    store = connect(url)
    Orders(store).due(to_instant(now()), 1)
    store.close()
    with MongoClient[dict[str, Any]](url) as client:
        orders = client.get_default_database(DATABASE)["orders"]
        plan = orders.find({"due_at": {"$gte": "", "$lt": NOW}}).sort([("due_at", 1), ("_id", 1)]).explain()
    return "IXSCAN" in str(plan)


def _database(kind: str, folder: Path) -> str:
    folder.mkdir(parents=True)
    return fresh(kind, folder)


def _medians(
    kind: str, sizes: tuple[int, int], database: Callable[[int], str], multiply: Multiply, say: Callable[[str], None]
) -> list[float]:
    contestants = []
    for size in sizes:
        say(f"sweep: {size:,} orders into {kind}")
        contestants.append(Swept(database(size), size, multiply))
    say(f"sweep: {ROUNDS} each on {kind}")
    for _ in range(ROUNDS):
        for one in contestants:
            one.sweep()
    for one in contestants:
        one.close()
    # The first of each only warms the caches.
    return [median(one.times[1:]) for one in contestants]


def _crossing(folder: Path, say: Callable[[str], None]) -> float:
    wire, counts = Wire(), []
    monitoring.register(wire)
    for size in SIZES_WITHOUT_INDEX:
        say(f"sweep: {size:,} orders into a stand-in for MongoDB")
        swept = Swept(fresh("mongodb", folder), size, in_mongo)
        before = wire.count
        swept.sweep()
        counts.append(wire.count - before)
        swept.close()
    return counts[1] / counts[0]


def in_sqlite(url: str, copies: int) -> None:
    """As SQL, in one transaction: the rows are what the adapter wrote, but for the ids."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    for table in ("orders", "orders_skus"):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        made = ", ".join(f"replace({column}, '{TOKEN}', printf('o-%08d', number))" for column in columns)
        connection.execute(
            f"WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?) "
            f"INSERT INTO {table} SELECT {made} FROM numbers, {table} ORDER BY number",
            (copies,),
        )
    connection.commit()
    connection.close()


def in_mongo(url: str, copies: int) -> None:
    """In batches: the documents are what the adapter wrote, but for the ids."""
    with MongoClient[dict[str, Any]](url) as client:
        collection = client.get_default_database(DATABASE)["orders"]
        stored = collection.find_one({"_id": TOKEN})
        for first in range(1, copies + 1, MONGO_BATCH):
            numbers = range(first, min(first + MONGO_BATCH, copies + 1))
            collection.insert_many([_copy(stored, f"o-{number:08}") for number in numbers], ordered=False)


def _copy(value: Any, id: str) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner, id) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner, id) for inner in value]
    return value.replace(TOKEN, id) if isinstance(value, str) else value


def _order(id: str, price: str) -> Order:
    """A fulfilled order as the shop leaves it; with `price_course` a mail of its third day still waits."""
    amounts = {"price_course": 4900, "price_book": 2000}
    lines: list[Line] = [line(price=price, amount=amounts[price])]
    order = Order(id=id, created_at=NOW, updated_at=NOW)
    paid = facts(session_id=f"cs_{id}", payment_intent=f"pi_{id}", lines=lines)
    payment.update(order, paid, catalogue(), NOW, "checkout.session.completed")
    run_all(order)
    return order
