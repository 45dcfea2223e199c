"""The owner of the simulated shop: packs and ships, retries what died, answers alerts, looks at Autopay's panel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from local.sandbox.printful import PrintfulError
from pushcart.domain import delivery
from pushcart.domain.order import FulfilmentStatus, Order
from pushcart.domain.payment import RECEIVED
from pushcart.errors import FunctionFailed

if TYPE_CHECKING:
    from support.month import Month

#: Seconds between two rounds, and between two looks at what needs a human.
ROUND, DAY = 6 * 3600, 86_400


class ShopOwner:
    """Works by day, through the owner's API; answers alerts as they come. `thorough` does everything each round."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._shop = month.shop
        self._next_round = self._next_day = 0.0
        self.thorough = False
        self.answered: list[str] = []
        self.shipped = 0

    def look(self) -> None:
        """What the owner does at this time of the day."""
        now = self._month.now()
        self.answer_alerts()
        if now >= self._next_round:
            self._next_round = now + (0 if self.thorough else ROUND)
            self._ship()
        if now >= self._next_day:
            self._next_day = now + (0 if self.thorough else DAY)
            self._help()
            self._look_at_autopay()

    def answer_alerts(self) -> None:
        """Answers each alert that has reached the phone."""
        for incident in self._month.store.find("incidents", equal={"state": "open"}, order_by="opened_at", limit=200):
            if incident["told_level"] is not None and incident["answered_at"] is None:
                with contextlib.suppress(FunctionFailed):
                    self._shop.client.call("alert", f"/incidents/{incident['id']}/answer", {"note": "seen to"})
                    self.answered.append(incident["id"])

    def _orders(self, status: FulfilmentStatus) -> list[Order]:
        found: list[Order] = []
        cursor = None
        while True:
            page = self._month.orders.list({"fulfilment_status": str(status)}, cursor=cursor, limit=200)
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found

    def _ship(self) -> None:
        """Packs what waits to be packed; every third order in two parcels."""
        for order in self._orders(FulfilmentStatus.IN_PROGRESS):
            left = delivery.to_pack(order)
            if not left or self._month.random.random() < 0.2:
                continue
            pieces = None
            if self._month.random.random() < 0.3 and not self.thorough:
                pieces = {next(iter(left)): 1}
            sent = {"carrier": "DHL", "tracking_number": f"00340{self.shipped:09}", "version": order.version}
            with contextlib.suppress(FunctionFailed):
                self._shop.ask(f"/orders/{order.id}/ship", {**sent, "pieces": pieces})
                self.shipped += 1

    def _help(self) -> None:
        """Looks at every order that needs a human."""
        for order in self._orders(FulfilmentStatus.NEEDS_ATTENTION):
            codes = {item.code for item in order.open_attention()}
            with contextlib.suppress(FunctionFailed):
                if "dead_step" in codes:
                    self._retry(order)
                elif codes & {"print_goes_on"}:
                    self._stop_printing(order)
                elif codes - {"print_on_hold", "dispute"} or (codes == {"dispute"} and self.thorough):
                    self._shop.ask(f"/orders/{order.id}/handled", {"note": "seen to"})

    def _retry(self, order: Order) -> None:
        if any(step.error and "authoris" in step.error for step in order.steps if step.state == "dead"):
            # What the owner does when Kit takes the refresh token no more.
            token = self._shop.state_dir / "secrets-all" / "kit-refresh-token"
            token.write_text(self._shop.sandbox.kit.refresh_token)
        self._shop.ask(f"/orders/{order.id}/retry", {})

    def _stop_printing(self, order: Order) -> None:
        for made in order.prints:
            if made.under_way:
                with contextlib.suppress(PrintfulError):
                    self._shop.sandbox.printful.cancel(int(made.number), "Canceled by the shop")

    def _look_at_autopay(self) -> None:
        """Autopay cannot be asked, but its panel shows what was paid, and sends a notification once more."""
        autopay = self._shop.sandbox.autopay
        paid: dict[str, Any] = {one.order_id: one for one in autopay.transactions() if one.status == "SUCCESS"}
        for order_id, transaction in paid.items():
            order = self._month.orders.get(order_id)
            if order is not None and order.payment_status not in RECEIVED:
                autopay.repeat(transaction.remote_id)
