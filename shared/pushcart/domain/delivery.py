"""What becomes of an order's goods: the rules for the provider that prints them, and for parcels.

As with payments, the provider's order as read now counts, not the message that made us look. A message adds only what
the order does not say (`PrintNews`). What was delivered stays delivered, and a parcel that is known stays known.
"""

from __future__ import annotations

from collections import Counter

from pushcart.clock import Instant, later
from pushcart.domain import attention, money, planning, steps
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import DELIVERED_FOR, OPEN_STATES, Order, PaymentStatus, Step, StepState
from pushcart.domain.parcels import (
    ARCHIVED,
    CANCELLED,
    DRAFT,
    FAILED,
    FULFILLED,
    ON_HOLD,
    Parcel,
    ParcelItem,
    Print,
    PrintFacts,
    PrintNews,
    external_id,
)
from pushcart.errors import BadRequest, Conflict

#: Who sent a parcel that the owner packed.
OWNER = "owner"

#: How often an order is confirmed again that falls back to a draft, before a human has to look.
MOST_DRAFTS = 5

#: Seconds that the provider's clock may be ahead of ours.
SKEW = 3600

#: A state that nothing later undoes.
_DELIVERED = frozenset({FULFILLED, ARCHIVED})

#: A print in one of these is still to be placed.
_TO_COME = OPEN_STATES | {StepState.DEAD}


def print_step(order: Order, name: str | None) -> Step | None:
    """The step that places what the provider knows as `name`, or None when the order asked for no such thing."""
    prints = [step for step in order.steps if step.kind == planning.PRINT]
    return next((step for number, step in enumerate(prints, 1) if name == external_id(order.id, number)), None)


def update(
    order: Order,
    facts: PrintFacts,
    catalogue: Catalogue,
    now: Instant,
    *,
    news: PrintNews | None = None,
    event_id: str = "",
) -> None:
    """Makes the order say what its print at the provider says; `news` is what the message `event_id` adds.

    The order has to have the `print_step` of these facts.
    """
    step = print_step(order, facts.external_id)
    assert step is not None, "the caller looks whose print it is"
    if _somebody_elses(order, step, facts):
        text = f"Printful's order {facts.number} has this order's number, but other items than were sold; who made it?"
        attention.require(order, "print_not_ours", facts.number, text, now)
        steps.settle(order, now)
        return
    made = _print(order, step, facts)
    known = {parcel.key for parcel in order.parcels}
    before = made.status
    if facts.updated_at >= made.updated_at or made.updated_at > later(now, SKEW):
        # Else it was read before what is known: by a step whose answer came late.
        _take_over(made, facts, news)
    if news is not None and news.refunded and event_id not in made.refunds and _can_be(made, news.refunded):
        made.refunds[event_id] = news.refunded
        currency = made.costs.currency if made.costs else ""
        order.note(now, f"Printful gave {money.plain(news.refunded, currency)} back to the shop", news.type)
    sent = known | {parcel.key for parcel in facts.parcels}
    # The message is not signed: of a parcel that the order never listed, it says nothing.
    back = [news.parcel] if news and news.parcel and news.parcel.key in sent else []
    for parcel in [*facts.parcels, *back]:
        _merge(order, parcel)
    fresh = [parcel for parcel in order.parcels if parcel.key not in known]
    for parcel in fresh:
        parcel.more = not parcel.reshipment and (parcel is not fresh[-1] or _more_follows(order))
        _sent(order, parcel, catalogue, now)
    _returned(order, now)
    if made.status != before:
        made.let_go = False
        order.note(now, f"at Printful: {made.status}", planning.PRINT)
    if made is _current(order, made.external_id):
        _follow(order, step, made, now, changed=made.status != before)
    called_off(order, catalogue, now)
    steps.settle(order, now)


def called_off(order: Order, catalogue: Catalogue, now: Instant) -> None:
    """Tells the owner of what the provider still makes although all of the money went back, until it ends.

    Not of what a product's `on_refund` says is sent all the same. That something was cancelled needs nobody any more.
    """
    if order.payment_status is PaymentStatus.REFUNDED:
        attention.resolve(order, "print_cancelled", None, now)
    for made in order.prints:
        if not made.under_way:
            attention.resolve(order, "print_goes_on", made.number, now)
        elif _money_gone(order) and not _sent_all_the_same(order, made, catalogue):
            attention.require(order, "print_goes_on", made.number, goes_on(made.number), now)


def goes_on(number: str) -> str:
    """What the owner is told of the provider's order `number`, which is made although the money went back."""
    return f"the money went back, but Printful still makes its order {number}; cancel it there"


def owed_again(order: Order, now: Instant) -> None:
    """What became of the prints while nothing was owed, as in a dispute, asks for the same as when it happens now."""
    for made in order.prints:
        step = print_step(order, made.external_id)
        if step is not None and made is _current(order, made.external_id) and not made.let_go:
            _follow(order, step, made, now, changed=True)


