"""Every call a function makes to a provider, and every way it can go wrong.

The two tables are the truth that the tests compare the sandbox's record with: a call that no row describes fails them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.sandbox.records import Call
from support.fault_prints import SHIRT, gets_a_parcel, has_a_draft
from support.fault_shop import (
    GROUP,
    PATIENCE,
    SEQUENCE,
    Buyer,
    buys,
    buys_much,
    charge_of,
    intent_of,
    is_member,
    is_refunded_by_charge,
    is_refunded_first,
    is_student,
    won_a_dispute,
)

#: Seconds that an answer is held back, and that one takes which comes in drops: longer than `PATIENCE` allows.
HELD, DRIPPED = PATIENCE + 1.0, 2 * PATIENCE + 1.5

#: Seconds that a provider with a Retry-After asks for here.
ASKED_WAIT = 90


@dataclass(frozen=True)
class Trouble:
    """One way in which a call goes wrong: a fault of the sandbox. `status` is the answer's, if it is a refusal."""

    name: str
    kind: str
    rule: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int | None:
        return self.rule.get("status")

    @property
    def waits(self) -> int:
        """Seconds the provider asks to be left alone for."""
        return int(self.rule.get("retry_after", 0))

    @property
    def after_work(self) -> bool:
        return bool(self.rule.get("after_work"))


def _status(status: int, name: str = "", **rule: Any) -> Trouble:
    return Trouble(name or str(status), "status", {"status": status, **rule})


TROUBLES = (
    Trouble("refused", "refused"),
    Trouble("timeout", "timeout", {"delay": HELD}),
    Trouble("timeout after the work", "timeout", {"delay": HELD, "after_work": True}),
    Trouble("lost answer", "lost_answer"),
    Trouble("slow drip", "slow", {"delay": DRIPPED}),
    _status(400),
    _status(401),
    _status(404),
    _status(409),
    _status(422),
    _status(429),
    _status(429, "429 with Retry-After", retry_after=ASKED_WAIT),
    _status(500),
    _status(500, "500 after the work", after_work=True),
    _status(503, "503 with Retry-After", retry_after=ASKED_WAIT),
    Trouble("truncated", "truncated"),
    Trouble("html", "html"),
    Trouble("html after the work", "html", {"after_work": True}),
    Trouble("garbage", "garbage"),
)

SMTP_TROUBLES = (
    Trouble("refused", "refused"),
    Trouble("timeout", "timeout", {"delay": HELD}),
    Trouble("lost answer", "lost_answer"),
    *(_status(code) for code in (421, 450, 451, 550, 554)),
)


@dataclass(frozen=True)
class Row:
    """One call of ours, as the sandbox records it."""

    name: str
    provider: str
    method: str
    path: str

    @property
    def pattern(self) -> str:
        return f"^{self.path}$"

    def is_one(self, call: Call) -> bool:
        """Whether the sandbox recorded this call."""
        return (call.provider, call.method) == (self.provider, self.method) and bool(re.match(self.pattern, call.path))


@dataclass(frozen=True)
class ProviderCall(Row):
    """A call that a step makes, or the reading of an event: whose buying makes it, and what tells it from others'.

    `sku` is what they buy and `step` the step that makes the call, None for one that is made to read an event.
    `wave` spreads the calls over time, so that our own count of calls a minute lets each be made. `alone` marks
    a call that is the same for every buyer.
    """

    sell: Callable[[Buyer], None]
    about: Callable[[Buyer], str]
    sku: str
    step: str | None = None
    wave: int = 1
    alone: bool = False
    troubles: tuple[Trouble, ...] = TROUBLES

    def ways_to_fail(self) -> list[Trouble]:
        """A call that only reads has no work whose answer could get lost."""
        return [one for one in self.troubles if self.method != "GET" or not one.after_work]


def _email(buyer: Buyer) -> str:
    return buyer.email


def _order_id(buyer: Buyer) -> str:
    return buyer.order_id


@dataclass(frozen=True)
class CheckoutCall(Row):
    """A call that checkout makes while the buyer waits; who tries again after its trouble is the buyer.

    `about` names what of the cart is in the call, and in nobody else's.
    """

    about: str


@dataclass(frozen=True)
class CatchUpCall(Row):
    """A call that catch-up makes by itself; `part` is what it calls that part of its work."""

    part: str


def _session(buyer: Buyer) -> str:
    return str(buyer.session["id"])


_V1, _SCHOOL = "/v1/checkout/sessions", "/api/public/v1"
_forum, _school, _hook, _list = (buys(f"plink_1{name}") for name in ("Forum", "School", "Hook", "List"))
_shirt, _orders = buys(SHIRT), "/orders"
_stripe = partial(ProviderCall, provider="stripe", method="GET", sku="hook")
_discourse = partial(ProviderCall, provider="discourse", sku="forum", step="forum.invite")
_thinkific = partial(ProviderCall, provider="thinkific", sku="school", step="school.invite")
_kit = partial(ProviderCall, provider="kit", method="POST", sell=_list, about=_email, sku="list")
_printful = partial(ProviderCall, provider="printful", sku="shirt", sell=_shirt, about=_order_id, step="print")
_smtp = partial(
    ProviderCall, provider="smtp", path=".*", sell=_list, sku="list", step="receipt", troubles=SMTP_TROUBLES
)

