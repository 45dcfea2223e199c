"""What the provider says about a payment, and what an order makes of it.

The order's state is derived from the provider's object as read now, never from the event that made us look:
so duplicates, late events and events out of order all end the same way.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pushcart.clock import Instant, later
from pushcart.domain import attention, delivery, money, planning, steps
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import (
    DELIVERED_FOR,
    Buyer,
    Dispute,
    Line,
    Notice,
    Order,
    Payment,
    PaymentStatus,
    Shipping,
)


class PaymentFacts(msgspec.Struct, kw_only=True):
    """One payment as read from its provider, in our words. Amounts in minor units of `currency`.

    `order_id` is ours, if a checkout of ours put it there. `money` says whether it is in, `pending` that it is on its
    way. `amount_received` is what the provider holds, where it says so, in `received_currency` if that is another. A
    line's `sku` and `item` are what our checkout noted with it, if any. `paid_again` are references of further payments
    of the same order.
    """

    provider: str
    session_id: str
    created_at: Instant
    money: Literal["unpaid", "paid", "no_payment_required", "failed", "expired"]
    currency: str
    amount_subtotal: int
    amount_total: int
    amount_discount: int = 0
    amount_tax: int = 0
    amount_shipping: int = 0
    amount_received: int | None = None
    received_currency: str | None = None
    amount_refunded: int = 0
    paid_at: Instant | None = None
    order_id: str | None = None
    payment_intent: str | None = None
    charge_id: str | None = None
    payment_link: str | None = None
    livemode: bool = False
    pending: bool = False
    dispute: Dispute | None = None
    notices: list[Notice] = []
    paid_again: list[str] = []
    buyer: Buyer
    shipping: Shipping | None = None
    lines: list[Line]


#: The money has come in, whatever became of it since.
RECEIVED = frozenset(
    {
        PaymentStatus.PAID,
        PaymentStatus.NO_PAYMENT_REQUIRED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.DISPUTED,
    }
)


def status_of(facts: PaymentFacts) -> PaymentStatus:
    """The payment status these facts mean. A dispute that is open or lost outweighs a refund, a won one nothing."""
    if facts.dispute is not None and not facts.dispute.won:
        return PaymentStatus.DISPUTED
    if facts.amount_refunded > 0:
        whole = facts.amount_refunded >= (facts.amount_received or facts.amount_total)
        return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus(facts.money)


def update(order: Order, facts: PaymentFacts, catalogue: Catalogue, now: Instant, cause: str) -> None:
    """Makes the order say what the facts say, and plans or cancels what follows from it."""
    before, refunded_before = order.payment_status, order.payment.amount_refunded if order.payment else 0
    dispute_before = order.payment.dispute if order.payment else None
    _take_over(order, facts, catalogue)
    order.payment_status = _forwards(order, before, status_of(facts), now)
    if order.payment_status is not before:
        order.note(now, _sentence(order), cause)
    order.check_at = _next_check(order, now)
    if order.payment_status in RECEIVED:
        # A provider's clock that is ahead must not put the delivery off.
        order.paid_at = order.paid_at or min(facts.paid_at or now, now)
        planning.drop_reminder(order, now)
        held = _check(order, facts, catalogue, now)
        if order.payment_status in DELIVERED_FOR and not held:
            planning.plan_sale(order, catalogue, now)
    if order.payment_status in DELIVERED_FOR and before not in DELIVERED_FOR:
        delivery.owed_again(order, now)
    _refunds(order, catalogue, refunded_before, now, cause)
    if order.payment_status is PaymentStatus.REFUNDED and before is not PaymentStatus.REFUNDED:
        _call_off(order, catalogue, now)
    _disputes(order, catalogue, dispute_before, now, cause)
    for reference in facts.paid_again:
        attention.require(order, "paid_twice", reference, f"the payment {reference} paid this order once more", now)
    steps.settle(order, now)


def _forwards(order: Order, before: PaymentStatus, said: PaymentStatus, now: Instant) -> PaymentStatus:
    """What the order says from now on. Money that came in does not become money that never did: a human looks."""
    if before not in RECEIVED:
        return said
    if said in RECEIVED:
        attention.resolve(order, attention.PAYMENT_GONE, None, now)
        return said
    text = f"the order counts as {before}, but its provider says now that the payment is {said}"
    attention.require(order, attention.PAYMENT_GONE, order.session_id or "", text, now)
    return before


#: Seconds between two looks at a checkout that is neither paid nor left after its time, such as by a slow bank
#: transfer, and for how long that goes on.
CHECK_EVERY, CHECK_FOR = 6 * 3600, 14 * 86_400


def _next_check(order: Order, now: Instant) -> Instant | None:
    """When to look at the payment unasked: a checkout of ours that is not paid yet must end some day, and no event may
    ever tell what became of a slow payment."""
    intent, status = order.intent, order.payment_status
    if status not in (PaymentStatus.UNPAID, PaymentStatus.FAILED):
        return None
    if intent is not None and intent.expires_at is not None:
        end = checked_at(intent.expires_at)
        if end > now:
            return end
    elif order.payment is None or not order.payment.pending:
        return None
    waiting = status is PaymentStatus.UNPAID and later(order.created_at, CHECK_FOR) > now
    return later(now, CHECK_EVERY) if waiting else None


def checked_at(expires_at: Instant) -> Instant:
    """When a checkout that ends at `expires_at` is looked at: a minute later, when its provider has ended it too."""
    return later(expires_at, 60)


def _take_over(order: Order, facts: PaymentFacts, catalogue: Catalogue) -> None:
    order.session_id = facts.session_id or order.session_id
    order.payment_intent = facts.payment_intent
    fields = {name: getattr(facts, name) for name in Payment.__struct_fields__}
    order.payment = Payment(**fields)
    order.buyer = facts.buyer if order.intent is None else _known_buyer(order.buyer, facts.buyer)
    order.email = facts.buyer.email.lower() if facts.buyer.email else order.email
    order.shipping = facts.shipping or order.shipping
    planned = {line.id: line for line in order.lines if line.planned}
    lines = []
    for line in facts.lines:
        known = planned.get(line.id)
        line.sku = known.sku if known else sku_of(line, facts, catalogue)
        line.planned = known is not None
        line.options = _options(order, line)
        lines.append(line)
    order.lines = lines
    order.skus = sorted({line.sku for line in lines if line.sku})


def _known_buyer(before: Buyer, now: Buyer) -> Buyer:
    """What the provider says, and what it leaves open as the buyer told our checkout."""
    fields = {name: getattr(now, name) or getattr(before, name) for name in Buyer.__struct_fields__}
    return Buyer(**fields)


def _options(order: Order, line: Line) -> dict[str, str]:
    """What the buyer chose for this line at our checkout."""
    asked = order.intent.lines if order.intent else []
    return next((one.options for one in asked if line.item and one.id == line.item), line.options)


def sku_of(line: Line, facts: PaymentFacts, catalogue: Catalogue) -> str | None:
    """The shop's product a line item is, or None."""
    if catalogue.product(line.sku):
        return line.sku
    only_line_of = facts.payment_link if len(facts.lines) == 1 else None
    return catalogue.sku_for(price_id=line.price_id, product_id=line.product_id, only_line_of=only_line_of)


