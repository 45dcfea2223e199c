"""The steps of an order: what may run now, the lease, the result, the retry, the dead letter.

Every function here changes the order in memory; the caller saves it under its version, so of two processes
that want the same step only one gets it. `settle` comes last before every save.
"""

from __future__ import annotations

import random
from typing import Any

from pushcart.clock import Instant, later
from pushcart.domain import attention
from pushcart.domain.order import (
    DELIVERED_FOR,
    OPEN_STATES,
    FulfilmentStatus,
    Order,
    PaymentStatus,
    Phase,
    Step,
    StepState,
)
from pushcart.domain.parcels import CANCELLED, DRAFT, FAILED
from pushcart.domain.retry import ATTEMPTS, MAX_DEFERRALS, next_attempt, put_off
from pushcart.errors import Conflict, NotFound

#: Fulfilment statuses that the timeline announces.
ENDS = frozenset({FulfilmentStatus.FULFILLED, FulfilmentStatus.CANCELLED})


def paused(order: Order, step: Step) -> bool:
    """A sale in dispute, or whose payment is gone, stands still: what it still owes is neither delivered nor given up,
    unless the owner asks."""
    if step.phase is not Phase.SALE or step.asked:
        return False
    return order.payment_status is PaymentStatus.DISPUTED or attention.payment_gone(order)


def wakes_at(order: Order, step: Step) -> Instant | None:
    """When the step next wants a look, or None: finished, paused, or waiting for another step."""
    if step.state is StepState.RUNNING:
        return step.lease_until
    if step.by_owner and step.state is not StepState.WAITING:
        return None
    if paused(order, step):
        return None
    if step.state in (StepState.DUE, StepState.FAILED) or (
        step.state is StepState.WAITING and _needs_done(order, step)
    ):
        return step.due_at
    return None


def runnable(order: Order, now: Instant) -> Step | None:
    """The next step to run now, in the order they were planned. The order has to be settled before."""
    return next((step for step in order.steps if (at := wakes_at(order, step)) is not None and at <= now), None)


def lease(order: Order, step: Step, token: str, now: Instant, seconds: float) -> None:
    """Marks the step as run by the holder of `token` until `seconds` from now."""
    step.state = StepState.RUNNING
    step.attempts += 1
    step.lease = token
    step.lease_until = later(now, seconds)
    step.started_at = now
    settle(order, now)


def succeed(order: Order, step_id: str, result: dict[str, Any], note: str, now: Instant) -> None:
    """Records the step's result. A result that arrives after its lease ran out is still a result."""
    step = require(order, step_id)
    if step.state is StepState.DONE:
        return
    _finish(step, StepState.DONE, now)
    step.result = result
    step.error = None
    attention.resolve(order, "dead_step", step.id, now)
    order.note(now, note or f"{step.id} done", step.id)
    settle(order, now)


def fail(
    order: Order,
    step_id: str,
    token: str,
    reason: str,
    now: Instant,
    random_source: random.Random,
    *,
    permanent: bool = False,
    busy: bool = False,
    retry_after: float | None = None,
) -> None:
    """Records a failed attempt: tried again by the schedule, or dead when `permanent` or after the last attempt.

    `busy` (a rate limit) puts the step off without counting an attempt. An answer whose lease was taken over
    by another attempt changes nothing.
    """
    step = require(order, step_id)
    if step.state is not StepState.RUNNING or step.lease != token:
        return
    step.error = reason
    step.lease = step.lease_until = None
    if busy and step.deferrals < MAX_DEFERRALS:
        step.deferrals += 1
        step.attempts -= 1
        again: Instant | None = put_off(now, retry_after)
    else:
        # A mail that tells the owner of trouble outlives a key that is being mended.
        give_in = permanent and step.phase is not Phase.ATTENTION
        again = None if give_in else next_attempt(step.attempts, now, random_source, retry_after)
    if step.given_up:
        _cancel(order, step, now, "nothing more is owed")
    elif again is None:
        _die(order, step, reason, now)
    else:
        step.state = StepState.FAILED
        step.due_at = again
        verb = "put off" if busy else "failed"
        order.note(now, f"{step.id} {verb}, next try {again}: {reason}", step.id)
    settle(order, now)


