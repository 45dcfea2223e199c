"""Routes that anybody may call, but browsers only from the shop's own pages and those that shop.yml names.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from pushcart.errors import ForeignOrigin, MethodNotAllowed, PushcartError, TooLarge
from pushcart.web import Router

#: `target(event, context)` answers with the template's contract.
Target = Callable[[Any, Any], dict[str, Any]]

#: Seconds a browser may remember a preflight's answer.
MAX_AGE = 3600


def origin_of(url: str) -> str:
    """`https://shop.example` of any address below it, as browsers write it: national letters as xn--, no usual port."""
    parts = urlsplit(url)
    try:
        host = (parts.hostname or "").encode("idna").decode()
    except UnicodeError:
        host = parts.hostname or ""
    port = "" if parts.port in (None, {"https": 443, "http": 80}.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}".lower()


class Origins:
    """`allowed` gives the origins of today, as `origin_of` writes them."""

    def __init__(self, allowed: Callable[[], Iterable[str]]) -> None:
        self._allowed = allowed

    def headers(self, origin: str | None) -> dict[str, str]:
        """The answer's headers; none for a caller that is no browser. `ForeignOrigin` for a page of another site."""
        if origin is None:
            return {"Vary": "Origin"}
        if origin.lower() not in set(self._allowed()):
            raise ForeignOrigin(
                "This page is not the shop's; its origin is to be named under site.origins in shop.yml."
            )
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin}

    def preflight(self, origin: str | None) -> dict[str, str]:
        """The headers for OPTIONS."""
        return {
            **self.headers(origin),
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Content-Type",
            "Access-Control-Max-Age": str(MAX_AGE),
        }


class PublicRouter:
    """Public routes before a `Router`'s signed ones. `most_bytes` is what a body may hold."""

    def __init__(self, signed: Router, origins: Origins, most_bytes: int) -> None:
        self._signed = signed
        self._origins = origins
        self._most_bytes = most_bytes
        self._routes: dict[str, tuple[str, Target]] = {}

    def add(self, method: str, path: str, target: Target) -> None:
        """One method for each path."""
        self._routes[path] = method, target

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """One call; our own errors become their HTTP answer. No answer may be kept by anybody on the way."""
        route = self._routes.get(event.path.rstrip("/") or "/")
        if route is None:
            return self._signed.handle(event, context)
        cors: dict[str, str] = {}
        try:
            cors = self._origins.headers(event.headers.get("Origin"))
            answer = self._answer(route, event, context)
        except PushcartError as error:
            answer = error.answer(context.log_fields, stranger=True)
        return {**answer, "headers": {"Cache-Control": "no-store", **answer.get("headers", {}), **cors}}

    def _answer(self, route: tuple[str, Target], event: Any, context: Any) -> dict[str, Any]:
        method, target = route
        if event.method == "OPTIONS":
            return {"statusCode": 204, "headers": self._origins.preflight(event.headers.get("Origin"))}
        if event.method != method:
            raise MethodNotAllowed(f"This address takes {method} only.")
        if len(event.body) > self._most_bytes:
            raise TooLarge(f"A request here may hold {self._most_bytes} bytes.")
        return target(event, context)
