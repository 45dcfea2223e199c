"""One shop in which every call of checkout's fails once in every way, and what each buyer is told then and later."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from local.shop import LocalShop
from support.carts import Shopper
from support.every_call import TROUBLES, CheckoutCall, Trouble
from support.fault_shop import CODES

HOOK = {"sku": "hook", "quantity": 1, "price": 1500}


class CartCase:
    """One cart whose call fails in one way: the answer, and the one to the same cart when all is well again."""

    first: requests.Response
    again: requests.Response
    orders: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    coupons: list[dict[str, Any]]

    def __init__(self, shop: LocalShop, call: CheckoutCall, trouble: Trouble, code: str) -> None:
        self.call, self.trouble = call, trouble
        self.shopper = Shopper(shop, HOOK, code=code)
        self.fault = shop.sandbox.fault(
            call.provider,
            trouble.kind,
            method=call.method,
            path=call.pattern,
            text=self.shopper.cart[call.about],
            times=None,
            **trouble.rule,
        )

    def look(self) -> None:
        """Keeps what there is of this cart in the shop and at Stripe."""
        made = self.shopper.shop.sandbox.stripe.newest("coupon")
        self.coupons = [one for one in made if one["name"] == self.shopper.cart["code"]]
        self.orders, self.sessions = self.shopper.orders(), self.shopper.sessions()


class CheckoutRun:
    """All cases of `calls` in one shop: every cart at once, the providers are healed, every cart once more."""

    def __init__(self, shop: LocalShop, calls: Sequence[CheckoutCall]) -> None:
        self.shop = shop
        pairs = [(call, trouble) for call in calls for trouble in TROUBLES]
        self.cases = {
            (call.name, trouble.name): CartCase(shop, call, trouble, code)
            for (call, trouble), code in zip(pairs, CODES, strict=False)
        }
        assert len(self.cases) == len(pairs), "more cases than discount codes"

    def run(self) -> None:
        """Returns when every cart has its two answers."""
        cases = list(self.cases.values())
        with ThreadPoolExecutor(20) as pool:
            for case, answer in zip(cases, pool.map(lambda case: case.shopper.post(), cases), strict=True):
                case.first = answer
            self.shop.sandbox.world.faults.clear()
            for case, answer in zip(cases, pool.map(lambda case: case.shopper.post(), cases), strict=True):
                case.again = answer
        for case in cases:
            case.look()
