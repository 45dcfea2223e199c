"""The measurement of catch-up and recovery believes no run that lost something, or found what is not there."""

from __future__ import annotations

import pytest

from bench import load, recovery
from bench.lists import CREATED, NUMBER, Lists
from pushcart.clock import system_clock

EVENT = f'{{"id": "evt{NUMBER}", "created": {CREATED}}}'


def page(count, target):
    return Lists({"/v1/events": EVENT}, count, 10_000)._page(f"/v1/events?limit=3{target}")


def ids(text):
    return [int(part[:16]) for part in text.split("evt")[1:]]


@pytest.mark.parametrize(
    ("target", "numbers", "more"),
    [
        ("", [0, 1, 2], True),
        ("&starting_after=evt0000000000000002", [3, 4], False),
        ("&created%5Bgte%5D=9940", [0, 1], False),
        ("&created%5Blt%5D=10000", [1, 2, 3], True),
        ("&created%5Blte%5D=10000", [0, 1, 2], True),
        ("&created%5Blt%5D=9000", [], False),
    ],
)
def test_the_stand_in_lists_newest_first_within_the_bounds_asked_for(target, numbers, more):
    said = page(5, target)
    assert (ids(said), '"has_more":true' in said) == (numbers, more)


@pytest.fixture(scope="module")
def templates():
    return recovery._templates()


def newest():
    return int(system_clock().timestamp()) - 60


def test_a_catch_up_that_brings_every_event_is_what_is_measured(tmp_path, templates):
    with recovery.lists(tmp_path, templates, 5, newest()) as stripe:
        assert recovery._catch_up(f"sqlite:///{tmp_path}/x.db", stripe, 5) > 0
    with recovery.lists(tmp_path, templates, 4, newest()) as stripe, pytest.raises(load.Refused):
        recovery._catch_up(f"sqlite:///{tmp_path}/y.db", stripe, 5)


def test_a_recovery_that_finds_something_is_no_measurement(tmp_path, templates):
    at, store = newest(), f"sqlite:///{tmp_path}/x.db"
    recovery._orders(store, 5, at)
    with recovery.lists(tmp_path, templates, 5, at) as stripe:
        assert recovery._recover(store, stripe, 5)["orders"] == 5
    wrong = {**templates, recovery.SESSIONS: templates[recovery.SESSIONS].replace("4900", "4800")}
    with recovery.lists(tmp_path, wrong, 5, at) as stripe, pytest.raises(load.Refused):
        recovery._recover(store, stripe, 5)
