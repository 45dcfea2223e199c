"""A small catalogue and the facts of a purchase, for tests that need no function and no provider."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from pushcart import shopfile
from pushcart.domain import payment, steps
from pushcart.domain.order import Buyer, Line, Order
from pushcart.domain.payment import PaymentFacts

NOW = "2026-11-21T08:00:00.000Z"
LATER = "2026-11-21T08:01:00.000Z"
DAY = 86_400

SHOP = """
shop:
  name: Test Shop
  url: https://shop.example
  currency: EUR
  support: help@shop.example
  sender: shop@shop.example
  admins: [owner@shop.example]
platforms:
  discourse: {url: https://forum.example}
mailing_list:
  kit: {}
every_order:
  fulfilment:
    - {step: email, template: receipt}
  on_refund:
    - {step: email, template: refund}
products:
  - sku: course
    name: Course
    price: 49.00
    stripe: {price: price_course, payment_link: plink_course}
    fulfilment:
      - {step: invite, platform: discourse}
      - {step: purchase}
      - {step: email, template: access, needs: [invite]}
      - {step: email, template: later, needs: [invite], delay: 3 days}
    on_refund:
      steps:
        - {step: email, template: sorry, to: admins}
  - sku: book
    name: Book
    price: 20.00
    stripe: {price: price_book}
    fulfilment:
      - {step: purchase}
    on_refund: {cancel: false}
"""


def catalogue(text: str = SHOP):
    return shopfile.parse(text)


def line(number: int = 1, price: str = "price_course", amount: int = 4900, quantity: int = 1) -> Line:
    total = amount * quantity
    return Line(
        id=f"li_{number}",
        name="Course",
        quantity=quantity,
        unit_amount=amount,
        amount_subtotal=total,
        amount_total=total,
        price_id=price,
    )


def facts(**changes: Any) -> PaymentFacts:
    """A paid purchase of the course, with what the test wants to be different."""
    lines = changes.pop("lines", None) or [line()]
    total = sum(one.amount_total for one in lines)
    values = {
        "provider": "stripe",
        "session_id": "cs_1",
        "created_at": NOW,
        "money": "paid",
        "currency": "EUR",
        "amount_subtotal": total,
        "amount_total": total,
        "amount_received": total,
        "payment_intent": "pi_1",
        "charge_id": "ch_1",
        "paid_at": NOW,
        "buyer": Buyer(email="Ann@Example.com", name="Ann"),
        "lines": lines,
    }
    return msgspec.structs.replace(PaymentFacts(**values), **changes)


def new_order() -> Order:
    return Order(id="o-1", created_at=NOW, updated_at=NOW)


def bought(now: str = NOW, text: str = SHOP, **changes: Any) -> Order:
    """An order after its payment was read once."""
    order = new_order()
    payment.update(order, facts(**changes), catalogue(text), now, "checkout.session.completed")
    return order


def read_again(order: Order, text: str = SHOP, **changes: Any) -> Order:
    """The same order after its payment was read once more, at `LATER`."""
    payment.update(order, facts(**changes), catalogue(text), LATER, "again")
    return order


def states(order: Order) -> dict[str, str]:
    return {step.id: str(step.state) for step in order.steps}


def run_all(order: Order, now: str = NOW, *, failing: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """Runs every step that is due; those in `failing` fail with these arguments. Returns their ids in order."""
    ran = []
    while (step := steps.runnable(order, now)) is not None:
        steps.lease(order, step, "token", now, 60)
        ran.append(step.id)
        if failing and step.id in failing:
            steps.fail(order, step.id, "token", "no", now, random.Random(0), **failing[step.id])
        else:
            steps.succeed(order, step.id, {"link": "https://x.example"}, "", now)
    return ran
