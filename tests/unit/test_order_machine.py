"""One order through everything that can happen to it, in any sequence: Hypothesis looks for what breaks a promise.

Two order-stores on one SQLite file, Stripe's truth that moves on, functions that fail in every way, processes that
die or are overtaken at any moment, an owner who helps. What has to hold is checked after every rule, and at the end
everything heals and has to come to rest.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pushcart.domain.event import EventStatus
from pushcart.errors import BadRequest, Conflict, NotFound, ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.repositories import Inbox, Orders
from pushcart.services.owner import Owner
from pushcart.store import connect
from pushcart.web import Request
from support.processes import (
    LEASE,
    SHOP,
    Clock,
    Died,
    Journal,
    Process,
    Provider,
    Purchase,
    Quiet,
    die,
    forget,
)
from support.promises import Promises
from support.shop import line

#: What is bought: all is well, a product that is delivered in spite of a refund, a wrong amount, one we do not sell.
BASKETS = {
    "course": lambda: [line(1)],
    "course and book": lambda: [line(1), line(2, "price_book", 2000)],
    "wrong amount": lambda: [line(1, amount=100)],
    "unknown": lambda: [line(1), line(2, "price_other", 700)],
}
#: Seconds that pass: within a lease and beyond it, each wait of the retry schedule, the delayed mail's three days.
WAITS = (1, 12, 70, LEASE + 1, 400, 2000, 8000, 25_000, 50_000, 90_000, 3 * 86_400)
ERRORS = (
    ProviderUnavailable("Stripe", "it is down"),
    ProviderBusy("Stripe", "its rate limit is reached", retry_after=2),
    ProviderRefused("Stripe", "the key was revoked", status=401),
)
OUTCOMES = ("done", "retry", "permanent", "busy", "lost", "garbage")
PROCESSES = st.sampled_from([0, 1])
JOBS = st.sampled_from(["handle", "drive", "sweep", "sync"])
#: A job is some thirty moments long when it runs four steps.
MOMENTS = st.integers(0, 30)

_folder = Path(tempfile.mkdtemp())
_store = connect(f"sqlite:///{_folder}/shop.db")


def teardown_module() -> None:
    _store.close()
    shutil.rmtree(_folder)


class OneOrder(RuleBasedStateMachine):
    """The order, its surroundings, and the promises."""

    @initialize(
        basket=st.sampled_from(["course", "course and book", *BASKETS]),
        end=st.sampled_from(["paid", "paid", "unpaid", None]),
        heard=st.booleans(),
    )
    def open_a_session(self, basket: str, end: str | None, heard: bool) -> None:
        """And mostly pay there at once, with the order written already: what comes before that is little."""
        self.purchase = Purchase(1, BASKETS[basket])
        self.provider = Provider([self.purchase])
        self.clock = Clock()
        self.orders, self.inbox = Orders(_store), Inbox(_store)
        self.promises = Promises(self.purchase, self.orders, self.clock)
        self.functions = self.promises.functions
        self.processes = [
            Process(
                Journal(_store, "orders", name, self.promises.written), self.provider, self.functions, self.clock, name
            )
            for name in "ab"
        ]
        owner = self.processes[0]
        self.owner = Owner(owner.orders, owner.inbox, owner.intake, Quiet(), lambda: SHOP, self.clock)
        self.under_way: list[str] = []
        self.received: list[str] = []
        self.completed = False
        if end is not None:
            self.the_session_ends(end)
        if heard:
            self._do(0, "sync", 0)

    # What happens at Stripe

    def _happened(self, *types: str) -> None:
        self.under_way += types

    @precondition(lambda self: not self.completed and self.purchase.money == "unpaid")
    @rule(how=st.sampled_from(["paid", "paid", "no_payment_required", "unpaid", "expired"]))
    def the_session_ends(self, how: str) -> None:
        self.purchase.money, self.completed = how, True
        self._happened("checkout.session.expired" if how == "expired" else "checkout.session.completed")

    @precondition(lambda self: self.completed and self.purchase.money == "unpaid")
    @rule(well=st.booleans())
    def a_delayed_payment_settles(self, well: bool) -> None:
        self.purchase.money = "paid" if well else "failed"
        self._happened(f"checkout.session.async_payment_{'succeeded' if well else 'failed'}")

    @precondition(lambda self: self.purchase.money == "paid" and self._left())
    @rule(part=st.booleans())
    def money_goes_back(self, part: bool) -> None:
        self.purchase.refunds.append(min(self._left(), 40) if part else self._left())
        self._happened("charge.refunded", "refund.created")

    @precondition(lambda self: self.purchase.refunds)
    @rule()
    def a_refund_fails(self) -> None:
        self.purchase.refunds.pop()
        self.promises.refund_failed = True
        self._happened("refund.failed")

    @precondition(lambda self: self.purchase.money == "paid" and self.purchase.dispute is None)
    @rule()
    def the_bank_disputes(self) -> None:
        self.purchase.disputed("needs_response")
        self._happened("charge.dispute.created")

    @precondition(lambda self: self.purchase.dispute is not None and self.purchase.dispute.status == "needs_response")
    @rule(status=st.sampled_from(["won", "lost"]))
    def the_dispute_ends(self, status: str) -> None:
        self.purchase.disputed(status)
        self._happened("charge.dispute.closed")

    def _left(self) -> int:
        return self.purchase.total - sum(self.purchase.refunds)

    # What arrives, and what is done about it

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9), hint=st.sampled_from([None, None, 0, 1]))
    def an_event_arrives(self, which: int, hint: int | None) -> None:
        """The hint that follows it reaches one of the processes, or none."""
        kind = self.under_way.pop(which % len(self.under_way))
        event = self.purchase.event(kind, len(self.received), self.clock.instant())
        assert self.inbox.add(event)
        assert not self.inbox.add(self.purchase.event(kind, len(self.received), self.clock.instant()))
        self.received.append(event.id)
        if hint is not None:
            self.processes[hint].handle(event.id)

    @rule(process=PROCESSES, job=JOBS, which=st.integers(0, 9))
    def something_is_done(self, process: int, job: str, which: int) -> None:
        self._do(process, job, which)

    @rule(process=PROCESSES, job=JOBS, which=st.integers(0, 9), moment=MOMENTS)
    def a_process_dies(self, process: int, job: str, which: int, moment: int) -> None:
        """And is started again: what it held in memory is gone."""
        moments = self.processes[process].moments
        moments.at(moment, die)
        with contextlib.suppress(Died):
            self._do(process, job, which)
        moments.at(0, None)
        self.promises.a_process_died()

    @rule(process=PROCESSES, job=JOBS, which=st.integers(0, 9), moment=MOMENTS, other=JOBS)
    def a_process_is_overtaken(self, process: int, job: str, which: int, moment: int, other: str) -> None:
        """In the middle of one job the other process does another."""
        moments = self.processes[process].moments
        moments.at(moment, lambda: self._do(1 - process, other, which + 1))
        self._do(process, job, which)
        moments.at(0, None)

    @rule(
        process=PROCESSES,
        job=st.sampled_from(["handle", "sync", "sync", "drive", "drive"]),
        moment=st.one_of(st.integers(0, 3), st.sampled_from(OUTCOMES)),
        kind=st.sampled_from(["refund", "dispute"]),
        other=st.sampled_from(["handle", "sync"]),
    )
    def news_come_in_the_middle(self, process: int, job: str, moment: int | str, kind: str, other: str) -> None:
        """Between two moments of a job, or while a call is under way; the other process hears of them first."""

        def overtake() -> None:
            if self._news(kind):
                self.an_event_arrives(-1, None)
                self._do(1 - process, other, -1)

        self._meanwhile(process, job, moment, overtake)

    @rule(process=PROCESSES, job=JOBS, outcome=st.sampled_from(OUTCOMES), dies=st.sampled_from([None, 1, 2, 3]))
    def a_process_sleeps_through_its_lease(self, process: int, job: str, outcome: str, dies: int | None) -> None:
        """The other one takes the step over, and may die with it."""

        def overtake() -> None:
            self.clock.advance(LEASE + 1)
            moments = self.processes[1 - process].moments
            moments.at(dies or 0, die if dies else None)
            try:
                self._do(1 - process, "drive", 0)
            except Died:
                self.promises.a_process_died()
            moments.at(0, None)

        self._meanwhile(process, job, outcome, overtake)

    def _meanwhile(self, process: int, job: str, moment: int | str, act: Callable[[], None]) -> None:
        """A job, and at this moment of it, or during its next call with this outcome, something else."""
        moments = self.processes[process].moments
        if isinstance(moment, int):
            moments.at(moment, act)
        else:
            self.functions.during(moment, act)
        self._do(process, job, -1)
        moments.at(0, None)
        self.functions.during("", None)

    def _news(self, kind: str) -> bool:
        """Whether it could happen now."""
        if kind == "refund" and self.purchase.money == "paid" and self._left():
            self.money_goes_back(part=False)
        elif kind == "dispute" and self.purchase.money == "paid" and self.purchase.dispute is None:
            self.the_bank_disputes()
        else:
            return False
        return True

    def _do(self, process: int, job: str, which: int) -> None:
        at_work = self.processes[process]
        if job == "sweep":
            at_work.sweep()
        elif job == "drive":
            at_work.driver.drive(self.purchase.order_id)
        elif job == "sync" and self.provider.error is None:
            at_work.intake.sync("stripe", self.purchase.session_id, "a look")
        elif job == "handle" and self.received:
            at_work.handle(self.received[which % len(self.received)])

    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=6))
    def functions_will_answer(self, outcomes: list[str]) -> None:
        self.functions.script.clear()
        self.functions.script.extend(outcomes)

    @rule(error=st.sampled_from([None, None, None, *ERRORS]))
    def stripe_will_answer(self, error: Any) -> None:
        self.provider.error = error

    @rule(seconds=st.sampled_from(WAITS))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # What the owner does

    @precondition(lambda self: self.promises.last is not None and self.provider.error is None)
    @rule(
        what=st.sampled_from(["retry", "retry all", "resend", "handled", "release"]),
        which=st.integers(0, 20),
    )
    def the_owner_helps(self, what: str, which: int) -> None:
        order = self.orders.require(self.purchase.order_id)
        named = {"step": order.steps[which % len(order.steps)].id} if order.steps else {}
        body = named if what in ("retry", "resend") else {}
        request = Request("POST", "/", json.dumps(body).encode(), {})
        with contextlib.suppress(Conflict, NotFound, BadRequest):
            getattr(self.owner, what.partition(" ")[0])(request, order.id)

    @precondition(lambda self: self.received)
    @rule(which=st.integers(0, 9))
    def the_owner_replays_an_event(self, which: int) -> None:
        self.owner.replay(Request("POST", "/", b"", {}), self.received[which % len(self.received)])

    @invariant()
    def every_promise_holds(self) -> None:
        self.promises.hold()

    # The end

    def teardown(self) -> None:
        if not hasattr(self, "purchase"):
            return
        try:
            self._heal_and_drain()
            self.promises.hold()
            self.promises.all_is_at_rest([self.inbox.require(event_id) for event_id in self.received])
        finally:
            forget(_store)

    def _heal_and_drain(self) -> None:
        self.provider.error = None
        self.functions.script.clear()
        while self.under_way:
            self.an_event_arrives(0, None)
        for event_id in self.received:
            if self.inbox.require(event_id).status is EventStatus.DEAD:
                self.the_owner_replays_an_event(self.received.index(event_id))
        self.processes[1].drain()


OneOrder.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestOneOrder = OneOrder.TestCase
