"""A shop whose SQLite file lies on a disk of a few megabytes that runs full. Run where it may mount one:

unshare --map-root-user --mount python -m support.full_disk FOLDER
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.shop import LocalShop
from support.bursts import COMPLETED, Burst
from support.customers import PLANS, Customer, eventually

#: Bytes of the disk, and bytes left free in each round, so that writes fail at different points.
SIZE = 16 * 1024 * 1024
LEFT_FREE = (0, 4096, 12_288, 28_672, 61_440, 126_976)

#: Events sent in one round at most; long before that one of them does not fit any more.
MOST = 40


class Disk:
    """A file system in memory, and a file on it that takes what is to be missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self, left: int) -> None:
        """Leaves `left` bytes free, in whole blocks; fewer when SQLite's log grows just then."""
        state = os.statvfs(self.folder)
        try:
            with self.ballast.open("ab", buffering=0) as file:
                file.write(b"x" * max(0, state.f_bavail * state.f_frsize - left))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def empty(self) -> None:
        self.ballast.unlink(missing_ok=True)


def in_the_inbox(file: Path) -> dict[str, Any]:
    """Every event in the inbox by its id, as it was sent; fails on half an event or a damaged file."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = [json.loads(body) for (body,) in database.execute("SELECT body FROM inbox")]
    return {document["event_id"]: json.loads(document["body"]) for document in stored}


def sell(shop: LocalShop) -> tuple[Customer, dict[str, Any]]:
    """A buyer who has paid, and the event about it, not yet sent."""
    customer = Customer(shop)
    outcome = shop.sandbox.stripe.buy(PLANS, email=customer.email, name=customer.name)
    customer.note(outcome)
    [event] = [event for event in outcome.events if event["type"] == COMPLETED]
    return customer, event


def main(folder: Path) -> None:
    disk = Disk(folder / "disk")
    file = disk.folder / "shop.db"
    store = f"sqlite:///{file}"
    with LocalShop(folder / "state", store=store, catch_up=False, autosend=False) as shop:
        first = Burst(shop, [PLANS])
        first.acknowledged()
        eventually(lambda: not first.open())
        processes = {name: shop.gateway.pid(name) for name in ("stripe-webhook", "order-store")}
        sold: list[tuple[Customer, dict[str, Any]]] = []
        refused = []
        for left in LEFT_FREE:
            disk.empty()
            disk.fill(left)
            refused.append(full(shop, file, sold))
        assert len({event["id"] for event in refused}) == len(LEFT_FREE)
        disk.empty()
        assert all(shop.sandbox.stripe.deliver(event) == 200 for event in refused)
        finish(shop, [customer for customer, _ in sold])
        kept = in_the_inbox(file)
        assert all(kept[event["id"]]["data"] == event["data"] for _, event in sold)
        assert processes == {name: shop.gateway.pid(name) for name in processes}


def full(shop: LocalShop, file: Path, sold: list[tuple[Customer, dict[str, Any]]]) -> dict[str, Any]:
    """Sells until an event is refused, which is given back; those taken are whole in the inbox, it is not there."""
    for _ in range(MOST):
        sold.append(sell(shop))
        _, event = sold[-1]
        status = shop.sandbox.stripe.deliver(event)
        kept = in_the_inbox(file)
        if status == 503:
            assert event["id"] not in kept
            return event
        assert status == 200
        assert kept[event["id"]]["data"] == event["data"]
    raise AssertionError(f"{MOST} events fitted on a full disk")


def finish(shop: LocalShop, customers: list[Customer]) -> None:
    """With space again every order is fulfilled: the invitation made once, each mail sent."""

    def left() -> list[Customer]:
        return [one for one in customers if (one.order() or {}).get("fulfilment_status") != "fulfilled"]

    # A result that could not be stored is tried for 15 s; a step whose result was lost waits for its lease.
    for _ in range(6):
        shop.catch_up()
        try:
            eventually(lambda: not left(), seconds=10)
            break
        except AssertionError:
            shop.advance(400)
    assert not left()
    for customer in customers:
        links = [s for s in shop.sandbox.platform.links.values() if s["buyer"]["email"] == customer.email]
        assert len(links) == 1
        assert {mail.custom_args["step"] for mail in shop.sandbox.mails(customer.email)} == {
            "studio-plans.your-access",
            "receipt",
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
