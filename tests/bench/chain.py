"""The whole chain: from a webhook to the order fulfilled, through every function, with the sandbox's providers."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from bench import load
from bench.surroundings import FUNCTIONS, cpu_seconds, pss_mib
from local.sandbox.records import Mail, Records
from local.shop import LocalShop
from pushcart.clock import from_instant
from pushcart.domain.order import FulfilmentStatus, Order, derived_id
from pushcart.repositories import Orders
from pushcart.store import Store, connect
from support.customers import GLAZE, PLANS, WHEEL, eventually

#: One purchase of each product in turn. 21 of each stay below the providers' limits of 60 and 120 calls a minute.
PRODUCTS = (WHEEL, GLAZE, PLANS)
SINGLES = 63
WARM_UP = 2
#: The burst sells what no provider limits: an invitation by the own platform, a mail with it, a receipt, a notice.
BURST = 1000
BURST_EFFECTS = Counter({"invitation": 1, "your-access": 1, "receipt": 1, "owners-notice": 1})
BURST_SECONDS = 240
CRON_SECONDS = 60
FULFILLED = {"fulfilment_status": str(FulfilmentStatus.FULFILLED)}


class Tally(Records):
    """The sandbox's record, counting every mail by order and step besides: it keeps only the last thousand."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[tuple[str, str]] = Counter()

    def add_mails(self, mails: Iterable[Mail]) -> None:
        mails = list(mails)
        self.sent.update((mail.custom_args.get("order_id", ""), mail.custom_args.get("step", "")) for mail in mails)
        super().add_mails(mails)


class Chain:
    """A shop whose webhooks this side sends, and whose store it reads, so that looking costs the shop nothing."""

    def __init__(self, shop: LocalShop, store: Store, tally: Tally) -> None:
        self._shop, self._store, self._tally = shop, store, tally
        self._orders = Orders(store)
        self._buyers = 0

    def singles(self) -> dict[str, float]:
        """One purchase after another; milliseconds from sending the webhook to the timeline's last entry."""
        for link in PRODUCTS * WARM_UP:
            self._single(link)
        taken = sorted(self._single(PRODUCTS[number % len(PRODUCTS)]) for number in range(SINGLES))
        return {"chain_p50_ms": median(taken), "chain_p95_ms": quantiles(taken, n=20)[18]}

    def burst(self) -> dict[str, Any]:
        """A thousand webhooks as fast as they are taken, then the wait until every order is fulfilled.

        Meanwhile catch-up runs every minute, as cron has it. An order is lost when it is not fulfilled in the
        end, or when one of its effects is missing or was repeated.
        """
        sold = [self._buy(PLANS) for _ in range(BURST)]
        before, busy = self._store.count("orders", FULFILLED), self._cpu()
        bodies = [self._shop.sandbox.stripe.signed(event)[0].decode() for _, event in sold]
        gateway = urlsplit(self._shop.gateway.url).port
        assert gateway is not None
        stop = threading.Event()
        cron = threading.Thread(target=self._cron, args=(stop,))
        cron.start()
        try:
            secret = self._shop.sandbox.stripe.secret
            sent = load.run(load.Plan(gateway, bodies, secret, path="/function/stripe-webhook"))
            end = time.monotonic() + BURST_SECONDS
            while self._store.count("orders", FULFILLED) < before + BURST and time.monotonic() < end:
                time.sleep(0.25)
        finally:
            stop.set()
            cron.join()
        memory = {name: pss_mib(pid) for name, pid in self._pids().items()}
        used = {name: after - busy.get(name, 0) for name, after in self._cpu().items()}
        ended = {id: self._fulfilled(id) for id, _ in sold}
        times, effects = [at for at in ended.values() if at], self._effects()
        return {
            "burst_lost": sum(at is None or effects[id] != BURST_EFFECTS for id, at in ended.items()),
            "burst_orders_per_s": len(times) / (max(times) - sent.started) if times else 0.0,
            "burst_webhooks_per_s": sent.rate,
            "burst_cpu_ms_per_order": {name: 1000 * spent / BURST for name, spent in used.items()},
            "burst_pss_mib": memory,
            "burst_pss_mib_max": max(memory.values()),
        }

    def _buy(self, link: str) -> tuple[str, dict[str, Any]]:
        """The id that the order will have, and the event that makes it."""
        self._buyers += 1
        outcome = self._shop.sandbox.stripe.buy(link, email=f"bench{self._buyers}@example.com")
        event = next(event for event in outcome.events if event["type"] == "checkout.session.completed")
        return derived_id(outcome.object["id"]), event

    def _single(self, link: str) -> float:
        id, event = self._buy(link)
        sent = time.time()
        self._shop.sandbox.stripe.deliver(event)
        return 1000 * (eventually(lambda: self._fulfilled(id), lambda: f"{id} is not fulfilled") - sent)

    def _fulfilled(self, id: str) -> float | None:
        """When the order was fulfilled, as Unix time."""
        order = self._orders.get(id)
        return _fulfilled_at(order) if order else None

    def _effects(self) -> dict[str, Counter[str]]:
        """What reached the outside, by order."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for invitation in self._shop.sandbox.platform.links.values():
            found[invitation["order"]]["invitation"] += 1
        for (order, step), times in self._tally.sent.items():
            found[order][step.rpartition(".")[2]] += times
        return found

    def _cpu(self) -> dict[str, float]:
        """Seconds of processor time so far: each function's, and the sandbox's and gateway's, which share this one."""
        of_functions = {name: cpu_seconds(pid) for name, pid in self._pids().items()}
        return {"sandbox and gateway": time.process_time(), **of_functions}

    def _pids(self) -> dict[str, int]:
        """The functions that run."""
        pids = {name: self._shop.gateway.pid(name) for name in FUNCTIONS}
        return {name: pid for name, pid in pids.items() if pid}

    def _cron(self, stop: threading.Event) -> None:
        while not stop.wait(CRON_SECONDS):
            self._shop.catch_up()


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of single purchases and of the burst. AssertionError when a single order is not fulfilled in time."""
    shop, tally = LocalShop(folder, catch_up=False, autosend=False), Tally()
    shop.sandbox.world.records = tally
    with shop:
        store = connect(f"sqlite:///{shop.state_dir}/shop.db")
        chain = Chain(shop, store, tally)
        say(f"{SINGLES} purchases, one after another")
        singles = chain.singles()
        say(f"a burst of {BURST} webhooks")
        burst = chain.burst()
        store.close()
    return singles | burst


def _fulfilled_at(order: Order) -> float | None:
    last = order.history[-1] if order.history else None
    if order.fulfilment_status is not FulfilmentStatus.FULFILLED or last is None:
        return None
    return from_instant(last.at).timestamp()
