"""Buyers with a cart: what the shop's page sends to checkout over HTTP, and their way to the paid order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
import yaml

from local.shop import ROOT, LocalShop
from pushcart.crash import Point
from support.customers import Customer, eventually

#: The points that only a cart comes past; tests/crash/test_kill_at_checkout.py kills at each of them.
AT_CHECKOUT = {Point.STOCK_HELD, Point.ORDER_STORED, Point.SESSION_CREATED, Point.SESSION_NOTED}

PAY_WITH = ("stripe", "autopay")

APRON = {"sku": "studio-apron", "quantity": 1, "options": {"Size": "M"}, "price": 3400}
COURSE = {"sku": "wheel-basics", "quantity": 1, "price": 4900}
PLANS = {"sku": "studio-plans", "quantity": 1, "price": 1500}
HOME = {"rate": "Courier", "line1": "ul. Prosta 51", "city": "Warszawa", "postal_code": "00-838", "country": "PL"}

#: Seconds that a call to checkout may take.
TIMEOUT = 30


class Shopper(Customer):
    """A buyer with a cart of `items`; `more` are further fields of it. Sent again, it is the same cart."""

    def __init__(self, shop: LocalShop, *items: dict[str, Any], pay: str = "stripe", **more: Any) -> None:
        super().__init__(shop)
        self.pays_with = pay
        self.cart: dict[str, Any] = {
            "token": f"cart-of-buyer-{self.number:08}",
            "items": list(items),
            "currency": "EUR",
            "email": self.email,
            "name": self.name,
            "pay": pay,
            **({"shipping": HOME} if pay == "autopay" and any(one["sku"] == APRON["sku"] for one in items) else {}),
            **more,
        }
        self.begun: dict[str, str] = {}

    def post(self) -> requests.Response:
        """What the page's script sends."""
        return call(self.shop, "POST", "/", json=self.cart)

    def begin(self) -> dict[str, str]:
        """Sends the cart, which is taken: the order's id and key, and where to pay."""
        answer = self.post()
        assert answer.status_code == 200, answer.text
        self.begun = answer.json()
        return self.begun

    @property
    def id(self) -> str:
        """The order's."""
        return self.begun["order"]

    @property
    def session_id(self) -> str:
        """Stripe's, at the end of the address where the buyer pays."""
        return self.begun["url"].rpartition("/")[2]

    def pay(self, **how: Any) -> dict[str, Any]:
        """Pays at the place they were sent to; what the provider tells goes out by itself if it does so at all."""
        if self.pays_with == "autopay":
            return self.shop.sandbox.autopay.pay(self.begun["url"], **how)
        return self.note(self.shop.sandbox.stripe.buy(session=self.session_id, name=self.name, **how))

    def order(self) -> dict[str, Any] | None:
        """The order that the cart has become; without an answer the buyer's only one."""
        return self.shop.order(self.id) if self.begun else super().order()

    def orders(self) -> list[dict[str, Any]]:
        """All that this buyer's carts have become."""
        return self.shop.orders(email=self.email)

    def sessions(self) -> list[dict[str, Any]]:
        """Stripe's sessions for this buyer."""
        made = self.shop.sandbox.stripe.newest("checkout.session")
        return [one for one in made if one["customer_email"] == self.email]

    def status(self) -> dict[str, Any]:
        """What the thank-you page is told."""
        asked = {"order": self.id, "key": self.begun["key"]}
        return dict(call(self.shop, "GET", "/status", params=asked).json())

    def sees(self, state: str) -> dict[str, Any]:
        """The same, once it is this state."""
        return dict(eventually(lambda: found if (found := self.status())["state"] == state else None, self.story))

    def story(self) -> str:
        """The order as it is now, to be read when a test fails."""
        return json.dumps(self.order(), indent=1)

    def mails(self) -> dict[str, int]:
        """How often each mail went out because of this buyer's order, to them or to the owner, by its step."""
        steps = [one.custom_args["step"] for one in self.shop.sandbox.mails() if self.id in one.custom_args.values()]
        return {step: steps.count(step) for step in steps}


def call(shop: LocalShop, method: str, path: str, *, origin: str | None = "", **how: Any) -> requests.Response:
    """A call to checkout as a browser makes it, from the shop's own page unless `origin` is another or None."""
    own = shop.site.url if shop.site else shop.catalogue.shop.url
    headers = {**({} if origin is None else {"Origin": origin or own}), **how.pop("headers", {})}
    url = f"{shop.gateway.url}/function/checkout{path}"
    return requests.request(method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False, **how)


def stock(shop: LocalShop, sku: str = "studio-apron", choice: str = "M") -> tuple[int, int]:
    """How many of a product are sold, and how many are held by checkouts."""
    rows = shop.client.call("checkout", "/stock", method="GET")
    return next((row["sold"], row["held"]) for row in rows if (row["sku"], row["choice"]) == (sku, choice))


def well_stocked(folder: Path) -> Path:
    """A shop.yml like the one in deploy/shop, with aprons enough for any test."""
    shop = yaml.safe_load((ROOT / "deploy" / "shop" / "shop.yml").read_text())
    [apron] = [product for product in shop["products"] if product["sku"] == APRON["sku"]]
    apron["stock"] = dict.fromkeys(apron["stock"], 999)
    file = folder / "shop.yml"
    file.write_text(yaml.safe_dump(shop, sort_keys=False))
    (folder / "mails").symlink_to(ROOT / "deploy" / "shop" / "mails")
    return file
