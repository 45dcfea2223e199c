"""kill -9 of any function at any moment of a burst: after a drain nothing is lost and every effect is there once."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter

import pytest

from local.shop import LocalShop
from pushcart.errors import FunctionFailed
from support.bursts import Burst
from support.customers import GLAZE, PLANS, WHEEL

FUNCTIONS = ("stripe-webhook", "order-store", "invite-link", "mailing-list", "email-dispatch", "catch-up")

#: Processes that are killed during one burst.
KILLS = 14

#: Longer than any lease and than the first waits of the retry schedule.
LONG = 400


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    environment = {"drive_workers": "8"}
    state = tmp_path_factory.mktemp("shop")
    with LocalShop(state, catch_up=False, autosend=False, environment=environment) as shop:
        yield shop


def kill_some(shop, source):
    """Kills one process after another, with pauses in which others have just started; how often each was killed."""
    killed = Counter()
    while killed.total() < KILLS:
        time.sleep(source.uniform(0.02, 0.4))
        running = [function for function in FUNCTIONS if shop.gateway.pid(function)]
        if running:
            victim = source.choice(running)
            shop.gateway.kill(victim)
            killed[victim] += 1
        if len(running) < 2:
            with contextlib.suppress(FunctionFailed):
                shop.catch_up()
    return killed


def drain(shop, burst):
    """Time passes, with nothing in flight, and catch-up runs until every order is fulfilled."""
    for _ in range(15):
        # An orderly restart finishes what is in hand: no call is under way when the clock moves.
        for function in ("order-store", "invite-link", "mailing-list"):
            shop.gateway.restart(function)
        shop.advance(LONG)
        with contextlib.suppress(FunctionFailed):
            shop.catch_up()
        if not burst.open():
            return
    raise AssertionError([one.order() for one in burst.open()])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_killed_during_a_burst_every_order_is_fulfilled_once(shop, seed):
    burst = Burst(shop, [WHEEL, GLAZE, PLANS] * 10)
    killed = kill_some(shop, random.Random(seed))
    burst.acknowledged()
    assert len(killed) > 2
    drain(shop, burst)
    burst.judge()
