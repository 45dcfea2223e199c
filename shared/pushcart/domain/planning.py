"""From the catalogue to the steps of an order: each line and each refund is planned once."""

from __future__ import annotations

from collections.abc import Sequence

from pushcart.clock import Instant, later
from pushcart.domain import steps
from pushcart.domain.catalogue import Catalogue, EmailStep, StepSpec, delay_seconds
from pushcart.domain.order import Order, Phase, Step, StepState


def plan_sale(order: Order, catalogue: Catalogue, now: Instant) -> None:
    """Plans what the shop owes for every line that has a product and was not planned before.

    The steps of the order as a whole follow the first line that is planned, so that a sale the shop cannot
    make sense of sends no receipt.
    """
    paid_at = order.paid_at or now
    fresh = [line for line in order.lines if line.sku is not None and not line.planned]
    for sku in dict.fromkeys(line.sku for line in fresh):
        product = catalogue.product(sku)
        assert product is not None, "a line's sku comes from this catalogue"
        lines = [line for line in fresh if line.sku == sku]
        _add(order, product.fulfilment, Phase.SALE, f"{sku}.", paid_at, sku=sku, lines=[line.id for line in lines])
        for line in lines:
            line.planned = True
    if fresh and not order.planned:
        order.planned = True
        _add(order, catalogue.every_order.fulfilment, Phase.SALE, "", paid_at)


def plan_refund(order: Order, catalogue: Catalogue, amount: int, now: Instant) -> None:
    """Plans the order's own steps for one more refund, of `amount` in minor units."""
    earlier = {step.id.partition(".")[0] for step in order.steps if step.refund is not None}
    prefix = f"refund-{len(earlier) + 1}."
    _add(order, catalogue.every_order.on_refund, Phase.REFUND, prefix, now, refund=amount)


def plan_return(order: Order, catalogue: Catalogue, sku: str, now: Instant) -> None:
    """Plans what the product's `on_refund` asks for when the whole order was refunded."""
    product = catalogue.product(sku)
    if product is not None:
        lines = [line.id for line in order.lines if line.sku == sku]
        _add(order, product.on_refund.steps, Phase.REFUND, f"{sku}.refund.", now, sku=sku, lines=lines)


def plan_reminder(order: Order, template: str, now: Instant) -> None:
    """Plans the one mail about a cart that was left, once."""
    _add(order, [EmailStep(template=template)], Phase.REMINDER, "reminder.", now)


def drop_reminder(order: Order, now: Instant) -> None:
    """Somebody who has paid after all is not reminded."""
    steps.give_up(order, now, "it was paid after all", phase=Phase.REMINDER)


def _add(
    order: Order,
    specs: Sequence[StepSpec],
    phase: Phase,
    prefix: str,
    start: Instant,
    *,
    sku: str | None = None,
    lines: list[str] | None = None,
    refund: int | None = None,
) -> None:
    known = {step.id for step in order.steps}
    for spec in specs:
        step_id = prefix + spec.name
        if step_id in known:
            continue
        wait = delay_seconds(spec.delay) if spec.delay else 0
        order.steps.append(
            Step(
                id=step_id,
                name=spec.name,
                kind=spec.kind,
                phase=phase,
                key=f"{order.id}.{step_id}",
                config=spec.settings(),
                sku=sku,
                lines=lines or [],
                needs=[prefix + name for name in spec.needs],
                state=StepState.WAITING,
                due_at=later(start, wait),
                follow_up=wait > 0,
                refund=refund,
            )
        )
