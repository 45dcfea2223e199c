"""Runs the steps of an order that are due: lease, call the step's function, record the answer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pushcart import commands
from pushcart.clock import Clock, Instant, to_instant
from pushcart.crash import Point, point
from pushcart.domain import attention, steps
from pushcart.domain.catalogue import STEP_TYPES
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order, Step, StepState
from pushcart.domain.retry import next_attempt
from pushcart.errors import FunctionFailed, StoreUnavailable
from pushcart.gateway import Gateway
from pushcart.repositories import Inbox, Orders
from pushcart.services.metrics.watching import UNWATCHED, Watcher, Watchers, watched
from pushcart.stepcall import OrderView, Problem, StepAnswer, StepRequest

log = logging.getLogger(__name__)

#: Seconds between the attempts to store a result; about 15 s in all, well within a lease.
RECORD_WAITS = (0.2, 0.5, 1, 2, 4, 8)

#: What one command can put right, by what needs attention.
REMEDIES = {"dead_step": commands.retry_order, "wrong_amount": commands.release_order}


#: Called with the order, the answer's result, and the time.
Recorder = Callable[[Order, dict[str, Any], Instant], None]


class Driver:
    """Drives orders. `lease_seconds` has to be longer than the gateway client waits for a function.

    `recorders` note in the order what the answer to a step of their kind says about more than the step. `watcher` hears
    how each attempt ends.
    """

    def __init__(
        self,
        orders: Orders,
        inbox: Inbox,
        gateway: Gateway,
        clock: Clock,
        token: Callable[[], str],
        random_source: random.Random,
        lease_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        recorders: Mapping[str, Recorder] = {},
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._orders = orders
        self._inbox = inbox
        self._gateway = gateway
        self._clock = clock
        self._token = token
        self._random = random_source
        self._lease_seconds = lease_seconds
        self._sleep = sleep
        self._recorders = recorders
        self._watcher = Watchers(watcher)
        self._stopping = False

    def stop(self) -> None:
        """Lets every drive end after the step it is at."""
        self._stopping = True

    def drive(self, order_id: str) -> bool:
        """Runs what is due until nothing more is; True when it is time to look at the order's payment as well.

        `StoreUnavailable` ends it early.
        """
        while not self._stopping:
            order = self._orders.get(order_id)
            if order is None:
                return False
            now = to_instant(self._clock())
            leased = [step for step in order.steps if step.state is StepState.RUNNING]
            changed = steps.settle(order, now)
            lost = [step for step in leased if step.state is not StepState.RUNNING]
            step = steps.runnable(order, now)
            if step is None:
                if changed and not self._orders.save(order):
                    continue  # somebody else changed the order; look again
                self._lost(lost)
                return order.check_at is not None and order.check_at <= now
            token = self._token()
            steps.lease(order, step, token, now, self._lease_seconds)
            if not self._orders.save(order):
                continue
            self._lost(lost)
            point(Point.STEP_LEASED)
            self._run(order, step, token)
        return False

    def _run(self, order: Order, step: Step, token: str) -> None:
        # A mail that was sent must not be sent again only because the function died before it could say so.
        repeatable = step.kind != "email"
        failure: FunctionFailed
        began = time.perf_counter()
        try:
            answer = self._call(_function(step), _request(order, step), repeatable=repeatable)
            done = msgspec.convert(answer, StepAnswer)
        except FunctionFailed as error:
            failure = error
        except msgspec.ValidationError as error:
            failure = FunctionFailed(step.kind, f"an answer that is no step's result ({error})")
        except Exception as error:
            log.exception("step %s of order %s", step.id, order.id)
            failure = FunctionFailed(step.kind, f"a mistake in Pushcart ({type(error).__name__}); see the log")
        else:
            point(Point.STEP_ANSWERED)
            self._record(order.id, lambda fresh, now: self._succeeded(fresh, step, done, now))
            point(Point.STEP_RECORDED)
            self._watcher.step_ended(step.kind, "done", time.perf_counter() - began)
            return
        after = self._record(order.id, lambda fresh, now: self._failed(fresh, step.id, token, failure, now))
        state = steps.require(after, step.id).state
        outcome = "dead" if state is StepState.DEAD else "busy" if failure.busy else "failed"
        self._watcher.step_ended(step.kind, outcome, time.perf_counter() - began)
        level = logging.ERROR if state is StepState.DEAD else logging.WARNING
        # Not the reason: it may quote what a provider said about the buyer. It is in the order's timeline.
        log.log(level, "step %s is %s", step.id, state, extra={"order_id": order.id, "status": failure.status})

    def _call(self, function: str, request: StepRequest, *, repeatable: bool) -> Any:
        return watched(
            self._watcher, function, lambda: self._gateway.call(function, "/", request, repeatable=repeatable)
        )

    def _lost(self, lost: list[Step]) -> None:
        for step in lost:
            self._watcher.step_ended(step.kind, "dead" if step.state is StepState.DEAD else "lost", self._lease_seconds)

    def _succeeded(self, order: Order, step: Step, done: StepAnswer, now: Instant) -> None:
        steps.succeed(order, step.id, done.result, done.note, now)
        if recorder := self._recorders.get(step.kind):
            recorder(order, done.result, now)

    def _failed(self, order: Order, step_id: str, token: str, error: FunctionFailed, now: str) -> None:
        steps.fail(
            order,
            step_id,
            token,
            error.message,
            now,
            self._random,
            permanent=error.permanent,
            busy=error.busy,
            retry_after=error.retry_after,
        )

    def _record(self, order_id: str, change: Callable[[Order, str], None]) -> Order:
        """Stores what a step gave, through a short outage of the store too: without it the step would run again."""
        for wait in (*RECORD_WAITS, None):
            try:
                return self._orders.change(order_id, lambda order: change(order, to_instant(self._clock())))
            except StoreUnavailable:
                if wait is None:
                    raise
                self._sleep(wait)
        raise AssertionError("the loop above returns or raises")

    def tell_of_event(self, event: InboxEvent) -> None:
        """Mails the owner about an event that cannot be applied; it belongs to no order that could do it."""
        now = to_instant(self._clock())
        dead = event.status is EventStatus.DEAD
        problem = Problem(
            code="dead_event" if dead else "event_refused",
            text=f"The event {event.type} ({event.event_id}) could not be applied"
            + (f": {event.error}" if dead else f" yet and is tried again for two days: {event.error}"),
            since=event.received_at,
            command=commands.show_event(event.id),
            remedy=commands.replay_event(event.id),
        )
        notices = event.notices + 1
        key = f"{event.id}.notice-{notices}"
        config: dict[str, Any] = {"template": attention.TEMPLATE, "to": "admins"}
        request = StepRequest(key=key, step=attention.TEMPLATE, kind="email", config=config, problem=problem)
        told = True
        try:
            self._call("email-dispatch", request, repeatable=False)
        except FunctionFailed as error:
            told = False
            log.error("the owner could not be told of event %s: %s", event.id, error.message)
        again = None if told else next_attempt(notices, now, self._random)

        def note(fresh: InboxEvent) -> None:
            fresh.notices, fresh.told_owner = notices, told
            if fresh.status is EventStatus.DEAD:
                fresh.due_at = again

        self._inbox.change(event.id, note)


def _function(step: Step) -> str:
    spec = STEP_TYPES.get(step.kind)
    if spec is None:
        raise FunctionFailed("none", f"no function carries out steps of the kind {step.kind}", permanent=True)
    return spec.function


def _request(order: Order, step: Step) -> StepRequest:
    assert order.payment is not None, "steps are planned from a payment"
    lines = [line for line in order.lines if not step.lines or line.id in step.lines]
    view = OrderView(
        id=order.id,
        created_at=order.created_at,
        paid_at=order.paid_at,
        payment_status=str(order.payment_status),
        payment=order.payment,
        buyer=order.buyer,
        shipping=order.shipping,
        lines=order.lines,
    )
    item = attention.about(order, step)
    problem = None
    if item is not None:
        problem = Problem(
            code=item.code,
            text=item.text,
            since=item.since,
            command=commands.show_order(order.id),
            remedy=REMEDIES[item.code](order.id) if item.code in REMEDIES else None,
        )
    return StepRequest(
        key=step.key,
        step=step.id,
        kind=step.kind,
        config=step.config,
        attempt=step.attempts,
        order=view,
        lines=lines,
        results=_results(order, step),
        refund=step.refund,
        parcel=next((one for one in order.parcels if one.key == step.subject), None),
        problem=problem,
    )


def _results(order: Order, step: Step) -> dict[str, dict[str, Any]]:
    """What finished steps of the same product, or of the whole order, gave; by name."""
    return {
        other.name: other.result
        for other in order.steps
        if other.state is StepState.DONE and other.result and other.sku in (None, step.sku)
    }
