"""How soon the owner's telephone shows what went wrong: a step dies, and the message arrives.

Each round is a shop of its own, whose functions have all been called once before.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from local.shop import ROOT, LocalShop
from support.customers import WHEEL, Customer, eventually

ROUNDS = 5


def measure(folder: Path, say: Callable[[str], None], rounds: int = ROUNDS) -> dict[str, Any]:
    """Milliseconds from the provider's refusal to the message at the receiver, by the sandbox's clock."""
    taken = []
    for number in range(1, rounds + 1):
        say(f"alerts, round {number} of {rounds}")
        taken.append(_round(folder / str(number)))
    return {"alert_ms": 1000 * median(taken), "alert_ms_max": 1000 * max(taken)}


def _round(folder: Path) -> float:
    """Seconds of one round."""
    shutil.copytree(ROOT / "deploy" / "shop", folder / "shop")
    file = folder / "shop" / "shop.yml"
    # A warning would wait for the morning where it is night in the shop's time zone.
    file.write_text(re.sub(r"(?m)^products:", "alerts:\n  quiet: null\n\nproducts:", file.read_text(), count=1))
    with LocalShop(folder / "state", shop_file=file, catch_up=False) as shop:
        first = Customer(shop)
        first.buy(WHEEL)
        first.wait(fulfilment="fulfilled")
        shop.catch_up()
        shop.client.call("alert", "/test", {"level": "critical"})
        before = len(shop.sandbox.messages())
        shop.sandbox.fault("discourse", "status", status=403)
        Customer(shop).buy(WHEEL)
        eventually(lambda: len(shop.sandbox.messages()) > before)
        failed = [call.at for call in shop.sandbox.calls("discourse") if call.fault == "status"]
        told: datetime = shop.sandbox.messages()[before].at
        return (told - failed[0]).total_seconds()
