"""Lists what Stripe knows, a page at a time and newest first: events, and completed Checkout Sessions.

Read as JSON through the official SDK and not as its objects: of a page only a few fields count, and making the SDK's
objects of a hundred sessions takes longer than Stripe takes to send them.
https://docs.stripe.com/api/events/list · https://docs.stripe.com/api/checkout/sessions/list
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import stripe

from pushcart.errors import ProviderRefused
from pushcart.providers.stripe_payments import ORDER_KEY, StripePayments, unreadable
from pushcart.providers.stripe_shapes import Amount, Code, Id, Seconds

S = TypeVar("S", bound=msgspec.Struct)

#: The most that Stripe gives on one page.
PAGE = 100

#: Stripe keeps events for so many seconds.
EVENTS_KEPT = 30 * 86_400

CHARGES = "data.payment_intent.latest_charge"


class ListedEvent(msgspec.Struct):
    """An event: `body` is its JSON, such as a webhook has it."""

    id: str
    body: bytes


class ListedSession(msgspec.Struct, kw_only=True):
    """A completed Checkout Session, as far as a comparison needs it. Amounts in minor units of `currency`.

    `refunded` and `disputed` are None where the charge was not asked for, or there is none.
    """

    id: str
    created: int
    mode: str
    paid: bool
    currency: str
    amount_total: int
    livemode: bool
    payment_link: str | None = None
    order_id: str | None = None
    refunded: int | None = None
    disputed: bool | None = None


class Listed(msgspec.Struct):
    """One page. `last` is where the next one begins, or None at the end; `odd` counts what could not be read."""

    items: list[Any]
    last: str | None
    odd: int = 0


class StripeListing:
    """`payments` is who asks: its key, its timeouts and its errors are the listing's too."""

    def __init__(self, payments: StripePayments) -> None:
        self._payments = payments

    def events(self, types: Iterable[str], since: int, until: int, after: str | None = None) -> Listed:
        """`ListedEvent`s of these types (at most 20), created from `since` to `until`, both Unix seconds, inclusive.

        `after` is the `last` of the page before. An `after` that Stripe has forgotten is a `ProviderRefused` with the
        `reason` resource_missing. Raises the `ProviderError`s.
        """
        asked = {"types": sorted(types), "created": {"gte": since, "lte": until}}
        page = self._page("/v1/events", asked, after)
        found = [_event(raw) for raw in page.data]
        return _listed(page, found)

    def sessions(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        after: str | None = None,
        charges: bool = False,
    ) -> Listed:
        """Completed `ListedSession`s created in [since, until), Unix seconds; with their `charges` if asked for."""
        asked: dict[str, Any] = {"status": "complete"}
        created = {"gte": since, "lt": until}
        if given := {bound: second for bound, second in created.items() if second is not None}:
            asked["created"] = given
        if charges:
            asked["expand"] = [CHARGES]
        page = self._page("/v1/checkout/sessions", asked, after)
        return _listed(page, [_session(raw) for raw in page.data])

    def session(self, session_id: str) -> ListedSession | None:
        """One session with its charge, complete or not; None when Stripe has never heard of it."""
        expand = [CHARGES.removeprefix("data.")]
        try:
            raw = self._ask(f"/v1/checkout/sessions/{session_id}", {"expand": expand}, msgspec.Raw)
        except ProviderRefused as error:
            if error.status == 404:
                return None
            raise
        found = _session(raw)
        if found is None:
            raise unreadable(f"the session {session_id}")
        return found

    def _page(self, path: str, asked: dict[str, Any], after: str | None) -> _Page:
        given = {"limit": PAGE, **asked, **({"starting_after": after} if after else {})}
        page = self._ask(path, given, _Page)
        if page.has_more and not page.data:
            raise unreadable("an empty page that goes on")
        return page

    def _ask(self, path: str, params: dict[str, Any], shape: type[Any]) -> Any:
        def request(client: stripe.StripeClient) -> str:
            return str(client.raw_request("get", path, **params).body)

        body = self._payments.ask(request)
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, ValueError) as error:
            raise unreadable(error) from error


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


class _Named(msgspec.Struct):
    id: Id


class _Charge(msgspec.Struct):
    amount_refunded: Amount
    disputed: bool


class _Intent(msgspec.Struct):
    latest_charge: _Charge | str | None = None


class _Session(msgspec.Struct):
    id: Id
    created: Seconds
    amount_total: Amount
    currency: Code
    payment_status: str
    livemode: bool
    status: str | None = None
    mode: str = "payment"
    payment_link: Id | None = None
    metadata: dict[str, str] | None = None
    payment_intent: _Intent | str | None = None


def _listed(page: _Page, found: list[Any]) -> Listed:
    items = [one for one in found if one is not None]
    last = _decoded(page.data[-1], _Named) if page.has_more else None
    if page.has_more and last is None:
        raise unreadable("a page without an id to go on from")
    return Listed(items, last.id if last else None, len(found) - len(items))


def _event(raw: msgspec.Raw) -> ListedEvent | None:
    named = _decoded(raw, _Named)
    return ListedEvent(named.id, bytes(raw)) if named else None


def _session(raw: msgspec.Raw) -> ListedSession | None:
    read = _decoded(raw, _Session)
    if read is None:
        return None
    intent = read.payment_intent
    charge = intent.latest_charge if isinstance(intent, _Intent) else None
    known = charge if isinstance(charge, _Charge) else None
    return ListedSession(
        id=read.id,
        created=read.created,
        mode=read.mode,
        paid=read.status == "complete" and read.payment_status != "unpaid",
        currency=read.currency.upper(),
        amount_total=read.amount_total,
        livemode=read.livemode,
        payment_link=read.payment_link,
        order_id=(read.metadata or {}).get(ORDER_KEY),
        refunded=known.amount_refunded if known else None,
        disputed=known.disputed if known else None,
    )


def _decoded(raw: msgspec.Raw, shape: type[S]) -> S | None:
    """None for what is not as Stripe documents it: one odd object must not keep the others."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, ValueError):
        return None
