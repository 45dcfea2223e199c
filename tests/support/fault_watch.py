"""One shop in which all that catch-up and alert ask of providers fails in every way, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from local.shop import LocalShop
from pushcart.clock import offset_clock
from pushcart.errors import is_permanent
from pushcart.services.alerts.incidents import Condition, Incidents, Level
from pushcart.store import connect
from support.customers import eventually
from support.every_call import ALERT_CALLS, CATCH_UP_CALLS, TROUBLES, Row, Trouble
from support.fault_prints import SHIRT, prints
from support.fault_shop import Buyer, buys

#: Longer than catch-up waits between two listings, and than alert waits for its second attempt.
LATER = 700

#: Seconds that an answer about a message is held back: longer than Apprise waits.
HELD = 4.5

#: Rounds after which catch-up is a new process, which has made no calls in this minute yet.
ROUNDS = 6


def _one_of_each(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """The first of each kind; of statuses one that is final, one that is not, one that asks to wait."""
    kinds = {(one.kind, one.waits > 0, is_permanent(one.status or 0)): one for one in reversed([*troubles])}
    return tuple(kinds.values())


#: A listing has no work whose answer could get lost.
OF_LISTINGS = _one_of_each(one for one in TROUBLES if not one.after_work)

#: Apprise takes any answer of 200 for a good one, and a late one after the work is like one that was lost.
OF_MESSAGES = _one_of_each(
    one
    for one in TROUBLES
    if one.kind not in ("html", "garbage", "slow") and not (one.kind == "timeout" and one.after_work)
)


def fails_at(call: Row, trouble: Trouble) -> bool:
    """Whether this trouble is tried at this call; that Stripe's SDK waits for every drop is known elsewhere."""
    if call in ALERT_CALLS:
        return trouble in OF_MESSAGES
    return trouble in OF_LISTINGS and not (call.provider == "stripe" and trouble.kind == "slow")


class Round:
    """One trouble of all these calls: two buyers and a parcel nobody tells of, and something to tell the owner.

    `hits` says how often each call failed, `first` what catch-up said then, `messages` counts by receiver what the
    owner was told of this round in the end, `mails` what by mail.
    """

    first: dict[str, Any]
    hits: dict[str, int]
    messages: dict[str, int]
    mails: int

    def __init__(self, shop: LocalShop, number: int, trouble: Trouble) -> None:
        self.shop, self.trouble = shop, trouble
        self.alarm = f"trial-{number:02}.alarm"
        self.told, self.untold, self.printed = Buyer(shop), Buyer(shop), Buyer(shop)
        buys(SHIRT)(self.printed)
        assert self.printed.hears() == 200

    def happens(self) -> None:
        """Everything that nobody hears of. Stripe has one event of the two, as some are never made."""
        stripe, printful = self.shop.sandbox.stripe, self.shop.sandbox.printful
        for buyer in (self.told, self.untold):
            buys("plink_1Hook")(buyer)
        del stripe._tables["event"][self.untold.event["id"]]
        [made] = prints(self.printed)
        printful.ship(made["id"])
        store = connect((self.shop.state_dir / "secrets-all" / "store-url").read_text())
        what, means = f"This is {self.alarm}.", "Nothing; it is a trial."
        condition = Condition(id=self.alarm, level=Level.CRITICAL, what=what, means=means, command="pushcart doctor")
        Incidents(store, offset_clock(self.shop.clock_file)).see(condition)
        store.close()

    def fails(self) -> None:
        """Catch-up runs in trouble, and has alert look."""
        sandbox, faults = self.shop.sandbox, {}
        for call in (*CATCH_UP_CALLS, *ALERT_CALLS):
            if fails_at(call, self.trouble):
                rule = dict(self.trouble.rule)
                if call in ALERT_CALLS and "delay" in rule:
                    rule["delay"] = HELD
                where = {"method": call.method, "path": call.pattern, "times": None}
                faults[call.name] = sandbox.fault(call.provider, self.trouble.kind, **where, **rule)
        self.first = self.shop.catch_up()
        self.shop.client.call("alert", "/watch", {})
        self.hits = {name: fault.hits for name, fault in faults.items()}
        sandbox.world.faults.clear()

    def ends(self) -> None:
        """All is well again; returns when everybody has what they are owed."""
        # A call that is under way when the clock moves is too old when it arrives.
        eventually(self._rests)
        self.shop.advance(LATER)
        self.shop.catch_up()
        self.shop.client.call("alert", "/watch", {})
        for buyer in (self.told, self.untold, self.printed):
            eventually(lambda buyer=buyer: _fulfilled(buyer), lambda buyer=buyer: str(buyer.order()))
        told = self.shop.sandbox.messages()
        self.messages = {
            call.name: sum(self.alarm in one.title + one.text for one in told if one.via == call.provider)
            for call in ALERT_CALLS
        }
        owner = self.shop.sandbox.mails("owner@meadow-pottery.example")
        self.mails = sum(f"This is {self.alarm}" in " ".join(mail.text.split()) for mail in owner)
        self.shop.client.call("alert", f"/incidents/{self.alarm}/answer", {})
        eventually(self._rests)

    def _rests(self) -> bool:
        """Whether nothing that was found is under way."""
        orders = [buyer.order() for buyer in (self.told, self.untold, self.printed)]
        steps = [step["state"] for order in orders if order for step in order["steps"]]
        return (
            not {"due", "running"} & set(steps)
            and not self.shop.ask("/events", method="GET", status="pending")["items"]
        )


class WatchRun:
    """Every trouble, one after another, because who asks is one and the same."""

    def __init__(self, shop: LocalShop) -> None:
        self.shop = shop
        self.rounds = {one.name: Round(shop, number, one) for number, one in enumerate(TROUBLES) if _anywhere(one)}

    def run(self) -> None:
        """Returns when all is done. The first look of all has nothing to find."""
        for one in self.rounds.values():
            eventually(lambda one=one: prints(one.printed) and self.shop.order(one.printed.order_id)["prints"])
        self.shop.catch_up()
        for number, one in enumerate(self.rounds.values()):
            if number % ROUNDS == ROUNDS - 1:
                self.shop.gateway.restart("catch-up")
            self.shop.advance(LATER)
            one.happens()
            one.fails()
            one.ends()
        self.orders = [self.shop.order(one["id"]) for one in self.shop.orders(limit="200")]


def _anywhere(trouble: Trouble) -> bool:
    return any(fails_at(call, trouble) for call in (*CATCH_UP_CALLS, *ALERT_CALLS))


def _fulfilled(buyer: Buyer) -> bool:
    order = buyer.order()
    return bool(order) and order["fulfilment_status"] == "fulfilled"
