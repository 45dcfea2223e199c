"""Print on demand at Printful, API v1 (https://developers.printful.com/docs/).

Why v1: version 2 cannot order a store's own products (sync variants).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from pushcart.clock import Clock, Instant, from_timestamp
from pushcart.config import Config
from pushcart.domain import money
from pushcart.domain.parcels import PrintFacts, PrintNews
from pushcart.errors import AnswerTooLarge, ProviderBusy, ProviderRefused, ProviderUnreadable
from pushcart.providers import printful_shapes as shapes
from pushcart.providers.http import Http
from pushcart.providers.limiter import Limiter

NAME = "Printful"

#: What a function that reads or places orders reads besides: for its `Reads`.
VARIABLES = ("provider_timeout", "printful_url", "printful_store")
SECRET = "printful-api-key"

#: Printful's 429 may name no wait; its limit is 120 calls in a minute.
BUSY_WAIT = 60.0

#: https://developers.printful.com/docs/#section/Errors: what it says besides 429 when we ask too often.
RATE_WARNING = 419

#: Messages whose reason is why something is wrong with the order itself.
_TROUBLE = frozenset({"order_failed", "order_canceled", "order_put_hold", "order_put_hold_approval"})


class Page(msgspec.Struct, kw_only=True):
    """Orders at Printful, newest first, of `total`; `odd` could not be read and are left out.

    The last page is the one with offset + limit >= total, however many items it has.
    """

    items: list[PrintFacts]
    total: int
    odd: int = 0


class Printful:
    """One store. `key` gives the token at each call; `store` is the store's number, for a token that opens several.

    Every call raises `ProviderRefused`, `ProviderBusy` or `ProviderUnavailable`.
    """

    def __init__(self, http: Http, key: Callable[[], str], store: str = "") -> None:
        self._http = http
        self._key = key
        self._store = store

    def order(self, reference: str) -> PrintFacts | None:
        """The order with this number, or with `@` and this `external_id`; None when Printful has none."""
        found = self.read(reference)
        return None if found is None else shapes.facts(found)

    def read(self, reference: str) -> shapes.Order | None:
        """As `order`, in Printful's words, which also say what was ordered."""
        if not shapes.EXTERNAL_ID.fullmatch(reference.removeprefix("@")):
            return None
        try:
            found = self._order("GET", f"/orders/{reference}")
        except ProviderRefused as refusal:
            if refusal.status != 404:
                raise
            return None
        _is(found, reference)
        return found

    def place(
        self,
        external_id: str,
        recipient: Mapping[str, str],
        items: Sequence[Mapping[str, Any]],
        *,
        shipping: str | None = None,
        retail_costs: Mapping[str, str] | None = None,
    ) -> PrintFacts:
        """Orders `items` and confirms that at once; the order as Printful then has it, which may be a draft still.

        `recipient`, `items` and `retail_costs` are as Printful documents them, `shipping` is its name of a method.
        An `external_id` that is taken is refused, also that of a cancelled order.
        """
        body: dict[str, Any] = {"external_id": external_id, "recipient": recipient, "items": items}
        if shipping:
            body["shipping"] = shipping
        if retail_costs:
            body["retail_costs"] = retail_costs
        # https://developers.printful.com/docs/#operation/createOrder
        made = self._order("POST", "/orders", json=body, query={"confirm": 1})
        _is(made, f"@{external_id}")
        return shapes.facts(made)

    def confirm(self, number: str) -> PrintFacts:
        """Has the order made that is a draft or has failed: https://developers.printful.com/docs/#operation/confirmOrderById"""
        made = self._order("POST", f"/orders/{number}/confirm")
        _is(made, number)
        return shapes.facts(made)

    def page(self, offset: int, limit: int = 100) -> Page:
        """`limit` (at most 100) orders, newest first, after the first `offset`."""
        try:
            return self._page(offset, limit)
        except AnswerTooLarge:
            # Orders with many print files can be more than we read of one answer.
            if limit == 1:
                raise
        half = limit // 2
        page = self.page(offset, half)
        if offset + half < page.total:
            rest = self.page(offset + half, limit - half)
            page = Page(items=page.items + rest.items, total=rest.total, odd=page.odd + rest.odd)
        return page

    def check(self) -> str:
        """That the token reads orders, of the right store. Changes nothing."""
        total = self.page(0, 1).total
        try:
            stores = {str(store.id): store.name or str(store.id) for store in self.stores()}
        except ProviderRefused as refusal:
            if refusal.status != 403:
                raise
            return f"accepts the token; {total} orders. Which store it is for, this token may not see"
        if self._store and self._store not in stores:
            known = ", ".join(f"{number} ({name})" for number, name in stores.items()) or "none"
            raise ProviderRefused(NAME, f"the token does not open store {self._store}; it opens {known}")
        if not self._store and len(stores) > 1:
            raise ProviderRefused(NAME, f"the token opens several stores ({', '.join(stores)}); set printful_store")
        name = stores[self._store] if self._store else next(iter(stores.values()), "no store")
        return f"accepts the token for {name}; {total} orders"

    def stores(self) -> list[shapes.Store]:
        """The stores that the token opens."""
        found: shapes.StoresAnswer = self._call("GET", "/stores", shapes.StoresAnswer)
        return found.result

    def webhook(self) -> shapes.Webhook:
        """Where Printful sends what happens, and what of it; its address ends in our secret."""
        found: shapes.WebhookAnswer = self._call("GET", "/webhooks", shapes.WebhookAnswer)
        return found.result

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def _page(self, offset: int, limit: int) -> Page:
        query = {"offset": offset, "limit": limit}
        # https://developers.printful.com/docs/#operation/getOrders
        found: shapes.OrdersAnswer = self._call("GET", "/orders", shapes.OrdersAnswer, query=query)
        page = Page(items=[], total=found.paging.total)
        for raw in found.result:
            try:
                page.items.append(shapes.facts(msgspec.json.decode(raw, type=shapes.Order)))
            except (msgspec.DecodeError, ValueError):
                page.odd += 1
        return page

    def _order(self, method: str, path: str, **request: Any) -> shapes.Order:
        found: shapes.OrderAnswer = self._call(method, path, shapes.OrderAnswer, **request)
        return found.result

    def _call(self, method: str, path: str, shape: Any, **request: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._key()}"}
        if self._store:
            headers["X-PF-Store-Id"] = self._store
        try:
            return self._http.call(method, path, shape, headers=headers, **request)
        except ProviderRefused as refusal:
            if refusal.status != RATE_WARNING:
                raise
            raise ProviderBusy(NAME, "we ask too often", status=RATE_WARNING, retry_after=BUSY_WAIT) from refusal


