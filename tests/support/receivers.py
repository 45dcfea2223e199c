"""Buyers of things that are printed, packed and sent: what Printful and their letter box know about them."""

from __future__ import annotations

from typing import Any

from local.shop import LocalShop
from support.bursts import hear_of
from support.carts import Shopper
from support.customers import eventually

SHIRT = {"sku": "studio-shirt", "quantity": 1, "options": {"Size": "M"}, "price": 2900}
KIT = {"sku": "clay-kit", "quantity": 1, "price": 2400}


class Receiver(Shopper):
    """Buys a shirt, which is printed, and a kit, which the owner packs. No provider tells anything by itself."""

    def __init__(self, shop: LocalShop) -> None:
        super().__init__(shop, SHIRT, KIT)
        self.printful = shop.sandbox.printful

    def pays(self) -> None:
        """Pays, and the webhook comes in until it is acknowledged."""
        self.begin()
        hear_of(self, self.shop.sandbox.stripe.buy(session=self.session_id, name=self.name))

    def prints(self) -> list[dict[str, Any]]:
        """All that Printful has for this buyer, under whatever number."""
        return self.printful.orders(to=self.email)

    def print_number(self) -> int:
        """Printful's number of the one order it has for this buyer."""
        [made] = self.prints()
        return int(made["id"])

    def is_sent(self, *, told: bool = True) -> None:
        """Printful sends the parcel; that it did is told until it is acknowledged, or never."""
        number = self.print_number()
        self.printful.ship(number)
        [event] = self.printful.events("package_shipped", number)
        if told:
            eventually(lambda: self.printful.deliver(event) == 200, seconds=60)

    def states(self) -> dict[str, str]:
        """The state of each step by its id, but for the owner's own."""
        order = self.order()
        return {one["id"]: one["state"] for one in order["steps"] if not one["by_owner"]} if order else {}

    def rests(self) -> bool:
        """Whether there is an order and nothing of it is under way."""
        return bool(self.states()) and not {"due", "running", "failed"} & set(self.states().values())

    def parcels(self) -> list[str]:
        """Who sent each parcel that the order knows."""
        order = self.order()
        return [one["provider"] for one in order["parcels"]] if order else []

    def parcel_mails(self) -> list[int]:
        """How often the buyer was told of each parcel that they were told of."""
        return [times for step, times in self.mails().items() if step.startswith("parcel-")]
