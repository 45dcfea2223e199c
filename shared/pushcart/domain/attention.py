"""What needs a human: raised once, told to the owner by one mail, ended by the owner or by itself."""

from __future__ import annotations

import re

from pushcart.clock import Instant
from pushcart.domain.order import Attention, Order, Phase, Step, StepState

TEMPLATE = "something-needs-you"

#: A payment that had come in is none any more, by what its provider says now.
PAYMENT_GONE = "payment_gone"


def require(order: Order, code: str, subject: str, text: str, now: Instant, *, again: bool = False) -> None:
    """Raises it unless it stands already. One that was ended is raised anew only with `again`."""
    earlier = [item for item in order.attention if item.code == code and item.subject == subject]
    if any(item.handled_at is None for item in earlier) or (earlier and not again):
        return
    order.attention.append(Attention(code=code, subject=subject, text=text, since=now))
    order.note(now, f"needs attention: {text}", code)
    name = re.sub(r"[^a-z0-9]+", "-", f"{code} {subject} {len(earlier) + 1}".lower()).strip("-")
    order.steps.append(
        Step(
            id=f"attention.{name}",
            name=TEMPLATE,
            kind="email",
            phase=Phase.ATTENTION,
            key=f"{order.id}.attention.{name}",
            config={"template": TEMPLATE, "to": "admins"},
            state=StepState.DUE,
            due_at=now,
            follow_up=True,
            subject=f"{code} {subject}",
        )
    )


def reword(order: Order, code: str, subject: str, text: str) -> None:
    """Says it in better words, where it still stands: the reason may come after the fact."""
    for item in order.open_attention():
        if item.code == code and item.subject == subject:
            item.text = text


def resolve(order: Order, code: str, subject: str | None, now: Instant) -> None:
    """Ends what is open under this code (and subject, unless None), because its cause is gone."""
    for item in order.open_attention():
        if item.code == code and subject in (None, item.subject):
            item.handled_at = now


def payment_gone(order: Order) -> bool:
    """Whether a human has still to say what becomes of an order whose payment is none any more."""
    return any(item.code == PAYMENT_GONE for item in order.open_attention())


def about(order: Order, step: Step) -> Attention | None:
    """What an attention step tells the owner about."""
    return next((item for item in reversed(order.attention) if f"{item.code} {item.subject}" == step.subject), None)
