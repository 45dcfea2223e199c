"""Every field that we are sent, and every field that we read, dropped or null or of another type, one at a time.

Shapes come from the sandbox, in today's API version and in one from before the fields moved. What cannot be read is
refused with its reason or tried again by schedule; it never becomes half an order or another amount.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import stripe
from requests.structures import CaseInsensitiveDict

from local.sandbox import Sandbox
from pushcart.domain.event import EventStatus
from pushcart.domain.retry import ATTEMPTS
from pushcart.errors import ProviderError
from pushcart.providers.stripe_payments import StripePayments
from pushcart.repositories import Inbox
from pushcart.services.stripe_inbox import EVENT_TYPES
from pushcart.store import connect
from support.databases import DATABASES, fresh
from support.mutations import INSTEAD, Place, dotted, mutated, mutations
from support.processes import Clock, Functions, Process, Purchase
from support.shop import bought, line
from support.step_calls import Context, Event, environment, load_handler
from support.stripe_answers import KEY, Answers
from support.wire import Wire

SECRET = "whsec_test_secret"
OLD = "2020-03-02"

#: What the inbox keeps of an event in fields of their own, where a database is the first to refuse a value.
KEPT = [(name,) for name in ("id", "type", "created", "api_version", "livemode", "data")] + [
    ("data", "object", name) for name in ("id", "object", "payment_intent", "charge")
]

#: What is tried in all the other fields.
ELSEWHERE = {"dropped", "null", "text", "huger", "list", "dict"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=7, autosend=False) as sandbox:
        item = {"sku": "course", "name": "Course", "unit_amount": 4900, "currency": "eur", "price_id": "price_course"}
        book = {"sku": "book", "name": "Book", "unit_amount": 2000, "currency": "eur", "price_id": "price_book"}
        sandbox.link = sandbox.stripe.add_payment_link([item, {**book, "quantity": 2}])["id"]
        yield sandbox


@pytest.fixture(scope="module")
def session(sandbox) -> dict[str, Any]:
    """Two products with a discount, partly refunded, then disputed."""
    session = sandbox.stripe.buy(sandbox.link, email="ann@example.com", name="Ann", amount_off=400).object
    sandbox.stripe.refund(session["id"], 1000)
    sandbox.stripe.dispute(session["id"])
    return session


@pytest.fixture(scope="module")
def shapes(sandbox, session) -> list[dict[str, Any]]:
    """One event of each type that a shop of ours acts on, and an old completed session."""
    paid_late = sandbox.stripe.buy(sandbox.link, delayed=True).object
    sandbox.stripe.settle(paid_late["id"])
    old = sandbox.stripe.buy(sandbox.link, api_version=OLD, shipping=True)
    refunded = sandbox.stripe.refund(old.object["id"], api_version=OLD)
    found = {event["type"]: event for event in sandbox.stripe.events() if event["type"] in EVENT_TYPES}
    return [*found.values(), *(event for event in old.events + refunded.events if event["type"] in EVENT_TYPES)]


def sent(shapes: list[dict[str, Any]], only: list[Place] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what was done to it, event) for every mutation; each is an event of its own, whatever its id was."""
    for number, shape in enumerate(shapes):
        for count, (place, name, event) in enumerate(mutations(shape, only)):
            if place != ("id",):
                event["id"] = f"evt_{number}_{count}"
            elif number:
                continue  # a second event with the same id would be a duplicate
            if place not in KEPT and name not in ELSEWHERE:
                continue
            yield f"{shape['type']} {dotted(place)} {name}", event


class Webhook:
    """The function's handler, and the inbox behind it."""

    def __init__(self, url: str) -> None:
        self.handler = load_handler("stripe-webhook")
        self.handler.start()
        self.store = connect(url)
        self.inbox = Inbox(self.store)

    def post(self, event: dict[str, Any]) -> int:
        body = json.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, timestamp=int(time.time()))
        headers = CaseInsensitiveDict({"stripe-signature": signature})
        return self.handler.handle(Event(body.encode(), headers=headers), Context())["statusCode"]

    def kept(self, event: dict[str, Any]) -> Any:
        """The inbox's copy of the event's body, or None."""
        found = self.inbox.get(f"stripe:{event['id']}") if _plain(event.get("id")) else None
        return None if found is None else json.loads(found.body)


