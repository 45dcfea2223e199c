"""order-store without its HTTP: the real services on a real store, between a provider and functions that behave.

A `Purchase` is what the payment provider knows, and it moves on whether anybody looks or not. `Functions` are the
step functions with what lies behind them: an effect is kept under its idempotency key, a mail is sent each time.
A `Process` is one order-store; any number of them may share a store, and a test may let one die or be overtaken at
each moment at which that can happen: before and after every write, every read of the provider and every effect.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pushcart.clock import Instant, to_instant
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Buyer, Dispute, Line
from pushcart.domain.payment import PaymentFacts
from pushcart.errors import FunctionFailed, PushcartError
from pushcart.gateway import Gateway
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services.driver import Driver
from pushcart.services.intake import Intake, Payments
from pushcart.services.stock import Stock
from pushcart.stepcall import StepRequest
from pushcart.store import Document, Store
from support.shop import catalogue, facts, line

#: Seconds a step is leased for, as on a server.
LEASE = 150

#: What is sold, read once.
SHOP = catalogue()

#: Later than anything the tests do.
NEVER = "9999-01-01T00:00:00.000Z"


class Died(BaseException):
    """The process was killed; no `except Exception` of ours may notice."""


def die() -> None:
    raise Died


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def instant(self) -> Instant:
        return to_instant(self.now)


class Moments:
    """Counts the moments at which a process can die or be overtaken; `at` says what happens at one of them, once."""

    def __init__(self) -> None:
        self._left = 0
        self._act: Callable[[], None] | None = None

    def at(self, number: int, act: Callable[[], None] | None) -> None:
        """`act` happens at the moment `number`, counted from 0; None takes the plan back."""
        self._left, self._act = number, act

    def __call__(self) -> None:
        if self._act is None:
            return
        if self._left:
            self._left -= 1
            return
        act, self._act = self._act, None
        act()


class Purchase:
    """One payment as its provider knows it. `money` and the amounts are the truth; `facts` reads it."""

    def __init__(self, number: int, lines: Callable[[], list[Line]] = lambda: [line()]) -> None:
        self.session_id, self.intent, self.charge = f"cs_{number}", f"pi_{number}", f"ch_{number}"
        self.order_id = f"o-{self.session_id}"
        self._lines = lines
        self.money: Any = "unpaid"
        self.refunds: list[int] = []
        self.dispute: Dispute | None = None
        self.total = sum(one.amount_total for one in lines())

    @property
    def received(self) -> bool:
        return self.money in ("paid", "no_payment_required")

    def disputed(self, status: str) -> None:
        """A new dispute, or the one there is with a new status."""
        self.dispute = Dispute(id=f"dp_{self.charge}", status=status, reason="fraudulent", amount=self.total)

    def facts(self) -> PaymentFacts:
        paid = self.money == "paid"
        return facts(
            session_id=self.session_id,
            lines=self._lines(),
            money=self.money,
            payment_intent=self.intent,
            charge_id=self.charge if paid else None,
            amount_received=self.total if paid else None,
            paid_at=facts().paid_at if paid else None,
            amount_refunded=sum(self.refunds),
            dispute=msgspec.structs.replace(self.dispute) if self.dispute else None,
            buyer=Buyer(email="Ann@Example.com", name="Ann"),
        )

    def event(self, type: str, number: int, now: Instant) -> InboxEvent:
        """An event about this purchase as the webhook puts it into the inbox."""
        session = type.startswith("checkout.session.")
        return InboxEvent(
            id=f"stripe:evt_{self.session_id}_{number}",
            source="stripe",
            event_id=f"evt_{self.session_id}_{number}",
            type=type,
            object_type="checkout.session" if session else type.split(".")[0],
            object_id=self.session_id if session else f"x_{number}",
            payment_intent=self.intent,
            received_at=now,
            due_at=now,
            body="{}",
        )


class Provider:
    """The payment provider of `pushcart.services.intake.Payments`; `error` is what it answers instead, while set."""

    def __init__(self, purchases: Sequence[Purchase] = ()) -> None:
        self.purchases = {one.session_id: one for one in purchases}
        self.error: PushcartError | None = None
        self.reads = 0

    def order_id(self, session_id: str) -> str:
        return f"o-{session_id}"

    def payment(self, session_id: str, order: Any = None, event: Any = None) -> PaymentFacts | None:
        self._answer()
        return self.purchases[session_id].facts()

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        self._answer()
        return next((one.session_id for one in self.purchases.values() if one.intent == payment_intent), None)

    def _answer(self) -> None:
        self.reads += 1
        if self.error is not None:
            raise self.error


class Journal:
    """A store that notes (writer, document) of every write to one collection in a list that others may share."""

    def __init__(self, store: Store, collection: str, writer: str, written: list[tuple[str, Document]]) -> None:
        self._store, self._collection = store, collection
        self._writer, self._written = writer, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def insert(self, collection: str, document: Document) -> bool:
        return self._keep(collection, document, self._store.insert(collection, document))

    def replace(self, collection: str, document: Document, version: int) -> bool:
        return self._keep(collection, document, self._store.replace(collection, document, version))

    def _keep(self, collection: str, document: Document, written: bool) -> bool:
        if written and collection == self._collection:
            self._written.append((self._writer, document))
        return written


class _Watched:
    """A part of a process whose calls are moments of it."""

    def __init__(self, part: Any, moment: Callable[[], None], names: frozenset[str]) -> None:
        self._part, self._moment, self._names = part, moment, names

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        return self._around(method) if name in self._names else method

    def _around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            self._moment()
            answer = method(*args, **named)
            self._moment()
            return answer

        return run


WRITES = frozenset({"insert", "replace", "increment", "delete"})
READS = frozenset({"payment", "session_of"})


class Functions:
    """Every step function and what lies behind it.

    `script` has the outcome of each next call, then all is well: `retry`, `permanent`, `busy`, `lost` (done, but the
    answer did not arrive) or `garbage` (done, and the answer is none). `effects` counts what was done by idempotency
    key: once at a provider that knows keys, each time for a mail. `watch` sees every request before it is done.
    """

    def __init__(self, watch: Callable[[StepRequest], None] = lambda request: None) -> None:
        self.script: deque[str] = deque()
        self.asked: list[StepRequest] = []
        self.effects: Counter[str] = Counter()
        self.broken: list[AssertionError] = []
        self._watch = watch
        self._during: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def call(self, request: StepRequest, moment: Callable[[], None]) -> Any:
        self.asked.append(request)
        try:
            self._watch(request)
        except AssertionError as error:
            self.broken.append(error)
        outcome = self.script.popleft() if self.script else "done"
        self._overtaken()
        failed = {
            "retry": FunctionFailed(request.kind, "it is down", status=503),
            "permanent": FunctionFailed(request.kind, "it refused", status=422, permanent=True),
            "busy": FunctionFailed(request.kind, "its rate limit", status=429, busy=True, retry_after=30),
        }.get(outcome)
        if failed is not None:
            raise failed
        moment()
        self._do(request)
        moment()
        if outcome == "lost":
            raise FunctionFailed(request.kind, "no answer through the gateway", status=None)
        if outcome == "garbage":
            return ["no", "step's", "result"]
        return {"result": {"link": f"https://x.example/{request.key}"}, "note": ""}

    def during(self, outcome: str, act: Callable[[], None] | None) -> None:
        """`act` happens while the next call is under way, which then has this outcome; None takes the plan back."""
        self._during = act
        if act is not None:
            self.script.appendleft(outcome)

    def _overtaken(self) -> None:
        act, self._during = self._during, None
        if act is not None:
            act()

    def all_kept(self) -> None:
        """Raises the first assertion of `watch` that did not hold."""
        if self.broken:
            raise self.broken[0]

    def _do(self, request: StepRequest) -> None:
        with self._lock:
            if request.kind == "email" or not self.effects[request.key]:
                self.effects[request.key] += 1


class _Calls(Gateway):
    """The gateway of one process: its calls reach the functions without HTTP."""

    def __init__(self, functions: Functions, moment: Callable[[], None]) -> None:
        self._functions, self._moment = functions, moment

    def call(
        self,
        function: str,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        query: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        # As over the wire: what the function gets is a copy, and what it may not be given fails here.
        request = msgspec.json.decode(msgspec.json.encode(body), type=StepRequest)
        return self._functions.call(request, self._moment)


class Process:
    """One order-store on `store`. Its jobs run when they are called, as `services.work.Work` runs them on its pool.

    `orders` and `order_id` are the guards that a control takes away.
    """

    def __init__(
        self,
        store: Store,
        provider: Payments,
        functions: Functions,
        clock: Clock,
        name: str = "a",
        orders: type[Orders] = Orders,
        order_id: Callable[[str], str] | None = None,
    ) -> None:
        self.name, self.clock = name, clock
        self.moments = Moments()
        watched: Any = _Watched(store, self.moments, WRITES)
        self.orders, self.inbox = orders(watched), Inbox(watched)
        self._tokens = 0
        source = random.Random(name)
        payments: Any = _Watched(provider, self.moments, READS)
        payments.order_id = order_id or provider.order_id
        stock = Stock(watched, lambda: SHOP, clock)
        parts = (self.orders, self.inbox, Counters(watched, clock), {"stripe": payments}, stock, lambda: SHOP)
        self.intake = Intake(*parts, clock, source)
        calls = _Calls(functions, self.moments)
        self.driver = Driver(self.orders, self.inbox, calls, clock, self._token, source, LEASE, lambda seconds: None)

    def handle(self, event_id: str) -> None:
        """Applies the event, drives its order, tells the owner: what a kick does."""
        order_id = self.intake.apply(event_id)
        if order_id is not None:
            self.drive(order_id)
            return
        event = self.inbox.get(event_id)
        if event is not None and event.wants_telling:
            self.driver.tell_of_event(event)

    def drive(self, order_id: str) -> None:
        """Runs the order's steps, and looks at its payment when it is time to."""
        if self.driver.drive(order_id) and self.intake.check(order_id):
            self.drive(order_id)

    def sweep(self) -> int:
        """Everything that is due, once; how much that was."""
        now = self.clock.instant()
        events, orders = self.inbox.due(now, 1000), self.orders.due(now, 1000)
        for _, event_id in events:
            self.handle(event_id)
        for _, order_id in orders:
            self.drive(order_id)
        return len(events) + len(orders)

    def drain(self, most: int = 200) -> int:
        """Sweeps and lets time pass until nothing will ever be due; the number of sweeps. Fails on an endless loop."""
        for sweeps in range(most):
            self.sweep()
            due = [*self.inbox.due(NEVER, 1), *self.orders.due(NEVER, 1)]
            if not due:
                return sweeps
            self.clock.now = max(self.clock.now, datetime.fromisoformat(min(at for at, _ in due)))
        raise AssertionError(f"after {most} sweeps there is still something due: {due}")

    def _token(self) -> str:
        self._tokens += 1
        return f"{self.name}-{self._tokens}"


class Quiet:
    """The pool of an owner's API whose hints are all lost: the next sweep does the work."""

    def order(self, order_id: str) -> None:
        """Dropped."""

    def event(self, event_id: str) -> None:
        """Dropped."""


def forget(store: Store, *collections: str) -> None:
    """Empties these collections, so that a next example begins with nothing on the same database."""
    for collection in collections or ("orders", "inbox"):
        order_by = "created_at" if collection == "orders" else "received_at"
        documents: list[Document] = store.find(collection, order_by=order_by, limit=1000)
        for document in documents:
            store.delete(collection, document["id"])
