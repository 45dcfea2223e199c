"""From the catalogue to the steps of an order: each line and each refund is planned once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pushcart.clock import Instant, later
from pushcart.domain import steps
from pushcart.domain.catalogue import Catalogue, EmailStep, PackStep, PrintStep, StepSpec, choice, delay_seconds
from pushcart.domain.order import Line, Order, Phase, Step, StepState
from pushcart.domain.parcels import Parcel

#: What the step is called that sends all that is printed of an order to Printful.
PRINT = "print"


def plan_sale(order: Order, catalogue: Catalogue, now: Instant) -> None:
    """Plans what the shop owes for every line that has a product and was not planned before.

    The steps of the order as a whole follow the first line that is planned, so that a sale the shop cannot
    make sense of sends no receipt.
    """
    paid_at = order.paid_at or now
    fresh = [line for line in order.lines if line.sku is not None and not line.planned]
    printed: list[tuple[Line, PrintStep]] = []
    print_id = _print_id(order)
    for sku in dict.fromkeys(line.sku for line in fresh):
        product = catalogue.product(sku)
        assert product is not None, "a line's sku comes from this catalogue"
        lines = [line for line in fresh if line.sku == sku]
        prints = [spec for spec in product.fulfilment if isinstance(spec, PrintStep)]
        printed += [(line, spec) for spec in prints for line in lines]
        others = [spec for spec in product.fulfilment if not isinstance(spec, PrintStep)]
        joined = {spec.name: print_id for spec in prints}
        ids = [line.id for line in lines]
        _add(order, others, Phase.SALE, f"{sku}.", paid_at, sku=sku, lines=ids, joined=joined)
        for line in lines:
            line.planned = True
    if printed:
        _add_print(order, print_id, printed, paid_at)
    if fresh and not order.planned:
        order.planned = True
        _add(order, catalogue.every_order.fulfilment, Phase.SALE, "", paid_at)


def plan_parcel(order: Order, catalogue: Catalogue, parcel: Parcel, now: Instant) -> None:
    """Plans what the shop does for a parcel that was sent, once."""
    _add(order, catalogue.every_order.on_parcel, Phase.PARCEL, f"parcel-{parcel.key}.", now, subject=parcel.key)


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
    subject: str | None = None,
    joined: Mapping[str, str] = {},
) -> None:
    """Adds a step for each of `specs` that the order does not have. `joined` are names that mean a step elsewhere."""
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
                needs=[joined.get(name, prefix + name) for name in spec.needs],
                state=StepState.WAITING,
                due_at=later(start, wait),
                follow_up=wait > 0,
                by_owner=isinstance(spec, PackStep),
                refund=refund,
                subject=subject,
            )
        )


def _print_id(order: Order) -> str:
    """The next print step's id: `print`, and `print-2` for what is planned after the first."""
    number = 1 + sum(step.kind == PRINT for step in order.steps)
    return PRINT if number == 1 else f"{PRINT}-{number}"


def _add_print(order: Order, step_id: str, printed: list[tuple[Line, PrintStep]], start: Instant) -> None:
    """One step for all that is printed, because the provider takes one order for each number of ours."""
    skus = {line.sku for line, _ in printed}
    wait = max(delay_seconds(spec.delay) if spec.delay else 0 for _, spec in printed)
    config: dict[str, Any] = {
        "items": [{"line": line.id, "sync_variant": spec.variant_of(choice(line.options))} for line, spec in printed],
        "shipping": next((spec.shipping for _, spec in printed if spec.shipping), None),
    }
    order.steps.append(
        Step(
            id=step_id,
            name=PRINT,
            kind=PRINT,
            phase=Phase.SALE,
            key=f"{order.id}.{step_id}",
            config=config,
            sku=next(iter(skus)) if len(skus) == 1 else None,
            lines=[line.id for line, _ in printed],
            needs=list(dict.fromkeys(f"{line.sku}.{name}" for line, spec in printed for name in spec.needs)),
            state=StepState.WAITING,
            due_at=later(start, wait),
        )
    )
