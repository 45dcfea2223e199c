"""Printful's HTTP API v1: tokens, stores, limits, pages and the routes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.printful_objects import STORE_ID, Json, PrintfulError
from local.sandbox.printful_webhooks import TYPES

if TYPE_CHECKING:
    from local.sandbox.printful import Printful

_STORE = {"id": STORE_ID, "type": "native", "name": "Pushcart sandbox"}
View = Response | tuple[Response, int]
_STATUSES = frozenset(
    (
        "draft",
        "inreview",
        "pending",
        "failed",
        "canceled",
        "inprocess",
        "onhold",
        "partial",
        "fulfilled",
        "archived",
    )
)


class PrintfulApi:
    """Every answer holds `code` and `result`; a list has `paging` as well."""

    def __init__(self, printful: Printful) -> None:
        self.printful = printful

    def register(self, routes: Blueprint) -> None:
        rules: tuple[tuple[str, str, Callable[..., View]], ...] = (
            ("GET", "/stores", self._stores),
            ("GET", f"/stores/{STORE_ID}", self._store),
            ("GET", "/orders", self._list),
            ("POST", "/orders", self._place),
            ("GET", "/orders/<number>", self._get),
            ("DELETE", "/orders/<number>", self._cancel),
            ("POST", "/orders/<number>/confirm", self._confirm),
            ("GET", "/webhooks", self._webhooks),
            ("POST", "/webhooks", self._set_webhooks),
            ("DELETE", "/webhooks", self._drop_webhooks),
        )
        for method, path, view in rules:
            routes.add_url_rule(path, view.__name__, view, methods=[method])
        routes.add_url_rule("/<path:path>", "unknown", self._unknown, methods=["GET", "POST", "PUT", "DELETE"])
        routes.before_request(self._guard)
        routes.register_error_handler(PrintfulError, self._refuse)

    @staticmethod
    def _refuse(error: Exception) -> View:
        assert isinstance(error, PrintfulError)
        return jsonify(error.as_json()), error.status

    def _guard(self) -> Response | None:
        if (wait := self._wait()) is not None:
            answer = self.printful.error(429, wait)
            return Response(answer.body, 429, answer.headers, content_type=answer.content_type)
        sent = request.authorization
        if sent is None or sent.type != "bearer" or not sent.token:
            raise PrintfulError("Malformed Authorization header.", 401)
        if self.printful.token is not None and sent.token != self.printful.token:
            raise PrintfulError("The access token provided is invalid.", 401)
        store = request.headers.get("X-PF-Store-Id", "")
        if store and store != str(STORE_ID):
            raise PrintfulError("You do not have access to this store.", 403)
        if self.printful.needs_store and not store and not request.path.endswith("/stores"):
            raise PrintfulError("This endpoint requires `store_id`!")
        return None

    def _wait(self) -> int | None:
        """Counts the call. Seconds until there may be one again, past the account's limit a minute."""
        limit, called = self.printful.per_minute, self.printful.called
        if limit is None:
            return None
        now = self.printful.world.now().timestamp()
        while called and called[0] <= now - 60:
            called.popleft()
        if len(called) >= limit:
            return max(1, math.ceil(called[0] + 60 - now))
        called.append(now)
        return None

    def _result(self, result: Any, **more: Any) -> Response:
        return jsonify({"code": 200, "result": result, **more})

    def _stores(self) -> View:
        return self._result([_STORE], paging={"total": 1, "offset": 0, "limit": 20})

    def _store(self) -> View:
        return self._result(_STORE)

    def _list(self) -> View:
        status = request.args.get("status") or None
        if status is not None and status not in _STATUSES:
            raise PrintfulError(f"Invalid status: {status}")
        offset, limit = _number("offset", 0, 10**9), _number("limit", 20, 100)
        found = [o for o in self.printful.newest() if status in (None, o["status"])]
        paging = {"total": len(found), "offset": offset, "limit": limit}
        return self._result(found[offset : offset + limit], paging=paging)

    def _place(self) -> View:
        confirm = request.args.get("confirm", "").lower() in ("1", "true")
        return self._result(self.printful.place(request.get_json(silent=True, force=True), confirm), extra=[])

    def _get(self, number: str) -> View:
        return self._result(self.printful.find(_named(number)))

    def _confirm(self, number: str) -> View:
        return self._result(self.printful.confirm(_named(number)))

    def _cancel(self, number: str) -> View:
        return self._result(self.printful.delete(_named(number)))

    def _webhooks(self) -> View:
        url = self.printful.webhook_url
        return self._result({"url": url, "types": list(self.printful.types) if url else [], "params": {}})

    def _set_webhooks(self) -> View:
        sent: Json = request.get_json(silent=True, force=True) or {}
        types = sent.get("types")
        if not sent.get("url") or not isinstance(types, list) or not types:
            raise PrintfulError("Missing required parameters")
        unknown = [t for t in types if t not in TYPES and t not in ("product_synced", "product_updated")]
        if unknown:
            raise PrintfulError(f"Invalid webhook type: {unknown[0]}")
        self.printful.webhook_url, self.printful.types = str(sent["url"]), tuple(types)
        return self._webhooks()

    def _drop_webhooks(self) -> View:
        self.printful.webhook_url, self.printful.types = None, TYPES
        return self._webhooks()

    def _unknown(self, path: str) -> View:
        raise PrintfulError("Not found", 404)


def _named(number: str) -> str:
    """A path names an order by its number, or by `@` and its external id."""
    if not number.startswith("@") and not number.isdigit():
        raise PrintfulError("Not found", 404)
    return number


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) > most:
        raise PrintfulError(f"Invalid {name}: {text}")
    return int(text)
