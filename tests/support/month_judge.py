"""What has to be true after a simulated month: each purchase once and whole, each alarm once, and nothing left to find.

The sandbox's record is the judge: what was paid, made, sent and told. What is wrong is gathered, not stopped at.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from pushcart.clock import to_instant
from pushcart.domain.order import Order
from pushcart.domain.payment import RECEIVED
from pushcart.services.alerts.conditions import LATE
from support.month import WORKERS, Month
from support.month_outside import Bought
from support.month_script import Away

#: A mail of each product, besides those that every order has.
MAILS = {
    "wheel-basics": ["your-access", "how-is-it-going"],
    "glaze-chemistry": ["your-access"],
    "studio-plans": ["your-access"],
    "clay-kit": ["please-pack"],
    "studio-apron": ["please-pack"],
    "studio-shirt": [],
}
COURSES = {"wheel-basics", "glaze-chemistry"}

#: Providers whose function asks nobody else, so that it fails as long as they do.
ALONE = {"kit": "mailing-list", "sendgrid": "email-dispatch"}

#: In a message of an alert, the command that answers it; and what the messages begin with.
ANSWER = re.compile(r"pushcart alerts answer (\S+)")
WORD = re.compile(r"\[[^]]*\] ([^:]+): (.*)", re.DOTALL)


class Judge:
    """Looks at everything, and keeps what is wrong in `wrong`."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.sandbox = month.shop.sandbox
        self.wrong: list[str] = []
        self.orders: dict[str, list[Order]] = defaultdict(list)
        cursor = None
        while True:
            page = month.orders.list({}, cursor=cursor, limit=200)
            for order in page.items:
                self.orders[order.email or ""].append(order)
            cursor = page.cursor
            if cursor is None:
                break
        self.prints: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for made in self.sandbox.printful.orders():
            self.prints[made["recipient"].get("email") or ""].append(made)
        self.recorded = Counter(one["email_address"] for one in self.sandbox.kit.purchases.values())
        self.platform = Counter(one["buyer"]["email"] for one in self.sandbox.platform.links.values())
        self.sent, self.messages = Counter(month.mails), list(month.messages.values())
        self.enrolled = Counter(one["user_email"] for one in self.sandbox.thinkific.enrollments)

    def expect(self, true: bool, what: str) -> None:
        if not true:
            self.wrong.append(what)

    def give_verdict(self, again: str = "") -> None:
        """Fails with everything that is wrong; `again` is the command that plays the same month."""
        text = "\n".join(self.wrong[:40])
        assert not self.wrong, f"{len(self.wrong)} things are wrong; the same month again: {again}\n{text}"

    def all(self) -> None:
        self.purchases()
        self.mails()
        self.alarms()
        self.give_verdict()

    # Purchases

    def purchases(self) -> None:
        """Each purchase by itself; and that there is nothing else."""
        for bought in self.month.outside.bought:
            self._purchase(bought)
        self._nobody_else()
        waiting = [f"{event.type} {event.status} {event.error}" for event in self.month.waiting()]
        self.expect(not waiting, f"events that were not applied: {waiting[:5]}")

    def _purchase(self, bought: Bought) -> None:
        email, story = bought.buyer.email, bought.story
        received = [order for order in self.orders[email] if order.payment_status in RECEIVED]
        name = f"{email} ({story.way}, {story.money}, {story.fate or 'no print'}, {'+'.join(sorted(story.skus))})"
        if not bought.paid:
            self.expect(not received, f"{name}: nobody paid, but {[order.id for order in received]}")
            self.expect(not self.prints[email] and not self.recorded[email], f"{name}: delivered without a payment")
            return
        self.expect(len(received) == 1, f"{name}: {len(received)} paid orders")
        if len(received) == 1:
            [order] = received
            self._money(name, bought, order)
            self._goods(name, bought, order)
            self._parcels(name, bought, order)

    def _money(self, name: str, bought: Bought, order: Order) -> None:
        assert order.payment is not None
        expected = {
            "partly refunded": "partially_refunded",
            "refunded": "refunded",
            "disputed": "disputed",
            "dispute lost": "disputed",
            "free": "no_payment_required",
        }.get(bought.story.money, "paid")
        self.expect(order.payment_status == expected, f"{name}: {order.payment_status}, not {expected}")
        if bought.session and bought.story.money != "free":
            charge = self.sandbox.stripe.charge_of(bought.session)
            ours = order.payment.amount_total, order.payment.amount_refunded
            theirs = charge["amount"], charge["amount_refunded"]
            self.expect(ours == theirs, f"{name}: (paid, refunded) {ours} here, {theirs} at Stripe")
        else:
            refunded = order.payment.amount_refunded
            self.expect(not refunded, f"{name}: {refunded} refunded of what never can be")
        ends = {
            "refunded": {"fulfilled", "cancelled"},
            "dispute lost": {"fulfilled", "cancelled"},
            "disputed": {"fulfilled", "in_progress"},  # it stands still until the bank decides
        }.get(bought.story.money, {"fulfilled"})
        self.expect(
            order.fulfilment_status in ends,
            f"{name}: {order.fulfilment_status}: {[item.text for item in order.open_attention()]} "
            f"{[(step.id, str(step.state), step.error) for step in order.steps if step.state not in ('done',)]}",
        )

    def _goods(self, name: str, bought: Bought, order: Order) -> None:
        email, skus = bought.buyer.email, bought.story.skus
        found = {
            "invitation": int(email in self.sandbox.discourse.invites),
            "enrolment": self.enrolled[email],
            "link": self.platform[email],
            "purchases": self.recorded[email],
            "prints": len(self.prints[email]),
        }
        wanted = {
            "invitation": int("wheel-basics" in skus),
            "enrolment": int("glaze-chemistry" in skus),
            "link": int("studio-plans" in skus),
            "purchases": len(skus & COURSES),
            "prints": int("studio-shirt" in skus),
        }
        if order.payment_status in ("refunded", "disputed"):  # what had not gone out then was not owed any more
            self.expect(all(found[one] <= wanted[one] for one in wanted), f"{name}: {found}, at most {wanted}")
        else:
            self.expect(found == wanted, f"{name}: {found}, not {wanted}")

    def _parcels(self, name: str, bought: Bought, order: Order) -> None:
        theirs = {f"printful-{one['id']}" for made in self.prints[bought.buyer.email] for one in made["shipments"]}
        ours = {parcel.key for parcel in order.parcels if parcel.provider == "printful"}
        self.expect(ours == theirs, f"{name}: the parcels {sorted(ours)} here, {sorted(theirs)} at Printful")
        for made in self.prints[bought.buyer.email]:
            known = {one.number: one.status for one in order.prints}.get(str(made["id"]))
            self.expect(known == made["status"], f"{name}: {made['id']} is {made['status']}, here {known}")
        packed = Counter[str]()
        for parcel in order.parcels:
            for item in parcel.items if parcel.provider == "owner" else ():
                packed[item.line or ""] += item.quantity
        kits = sum(line.quantity for line in order.lines if line.sku == "clay-kit")
        if order.fulfilment_status == "fulfilled" and order.payment_status in ("paid", "partially_refunded"):
            self.expect(packed.total() == kits, f"{name}: {packed.total()} kits were sent, {kits} were bought")

    def _nobody_else(self) -> None:
        """Nothing was made for anybody who bought nothing."""
        buyers = {bought.buyer.email for bought in self.month.outside.bought}
        strange = sorted(str(one["id"]) for email in self.prints.keys() - buyers for one in self.prints[email])
        self.expect(strange == sorted(self.month.outside.stolen), f"orders at Printful that nobody bought: {strange}")
        everybody = {email for email, orders in self.orders.items() if orders}
        self.expect(everybody <= buyers, f"orders of nobody: {sorted(everybody - buyers)[:5]}")

    # Mails

    def mails(self) -> None:
        """Each mail that an order owes went out; once, but for those in hand when a process was killed."""
        again = 0
        for orders in self.orders.values():
            for order in orders:
                if order.payment_status in RECEIVED:
                    again += self._mails_of(order)
        kills = self.month.kills["order-store"] + self.month.kills["email-dispatch"]
        self.expect(again <= kills * WORKERS, f"{again} mails went out twice, with {kills} kills that may do that")
        known = {(order.id, step.id) for orders in self.orders.values() for order in orders for step in order.steps}
        strange = [mail for mail in self.sent if mail[0] and mail not in known]
        self.expect(not strange, f"mails of no step: {strange[:5]}")

    def _mails_of(self, order: Order) -> int:
        """How many went out once more than they should."""
        done = {step.id for step in order.steps if step.kind == "email" and step.state == "done"}
        if order.payment_status not in ("refunded", "disputed"):
            wanted = {"receipt", "owners-notice"}
            wanted |= {f"{sku}.{mail}" for sku in order.skus for mail in MAILS[sku]}
            wanted |= {f"parcel-{one.key}.your-parcel" for one in order.parcels if one.returned_at is None}
            wanted |= {"refund-1.refund"} if order.payment_status == "partially_refunded" else set()
            self.expect(wanted <= done, f"{order.id}: {sorted(wanted - done)} were not sent")
        unsent = [step for step in done if not self.sent[order.id, step]]
        self.expect(not unsent, f"{order.id}: {unsent} count as sent, but nobody got them")
        return sum(self.sent[order.id, step] - 1 for step in done if self.sent[order.id, step])

    # Alarms

    def alarms(self) -> None:
        """One message for each incident each time it comes, and one when it is over."""
        told: dict[str, Counter[str]] = defaultdict(Counter)
        overs: Counter[str] = Counter()
        for message in self.messages:
            if message.via != "ntfy":
                continue
            match = WORD.fullmatch(message.title)
            word, what = match.groups() if match else ("", message.title)
            answer = ANSWER.search(message.text)
            if word == "Over":
                overs[what] += 1
            elif answer:
                told[answer[1]][word] += 1
        spare = self.month.kills["alert"]
        incidents = {one["id"]: one for one in self.incidents()}
        for id, words in told.items():
            for word, times in words.items():
                most = incidents[id]["times"] + (spare if word in ("CRITICAL", "Warning") else 0)
                self.expect(times <= most, f"the alert {id} was told {times} times as {word!r}, and came {most} times")
            self.expect("NOBODY ANSWERED" not in words, f"{id} was escalated, although it was answered at once")
        stolen = {id: told[id] for id in told if id.startswith("strange_print.")}
        self.expect(
            {id.partition(".")[2] for id in stolen} == set(self.month.outside.stolen),
            f"alarms about {sorted(stolen)}, but {self.month.outside.stolen} were stolen",
        )
        for id in [*stolen, "heartbeat.catch-up"]:
            self.expect(told[id]["CRITICAL"] in range(1, 2 + spare), f"{id} was told {told[id]}")
        hearts = [times for what, times in overs.items() if what.startswith("catch-up has not finished")]
        self.expect(
            len(hearts) == 1 and hearts[0] in range(1, 2 + spare), f"that the heartbeat is back was told {hearts}"
        )
        for away, first, last in self.month.outside.failed.values():
            self._outage(away, first, last, incidents)
        still = [one["id"] for one in incidents.values() if one["state"] != "over"]
        self.expect(not still, f"alerts that are not over: {still}")

    def _outage(self, away: Away, first: float, last: float, incidents: dict[str, Any]) -> None:
        if is_told(away, first, last):
            function = ALONE[away.provider]
            since = to_instant(self.month.began + timedelta(seconds=away.at))
            known = incidents.get(f"failing.{function}")
            seen = known is not None and known["seen_at"] >= since
            self.expect(seen, f"{away.provider} failed from {first:.0f} to {last:.0f}, and nobody was told")

    def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for state in ("open", "ending", "over"):
            found += self.month.store.find("incidents", equal={"state": state}, order_by="opened_at", limit=1000)
        return found


