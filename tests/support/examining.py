"""A running shop's doctor, whole as the owner's command shows it, or only what the functions find wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from local.shop import LocalShop
from support.command import pushcart, shop_of

INTERNAL = (
    "checkout",
    "order-store",
    "invite-link",
    "mailing-list",
    "printful-order",
    "email-dispatch",
    "alert",
    "catch-up",
)
WEBHOOKS = ("stripe-webhook", "autopay-webhook", "printful-webhook")


def examine(shop: LocalShop) -> dict[tuple[str, str], dict[str, Any]]:
    """The checks of the functions by (where, name), as the command prints them."""
    done = pushcart("doctor", "--json", at=shop_of(shop))
    assert done.code in (0, 1), done.err
    checks = {(one["where"], one["name"]): one for one in done.json["checks"] if one["where"] != "this machine"}
    assert checks[("gateway", "answers")]["status"] == "pass"
    return checks


def wrong(shop: LocalShop, status: str = "fail") -> dict[str, str]:
    """What the functions themselves find wrong, by name: the text and what to do."""
    ask = partial(shop.client.call, path="/doctor", method="GET")
    with ThreadPoolExecutor(len(INTERNAL)) as pool:
        checks = [one for answer in pool.map(ask, INTERNAL) for one in answer["checks"]]
    return {one["name"]: f"{one['text']} | {one['fix']}" for one in checks if one["status"] == status}
