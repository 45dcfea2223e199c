"""One shop in which every call to a provider fails once in every way, and what became of each buyer's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from local.shop import LocalShop
from support.customers import eventually
from support.every_call import ProviderCall, Trouble
from support.fault_prints import prints, send_parcels
from support.fault_shop import GROUP, SEQUENCE, Buyer

#: Seconds that bring every step that has failed once or twice back.
LATER = 400

#: The functions that count their calls and wait when a minute's are used up, each with the providers it calls.
COUNTING = {
    "invite-link": {"discourse", "thinkific"},
    "mailing-list": {"kit"},
    "printful-order": {"printful"},
    "order-store": {"printful"},
}

#: Calls that leave room for the next ones in every limit of ours for a minute.
FEW = 25


@dataclass(frozen=True)
class Seen:
    """All there is about one buyer at one moment.

    `effects` and `mails` (by Message-ID) are counted in the sandbox's record; `alarms` are the texts of the
    mails that told the owner about this order or its event.
    """

    order: dict[str, Any]
    event: dict[str, Any]
    effects: Counter[str]
    mails: Counter[str]
    alarms: list[str]

    def step(self, step_id: str) -> dict[str, Any]:
        return next(step for step in self.order["steps"] if step["id"] == step_id)


class Case:
    """One call that fails in one way for one buyer, from the first attempt to the end."""

    first: Seen
    drained: Seen
    ended: Seen

    def __init__(self, shop: LocalShop, call: ProviderCall, trouble: Trouble) -> None:
        self.shop, self.call, self.trouble = shop, call, trouble
        self.buyer = Buyer(shop)
        self.order: dict[str, Any] = {"steps": []}
        self.event: dict[str, Any] = {}

    def start(self) -> None:
        """The buyer pays, the provider is told to fail for them until further notice, the webhook comes in."""
        self.call.sell(self.buyer)
        self.fault = self.shop.sandbox.fault(
            self.call.provider,
            self.trouble.kind,
            method=self.call.method,
            path=self.call.pattern,
            text=None if self.call.alone else self.call.about(self.buyer),
            times=None,
            **self.trouble.rule,
        )
        assert self.buyer.hears() == 200

    def at_rest(self) -> bool:
        """Whether nothing is being done for this buyer, because it has ended or waits for a later attempt."""
        self.event = self.shop.ask(f"/events/{self.buyer.inbox_id}", method="GET")
        pending = self.event["status"] == "pending"
        if self.buyer.has_order or not pending:
            self.order = self.shop.order(self.buyer.order_id)
        if pending:
            return (
                bool(self.event["attempts"] or self.event["deferrals"])
                and self.event["alarm"] == (self.event["told_owner"])
            )
        return not any(step["state"] in ("due", "running") for step in self.order["steps"])

    def __str__(self) -> str:
        steps = {step["id"]: (step["state"], step["error"]) for step in self.order["steps"]}
        return f"{self.call.name}, {self.trouble.name}: {self.event['status']} {self.event['error']} {steps}"

    @property
    def open(self) -> bool:
        """Whether anything will be tried again by itself."""
        return self.event["status"] == "pending" or any(step["state"] == "failed" for step in self.order["steps"])

    @property
    def dead(self) -> bool:
        return any(step["state"] == "dead" for step in self.order["steps"])

    def look(self) -> Seen:
        """What there is now, judged by the order and the sandbox's record."""
        sandbox, names = self.shop.sandbox, (self.buyer.order_id, self.event["id"])
        return Seen(
            order=self.order,
            event=self.event,
            effects=effects(self.buyer),
            mails=Counter(mail.headers["Message-ID"] for mail in sandbox.mails(self.buyer.email)),
            alarms=[
                mail.text
                for mail in sandbox.mails("owner@meadow-pottery.example")
                if any(name in mail.text for name in names)
            ],
        )


