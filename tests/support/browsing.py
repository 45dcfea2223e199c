"""People in front of the shop's pages: what they click and fill in, and what their browser must never do."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, expect

from local.shop import LocalShop
from support.customers import Customer

SIZES = {"desktop": (1280, 900), "phone": (380, 760)}

#: A browser as people have it; one that calls itself headless is taken for a machine and not counted.
READER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

#: Milliseconds that a busy machine may take for what the buyer waits for.
PATIENCE = 30_000

#: The browser's own notes of answers that refuse a wrong cart or a wrong address, and of a network that fails.
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
_FAILED = re.compile(r"Failed to load resource|blocked by CORS policy")

HOME = {"Street and number": "ul. Prosta 51", "Postal code": "00-838", "City": "Warszawa"}


class Watch:
    """Collects what a context's pages do wrong: errors, breaches of the policy, calls to strangers, dialogues.

    The network of a `rough` one is meant to fail.
    """

    def __init__(self, context: BrowserContext, shop: LocalShop, rough: bool = False) -> None:
        self.mistakes: list[str] = []
        self._context = context
        self._rough = rough
        assert shop.site is not None
        self._hosts = [urlsplit(url).netloc for url in (shop.site.url, shop.gateway.url, shop.sandbox.url)]
        context.on("console", self._said)
        context.on("weberror", lambda error: self.mistakes.append(str(error.error)))
        context.on("request", self._called)
        context.on("dialog", self._asked)

    def _said(self, message: Any) -> None:
        about, page = message.location["url"], message.page.url if message.page else ""
        # A file that a page of the shop's lacks is a mistake, a page that is not there may be asked for.
        refused = _REFUSED.match(message.text) and (about == page or urlsplit(about).netloc != self._hosts[0])
        failed = self._rough and _FAILED.search(message.text)
        if message.type in ("error", "warning") and not refused and not failed:
            self.mistakes.append(f"{message.type} at {page}: {message.text} {about}")

    def _called(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc not in self._hosts:
            self.mistakes.append(f"a request to {request.url}")

    def _asked(self, dialog: Any) -> None:
        self.mistakes.append(f"a dialogue: {dialog.message}")
        dialog.dismiss()

    def found(self) -> list[str]:
        """The mistakes, a cookie, and a mail address that was kept."""
        state = self._context.storage_state()
        kept = [f"kept: {origin}" for origin in state["origins"] if "@" in json.dumps(origin)]
        return [*self.mistakes, *(f"a cookie: {cookie}" for cookie in state["cookies"]), *kept]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


class Visitor(Customer):
    """A buyer who goes through the pages in `page`."""

    def __init__(self, shop: LocalShop, page: Page) -> None:
        super().__init__(shop)
        self.page = page

    def go(self, path: str = "", **how: Any) -> None:
        """Opens a page of the shop."""
        assert self.shop.site is not None
        self.page.goto(f"{self.shop.site.url}/{path}", **how)

    def take(self, sku: str, size: str = "") -> None:
        """Puts a product into the cart, on its own page."""
        self.go(f"products/{sku}/")
        if size:
            self.page.get_by_role("radio", name=size, exact=True).check()
        self.page.get_by_role("button", name="Add to cart").click()
        self.page.get_by_text("It is in your cart.").wait_for()

    def fill(self, pay: str = "stripe") -> None:
        """Fills in the order form that is open; the delivery where the form asks for it."""
        page = self.page
        page.get_by_label("Mail address").fill(self.email)
        page.get_by_label(re.compile("^Name")).fill(self.name)
        if pay == "autopay":
            page.get_by_role("radio", name="Bank transfer or BLIK").check()
            if page.get_by_role("group", name="Delivery").is_visible():
                self.fill_address()

    def fill_address(self) -> None:
        for label, text in HOME.items():
            self.page.get_by_label(label).fill(text)
        self.page.get_by_role("radio", name="Courier").check()
        self.page.get_by_label("Country").select_option("Poland")

    @property
    def button(self) -> Any:
        """The one that leads to the payment."""
        return self.page.get_by_role("button", name="Continue to payment")

    def to_payment(self, pay: str = "stripe") -> str:
        """From the cart over the order form to the page where it is paid, whose address this is."""
        self.go("order/")
        self.fill(pay)
        self.button.click()
        return self.at_payment()

    def at_payment(self) -> str:
        """Once the page is there where it is paid: its address."""
        self.page.wait_for_url(f"{self.shop.sandbox.url}/**")
        return self.page.url

    def pay(self, name: str | re.Pattern[str] = re.compile(r"^Pay \d")) -> None:
        self.page.get_by_role("button", name=name).click()

    def sees(self, heading: str) -> None:
        """Waits for the page to say this by itself."""
        expect(self.page.get_by_role("heading", level=1, name=heading, exact=True)).to_be_visible(timeout=PATIENCE)

    def expect_total(self, amount: str) -> None:
        """The last line of the cart or the order form, written as `€68.00`."""
        total = self.page.get_by_role("paragraph").filter(has_text=re.compile("^Total"))
        expect(total).to_have_text(f"Total {amount}")

    def in_cart(self) -> str:
        """The number beside the word in the menu."""
        return (
            self.page.get_by_role("navigation")
            .get_by_role("link", name="Cart")
            .inner_text()
            .removeprefix("Cart")
            .strip()
        )

    def sessions(self) -> list[dict[str, Any]]:
        """Stripe's sessions for this buyer, newest first."""
        made = self.shop.sandbox.stripe.newest("checkout.session")
        return [one for one in made if one["customer_email"] == self.email]

    def orders(self) -> list[dict[str, Any]]:
        """All that this buyer's carts have become, newest first."""
        return self.shop.orders(email=self.email)