def is_told(away: Away, first: float, last: float) -> bool:
    """Whether the owner has to hear of a provider that failed from `first` to `last`: for long, with nothing of the
    same function that worked in between."""
    return away.provider in ALONE and last - first > 2 * LATE


def recover(month: Month, *, apply: bool) -> list[dict[str, Any]]:
    """A whole recovery through the API, slice by slice; its findings."""
    cursor, found = None, []
    while True:
        part = month.shop.client.call("catch-up", "/recover", {"cursor": cursor, "apply": apply})
        found += part["findings"]
        cursor = part["cursor"]
        if cursor is None:
            return found
        if part["wait"]:  # a provider's limit is used up
            month.shop.advance(math.ceil(part["wait"]))


def nothing_left(month: Month) -> None:
    """A recovery finds the stolen orders and nothing else; neither a dry run nor an applied one changes that."""
    before = to_instant(month.clock())
    for apply in (False, True, True):
        found = recover(month, apply=apply)
        strange = sorted(one["object"] for one in found if one["code"] == "strange_print")
        others = [one for one in found if one["code"] != "strange_print"]
        assert not others, others[:10]
        assert strange == sorted(month.outside.stolen)
    changed = month.store.find("inbox", order_by="received_at", since=before, limit=10)
    assert not changed, changed
