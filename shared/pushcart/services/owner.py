"""What the owner may see and do: orders, their timelines, events, and the few ways to help one along."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from pushcart.clock import Clock, Instant, from_instant, to_instant
from pushcart.domain import delivery, steps
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import FulfilmentStatus, Order, PaymentStatus
from pushcart.errors import BadRequest, Conflict
from pushcart.repositories import Inbox, Orders
from pushcart.services.intake import Intake
from pushcart.services.work import Work
from pushcart.web import Request

MOST = 200


class StepChoice(msgspec.Struct, forbid_unknown_fields=True):
    """Which step to retry or to send again; None retries every dead step."""

    step: str | None = None


class Handled(msgspec.Struct, forbid_unknown_fields=True):
    """Why something was marked as handled, for the timeline, and the version of the order the owner looked at."""

    note: str = ""
    version: int | None = None


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """A parcel that the owner has sent: `pieces` by line id, or None for all that was left to be packed.

    `version` is that of the order the owner looked at: what was sent in the meantime is not sent again.
    """

    carrier: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    tracking_number: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    tracking_url: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^https?://[^\s/]+(/\S*)?\Z")] | None = None
    pieces: dict[str, int] | None = None
    version: int | None = None


class Owner:
    """The routes of the owner's API, for `web.Router`."""

    def __init__(
        self,
        orders: Orders,
        inbox: Inbox,
        intake: Intake,
        work: Work,
        catalogue: Callable[[], Catalogue],
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._inbox = inbox
        self._intake = intake
        self._work = work
        self._catalogue = catalogue
        self._clock = clock

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """Method, rule and target of each."""
        return [
            ("GET", "/orders", self.list_orders),
            ("GET", "/orders/<id>", self.show_order),
            ("POST", "/orders/<id>/retry", self.retry),
            ("POST", "/orders/<id>/resend", self.resend),
            ("POST", "/orders/<id>/handled", self.handled),
            ("POST", "/orders/<id>/release", self.release),
            ("POST", "/orders/<id>/ship", self.ship),
            ("GET", "/events", self.list_events),
            ("GET", "/events/<id>", self.show_event),
            ("POST", "/events/<id>/replay", self.replay),
        ]

    def list_orders(self, request: Request) -> Any:
        """Newest first. Query: payment_status, fulfilment_status, email, sku, since, until, limit, cursor."""
        _known(request, "payment_status", "fulfilment_status", "email", "sku", "since", "until", "limit", "cursor")
        query = request.query
        equal = {
            "payment_status": _one_of(PaymentStatus, query, "payment_status"),
            "fulfilment_status": _one_of(FulfilmentStatus, query, "fulfilment_status"),
            "email": query.get("email", "").lower(),
            "skus": query.get("sku", ""),
        }
        page = self._orders.list(
            {field: value for field, value in equal.items() if value},
            since=_moment(query, "since"),
            until=_moment(query, "until"),
            cursor=query.get("cursor"),
            limit=_limit(query),
        )
        page.items = [summary(order) for order in page.items]
        return msgspec.to_builtins(page)

    def show_order(self, request: Request, id: str) -> Any:
        """The whole order with its timeline."""
        request.log_fields["order_id"] = id
        return msgspec.to_builtins(self._orders.require(id))

    def retry(self, request: Request, id: str) -> Any:
        """Tries a dead or failed step again now, or every dead one."""
        choice = request.json(StepChoice)

        def change(order: Order) -> None:
            dead = [step.id for step in order.steps if step.state == "dead"]
            if choice.step is None and not dead:
                raise Conflict(f"Order {id} has no dead step.")
            for step_id in [choice.step] if choice.step else dead:
                steps.retry(order, step_id, to_instant(self._clock()))

        return self._changed(request, id, change)

    def resend(self, request: Request, id: str) -> Any:
        """Sends a mail once more."""
        choice = request.json(StepChoice)
        if choice.step is None:
            raise BadRequest('Say which mail: {"step": "receipt"}.')
        step_id = choice.step

        def change(order: Order) -> None:
            steps.resend(order, step_id, to_instant(self._clock()))

        return self._changed(request, id, change)

    def handled(self, request: Request, id: str) -> Any:
        """The owner has dealt with what needed a human."""
        given = request.json(Handled)

        def change(order: Order) -> None:
            _unchanged(order, given.version)
            steps.handled(order, to_instant(self._clock()), given.note)

        return self._changed(request, id, change)

    def ship(self, request: Request, id: str) -> Any:
        """The owner has sent a parcel."""
        sent = request.json(Sent)

        def change(order: Order) -> None:
            _unchanged(order, sent.version)
            delivery.ship(
                order,
                self._catalogue(),
                to_instant(self._clock()),
                carrier=sent.carrier,
                tracking_number=sent.tracking_number,
                tracking_url=sent.tracking_url,
                pieces=sent.pieces,
            )

        return self._changed(request, id, change)

    def release(self, request: Request, id: str) -> Any:
        """Fulfils an order although its amount differs from the shop's price."""

        def change(order: Order) -> None:
            if not any(item.code == "wrong_amount" for item in order.attention) or order.planned:
                raise Conflict(f"Order {id} is not held for its amount.")
            order.released = True
            order.note(to_instant(self._clock()), "released in spite of its amount", "owner")

        order = self._orders.change(id, change)
        if order.session_id and order.payment:
            self._intake.sync(order.payment.provider, order.session_id, "owner", known=order.id)
        return self._driven(request, id)

    def list_events(self, request: Request) -> Any:
        """Newest first. Query: status, limit, cursor."""
        _known(request, "status", "limit", "cursor")
        status = _one_of(EventStatus, request.query, "status")
        page = self._inbox.list(
            EventStatus(status) if status else None, request.query.get("cursor"), _limit(request.query)
        )
        page.items = [_event(event, body=False) for event in page.items]
        return msgspec.to_builtins(page)

    def show_event(self, request: Request, id: str) -> Any:
        """The event with the body as it arrived."""
        return _event(self._inbox.require(id), body=True)

    def replay(self, request: Request, id: str) -> Any:
        """Applies an event again, whatever became of it."""

        def change(event: InboxEvent) -> None:
            event.status, event.due_at = EventStatus.PENDING, to_instant(self._clock())
            event.attempts, event.deferrals, event.error = 0, 0, None
            event.alarm = event.told_owner = False

        event = self._inbox.change(id, change)
        self._work.event(id)
        return {"statusCode": 202, "body": _event(event, body=False)}

    def _changed(self, request: Request, id: str, change: Any) -> Any:
        self._orders.change(id, change)
        return self._driven(request, id)

    def _driven(self, request: Request, id: str) -> Any:
        request.log_fields["order_id"] = id
        self._work.order(id)
        return {"statusCode": 202, "body": msgspec.to_builtins(self._orders.require(id))}


def summary(order: Order) -> dict[str, Any]:
    """One order as a listing shows it; amounts in minor units."""
    return {
        "id": order.id,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "paid_at": order.paid_at,
        "payment_status": order.payment_status,
        "fulfilment_status": order.fulfilment_status,
        "email": order.email,
        "skus": order.skus,
        "amount_total": order.payment.amount_total if order.payment else None,
        "amount_refunded": order.payment.amount_refunded if order.payment else None,
        "currency": order.payment.currency if order.payment else None,
        "attention": [item.text for item in order.open_attention()],
    }


def _unchanged(order: Order, version: int | None) -> None:
    if version not in (None, order.version):
        raise Conflict(f"Order {order.id} has changed since version {version}; look at it again.")


def _event(event: InboxEvent, *, body: bool) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(event)
    if not body:
        del shown["body"]
    return shown


def _known(request: Request, *names: str) -> None:
    unknown = sorted(set(request.query) - set(names))
    if unknown:
        raise BadRequest(f"Unknown in the query: {', '.join(unknown)}. Known are {', '.join(names)}.")


def _one_of(values: type[PaymentStatus] | type[FulfilmentStatus] | type[EventStatus], query: Any, name: str) -> str:
    given = query.get(name, "")
    if given and given not in set(values):
        raise BadRequest(f"{name}={given!r} is none of {', '.join(values)}.")
    return str(given)


def _moment(query: Any, name: str) -> Instant | None:
    given = query.get(name)
    if not given:
        return None
    try:
        return to_instant(from_instant(given if "T" in given else f"{given}T00:00:00Z"))
    except (ValueError, OverflowError):
        raise BadRequest(f"{name}={given!r} is no time; write it like 2026-11-21 or 2026-11-21T08:00:00Z.") from None


def _limit(query: Any) -> int:
    given = query.get("limit", "50")
    if not (re.fullmatch(r"[0-9]{1,3}", given) and 1 <= int(given) <= MOST):
        raise BadRequest(f"limit={given!r} should be a number from 1 to {MOST}.")
    return int(given)
