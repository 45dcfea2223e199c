"""What the tests share that kill a process at a named point: where others are killed, and the way to the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from local.shop import LocalShop
from pushcart.crash import Point
from pushcart.errors import FunctionFailed
from support.customers import eventually

#: The points that only a recovery comes past; tests/crash/test_kill_at_catch_up.py kills there.
AT_RECOVERY = {Point.SLICE_DONE}

#: Longer than any lease, than the first waits of the retry schedule, and than what catch-up waits between two listings.
LONG = 700


def crash_at(shop: LocalShop, point: str) -> None:
    """The process that next comes to this point is killed there."""
    shop.crash_file.write_text(point)


def catch_up(shop: LocalShop) -> None:
    """Runs catch-up; the process that is to be killed may be the one that is asked."""
    with contextlib.suppress(FunctionFailed):
        shop.catch_up()


def drain(shop: LocalShop, done: Callable[[], Any], explain: Callable[[], str] = lambda: "") -> Any:
    """Catch-up runs and time passes until somebody was killed and `done` gives something; returns it."""
    for _ in range(10):
        catch_up(shop)
        with contextlib.suppress(AssertionError):
            return eventually(lambda: not shop.crash_file.exists() and done(), seconds=1.5)
        shop.advance(LONG)
    missed = f"nobody came to {shop.crash_file.read_text()}" if shop.crash_file.exists() else "it did not end"
    raise AssertionError(f"{missed}: {explain()}")