CALLS = (
    _stripe("Stripe session", path=f"{_V1}/[^/]+", sell=_hook, about=_session),
    _stripe("Stripe line items", path=f"{_V1}/[^/]+/line_items", sell=buys_much, about=_session),
    _stripe("Stripe disputes", path="/v1/disputes", sell=won_a_dispute, about=charge_of),
    _stripe("Stripe sessions of a payment", path=_V1, sell=is_refunded_first, about=intent_of),
    _stripe("Stripe charge", path="/v1/charges/[^/]+", sell=is_refunded_by_charge, about=charge_of),
    _discourse("Discourse invite", method="POST", path="/invites.json", sell=_forum, about=_email),
    _discourse(
        "Discourse member", method="GET", path="/admin/users/list/active.json", sell=is_member, about=_email, wave=2
    ),
    _discourse(
        "Discourse group",
        method="PUT",
        path=f"/groups/{GROUP}/members.json",
        sell=is_member,
        about=lambda buyer: buyer.username,
        wave=3,
    ),
    _thinkific("Thinkific user", method="GET", path=f"{_SCHOOL}/users", sell=_school, about=_email),
    _thinkific("Thinkific new user", method="POST", path=f"{_SCHOOL}/users", sell=_school, about=_email),
    _thinkific(
        "Thinkific enrolments",
        method="GET",
        path=f"{_SCHOOL}/enrollments",
        sell=is_student,
        about=lambda buyer: f"query[user_id]={buyer.student}&",
        wave=2,
    ),
    _thinkific(
        "Thinkific new enrolment",
        method="POST",
        path=f"{_SCHOOL}/enrollments",
        sell=is_student,
        about=lambda buyer: f'"user_id":{buyer.student},',
        wave=2,
    ),
    _printful("Printful order", method="GET", path=f"{_orders}/@[^/]+", wave=2),
    _printful("Printful new order", method="POST", path=_orders),
    _printful(
        "Printful confirmation",
        method="POST",
        path=f"{_orders}/[0-9]+/confirm",
        sell=has_a_draft,
        about=lambda buyer: f"/{buyer.print_number}/",
        wave=3,
    ),
    # That there is no such order is an answer, and what a message says of it is not believed.
    _printful(
        "Printful order of a message",
        method="GET",
        path=f"{_orders}/[0-9]+",
        sell=gets_a_parcel,
        about=lambda buyer: f"/{buyer.print_number}",
        step=None,
        wave=2,
        troubles=tuple(one for one in TROUBLES if one.status != 404),
    ),
    ProviderCall("own platform", "platform", "POST", "/hook", _hook, _email, "hook", "hook.invite", wave=2),
    _kit("Kit purchase", path="/v4/purchases", step="list.purchase"),
    _kit("Kit subscriber", path="/v4/subscribers", step="list.sequence", wave=2),
    _kit("Kit sequence", path=f"/v4/sequences/{SEQUENCE}/subscribers", step="list.sequence", wave=3),
    _kit("Kit token", path="/v4/oauth/token", step="list.purchase", alone=True),
    ProviderCall(
        "SendGrid mail",
        "sendgrid",
        "POST",
        "/v3/mail/send",
        sell=_hook,
        about=lambda buyer: f"{buyer.order_id}.receipt",
        sku="hook",
        step="receipt",
        wave=2,
    ),
)

#: The other half of what a shop can choose: Kit's older API, and SMTP.
OLDER_CALLS = (
    _kit("Kit v3 purchase", path="/v3/purchases", step="list.purchase"),
    _kit("Kit v3 sequence", path=f"/v3/sequences/{SEQUENCE}/subscribe", step="list.sequence", wave=2),
    _smtp("SMTP DATA", method="DATA", about=_email),
    _smtp("SMTP RCPT", method="RCPT", about=_email, wave=2),
    _smtp("SMTP MAIL", method="MAIL", about=_email, alone=True),
)

#: By signed links nobody is asked, so these are all.
CHECKOUT_CALLS = (
    CheckoutCall("Stripe new session", "stripe", "POST", _V1, "email"),
    CheckoutCall("Stripe coupon", "stripe", "POST", "/v1/coupons", "code"),
)

CATCH_UP_CALLS = (
    CatchUpCall("Stripe events", "stripe", "GET", "/v1/events", "stripe events"),
    CatchUpCall("Stripe sessions", "stripe", "GET", _V1, "stripe sessions"),
    CatchUpCall("Printful orders", "printful", "GET", _orders, "printful orders"),
)

#: What tells the owner; whatever dies or is refused in any run of these tests is told here too.
ALERT_CALLS = (
    Row("ntfy message", "ntfy", "POST", "/"),
    Row("Twilio message", "twilio", "POST", "/2010-04-01/Accounts/[^/]+/Messages.json"),
)

#: What the doctors of the functions look at once an hour; tests/chain/test_doctor_providers.py is their judge.
DOCTORS_CALLS = (
    Row(
        "Stripe objects", "stripe", "GET", "/v1/(prices|payment_links|webhook_endpoints|payment_intents|charges)(/.*)?"
    ),
    Row("Thinkific course", "thinkific", "GET", f"{_SCHOOL}/courses/[0-9]+"),
    Row("Kit account", "kit", "GET", "/v4/account"),
    Row("SendGrid scopes", "sendgrid", "GET", "/v3/scopes"),
    Row("Printful store and webhook", "printful", "GET", "/(stores|webhooks)"),
)