def give_up(
    order: Order, now: Instant, why: str, skus: set[str | None] | None = None, phase: Phase = Phase.SALE
) -> None:
    """Cancels what the sale still owes (only for `skus`, if given); a step that is running may still finish."""
    for step in order.steps:
        if step.phase is not phase or (skus is not None and step.sku not in skus):
            continue
        if step.state is StepState.RUNNING:
            step.given_up = True
        elif step.state in OPEN_STATES or step.state is StepState.DEAD:
            _cancel(order, step, now, why)


def retry(order: Order, step_id: str, now: Instant) -> None:
    """The owner's retry of a dead step, or at once of a failed one; `Conflict` in any other state.

    A cancelled step can be retried as well while the sale is paid for, as after a refund that failed.
    """
    step = require(order, step_id)
    owed = step.state is StepState.CANCELLED and order.payment_status in DELIVERED_FOR
    if step.state not in (StepState.DEAD, StepState.FAILED) and not owed:
        raise Conflict(f"{step_id} is {step.state}; only a dead or failed step can be retried.")
    step.state = StepState.DUE
    step.due_at = now
    step.asked, step.given_up = True, False
    step.attempts = step.deferrals = 0
    attention.resolve(order, "dead_step", step.id, now)
    order.note(now, f"{step.id} will be tried again", "owner")
    settle(order, now)


def again(order: Order, step_id: str, why: str, now: Instant) -> None:
    """What was done has come undone at its provider: the step runs once more."""
    step = require(order, step_id)
    if step.state not in (StepState.DONE, StepState.CANCELLED):
        return
    step.state, step.due_at, step.done_at = StepState.DUE, now, None
    step.attempts = step.deferrals = 0
    order.note(now, why, step.id)


def undone(order: Order, step_id: str, reason: str, now: Instant, *, handled: bool = False) -> None:
    """What was done has failed at its provider after all: the step is dead, and the owner has to look."""
    step = require(order, step_id)
    if step.state is not StepState.DONE and not (handled and step.state is StepState.CANCELLED):
        return
    step.error = reason
    _die(order, step, reason, now, f"{step.id} has come undone: {reason}")


def reword(order: Order, step_id: str, reason: str) -> None:
    """A dead step's reason in better words, when its provider gives them after the fact."""
    step = require(order, step_id)
    if step.state is StepState.DEAD:
        step.error = reason
        attention.reword(order, "dead_step", step.id, _undoable(step, reason))


def resend(order: Order, step_id: str, now: Instant) -> str:
    """Plans a mail once more under an idempotency key of its own; returns the new step's id."""
    step = require(order, step_id)
    if step.kind != "email":
        raise Conflict(f"{step_id} is no mail; only mails can be sent again.")
    if step.state not in (StepState.DONE, StepState.CANCELLED):
        raise Conflict(f"{step_id} is {step.state}; it will still be sent. Retry it if it is dead.")
    number = 1 + sum(1 for other in order.steps if other.id.startswith(f"{step.id}.again-"))
    again = Step(
        id=f"{step.id}.again-{number}",
        name=f"{step.name}.again-{number}",
        kind=step.kind,
        phase=step.phase,
        key=f"{step.key}.again-{number}",
        config=step.config,
        sku=step.sku,
        lines=step.lines,
        state=StepState.DUE,
        due_at=now,
        follow_up=True,
        asked=True,
        refund=step.refund,
        subject=step.subject,
    )
    order.steps.append(again)
    order.note(now, f"{step.id} will be sent again", "owner")
    settle(order, now)
    return again.id


def handled(order: Order, now: Instant, note: str) -> None:
    """The owner has dealt with everything that needed a human: dead steps and what waits for them are let go."""
    waiting = order.open_attention()
    if not waiting:
        raise Conflict(f"Nothing in order {order.id} needs attention.")
    for item in waiting:
        item.handled_at = now
    for step in order.steps:
        if step.state is StepState.DEAD:
            _cancel(order, step, now, "handled by the owner")
    for made in order.prints:
        made.let_go = made.let_go or made.status in (FAILED, DRAFT)
    order.note(now, "marked as handled" + (f": {note}" if note else ""), "owner")
    settle(order, now)


