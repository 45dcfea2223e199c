"""One recovery in a process of its own: `python -m bench.recovering STORE STRIPE`; prints what it took as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pushcart.clock import system_clock
from pushcart.providers.stripe_listing import StripeListing
from pushcart.providers.stripe_payments import StripePayments
from pushcart.repositories import Inbox
from pushcart.services.recovery.payments import PaymentsPhase
from pushcart.services.recovery.repairs import Repairs
from pushcart.services.recovery.slices import Recovery
from pushcart.store import connect
from support.shop import catalogue

#: Seconds of a slice, as catch-up answers the owner's command.
SLICE = 20


def main(store_url: str, stripe_url: str) -> None:
    store, shop = connect(store_url), catalogue()
    payments = StripePayments(stripe_url, lambda: "sk_test_bench", 15)
    repairs = Repairs(Inbox(store), system_clock)
    listing = StripeListing(payments)
    phase = PaymentsPhase(listing, payments, store, repairs, lambda: shop, system_clock, livemode=False)
    recovery = Recovery(store, {"payments": phase}, system_clock)
    cursor, found, checked = None, 0, {"sessions": 0, "orders": 0}
    began = time.perf_counter()
    while True:
        part = recovery.slice(cursor, SLICE, apply=False)
        found += len(part.findings)
        checked = {kind: count + part.checked.get(kind, 0) for kind, count in checked.items()}
        cursor = part.cursor
        if cursor is None:
            break
    seconds = time.perf_counter() - began
    store.close()
    print(json.dumps({"seconds": seconds, "peak_mib": _peak(), "findings": found, **checked}))


def _peak() -> float:
    """MiB this process ever held. `ru_maxrss` counts whoever started it too: Linux carries that over an exec."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
