"""What becomes of shirts: buyers whom Printful's calls concern, and the parcels that it sends in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local.shop import LocalShop
from pushcart.services.print_inbox import fingerprint
from support.customers import eventually
from support.fault_shop import VARIANT, Buyer, buys

#: Parcels that are told of at once: order-store reads each order again, and its share of Printful's calls is 30.
AT_ONCE = 25

SHIRT = "plink_1Shirt"

#: A draft's address; the one that the buyer gave comes too late for an order that is there already.
SOMEWHERE = {"name": "Ann", "address1": "ul. Prosta 51", "city": "Warszawa", "country_code": "PL", "zip": "00-838"}


def has_a_draft(buyer: Buyer) -> None:
    """Buys a shirt whose order stands at Printful as a draft: an earlier attempt got as far as that."""
    buys(SHIRT)(buyer)
    item = {"sync_variant_id": VARIANT, "quantity": 1, "external_id": None}
    sent = {"external_id": buyer.order_id, "recipient": {**SOMEWHERE, "email": buyer.email}, "items": [item]}
    buyer.print_number = buyer.shop.sandbox.printful.place(sent, False)["id"]


def gets_a_parcel(buyer: Buyer) -> None:
    """Bought a shirt that was printed; the message that it was sent is what comes in."""
    shop, printful = buyer.shop, buyer.shop.sandbox.printful
    buys(SHIRT)(buyer)
    assert buyer.hears() == 200
    [made] = eventually(lambda: prints(buyer))
    eventually(lambda: shop.order(buyer.order_id)["prints"])
    buyer.print_number = made["id"]
    printful.ship(made["id"])
    [told] = printful.events("package_shipped", made["id"])
    buyer.inbox_id = f"printful:{told.type}.{made['id']}.{fingerprint(told.body)}"
    buyer.hears = lambda: printful.deliver(told)  # type: ignore[method-assign]
    buyer.has_order = True


def prints(buyer: Buyer) -> list[dict[str, Any]]:
    """What Printful has for this buyer and will make, or has made."""
    made = buyer.shop.sandbox.printful.orders(to=buyer.email)
    return [one for one in made if one["status"] not in ("draft", "failed", "canceled")]


def send_parcels(shop: LocalShop, buyers: Iterable[Buyer], new_minute: Callable[[], None]) -> None:
    """Printful sends all it has for these, and tells of it; returns when each order knows, and its buyer."""
    printful, of = shop.sandbox.printful, {buyer.email: buyer for buyer in buyers}
    waiting = [made for made in printful.orders("pending") if made["recipient"]["email"] in of]
    for start in range(0, len(waiting), AT_ONCE):
        new_minute()
        batch = waiting[start : start + AT_ONCE]
        for made in batch:
            printful.ship(made["id"])
            [told] = printful.events("package_shipped", made["id"])
            assert printful.deliver(told) == 200
        for made in batch:
            buyer = of[made["recipient"]["email"]]
            eventually(lambda buyer=buyer: _knows_its_parcel(buyer), buyer.story, seconds=60)


def _knows_its_parcel(buyer: Buyer) -> bool:
    order = buyer.shop.order(buyer.order_id)
    return bool(order["parcels"]) and not any(step["state"] in ("due", "running") for step in order["steps"])
