"""What happens outside of the simulated shop: its buyers, their banks, Printful, a thief, providers that are away."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.sandbox.faults import Fault
from local.sandbox.printful import PrintfulError
from support.carts import Shopper, call
from support.customers import Customer
from support.month_script import DAY, HOUR, Away, Story, address

if TYPE_CHECKING:
    from support.month import Month

#: How often a provider's goods wait for the next thing that can be done with them.
PATIENCE = 60

#: What Printful does with an order after it is confirmed: the action, after so many hours, and with what.
FATES: dict[str, list[tuple[float, str, dict[str, Any]]]] = {
    "made": [(6, "start", {}), (20, "ship", {})],
    "held": [(3, "hold", {"reason": "Address could not be verified"}), (30, "release", {}), (9, "ship", {})],
    "failed": [(4, "fail", {"reason": "Card was declined"}), (30, "start", {}), (6, "ship", {})],
    "partial": [(6, "start", {}), (10, "ship one", {}), (20, "ship", {})],
    "reshipped": [(8, "ship", {}), (40, "ship", {"reshipment": True})],
    "returned": [(8, "ship", {}), (50, "send_back", {"reason": "Recipient could not be reached"})],
    "cancelled": [(5, "cancel", {"reason": "Out of stock"})],
    "given back": [(8, "ship", {}), (30, "refund", {"amount": 250})],
}


@dataclass
class Bought:
    """A story, whose buyer it is, and whether the money came: to be judged at the end."""

    story: Story
    buyer: Customer
    paid: bool = False
    session: str | None = None


class Outside:
    """All of it, in the sandbox of `month`'s shop. `bought`, `stolen` and `failed` are kept to be judged by."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._shop, self._sandbox = month.shop, month.shop.sandbox
        self.bought: list[Bought] = []
        self.stolen: list[str] = []
        #: When calls failed at a provider that was away, from the first to the last.
        self.failed: dict[int, tuple[Away, float, float]] = {}
        self._faults: dict[int, tuple[Fault, Away, int]] = {}
        self._fates: dict[str, str] = {}
        self._seen_print = 0

    # What buyers do

    def buy(self, story: Story) -> None:
        if story.way in ("stripe", "autopay"):
            shipping = address(story.items) if story.way == "autopay" else None
            more = {"shipping": shipping} if shipping else {}
            shopper = Shopper(self._shop, *story.items, pay=story.way, **more)
            self.bought.append(bought := Bought(story, shopper))
            if not self._begin(shopper) or story.money == "abandoned":
                return
            buy: Callable[..., Any] = shopper.pay
        else:
            customer = Customer(self._shop)
            self.bought.append(bought := Bought(story, customer))
            buy = lambda **how: customer.buy(story.way, **how)  # noqa: E731
        self._fates[bought.buyer.email] = story.fate
        if story.way == "autopay":
            buy()
            bought.paid = True
            return
        how = {"transfer": {"delayed": True}, "transfer fails": {"delayed": True}, "free": {"free": True}}
        bought.session = buy(**how.get(story.money, {}))["id"]
        bought.paid = not story.money.startswith("transfer")
        self._month.at(self._month.now() + story.later, lambda: self._go_on(bought))

    def _begin(self, shopper: Shopper) -> bool:
        """Sends the cart; a buyer who gets an error tries a second time and then leaves."""
        for _ in range(2):
            answer = call(self._shop, "POST", "/", json=shopper.cart)
            if answer.status_code == 200:
                shopper.begun = answer.json()
                return True
        return False

    def _go_on(self, bought: Bought) -> None:
        """What becomes of the money."""
        stripe, money, session = self._sandbox.stripe, bought.story.money, bought.session
        assert session is not None
        if money in ("transfer", "transfer fails"):
            bought.paid = money == "transfer"
            stripe.settle(session, success=bought.paid)
        elif money == "partly refunded":
            amount = stripe.charge_of(session)["amount"]
            stripe.refund(session, max(1, int(amount * bought.story.share)))
        elif money == "refunded":
            stripe.refund(session)
        elif money.startswith("dispute"):
            dispute = stripe.dispute(session).object["id"]
            if money != "disputed":
                won = money == "dispute won"
                self._month.at(self._month.now() + 2 * DAY, lambda: stripe.close_dispute(dispute, won=won) and None)

    # What Printful does

    def new_prints(self) -> None:
        """Each order that came to Printful goes its own way from here."""
        printful = self._sandbox.printful
        with printful.lock:
            fresh = itertools.takewhile(lambda order: order["id"] > self._seen_print, printful.newest())
            found = [(order["id"], order["recipient"].get("email")) for order in fresh]
        for number, email in found:
            self._seen_print = max(self._seen_print, number)
            if email in self._fates:
                self._fate(number, FATES[self._fates[email]], PATIENCE)

    def _fate(self, number: int, left: list[tuple[float, str, dict[str, Any]]], patience: int) -> None:
        hours, action, how = left[0]

        def act() -> None:
            printful = self._sandbox.printful
            try:
                if action == "ship one":
                    [(item, _), *_] = printful.left(number).items()
                    printful.ship(number, {item: 1})
                else:
                    getattr(printful, action)(number, **how)
            except PrintfulError:
                again = patience > 0 and printful.order(number)["status"] in ("draft", "failed", "onhold", "pending")
                if again:  # the shop has to do something first
                    self._fate(number, [(6, action, how), *left[1:]], patience - 1)
                elif len(left) > 1:
                    self._fate(number, left[1:], patience)
                return
            if len(left) > 1:
                self._fate(number, left[1:], patience)

        self._month.at(self._month.now() + hours * HOUR, act)

    def steal(self) -> None:
        self.stolen.append(str(self._sandbox.printful.steal(quantity=self._month.random.randint(1, 9))["id"]))

    def fall_back(self) -> None:
        self._sandbox.printful.fall_back += 1

    # What is away

    def go_away(self, away: Away) -> None:
        rule = dict(away.rule)
        fault = self._sandbox.fault(away.provider, rule.pop("kind"), times=None, **rule)
        self._faults[fault.id] = (fault, away, 0)
        self._month.at(away.until, lambda: self._comes_back(fault.id))

    def _comes_back(self, fault_id: int) -> None:
        self._sandbox.world.faults.clear(fault_id)
        del self._faults[fault_id]

    def notice_failures(self) -> None:
        for fault_id, (fault, away, hits) in self._faults.items():
            if fault.hits > hits:
                _, first, _ = self.failed.get(fault_id, (away, self._month.now(), 0.0))
                self.failed[fault_id] = (away, first, self._month.now())
                self._faults[fault_id] = (fault, away, fault.hits)
