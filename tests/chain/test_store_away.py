"""The store goes away: nothing is acknowledged meanwhile, nothing is lost, and no function has to be restarted."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.shop import LocalShop
from pushcart.errors import FunctionFailed
from support.bursts import COMPLETED, Burst
from support.customers import PLANS, Customer, eventually
from support.databases import own_server

FUNCTIONS = ("stripe-webhook", "order-store", "invite-link", "mailing-list", "email-dispatch", "catch-up")

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400

ROOT = Path(__file__).parents[2]


class ServerKilled:
    """A database server that a power cut ends, and that is started again on its data."""

    kind: str

    def __init__(self, folder):
        self.server = own_server(self.kind, folder)
        self.server.start()
        self.url = self.server.url

    def begin(self, shop):
        self.server.kill()

    def end(self):
        self.server.start()

    def close(self):
        self.server.stop()


class PostgresqlKilled(ServerKilled):
    kind = "postgresql"


class PostgresqlStopped(PostgresqlKilled):
    """In an orderly way: it says goodbye to every connection."""

    def begin(self, shop):
        self.server.stop()


class MongodbKilled(ServerKilled):
    kind = "mongodb"


class SqliteLocked:
    """Somebody holds SQLite's file, such as a copy that is being made of it."""

    def __init__(self, folder):
        self.file = folder / "shop.db"
        self.url = f"sqlite:///{self.file}"

    def begin(self, shop):
        self.other = sqlite3.connect(self.file, isolation_level=None)
        self.other.execute("BEGIN EXCLUSIVE")

    def end(self):
        self.other.execute("ROLLBACK")
        self.other.close()

    def close(self):
        """Nothing of it is left."""


class SqliteFolderGone:
    """After a reboot the volume with SQLite's file comes late: the functions start anew, and there is no folder."""

    def __init__(self, folder):
        self.folder, self.elsewhere = folder / "volume", folder / "elsewhere"
        self.folder.mkdir()
        self.url = f"sqlite:///{self.folder}/shop.db"

    def begin(self, shop):
        for function in FUNCTIONS:
            shop.gateway.kill(function)
        self.folder.rename(self.elsewhere)

    def end(self):
        self.elsewhere.rename(self.folder)

    def close(self):
        """Nothing of it is left."""


@pytest.fixture(
    scope="module", params=[PostgresqlKilled, PostgresqlStopped, MongodbKilled, SqliteLocked, SqliteFolderGone]
)
def outage(request, tmp_path_factory):
    """A way for the store to go away, with the store there."""
    outage = request.param(tmp_path_factory.mktemp("store"))
    yield outage
    outage.close()


@pytest.fixture(scope="module")
def shop(outage, tmp_path_factory):
    """A shop on that store, in which every function has worked already."""
    state = tmp_path_factory.mktemp("shop")
    with LocalShop(state, store=outage.url, catch_up=False, autosend=False) as shop:
        burst = Burst(shop, [PLANS])
        burst.acknowledged()
        drain(shop, burst)
        yield shop


def drain(shop, burst):
    """Catch-up runs until every order is fulfilled, by itself or after the leases that were lost have run out."""
    for _ in range(8):
        with contextlib.suppress(FunctionFailed):
            shop.catch_up()
        # Longer than a result waits for the store to come back, so that nothing is in flight when the clock moves.
        with contextlib.suppress(AssertionError):
            return eventually(lambda: not burst.open(), seconds=9)
        shop.advance(LONG)
    raise AssertionError([one.order() for one in burst.open()])


def pids(shop):
    return {name: pid for name in FUNCTIONS if (pid := shop.gateway.pid(name))}


def test_while_the_store_is_away_the_webhook_says_503_and_once_it_is_back_the_same_process_takes_the_event(
    shop, outage, post_event
):
    customer = Customer(shop)
    stripe = shop.sandbox.stripe
    outcome = stripe.buy(PLANS, email=customer.email, name=customer.name)
    customer.note(outcome)
    [event] = [event for event in outcome.events if event["type"] == COMPLETED]
    outage.begin(shop)
    try:
        answer = post_event(*stripe.signed(event))
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_unavailable"
        assert int(answer.headers["Retry-After"]) > 0
        before = pids(shop)
    finally:
        outage.end()
    assert post_event(*stripe.signed(event)).status_code == 200
    shop.catch_up()  # the webhook's hint may be lost to a connection that died
    customer.wait(fulfilment="fulfilled")
    assert before.items() <= pids(shop).items()


def test_when_the_store_goes_away_in_the_middle_of_twenty_orders_each_is_fulfilled_once(shop, outage):
    done = len(shop.sandbox.platform.links)
    shop.sandbox.fault("platform", "slow", delay=0.3, times=None)  # so that there is a middle
    burst = Burst(shop, [PLANS] * 20)
    eventually(lambda: len(shop.sandbox.platform.links) > done + 3)
    outage.begin(shop)
    before = pids(shop)
    try:
        assert len(shop.sandbox.platform.links) < done + 20
        time.sleep(1)
    finally:
        outage.end()
        shop.sandbox.world.faults.clear()
    burst.acknowledged()
    drain(shop, burst)
    burst.judge()
    assert before.items() <= pids(shop).items()


def test_a_full_disk_is_a_503_with_nothing_half_written_and_goes_on_when_there_is_space_again(tmp_path):
    """On a small disk of its own; see `support.full_disk`, which runs where it may mount one."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("shared", "deploy", "tests")),
    }
    command = [*may_mount(), sys.executable, "-m", "support.full_disk", str(tmp_path)]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr


def may_mount() -> list[str]:
    """The command under which a program may mount a disk that nobody else sees and that ends with the program."""
    assert shutil.which("unshare"), "unshare is missing; it comes with util-linux"
    ways = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"], ["sudo", "-nE", "unshare", "--mount"])
    for way in ways:
        with contextlib.suppress(OSError):
            if not subprocess.run([*way, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
                return way
    raise AssertionError("no way to mount a small disk: unshare is not allowed here, neither is sudo")