def _plain(id: Any) -> bool:
    """Whether a database can be asked for it at all."""
    return isinstance(id, str) and id.isprintable()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts the webhook on a new database of a kind."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Wire()).say(202)

        def start(kind: str) -> Webhook:
            url = fresh(kind, tmp_path)
            secrets = {"internal-key": "k" * 40, "store-url": url, "stripe-webhook-secret": SECRET}
            given = environment(tmp_path / "secrets", "stripe-webhook", secrets, gateway_url=gateway.url)
            for name, value in given.items():
                monkeypatch.setenv(name, value)
            webhook = Webhook(url)
            stack.callback(webhook.store.close)
            stack.callback(webhook.handler.stop)
            return webhook

        yield start


@pytest.mark.parametrize("kind", DATABASES)
def test_an_event_with_any_field_changed_is_in_the_inbox_whole_or_refused_and_never_a_5xx(kind, start, shapes):
    """All fields on SQLite; on the other databases those that become fields of the inbox."""
    webhook = start(kind)
    wrong = []
    for what, event in sent(shapes, None if kind == "sqlite" else KEPT):
        try:
            status = webhook.post(event)
        except Exception as error:
            wrong.append(f"{what}: {error!r}")
            continue
        kept = webhook.kept(event)
        if status == 200:
            fits = kept == (event if event["type"] in EVENT_TYPES and _plain(event["id"]) else None)
        else:
            fits = 400 <= status < 500 and kept is None
        if not fits:
            wrong.append(f"{what}: {status}, kept {kept}"[:200])
    assert wrong == []


def test_whatever_the_inbox_took_comes_to_an_end_and_never_makes_half_an_order(start, sandbox, shapes):
    """Applied with the real SDK against the sandbox: applied, ignored, or dead after the last attempt."""
    webhook = start("sqlite")
    about: dict[tuple[Any, ...], str] = {}
    for _, event in sent(shapes[:3] + shapes[-3:], [place for place in KEPT if place != ("created",)]):
        with contextlib.suppress(Exception):  # that none is raised is the test above
            webhook.post(event)
        found = webhook.inbox.get(f"stripe:{event['id']}") if _plain(event.get("id")) else None
        if found is not None:
            same = (found.object_type, found.object_id, found.payment_intent, found.charge)
            if about.setdefault(same, found.id) != found.id:
                webhook.store.delete("inbox", found.id)
    assert len(about) > 10
    payments = StripePayments(f"{sandbox.url}/stripe", lambda: KEY, 10)
    process = Process(webhook.store, payments, Functions(), Clock())
    process.drain(most=ATTEMPTS * len(about) + 50)
    for event_id in about.values():
        event = webhook.inbox.require(event_id)
        assert event.status in (EventStatus.APPLIED, EventStatus.IGNORED, EventStatus.DEAD), event
        assert event.due_at is None
        assert event.attempts <= ATTEMPTS
        assert event.status is not EventStatus.DEAD or (event.error and event.told_owner)
    orders = process.orders.list({}, limit=200).items
    assert orders
    for order in orders:
        assert [(one.sku, one.quantity, one.amount_subtotal) for one in order.lines] == [
            ("course", 1, 4900),
            ("book", 2, 4000),
        ]
        assert order.payment.amount_subtotal == 8900


# What is read from Stripe

NULL = {"dropped", "null"}
TEXT = {"empty text", "text", "long text"}
NUMBER = {"number", "huge"}
#: Any text or none: what the buyer typed is shown, never compared.
TYPED = NULL | TEXT | {"list", "dict", "dict with an id"}