def ship(
    order: Order,
    catalogue: Catalogue,
    now: Instant,
    *,
    carrier: str,
    tracking_number: str | None = None,
    tracking_url: str | None = None,
    pieces: dict[str, int] | None = None,
) -> Parcel:
    """The owner has sent a parcel: `pieces` by line id, or all that is still to be packed.

    Raises as `pieces_of`.
    """
    wanted = pieces_of(order, pieces)
    lines = {line.id: line for line in order.lines}
    parcel = Parcel(
        provider=OWNER,
        id=str(1 + sum(one.provider == OWNER for one in order.parcels)),
        carrier=carrier,
        tracking_number=tracking_number,
        tracking_url=tracking_url,
        shipped_at=now,
        items=[ParcelItem(name=lines[id].name, quantity=count, line=id) for id, count in wanted.items()],
    )
    order.parcels.append(parcel)
    left = to_pack(order)
    parcel.more = _more_follows(order)
    _sent(order, parcel, catalogue, now)
    for step in order.steps:
        if step.by_owner and step.state in (StepState.DUE, StepState.WAITING) and not set(step.lines) & left.keys():
            steps.succeed(order, step.id, {}, "packed and sent by the owner", now)
    steps.settle(order, now)
    return parcel


def pieces_of(order: Order, pieces: dict[str, int] | None) -> dict[str, int]:
    """What goes into the owner's next parcel, by line id: `pieces`, or all that is still to be packed.

    Raises `Conflict` when nothing may be sent or less is left than is said, `BadRequest` for a line there is not.
    """
    left = to_pack(order)
    if order.payment_status not in DELIVERED_FOR:
        raise Conflict(f"Order {order.id} is {order.payment_status}; nothing of it should be sent.")
    if attention.payment_gone(order):
        raise Conflict(f"Order {order.id} has lost its payment; nothing of it should be sent before that is handled.")
    if not left:
        raise Conflict(f"There is nothing left to pack in order {order.id}.")
    wanted = left if pieces is None else pieces
    lines = {line.id: line for line in order.lines}
    for line_id, quantity in wanted.items():
        if line_id not in lines:
            raise BadRequest(f"Order {order.id} has no line {line_id!r}; it has {', '.join(lines)}.")
        if not 1 <= quantity <= left.get(line_id, 0):
            raise Conflict(f"{quantity} of {lines[line_id].name}: {left.get(line_id, 0)} are left to be packed.")
    if not wanted:
        raise BadRequest("A parcel needs something in it.")
    return wanted


def to_pack(order: Order) -> dict[str, int]:
    """By line id, how many pieces the owner has still to pack."""
    packed = {step_line for step in order.steps if step.by_owner and _waits(step) for step_line in step.lines}
    sent: dict[str, int] = {}
    for parcel in order.parcels:
        for item in parcel.items if parcel.provider == OWNER else ():
            if item.line:
                sent[item.line] = sent.get(item.line, 0) + item.quantity
    left = {line.id: line.quantity - sent.get(line.id, 0) for line in order.lines if line.id in packed}
    return {line_id: count for line_id, count in left.items() if count > 0}


def _somebody_elses(order: Order, step: Step, facts: PrintFacts) -> bool:
    """Whether somebody with the key has taken our number for an order of theirs, before ours was placed."""
    if step.state is StepState.DONE or any(made.number == facts.number for made in order.prints):
        return False
    lines = {line.id: line.quantity for line in order.lines}
    wanted: Counter[str] = Counter()
    for item in step.config["items"]:
        wanted[str(item["sync_variant"])] += lines.get(item["line"], 0)
    return bool(facts.pieces) and "None" not in wanted and facts.pieces != dict(wanted)


def _waits(step: Step) -> bool:
    return step.state in (StepState.DUE, StepState.WAITING)


def _print(order: Order, step: Step, facts: PrintFacts) -> Print:
    """What the order knows of this print; made when it hears of it for the first time."""
    known = next((one for one in order.prints if one.number == facts.number), None)
    if known is None:
        retail = sum(line.amount_total for line in order.lines if line.id in step.lines)
        known = Print(
            provider="printful",
            number=facts.number,
            external_id=facts.external_id or "",
            status=DRAFT,
            placed_at=facts.created_at,
            retail=retail,
        )
        for earlier in order.prints:  # the provider has one of a name: the other is gone
            earlier.let_go = earlier.let_go or earlier.external_id == known.external_id
        order.prints.append(known)
    return known


def _can_be(made: Print, refund: int) -> bool:
    """Whether the provider can have given so much back: no more than it took, as the message is not signed."""
    return made.costs is not None and sum(made.refunds.values()) + refund <= made.costs.total


def _current(order: Order, name: str) -> Print:
    """Of the prints that were ever called this, the last."""
    return [made for made in order.prints if made.external_id == name][-1]