def effects(buyer: Buyer) -> Counter[str]:
    """How often each provider did something for this buyer; nothing that was not done is in it."""
    sandbox, email = buyer.shop.sandbox, buyer.email
    members = sandbox.discourse.groups.get(GROUP, ())
    return +Counter(
        invitation=list(sandbox.discourse.invites).count(email)
        + list(members).count(getattr(buyer, "username", "nobody")),
        enrolment=sum(one["user_email"] == email for one in sandbox.thinkific.enrollments),
        platform=sum(sent["buyer"]["email"] == email for sent in sandbox.platform.links.values()),
        purchase=sum(one["email_address"] == email for one in sandbox.kit.purchases.values()),
        sequence=sandbox.kit.sequence_members.get(SEQUENCE, []).count(email),
        print=len(prints(buyer)),
    )


class FaultRun:
    """All cases of `calls` in one shop: those that can be told apart together, the others one after another."""

    def __init__(self, shop: LocalShop, calls: Sequence[ProviderCall]) -> None:
        self.shop = shop
        self._counted = dict.fromkeys(COUNTING, 0)
        self.cases = {
            (call.name, trouble.name): Case(shop, call, trouble) for call in calls for trouble in call.ways_to_fail()
        }

    def run(self) -> None:
        """Lets every first attempt fail, heals the providers, drains, has the owner retry what died, drains."""
        together = sorted((case for case in self.cases.values() if not case.call.alone), key=_wave)
        self._go([list(wave) for _, wave in groupby(together, _wave)])
        for case in self.cases.values():
            if case.call.alone:
                if case.call.provider == "kit":
                    self.shop.sandbox.kit.expire_access_token()
                self._go([[case]])

    def _go(self, waves: list[list[Case]]) -> None:
        cases = [case for wave in waves for case in wave]
        for wave in waves:
            self._new_minute()
            for case in wave:
                case.start()
            _wait(wave)
        for case in cases:
            case.first = case.look()
        self.shop.sandbox.world.faults.clear()
        self._drain(cases)
        self._send_parcels(cases)
        for case in cases:
            case.drained = case.look()
        dead = [case for case in cases if case.dead]
        if any("authorise the app again" in str(case.order) for case in dead):
            # What the mail to the owner asks for: the app is authorised anew, its token goes into the secret.
            (self.shop.state_dir / "secrets-all" / "kit-refresh-token").write_text(self.shop.sandbox.kit.refresh_token)
        for case in dead:
            self.shop.ask(f"/orders/{case.buyer.order_id}/retry")
        _wait(dead)
        self._drain(dead)
        self._send_parcels(dead)
        for case in cases:
            case.ended = case.look()

    def _drain(self, cases: list[Case]) -> None:
        """Time passes and order-store sweeps, as catch-up has it do, until nothing is tried again any more.

        Catch-up itself would find the payments that only one event of several told of.
        """
        for _ in range(12):
            cases = [case for case in cases if case.open]
            if not cases:
                return
            self._new_minute()
            self.shop.advance(LATER)
            while self.shop.ask("/sweep")["more"]:
                """Until the sweep has taken on everything that is due."""
            _wait(cases)
        raise AssertionError([str(case) for case in cases])

    def _send_parcels(self, cases: list[Case]) -> None:
        """Printful has printed what was ordered of it; what it tells is looked at once more by every case."""
        printed = [case for case in cases if case.call.sku == "shirt"]
        send_parcels(self.shop, [case.buyer for case in printed], self._new_minute)
        _wait(printed)

    def _new_minute(self) -> None:
        """A new process has made no calls yet; that saves waiting for the minute to end once there were many."""
        made = Counter(call.provider for call in self.shop.sandbox.calls())
        for function, providers in COUNTING.items():
            calls = sum(made[provider] for provider in providers)
            if calls - self._counted[function] > FEW and self.shop.gateway.pid(function):
                self.shop.gateway.restart(function)
                self._counted[function] = calls


def _wave(case: Case) -> int:
    return case.call.wave


def _wait(cases: Iterable[Case]) -> None:
    for case in cases:
        eventually(case.at_rest, case.__str__, seconds=90)
