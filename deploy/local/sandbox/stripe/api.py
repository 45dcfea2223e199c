"""Stripe's HTTP API: keys, idempotency, lists and the routes."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Response, g, request
from stripe.params import (
    ChargeListParams,
    CouponListParams,
    DisputeListParams,
    EventListParams,
    PaymentIntentListParams,
    PaymentLinkListParams,
    PriceListParams,
    ProductListParams,
    RefundListParams,
    ShippingRateListParams,
    WebhookEndpointListParams,
)
from stripe.params.checkout import SessionListParams

from local.sandbox.stripe import offers, writes
from local.sandbox.stripe import params as check
from local.sandbox.stripe.after_sale import AfterSale
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.expand import envelope, expanded
from local.sandbox.stripe.idempotency import IdempotencyKeys, Stored
from local.sandbox.stripe.payment_objects import API_VERSION
from local.sandbox.stripe.sessions import create_session
from local.sandbox.stripe.state import NO_REQUEST

_KEY = re.compile(r"(sk|rk)_test_\w+")
# resource path -> object kind, the SDK's declaration of the list's parameters, fields it can be filtered by
_LISTS: dict[str, tuple[str, type, tuple[str, ...]]] = {
    "products": ("product", ProductListParams, ("active", "url")),
    "prices": ("price", PriceListParams, ("active", "product", "currency", "type")),
    "payment_links": ("payment_link", PaymentLinkListParams, ("active",)),
    "checkout/sessions": (
        "checkout.session",
        SessionListParams,
        ("status", "payment_link", "payment_intent", "customer"),
    ),
    "coupons": ("coupon", CouponListParams, ()),
    "shipping_rates": ("shipping_rate", ShippingRateListParams, ("active",)),
    "payment_intents": ("payment_intent", PaymentIntentListParams, ("customer",)),
    "charges": ("charge", ChargeListParams, ("payment_intent", "customer", "transfer_group")),
    "refunds": ("refund", RefundListParams, ("payment_intent", "charge")),
    "disputes": ("dispute", DisputeListParams, ("payment_intent", "charge")),
    "events": ("event", EventListParams, ()),
    "webhook_endpoints": ("webhook_endpoint", WebhookEndpointListParams, ()),
}
_CREATES: dict[str, Callable[..., Object]] = {
    "products": writes.create_product,
    "prices": writes.create_price,
    "payment_links": writes.create_payment_link,
    "checkout/sessions": create_session,
    "coupons": offers.create_coupon,
    "shipping_rates": offers.create_shipping_rate,
    "refunds": writes.create_refund,
    "webhook_endpoints": writes.create_webhook_endpoint,
}
Test = Callable[[Object], Any]
_COMPARED: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Api:
    """Every request is handled under the state's lock, so each is atomic, as Stripe's are."""

    def __init__(self, sb: AfterSale) -> None:
        self.sb = sb
        self.keys = IdempotencyKeys()

    def register(self, blueprint: Blueprint) -> None:
        rule = functools.partial(blueprint.add_url_rule, provide_automatic_options=False)
        for path in _LISTS:
            name = path.replace("/", "_")
            rule(f"/v1/{path}", f"list_{name}", self._endpoint(self._list), defaults={"path": path})
            rule(f"/v1/{path}/<object_id>", f"get_{name}", self._endpoint(self._get), defaults={"path": path})
            if path in _CREATES:
                rule(
                    f"/v1/{path}",
                    f"create_{name}",
                    self._endpoint(self._create),
                    methods=["POST"],
                    defaults={"path": path},
                )
        for path in ("payment_links", "checkout/sessions"):
            rule(
                f"/v1/{path}/<object_id>/line_items",
                f"lines_{path}",
                self._endpoint(self._line_items),
                defaults={"path": path},
            )
        rule("/v1/checkout/sessions/<object_id>/expire", "expire", self._endpoint(self._expire), methods=["POST"])
        rule("/v1/coupons/<object_id>", "delete_coupon", self._endpoint(self._delete_coupon), methods=["DELETE"])
        rule("/v1/account", "account", self._endpoint(self._account))
        rule("/v1/<path:path>", "unknown", self._endpoint(self._unknown), methods=["GET", "POST", "DELETE"])

    def _endpoint(self, handle: Callable[..., Object]) -> Callable[..., Response]:
        def run(**route: str) -> Response:
            g.request_id = self.sb.world.ids.stripe("req_")
            try:
                self._authorise()
                key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
                with self.sb.lock:
                    return self._keyed(key, handle, route) if key else self._answer(handle, route)
            except StripeError as error:
                return self._json(error.status, {"error": error.error})

        return run

    def _keyed(self, key: str, handle: Callable[..., Object], route: dict[str, str]) -> Response:
        fingerprint = hashlib.sha256(f"{request.path}\n{request.get_data(as_text=True)}".encode()).hexdigest()
        stored = self.keys.replay(key, fingerprint, self.sb.world.timestamp())
        if stored is not None:
            response = self._json(stored.status, stored.body)
            response.headers.update({"Idempotent-Replayed": "true", "Original-Request": stored.request_id})
        else:
            try:
                response = self._answer(handle, route)
            except StripeError as error:
                response = self._json(error.status, {"error": error.error})
            self.keys.keep(
                key,
                Stored(
                    fingerprint,
                    self.sb.world.timestamp(),
                    response.status_code,
                    response.get_data(as_text=True),
                    g.request_id,
                ),
            )
        response.headers["Idempotency-Key"] = key
        return response

    def _answer(self, handle: Callable[..., Object], route: dict[str, str]) -> Response:
        self.sb.expire_due()
        query = request.query_string.decode()
        params = check.decode(query if request.method == "GET" else request.get_data(as_text=True))
        expand = params.pop("expand", [])
        self.sb.cause = {"id": g.request_id, "idempotency_key": request.headers.get("Idempotency-Key")}
        try:
            return self._json(200, expanded(self.sb, handle(params, **route), expand))
        finally:
            self.sb.cause = NO_REQUEST

    @staticmethod
    def _json(status: int, body: Object | str) -> Response:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return Response(
            text,
            status,
            content_type="application/json",
            headers={"Request-Id": g.request_id, "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION)},
        )

    @staticmethod
    def _authorise() -> None:
        sent = request.authorization
        key = (sent.token if sent and sent.type == "bearer" else sent.username if sent else None) or ""
        if not key:
            raise StripeError(
                401,
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY').",
            )
        if not _KEY.fullmatch(key):
            raise StripeError(401, f"Invalid API Key provided: {key[:8]}****{key[-4:] if len(key) > 16 else ''}")

    def _list(self, params: dict[str, Any], path: str) -> Object:
        kind, declared, filters = _LISTS[path]
        check.check_known(params, declared)
        tests = [_created(params)]
        tests += [_field(name, check.plain(params[name])) for name in filters if name in params]
        if kind == "event":
            tests += self._of_events(params)
        if "customer_details" in params:
            tests.append(_buyer(params["customer_details"].get("email", "")))
        for name in ("starting_after", "ending_before"):
            if params.get(name) and not self.sb.holds(kind, params[name]):
                raise _no_such(params[name], name)
        page = self._page(
            self.sb.newer_first(kind), params, f"/v1/{path}", lambda obj: all(passes(obj) for passes in tests)
        )
        return page | {"data": [_public(o) for o in page["data"]]}

    def _of_events(self, params: dict[str, Any]) -> list[Test]:
        types = params.get("types", [])
        if types and "type" in params:
            raise StripeError(400, "You may pass only one of these parameters: type, types.")
        if len(types) > 20:
            raise StripeError(400, "You may pass at most 20 types.", param="types")
        tests = [self.sb.matching(types or ([params["type"]] if "type" in params else []))]
        if "delivery_success" in params:
            wanted = check.plain(params["delivery_success"])
            tests.append(lambda event: self.sb.delivered(event) == wanted)
        return tests

    @staticmethod
    def _page(found: Iterable[Object], params: dict[str, Any], url: str, passes: Test = bool) -> Object:
        """One page of what passes the test; the ids that a page is asked from or up to need not pass it."""
        limit = check.integer(params, "limit", 10, least=1, most=100) or 10
        after, before = params.get("starting_after"), params.get("ending_before")
        rest = iter(found)
        if before:
            newer = list(filter(passes, itertools.takewhile(lambda obj: obj["id"] != before, rest)))
            return envelope(newer[-limit:], url, len(newer) > limit)
        if after and not any(obj["id"] == after for obj in rest):
            raise _no_such(after, "starting_after")
        page = list(itertools.islice(filter(passes, rest), limit + 1))
        return envelope(page[:limit], url, len(page) > limit)

    def _get(self, params: dict[str, Any], path: str, object_id: str) -> Object:
        check.check_known(params, _Nothing)
        return _public(self.sb.find(_LISTS[path][0], object_id))

    def _create(self, params: dict[str, Any], path: str) -> Object:
        return _CREATES[path](self.sb, params)

    def _line_items(self, params: dict[str, Any], path: str, object_id: str) -> Object:
        owner = self.sb.find(_LISTS[path][0], object_id)
        return self._page(self.sb.lines[owner["id"]], params, f"/v1/{path}/{object_id}/line_items")

    def _expire(self, params: dict[str, Any], object_id: str) -> Object:
        check.check_known(params, _Nothing)
        session = self.sb.find("checkout.session", object_id)
        if session["status"] != "open":
            raise StripeError(
                400,
                'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
                f"Session has a status of `{session['status']}`.",
            )
        return self.sb.expire(session).object

    def _delete_coupon(self, params: dict[str, Any], object_id: str) -> Object:
        """Sessions that have it keep their discount."""
        self.sb.drop(self.sb.find("coupon", object_id))
        return {"id": object_id, "object": "coupon", "deleted": True}

    def _account(self, params: dict[str, Any]) -> Object:
        return {
            "id": self.sb.account_id,
            "object": "account",
            "business_type": "individual",
            "country": "PL",
            "charges_enabled": True,
            "payouts_enabled": True,
            "details_submitted": True,
            "default_currency": "eur",
            "email": "owner@example.com",
            "type": "standard",
            "settings": {"dashboard": {"display_name": "Pushcart sandbox", "timezone": "Etc/UTC"}},
        }

    def _unknown(self, params: dict[str, Any], path: str) -> Object:
        raise StripeError(
            404,
            f"Unrecognized request URL ({request.method}: /v1/{path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/.",
        )


class _Nothing:
    """The parameters of an endpoint that takes none (besides `expand`)."""

    __annotations__: dict[str, Any] = {}


def _public(obj: Object) -> Object:
    """A webhook endpoint's secret is only shown when it is created."""
    return {k: v for k, v in obj.items() if k != "secret"} if obj["object"] == "webhook_endpoint" else obj


def _no_such(object_id: str, param: str) -> StripeError:
    return StripeError(400, f"No such object: '{object_id}'", code="resource_missing", param=param)


def _field(name: str, wanted: Any) -> Test:
    return lambda obj: obj[name] == wanted


def _buyer(email: str) -> Test:
    return lambda session: (session["customer_details"] or {}).get("email", "").lower() == email.lower()


def _created(params: dict[str, Any]) -> Test:
    """`created` is a timestamp, or bounds gt, gte, lt, lte."""
    bounds = params.get("created", {})
    if not isinstance(bounds, dict):
        bounds = {"gte": bounds, "lte": bounds}
    limits = [(_COMPARED[name], check.integer(bounds, name, param=f"created[{name}]") or 0) for name in bounds]
    return lambda obj: all(compare(obj["created"], limit) for compare, limit in limits)