def _take_over(made: Print, facts: PrintFacts, news: PrintNews | None) -> None:
    before = made.status
    told = news.reason if news and facts.status in (FAILED, CANCELLED, ON_HOLD) else None
    reason = facts.error or told
    if not (before in _DELIVERED and facts.status != FULFILLED):
        made.status = facts.status
    made.error = reason or (made.error if made.status == before else None)
    made.costs = facts.costs or made.costs
    made.updated_at = facts.updated_at


def _merge(order: Order, parcel: Parcel) -> None:
    """Adds the parcel, or what is new about it: what is known of it is never taken away."""
    known = next((one for one in order.parcels if one.key == parcel.key), None)
    if known is None:
        order.parcels.append(parcel)
        return
    for field in ("carrier", "service", "tracking_number", "tracking_url", "returned_at", "reason"):
        setattr(known, field, getattr(parcel, field) or getattr(known, field))
    known.items = parcel.items or known.items


def _sent(order: Order, parcel: Parcel, catalogue: Catalogue, now: Instant) -> None:
    what = "a reshipment" if parcel.reshipment else "a parcel"
    number = f" {parcel.tracking_number}" if parcel.tracking_number else ""
    order.note(now, f"{what} is on its way: {parcel.carrier or 'carrier unknown'}{number}", parcel.key)
    if parcel.returned_at is None:  # of one that is back already the buyer need not hear that it is coming
        planning.plan_parcel(order, catalogue, parcel, now)


def _more_follows(order: Order) -> bool:
    """Whether goods of the order are still to be made, packed or sent."""
    if order.payment_status not in DELIVERED_FOR:
        return False
    placed = [print_step(order, made.external_id) for made in order.prints]
    prints = [step for step in order.steps if step.kind == planning.PRINT and step not in placed]
    to_come = any(step.state in _TO_COME for step in prints)
    return to_come or any(made.open for made in order.prints) or bool(to_pack(order))


def _money_gone(order: Order) -> bool:
    lost = order.payment is not None and order.payment.dispute is not None and order.payment.dispute.lost
    return order.payment_status is PaymentStatus.REFUNDED or lost


def _sent_all_the_same(order: Order, made: Print, catalogue: Catalogue) -> bool:
    """Whether every product of a print says that a refund does not stop it."""
    step = print_step(order, made.external_id)
    skus = {line.sku for line in order.lines if step is not None and line.id in step.lines}
    products = [catalogue.product(sku) for sku in skus]
    return bool(products) and all(product is not None and not product.on_refund.cancel for product in products)


def _returned(order: Order, now: Instant) -> None:
    for parcel in order.parcels:
        if parcel.returned_at:
            why = f": {parcel.reason}" if parcel.reason else ""
            text = f"the parcel {parcel.tracking_number or parcel.id} came back{why}"
            attention.require(order, "parcel_returned", parcel.key, text, now)


def _follow(order: Order, step: Step, made: Print, now: Instant, *, changed: bool) -> None:
    """What the provider's status asks for: another confirmation, or a human."""
    owed = order.payment_status in DELIVERED_FOR
    words = made.error or "it gives no reason"
    if made.status == FAILED:
        if order.payment_status is not PaymentStatus.REFUNDED:  # else that it is not made is just as well
            steps.undone(order, step.id, f"Printful: the order failed: {words}", now, handled=changed and owed)
            steps.reword(order, step.id, f"Printful: the order failed: {words}")
    elif made.status == DRAFT:
        _confirm_again(order, step, made, now, owed=owed, handled=changed)
    elif made.status != CANCELLED and step.state is StepState.DEAD:
        steps.succeed(order, step.id, step.result or {}, "Printful goes on with it", now)
    if made.status == ON_HOLD:
        # One that the owner dealt with is told again only when it is held once more.
        text = f"Printful holds the order: {words}"
        attention.require(order, "print_on_hold", made.number, text, now, again=changed)
        attention.reword(order, "print_on_hold", made.number, text)
    else:
        attention.resolve(order, "print_on_hold", made.number, now)
    if made.status == CANCELLED and owed:
        text = f"Printful cancelled its order {made.number}: {words}"
        attention.require(order, "print_cancelled", made.number, text, now, again=changed)
        attention.reword(order, "print_cancelled", made.number, text)


def _confirm_again(order: Order, step: Step, made: Print, now: Instant, *, owed: bool, handled: bool) -> None:
    done = {StepState.DONE, StepState.CANCELLED} if handled else {StepState.DONE}
    if step.state not in done or not owed:
        return
    made.drafts += 1
    if made.drafts > MOST_DRAFTS:
        steps.undone(order, step.id, f"Printful: order {made.number} keeps falling back to a draft", now)
    else:
        steps.again(order, step.id, "it fell back to a draft at Printful; confirming it again", now)