def settle(order: Order, now: Instant) -> bool:
    """Derives what follows from the steps: who is due, who waits in vain, the order's own status and next look.

    True when that changed anything, so that the order is worth saving.
    """
    before = [step.state for step in order.steps], order.due_at, order.fulfilment_status
    for step in order.steps:
        if step.state is StepState.RUNNING and step.lease_until is not None and step.lease_until <= now:
            _reclaim(order, step, now)
        if step.state is StepState.WAITING:
            needs = [order.step(needed) for needed in step.needs]
            if any(need is not None and need.state is StepState.CANCELLED for need in needs):
                _cancel(order, step, now, "it needs a step that will not run")
            elif _needs_done(order, step) and step.due_at <= now:
                step.state = StepState.DUE
    looks = [wakes_at(order, step) for step in order.steps] + [order.check_at]
    order.due_at = min((at for at in looks if at), default=None)
    order.fulfilment_status = fulfilment_status(order)
    if order.fulfilment_status is not before[2] and order.fulfilment_status in ENDS:
        order.note(now, str(order.fulfilment_status), "order")
    changed = before != ([step.state for step in order.steps], order.due_at, order.fulfilment_status)
    if changed:
        order.updated_at = now
    return changed


def _reclaim(order: Order, step: Step, now: Instant) -> None:
    """Takes a step back whose process died, or never answered, before its lease ran out."""
    if step.given_up:
        _cancel(order, step, now, "nothing more is owed")
    elif step.attempts >= ATTEMPTS:
        _die(order, step, "its function never answered", now)
    else:
        order.note(now, f"{step.id}: attempt {step.attempts} was lost on the way; trying again", "lease ran out")
        step.state, step.due_at = StepState.DUE, now
        step.lease = step.lease_until = None


def fulfilment_status(order: Order) -> FulfilmentStatus:
    """Where the goods are. Mails that are sent days later do not hold up the fulfilment."""
    if order.open_attention():
        return FulfilmentStatus.NEEDS_ATTENTION
    sale = [step for step in order.steps if step.phase is Phase.SALE and not step.follow_up]
    if any(step.state in OPEN_STATES for step in sale):
        return FulfilmentStatus.IN_PROGRESS
    if order.payment_status in DELIVERED_FOR and any(made.open for made in order.prints):
        return FulfilmentStatus.IN_PROGRESS
    if sale and all(step.state is StepState.DONE for step in sale) and not _nothing_sent(order):
        return FulfilmentStatus.FULFILLED
    if order.payment_status in (PaymentStatus.REFUNDED, PaymentStatus.DISPUTED):
        return FulfilmentStatus.CANCELLED
    if sale or order.planned:
        return FulfilmentStatus.FULFILLED
    # The owner settled by hand what could not be sold by the book: nothing was delivered by us.
    return FulfilmentStatus.CANCELLED if order.attention else FulfilmentStatus.NONE


def _nothing_sent(order: Order) -> bool:
    """Whether the money went back before anything was made of what was to be printed."""
    gone = order.payment_status in (PaymentStatus.REFUNDED, PaymentStatus.DISPUTED)
    cancelled = bool(order.prints) and all(made.status == CANCELLED for made in order.prints)
    return gone and cancelled and not order.parcels


def require(order: Order, step_id: str) -> Step:
    """The step with this id; `NotFound` when the order has none."""
    step = order.step(step_id)
    if step is None:
        raise NotFound(f"Order {order.id} has no step {step_id}.")
    return step


def _needs_done(order: Order, step: Step) -> bool:
    return all((needed := order.step(name)) is not None and needed.state is StepState.DONE for name in step.needs)


def _finish(step: Step, state: StepState, now: Instant) -> None:
    step.state = state
    step.done_at = now
    step.lease = step.lease_until = None


def _cancel(order: Order, step: Step, now: Instant, why: str) -> None:
    _finish(step, StepState.CANCELLED, now)
    attention.resolve(order, "dead_step", step.id, now)
    order.note(now, f"{step.id} cancelled: {why}", "order")


def _die(order: Order, step: Step, reason: str, now: Instant, note: str = "") -> None:
    _finish(step, StepState.DEAD, now)
    order.note(now, note or f"{step.id} gave up at attempt {step.attempts}: {reason}", step.id)
    # A mail about a mail that cannot be sent would never end; a cart that was left is no trouble of the owner's.
    if step.phase not in (Phase.ATTENTION, Phase.REMINDER):
        attention.require(order, "dead_step", step.id, _undoable(step, reason), now, again=True)


def _undoable(step: Step, reason: str) -> str:
    return f"The step {step.id} could not be done: {reason}"
