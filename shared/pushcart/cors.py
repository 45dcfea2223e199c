"""Which pages may call a public function from a browser: the shop's own and those that shop.yml names.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from pushcart.errors import ForeignOrigin

#: Seconds a browser may remember a preflight's answer.
MAX_AGE = 3600


def origin_of(url: str) -> str:
    """`https://shop.example` of any address below it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


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