#: What the facts may say otherwise, because Stripe really may say so: the place as a pattern, the field
#: of the facts, and what can stand there. Everything else has to be refused or change nothing.
SAID: dict[str, tuple[str, set[str]]] = {
    r"livemode": ("livemode", {"true"}),
    r"created": ("created_at", {"number", "negative"}),
    r"amount_(subtotal|total)": (r"amount_\w+", NUMBER),
    r"total_details": ("amount_discount", NULL),  # nullable: https://docs.stripe.com/api/checkout/sessions/object
    r"total_details.amount_\w+": (r"amount_\w+", NUMBER),
    r"customer_details(.address(.\w+)?|.email|.name|.phone)?|locale": ("buyer", TYPED),
    r"payment_link": ("payment_link", NULL | TEXT),
    r"payment_intent.id": ("payment_intent", {"text", "long text"}),
    r"payment_intent.amount_received": ("amount_received", NUMBER),
    r"payment_intent.latest_charge.id": ("charge_id", {"text", "long text"}),
    r"payment_intent.latest_charge.amount_refunded": ("amount_refunded", NUMBER),
    r"payment_intent.latest_charge.created": ("paid_at", {"number", "negative"}),
    # A shorter list is still a list; one without any line delivers nothing and is raised to the owner.
    r"line_items.data": ("lines", {"list"}),
    r"line_items.data.\d": ("lines", {"dropped"}),
    r"line_items.data.\d.(id|description)": ("lines", {"text", "long text"}),
    r"line_items.data.\d.quantity": ("lines", NUMBER | {"null"}),
    r"line_items.data.\d.amount_\w+": ("lines", NUMBER),
    r"line_items.data.\d.price(.id|.currency|.product(.id)?)?": ("lines", TYPED),
    r"line_items.data.\d.price.unit_amount": ("lines", NULL | NUMBER),
    r"disputes.data.\d.(id|status)": ("dispute", {"text", "long text"}),
    r"disputes.data.\d.amount": ("dispute", NUMBER),
    r"disputes.data.\d.reason": ("dispute", NULL | TEXT),
    r"disputes.data.\d.evidence_details(.due_by)?": ("dispute", TYPED | {"number", "negative"}),
}

#: Places we read, besides those: here everything is tried, elsewhere two things.
READ = re.compile(
    "|".join((*SAID, r"id|mode|status|payment_status|currency|metadata|collected_information.*|payment_intent"))
    + r"|payment_intent.(status|latest_charge|latest_charge.(paid|disputed))|line_items(.data|.has_more)?"
    + r"|disputes(.data(.\d)?)?|line_items.data.\d.price.product.metadata"
)
SELDOM = {"null", "dict"}


@pytest.fixture
def answers(sandbox, session):
    with Wire() as wire:
        answers = Answers(wire, sandbox, session["id"])
        answers.url = wire.url
        yield answers


def test_a_payment_with_any_field_changed_is_read_as_stripe_said_it_or_not_at_all(answers):
    """Nothing changes that Stripe did not really say; what it cannot have said is a `ProviderError`."""
    payments = StripePayments(answers.url, lambda: KEY, 10)
    good = payments.payment(answers.session_id)
    assert good is not None
    assert (len(good.lines), good.dispute.status, good.amount_refunded) == (2, "needs_response", 1000)
    wrong = []
    for place, name in answers.mutations(lambda place, name: name in SELDOM or READ.fullmatch(place)):
        try:
            facts = payments.payment(answers.session_id)
        except ProviderError:
            continue
        except Exception as error:
            wrong.append(f"{place} {name}: {error!r}"[:200])
            continue
        if facts is None:
            wrong.append(f"{place} {name}: taken for no payment at all")
            continue
        changed = {field for field in facts.__struct_fields__ if getattr(facts, field) != getattr(good, field)}
        if not changed <= _may_say(place, name) or not _can_be_stored(facts):
            wrong.append(f"{place} {name}: {', '.join(sorted(changed)) or 'cannot be stored'}")
    assert wrong == []


def _may_say(place: str, name: str) -> set[str]:
    """The fields of the facts that this change may alter."""
    for pattern, (field, names) in SAID.items():
        if re.fullmatch(pattern, place) and name in names:
            return {place.rpartition(".")[2]} if field == r"amount_\w+" else {field}
    return set()


def _can_be_stored(facts: Any) -> bool:
    try:
        return bool(msgspec.json.encode(facts))
    except (ValueError, OverflowError):
        return False


@pytest.mark.parametrize("name", sorted(set(INSTEAD) - {"true"}))
def test_a_list_of_lines_that_does_not_say_whether_it_is_whole_is_not_taken_for_the_whole(answers, name):
    items = answers.truth["session"]["line_items"]
    half = {**items, "data": items["data"][:1], "has_more": True}
    whole = mutated({**answers.truth["session"], "line_items": half}, ("line_items", "has_more"), INSTEAD[name])
    answers.now = {**answers.truth, "session": whole}
    with contextlib.suppress(ProviderError):
        assert len(StripePayments(answers.url, lambda: KEY, 10).payment(answers.session_id).lines) == 2


