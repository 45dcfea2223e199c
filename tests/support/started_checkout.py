"""checkout in this process, between a real store and the sandbox's Stripe, called as the template calls it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode

import msgspec
import yaml
from requests.structures import CaseInsensitiveDict
from werkzeug.datastructures import MultiDict

from pushcart import auth
from pushcart.clock import offset_clock
from pushcart.domain.order import Order
from pushcart.repositories import Orders
from pushcart.store import connect
from support.step_calls import INTERNAL_KEY, Context, Event, environment, load_handler

SHOP = Path(__file__).parents[2] / "deploy" / "shop" / "shop.yml"
ORIGIN = "https://meadow-pottery.example"
TOKEN = "cart-0123456789abcdef"
APRON = {"sku": "studio-apron", "quantity": 2, "options": {"Size": "M"}, "price": 3400}
COURSE = {"sku": "wheel-basics", "price": 4900}


class StartedCheckout:
    """A started checkout between a real store and the sandbox's Stripe."""

    def __init__(self, folder, monkeypatch, sandbox, change=lambda shop: None):
        self.sandbox = sandbox
        self.url = f"sqlite:///{folder}/shop.db"
        self.shop_file = folder / "shop.yml"
        (folder / "mails").symlink_to(SHOP.parent / "mails")
        self.change_shop(change)
        secrets = {
            "internal-key": INTERNAL_KEY,
            "store-url": self.url,
            "stripe-api-key": "sk_test_sandbox",
            "autopay-key": "autopay-secret-key",
        }
        variables = {
            "shop_file": str(self.shop_file),
            "stripe_url": f"{sandbox.url}/stripe",
            "autopay_service_id": "123456",
            "clock_file": str(folder / "clock"),
        }
        for name, value in environment(folder / "secrets", "checkout", secrets, **variables).items():
            monkeypatch.setenv(name, value)
        self.clock = offset_clock(folder / "clock")
        self.handler = load_handler("checkout")
        self.handler.start()

    def change_shop(self, change):
        """`change(shop)` changes shop.yml as a plain dict; the function takes it up at its next call."""
        shop = yaml.safe_load(SHOP.read_text())
        change(shop)
        self.shop_file.write_text(yaml.safe_dump(shop, sort_keys=False))

    def call(self, method="POST", path="/", body=b"", query="", **headers):
        sent = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
        pairs = MultiDict((name, values[0]) for name, values in parse_qs(query).items())
        return self.handler.handle(Event(body, method, path, query, sent, pairs), Context())

    def post(self, items=(COURSE,), origin=ORIGIN, **more):
        """A cart as the shop's script sends it."""
        body = msgspec.json.encode({"items": list(items), "token": TOKEN, "currency": "EUR", **more})
        return self.call(body=body, content_type="application/json", origin=origin)

    def form(self, headers=None, /, **fields):
        """A form as a browser without any script sends it."""
        body = urlencode(fields).encode()
        return self.call(body=body, content_type="application/x-www-form-urlencoded", origin=ORIGIN, **headers or {})

    def signed(self, path):
        """A GET by the owner's command."""
        signature = auth.sign(INTERNAL_KEY, self.clock(), "checkout", "GET", path, "", b"")
        return self.call("GET", path, **{auth.HEADER: signature})

    def orders(self) -> list[Order]:
        store = connect(self.url)
        try:
            return Orders(store).list({}).items
        finally:
            store.close()

    def sessions(self):
        return self.sandbox.stripe.newest("checkout.session")