def _sentence(order: Order) -> str:
    assert order.payment is not None
    total = money.plain(order.payment.amount_total, order.payment.currency)
    refunded = money.plain(order.payment.amount_refunded, order.payment.currency)
    return {
        PaymentStatus.UNPAID: f"waiting for {total}",
        PaymentStatus.PAID: f"paid {total}",
        PaymentStatus.NO_PAYMENT_REQUIRED: "free, no payment required",
        PaymentStatus.PARTIALLY_REFUNDED: f"refunded {refunded} of {total}",
        PaymentStatus.REFUNDED: f"refunded {refunded}, all of it",
        PaymentStatus.DISPUTED: f"the buyer's bank disputes {total}",
        PaymentStatus.FAILED: "the payment failed",
        PaymentStatus.EXPIRED: "the checkout expired without a payment",
    }[order.payment_status]


def _check(order: Order, facts: PaymentFacts, catalogue: Catalogue, now: Instant) -> bool:
    """Raises what a human has to look at and ends what was put right; True when the amount forbids a delivery."""
    if order.payment_status is PaymentStatus.REFUNDED:
        attention.resolve(order, "unknown_product", None, now)
        attention.resolve(order, "wrong_amount", None, now)
        return False
    for line in order.lines:
        if line.sku is None:
            text = f"“{line.name}” was paid for, but no product in shop.yml sells it"
            attention.require(order, "unknown_product", line.id, text, now)
        else:
            attention.resolve(order, "unknown_product", line.id, now)
    if not order.lines:
        attention.require(order, "unknown_product", "", "a payment without any line item", now)
    settled = order.planned or order.released
    wrong = None if settled else wrong_amount(order, facts, catalogue)
    if wrong:
        attention.require(order, "wrong_amount", "", wrong, now)
    else:
        attention.resolve(order, "wrong_amount", "", now)
    return wrong is not None