@pytest.mark.parametrize(
    "place",
    [("data",), ("has_more",), ("data", 0), ("data", 0, "id"), ("data", 1, "amount_total"), ("data", 1, "price")],
)
def test_a_second_page_of_lines_that_cannot_be_read_makes_no_shorter_order_and_no_endless_list(answers, place):
    items = answers.truth["session"]["line_items"]
    answers.now["session"] = {**answers.truth["session"], "line_items": {**items, "has_more": True}}
    payments = StripePayments(answers.url, lambda: KEY, 10)
    for name in ("dropped", "null", "text", "number", "dict"):
        if (place, name) in ((("has_more",), "dict"), (("data", 0), "dropped")):
            continue  # an empty object is no more than false, and a list may be shorter
        answers.now["line_items"] = mutated(answers.truth["line_items"], place, INSTEAD[name])
        with contextlib.suppress(ProviderError):
            assert len(payments.payment(answers.session_id).lines) == 2, name


@pytest.mark.parametrize(
    "place",
    [("data",), ("data", 0), ("data", 0, "id"), ("object",)],
)
def test_the_session_behind_a_refund_is_found_or_not_read_and_never_another(sandbox, session, place):
    intent = session["payment_intent"]
    found = {"object": "list", "data": [{"id": session["id"], "object": "checkout.session"}], "has_more": False}
    for name, value in INSTEAD.items():
        with Wire() as wire:
            wire.say(200, mutated(found, place, value))
            payments = StripePayments(wire.url, lambda: KEY, 10)
            with contextlib.suppress(ProviderError):
                assert payments.session_of(intent, None) in (session["id"], None), name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("line_items",), "null"),
        (("line_items", "data", 1, "amount_total"), "dropped"),
        (("amount_total",), "negative"),
        (("currency",), "null"),
        (("payment_intent",), "text"),
        (("payment_intent", "latest_charge"), "null"),
        (("created",), "huge"),
        (("payment_status",), "dict"),
    ],
)
def test_a_payment_that_cannot_be_read_is_tried_by_schedule_then_dead_with_its_reason(answers, tmp_path, place, name):
    """And nothing of it is an order. Once Stripe says it properly, the owner's replay makes the whole order."""
    store = connect(fresh("sqlite", tmp_path))
    process = Process(store, StripePayments(answers.url, lambda: KEY, 10), Functions(), Clock())
    event = _completed(answers.session_id, process.clock.instant())
    process.inbox.add(event)
    answers.now["session"] = mutated(answers.truth["session"], place, INSTEAD[name])
    began = process.clock()
    process.drain(most=ATTEMPTS + 10)
    dead = process.inbox.require(event.id)
    assert (dead.status, dead.attempts, dead.told_owner) == (EventStatus.DEAD, ATTEMPTS, True)
    assert (process.clock() - began).total_seconds() > 40 * 3600
    assert "cannot be read" in dead.error
    assert process.orders.list({}).items == []
    answers.now["session"] = answers.truth["session"]
    dead.status, dead.due_at = EventStatus.PENDING, process.clock.instant()
    process.inbox.save(dead)
    process.drain()
    [order] = process.orders.list({}).items
    assert (len(order.lines), order.payment.amount_total) == (2, 8500)
    store.close()


def _completed(session_id: str, now: str) -> Any:
    event = Purchase(1).event("checkout.session.completed", 1, now)
    event.object_id = session_id
    return event


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("text", ["ann\u0000@example.com", "ann\u202e🐢@example.com", "x" * 3000 + "@example.com"])
def test_whatever_address_a_buyer_typed_the_order_is_made_on_every_database(answers, tmp_path, kind, text):
    store = connect(fresh(kind, tmp_path))
    process = Process(store, StripePayments(answers.url, lambda: KEY, 10), Functions(), Clock())
    answers.now["session"] = mutated(answers.truth["session"], ("customer_details", "email"), text)
    process.inbox.add(_completed(answers.session_id, process.clock.instant()))
    process.drain()
    [order] = process.orders.list({}).items
    assert order.buyer.email.endswith("@example.com")
    store.close()


def test_a_line_without_its_unit_price_is_still_held_against_the_shops():
    """Stripe may leave `unit_amount` null; what the line costs is known all the same."""
    cheap = line(amount=100)
    cheap.unit_amount = None
    assert [item.code for item in bought(lines=[cheap]).open_attention()] == ["wrong_amount"]
    right = line(quantity=2)
    right.unit_amount = None
    assert bought(lines=[right]).open_attention() == []