def connect(config: Config, clock: Clock, calls_per_minute: int) -> Printful:
    """A client with the function's settings. Printful allows an account 120 calls a minute; this is one's share."""
    http = Http(
        NAME,
        config["printful_url"],
        clock,
        timeout=config.number("provider_timeout"),
        secret=SECRET,
        limiter=Limiter(calls_per_minute),
        busy_wait=BUSY_WAIT,
    )
    return Printful(http, lambda: config.secret(SECRET), config["printful_store"])


def news(type: str, data: Mapping[str, Any], at: Instant | None = None) -> PrintNews:
    """What a webhook of this `type` says that the order at Printful does not; `at` is when it was sent.

    `data` is its part of that name. What cannot be read is left out: the order is read again in any case.
    """
    found, reason = PrintNews(type=type), shapes.words(data.get("reason"))
    order, shipment = _part(data.get("order"), shapes.Order), _part(data.get("shipment"), shapes.Shipment)
    if type in _TROUBLE:
        found.reason = reason
    elif type == "order_refunded" and order is not None:
        found.refunded = _refunded(data.get("amount"), order)
    elif type == "package_returned" and order is not None and shipment is not None:
        found.parcel = shapes.parcel(shipment, order)
        found.parcel.returned_at = at or from_timestamp(order.created if order.updated is None else order.updated)
        found.parcel.reason = reason
    return found


def _refunded(amount: Any, order: shapes.Order) -> int | None:
    text, costs = _part(str(amount), shapes.Amount), shapes.costs_of(order)
    return None if text is None or costs is None else money.nearest_minor(Decimal(text), costs.currency)


def _part(value: Any, shape: Any) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return None


def _is(found: shapes.Order, reference: str) -> None:
    """Raises unless `found` is what was asked for: an answer about another order must not become this one's."""
    name = f"@{found.name}" if reference.startswith("@") else str(found.id)
    if name != reference:
        raise ProviderUnreadable(NAME, f"asked about {reference}, it answered about order {found.id}")
