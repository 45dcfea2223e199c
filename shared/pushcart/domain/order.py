"""The order: one document with its payment, its lines, its steps (the outbox), what needs a human, its history.

Plain data; the rules that change it are in `payment` (what the provider says) and `steps` (what is to be
done). Amounts are integers in the minor unit of the order's currency, instants are UTC.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Any, Literal

import msgspec

from pushcart.clock import Instant
from pushcart.domain.parcels import Parcel, Print


def derived_id(text: str) -> str:
    """An order's id made from `text`, always the same: 28 characters that fit every provider's limits."""
    digest = hashlib.sha256(text.encode()).digest()
    return "o-" + base64.b32encode(digest)[:26].decode().lower()


class PaymentStatus(StrEnum):
    """Where the money is."""

    UNPAID = "unpaid"
    PAID = "paid"
    NO_PAYMENT_REQUIRED = "no_payment_required"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    FAILED = "failed"
    EXPIRED = "expired"


#: The shop owes what was bought: not after a full refund, and not while the bank disputes the payment.
DELIVERED_FOR = frozenset({PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED, PaymentStatus.PARTIALLY_REFUNDED})


class FulfilmentStatus(StrEnum):
    """Where the goods are."""

    NONE = "none"
    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    NEEDS_ATTENTION = "needs_attention"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """Where one step is; `failed` will be tried again, `dead` waits for the owner."""

    WAITING = "waiting"
    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


#: States in which a step may still run by itself.
OPEN_STATES = frozenset({StepState.WAITING, StepState.DUE, StepState.RUNNING, StepState.FAILED})


class Phase(StrEnum):
    """Why a step is there: the sale, a parcel, a refund, something the owner has to know, or a cart that was left."""

    SALE = "sale"
    PARCEL = "parcel"
    REFUND = "refund"
    ATTENTION = "attention"
    REMINDER = "reminder"


class Address(msgspec.Struct, kw_only=True):
    """A postal address as the provider gives it; `country` is ISO 3166-1 alpha-2."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Buyer(msgspec.Struct, kw_only=True):
    """Who bought. `locale` is a BCP 47 tag such as `pl` or `en-GB`, or None when the provider did not say."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    locale: str | None = None
    address: Address | None = None


class Shipping(msgspec.Struct, kw_only=True):
    """Where goods go."""

    name: str | None = None
    address: Address


class Line(msgspec.Struct, kw_only=True):
    """One line item. `sku` is None for something the shop does not sell; `planned` once its steps exist.

    `unit_amount` is the price's own, in `unit_currency`; a price with several currencies is paid in another.
    `item` is the id of the intent's line it is, `options` what the buyer chose, by the option's name.
    """

    id: str
    name: str
    quantity: int
    amount_subtotal: int
    amount_discount: int = 0
    amount_tax: int = 0
    amount_total: int
    unit_amount: int | None = None
    unit_currency: str | None = None
    price_id: str | None = None
    product_id: str | None = None
    sku: str | None = None
    item: str | None = None
    options: dict[str, str] = {}
    planned: bool = False


class Dispute(msgspec.Struct, kw_only=True):
    """A chargeback. `status` is the provider's word; `evidence_due` the last moment to answer it."""

    id: str
    status: str
    reason: str | None = None
    amount: int = 0
    evidence_due: Instant | None = None

    @property
    def won(self) -> bool:
        # https://docs.stripe.com/api/disputes/object#dispute_object-status; an inquiry that was closed took no money.
        return self.status in {"won", "warning_closed", "prevented"}

    @property
    def lost(self) -> bool:
        return self.status == "lost"


class Notice(msgspec.Struct, kw_only=True):
    """What a provider of signed links says about one attempt to pay an order.

    `reference` is the provider's own id of the attempt, `amount` is in minor units of `currency`, `at` is when the
    money came, if the provider says so.
    """

    order_id: str
    reference: str
    status: Literal["pending", "paid", "failed"]
    amount: int
    currency: str
    at: Instant | None = None


class Payment(msgspec.Struct, kw_only=True):
    """What the provider says about the money, as last read; `notices` where that is all it ever says.

    `pending` says that the buyer has paid and the money is on its way, such as by bank transfer.
    """

    provider: str
    session_id: str
    currency: str
    amount_subtotal: int
    amount_total: int
    amount_discount: int = 0
    amount_tax: int = 0
    amount_shipping: int = 0
    amount_refunded: int = 0
    payment_intent: str | None = None
    charge_id: str | None = None
    payment_link: str | None = None
    livemode: bool = False
    pending: bool = False
    dispute: Dispute | None = None
    notices: list[Notice] = []