def wrong_amount(order: Order, facts: PaymentFacts, catalogue: Catalogue) -> str | None:
    """In one sentence, how the money differs from the shop's own prices; None when it is right."""
    if facts.amount_received is not None:
        asked = money.plain(facts.amount_total, facts.currency)
        got = money.plain(facts.amount_received, facts.received_currency or facts.currency)
        if got != asked:
            return f"{got} arrived instead of {asked}"
    if order.intent is not None:
        asked = money.plain(order.intent.amount_subtotal, order.intent.currency)
        got = money.plain(facts.amount_subtotal, facts.currency)
        return None if asked == got else f"the checkout asked for {asked}, but {got} was paid"
    for line in order.lines:
        product = catalogue.product(line.sku)
        if product is None:
            continue
        currency = catalogue.currency_of(product).upper()
        asked = money.plain(catalogue.price_of(product), currency)
        elsewhere = line.unit_currency not in (None, currency) and facts.currency == currency
        # A price without one amount for each, such as a tiered one, or with one of its own for the shop's currency:
        # what the line came to, for each.
        if line.unit_amount is None or elsewhere:
            got = money.plain(line.amount_subtotal // line.quantity, facts.currency)
        else:
            got = money.plain(line.unit_amount, line.unit_currency or facts.currency)
        if asked != got:
            return f"{product.sku} costs {asked} in shop.yml, but {got} was asked for at the checkout"
    return None


def _refunds(order: Order, catalogue: Catalogue, before: int, now: Instant, cause: str) -> None:
    assert order.payment is not None
    refunded = order.payment.amount_refunded
    if refunded < before:
        text = f"a refund of {money.plain(before - refunded, order.payment.currency)} did not reach the buyer"
        attention.require(order, "refund_failed", str(before), text, now, again=True)
        order.refund_planned = min(order.refund_planned, refunded)
    if refunded > order.refund_planned:
        amount, order.refund_planned = refunded - order.refund_planned, refunded
        order.note(now, f"refund of {money.plain(amount, order.payment.currency)}", cause)
        planning.plan_refund(order, catalogue, amount, now)


def _call_off(order: Order, catalogue: Catalogue, now: Instant) -> None:
    """What a full refund does to the sale, each product by its own policy."""
    cancelled: set[str | None] = {None}
    for sku in order.skus:
        product = catalogue.product(sku)
        if product is None or product.on_refund.cancel:
            cancelled.add(sku)
        if any(line.sku == sku and line.planned for line in order.lines):
            planning.plan_return(order, catalogue, sku, now)
    steps.give_up(order, now, "the order was refunded", cancelled)
    delivery.called_off(order, catalogue, now)


def _disputes(order: Order, catalogue: Catalogue, before: Dispute | None, now: Instant, cause: str) -> None:
    assert order.payment is not None
    dispute = order.payment.dispute
    if dispute is None or (before is not None and (before.id, before.status) == (dispute.id, dispute.status)):
        return
    if before is not None and before.id != dispute.id:
        attention.resolve(order, "dispute", before.id, now)
    if dispute.won or dispute.lost:
        attention.resolve(order, "dispute", dispute.id, now)
        order.note(now, f"dispute {'won' if dispute.won else 'lost'}", cause)
        if dispute.lost:
            steps.give_up(order, now, "the dispute was lost")
            delivery.called_off(order, catalogue, now)
    else:
        deadline = f"; answer it by {dispute.evidence_due}" if dispute.evidence_due else ""
        text = f"the buyer's bank disputes the payment ({dispute.reason or 'no reason given'}){deadline}"
        attention.require(order, "dispute", dispute.id, text, now)
