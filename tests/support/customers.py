"""Buyers of the local shop, what became of their orders, and what the outside world received because of them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from local.shop import LocalShop

WHEEL, GLAZE, PLANS = "plink_1PushcartWheelBasics", "plink_1PushcartGlaze", "plink_1PushcartPlans"

_numbers = itertools.count(1)


class Customer:
    """A buyer, and all that happened because of them."""

    def __init__(self, shop: LocalShop) -> None:
        self.shop = shop
        self.number = next(_numbers)
        self.email = f"buyer{self.number}@example.com"
        self.name = f"Buyer {self.number}"
        self.session: dict[str, Any] = {}
        self.events: list[str] = []

    def buy(self, link: str, **how: Any) -> dict[str, Any]:
        """Pays at the sandbox; its webhooks go out by themselves."""
        return self.note(self.shop.sandbox.stripe.buy(link, email=self.email, name=self.name, **how))

    def note(self, outcome: Any) -> dict[str, Any]:
        """Keeps an outcome's session and event ids."""
        if outcome.object["object"] == "checkout.session":
            self.session = outcome.object
        self.events += [event["id"] if isinstance(event, dict) else event for event in outcome.events]
        return outcome.object

    def order(self) -> dict[str, Any] | None:
        found = self.shop.orders(email=self.email)
        assert len(found) <= 1, "one buyer, one order"
        return self.shop.order(found[0]["id"]) if found else None

    def wait(self, *, payment: str | None = None, fulfilment: str | None = None) -> dict[str, Any]:
        """The order once it is in these states and nothing of it is due or running."""

        def there() -> dict[str, Any] | None:
            order = self.order()
            if order is None or (payment and order["payment_status"] != payment):
                return None
            if fulfilment and order["fulfilment_status"] != fulfilment:
                return None
            busy = any(step["state"] in ("due", "running") and not step["by_owner"] for step in order["steps"])
            return None if busy else order

        return eventually(there, lambda: json.dumps(self.order(), indent=1))

    def effects(self) -> dict[str, Any]:
        """What the outside world received because of this buyer, from the sandbox's record."""
        found: dict[str, list[str]] = {name: [] for name in ("invitations", "purchases", "sequences")}
        places = {
            ("discourse", "POST", "/invites.json"): "invitations",
            ("thinkific", "POST", "/api/public/v1/enrollments"): "invitations",
            ("platform", "POST", "/hook"): "invitations",
            ("kit", "POST", "/v4/purchases"): "purchases",
        }
        thinkific_ids = set()
        for call in self.shop.sandbox.calls():
            text = json.dumps(call.json or call.form or {})
            if (
                call.provider == "thinkific"
                and call.path.endswith("/users")
                and call.method == "POST"
                and self.email in text
            ):
                thinkific_ids.add(call.json["email"])
            place = places.get((call.provider, call.method, call.path))
            if place and (self.email in text or (call.path.endswith("enrollments") and thinkific_ids)):
                found[place].append(call.path)
            if call.provider == "kit" and "/sequences/" in call.path and self.email in text:
                found["sequences"].append(call.path)
        mails = self.shop.sandbox.mails(self.email)
        owner = [mail for mail in self.shop.sandbox.mails("owner@meadow-pottery.example") if self._mine(mail)]
        return {
            **{name: len(paths) for name, paths in found.items()},
            "buyer mails": sorted(mail.subject for mail in mails),
            "owner mails": sorted(mail.subject for mail in owner),
        }

    def _mine(self, mail: Any) -> bool:
        order = self.order()
        return order is not None and order["id"] in json.dumps(mail.custom_args)


def eventually(check: Callable[[], Any], explain: Callable[[], str] = lambda: "", seconds: float = 25) -> Any:
    """The first true value of `check`; fails with `explain` when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s. {explain()}")