class Step(msgspec.Struct, kw_only=True):
    """One thing to do for the order, and how far it is.

    `id` is unique in the order, `name` is what shop.yml calls it; `lines` are the line ids it is about
    (empty: the whole order). `due_at` is when it may run next. `key` goes to the provider as idempotency key.
    `follow_up` steps come later by plan and do not hold up the fulfilment; `asked` ones the owner wants in spite of
    a dispute; `given_up` ones may still finish, but are not tried again. `refund` is the amount a refund step
    is about, `subject` what an attention step or a parcel's is about. What is `by_owner` waits for the owner's hands.
    """

    id: str
    name: str
    kind: str
    phase: Phase
    key: str
    config: dict[str, Any]
    sku: str | None = None
    lines: list[str] = []
    needs: list[str] = []
    state: StepState
    due_at: Instant
    follow_up: bool = False
    by_owner: bool = False
    asked: bool = False
    given_up: bool = False
    attempts: int = 0
    deferrals: int = 0
    lease: str | None = None
    lease_until: Instant | None = None
    started_at: Instant | None = None
    done_at: Instant | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    refund: int | None = None
    subject: str | None = None


class Attention(msgspec.Struct, kw_only=True):
    """Something a human has to look at. `code` and `subject` together name it; `handled_at` ends it."""

    code: str
    subject: str = ""
    text: str
    since: Instant
    handled_at: Instant | None = None


class Entry(msgspec.Struct, kw_only=True):
    """One line of the order's history: when, what happened in plain words, and what caused it."""

    at: Instant
    what: str
    cause: str


class Order(msgspec.Struct, kw_only=True):
    """The whole document. `email`, `skus`, `session_id` and `payment_intent` repeat inner values, to be found by.

    `check_at` is when to look whether a checkout of ours was paid for or left.
    """

    id: str
    version: int = 0
    created_at: Instant
    updated_at: Instant
    paid_at: Instant | None = None
    payment_status: PaymentStatus = PaymentStatus.UNPAID
    fulfilment_status: FulfilmentStatus = FulfilmentStatus.NONE
    session_id: str | None = None
    payment_intent: str | None = None
    email: str | None = None
    skus: list[str] = []
    due_at: Instant | None = None
    check_at: Instant | None = None
    intent: Intent | None = None
    payment: Payment | None = None
    buyer: Buyer = msgspec.field(default_factory=Buyer)
    shipping: Shipping | None = None
    lines: list[Line] = []
    planned: bool = False
    released: bool = False
    refund_planned: int = 0
    steps: list[Step] = []
    prints: list[Print] = []
    parcels: list[Parcel] = []
    attention: list[Attention] = []
    history: list[Entry] = []

    def step(self, step_id: str) -> Step | None:
        """The step with this id, or None."""
        return next((step for step in self.steps if step.id == step_id), None)

    def open_attention(self) -> list[Attention]:
        """What a human has still to look at."""
        return [item for item in self.attention if item.handled_at is None]

    def note(self, at: Instant, what: str, cause: str) -> None:
        """Adds a line to the history."""
        self.history.append(Entry(at=at, what=what, cause=cause))


class Intent(msgspec.Struct, kw_only=True):
    """What a checkout stored before it sent the buyer to pay: the price the shop asked for, in minor units.

    `key` lets whoever holds it ask how far the order is; `url` is where the buyer pays, once that is known;
    `failures` counts the provider's answers that were errors of its own; `expires_at` ends it; `remind` is the buyer's
    consent to one mail about it; `rate` is the shipping rate that was chosen here and not at the provider.
    """

    currency: str
    amount_subtotal: int
    amount_discount: int = 0
    amount_shipping: int = 0
    lines: list[Line] = []
    expires_at: Instant | None = None
    key: str = ""
    url: str | None = None
    failures: int = 0
    code: str | None = None
    rate: str | None = None
    remind: bool = False

    @property
    def amount_total(self) -> int:
        return self.amount_subtotal - self.amount_discount + self.amount_shipping
