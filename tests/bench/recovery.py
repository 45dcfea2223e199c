"""Catch-up and recovery: 1,000 events that never arrived, and 10,000 and 100,000 orders compared with their payments.

Stripe's part is played by a process that makes up its lists as they are asked for (`lists`), from what the sandbox
answers: with a Stripe that takes its time, the figures would be of that.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import requests

from bench import load
from bench.lists import CREATED, EVERY, NUMBER, lists
from bench.surroundings import ROOT
from local.sandbox import Sandbox
from pushcart.clock import from_timestamp, system_clock
from pushcart.domain import payment
from pushcart.domain.order import Order
from pushcart.providers.stripe_listing import StripeListing
from pushcart.providers.stripe_payments import StripePayments
from pushcart.repositories import Counters, Cursors, Inbox, Orders
from pushcart.services.catchup.payments import Found, StripeCatchUp
from pushcart.services.stripe_inbox import StripeInbox
from pushcart.store import connect
from support.shop import NOW, catalogue, facts, run_all

MISSED = 1_000
SIZES = (10_000, 100_000)
BATCH = 2_000
EVENTS, SESSIONS = "/v1/events", "/v1/checkout/sessions"
AMOUNT = 4900


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds and peak memory; `Refused` when an event was lost or anything was found where nothing is wrong."""
    templates = _templates()
    newest = int(system_clock().timestamp()) - 60
    with lists(folder, templates, MISSED, newest) as stripe:
        say(f"catch-up of {MISSED:,} events")
        seconds = _catch_up(f"sqlite:///{folder}/missed.db", stripe, MISSED)
    took = {}
    for size in SIZES:
        say(f"recovery: {size:,} orders into SQLite")
        store_url = f"sqlite:///{folder}/{size}.db"
        _orders(store_url, size, newest)
        with lists(folder, templates, size, newest) as stripe:
            say(f"recovery over {size:,} orders")
            took[size] = _recover(store_url, stripe, size)
    few, many = (took[size] for size in SIZES)
    return {
        "catch_up_s": seconds,
        "catch_up_events_per_s": MISSED / seconds,
        "recovery_s_10000": few["seconds"],
        "recovery_s_100000": many["seconds"],
        "recovery_orders_per_s": many["orders"] / many["seconds"],
        "recovery_peak_mib": many["peak_mib"],
        "recovery_peak_ratio": many["peak_mib"] / few["peak_mib"],
    }


def _templates() -> dict[str, str]:
    """An event and a session as the sandbox gives them, with `NUMBER` in the ids and `CREATED` as the time."""
    with Sandbox(autosend=False) as sandbox:
        item = {"sku": "course", "name": "Course", "unit_amount": AMOUNT, "currency": "EUR", "price_id": "price_course"}
        bought = sandbox.stripe.buy(sandbox.stripe.add_payment_link([item])["id"], email="ann@example.com")
        session = bought.object
        told = next(event for event in bought.events if event["type"] == "checkout.session.completed")
        asked: dict[str, Any] = {"headers": {"Authorization": "Bearer sk_test_bench"}, "timeout": 10}
        expand = {"expand[]": "payment_intent.latest_charge"}
        whole = requests.get(f"{sandbox.url}/stripe{SESSIONS}/{session['id']}", params=expand, **asked).json()
    made = {"created": int(CREATED)}
    return {
        EVENTS: json.dumps({**told, **made, "id": f"evt{NUMBER}"}).replace(session["id"], f"cs_test_{NUMBER}"),
        SESSIONS: json.dumps({**whole, **made}).replace(session["id"], f"cs_test_{NUMBER}"),
    }


def _catch_up(store_url: str, stripe: str, missed: int) -> float:
    """Seconds until all that was missed is in the inbox."""
    store = connect(store_url)
    inbox, orders, cursors, clock = Inbox(store), Orders(store), Cursors(store), system_clock
    listing = StripeListing(StripePayments(stripe, lambda: "sk_test_bench", 15))
    events = StripeInbox(inbox, Counters(store, clock), clock, livemode=False)
    catch_up = StripeCatchUp(listing, events, inbox, orders, cursors, clock, livemode=False)
    store.ping()
    began = time.perf_counter()
    found = catch_up.events(Found(), lambda: True)
    seconds = time.perf_counter() - began
    held = store.count("inbox")
    store.close()
    if not found.finished or len(set(found.events)) != missed or held != missed:
        raise load.Refused(f"of {missed} events {len(found.events)} were found, and {held} are in the inbox")
    return seconds


def _orders(store_url: str, size: int, newest: int) -> None:
    """So many fulfilled orders, one for each session: the rows are what the adapter writes, but for ids and times."""
    store, token = connect(store_url), f"o-{NUMBER}"
    order = Order(id=token, created_at=NOW, updated_at=NOW)
    paid = facts(session_id=f"cs_test_{NUMBER}", payment_intent=f"pi_{NUMBER}")
    payment.update(order, paid, catalogue(), NOW, "checkout.session.completed")
    run_all(order)
    order.created_at = CREATED
    assert Orders(store).add(order)
    body = msgspec.json.encode(msgspec.to_builtins(order)).decode()
    store.delete("orders", token)
    store.close()

    def rows() -> Iterator[tuple[str, str, str, str]]:
        for number in range(size):
            name, created = f"{number:0{len(NUMBER)}}", from_timestamp(newest - number * EVERY)
            one = body.replace(NUMBER, name).replace(CREATED, created)
            yield f"o-{name}", created, f"cs_test_{name}", one

    connection = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    insert = "INSERT INTO orders (id, version, created_at, session_id, body) VALUES (?, 1, ?, ?, ?)"
    connection.executemany(insert, rows())
    connection.commit()
    connection.close()


def _recover(store_url: str, stripe: str, size: int) -> dict[str, Any]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("shared", "deploy", "tests"))
    command = [sys.executable, "-m", "bench.recovering", store_url, stripe]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise load.Refused(f"the recovery failed: {done.stderr[-500:]}")
    took: dict[str, Any] = json.loads(done.stdout)
    if (took["findings"], took["orders"], took["sessions"]) != (0, size, size):
        raise load.Refused(f"of {size} orders that agree with their payments a recovery says {took}")
    return took
