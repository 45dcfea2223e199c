"""A small router for functions with more than one route, on werkzeug's URL map.

The gateway gives a function everything below `/function/NAME`; a `Router` turns method and path into one
call, checks the internal signature first, and turns bad input into a clear 4xx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from werkzeug.exceptions import MethodNotAllowed as WerkzeugMethodNotAllowed
from werkzeug.exceptions import NotFound as WerkzeugNotFound
from werkzeug.routing import Map, RequestRedirect, Rule

from pushcart import auth
from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.errors import BadRequest, MethodNotAllowed, NotFound, PushcartError

T = TypeVar("T")


@dataclass
class Request:
    """One call: the body as bytes, the query's values, and where to note fields for the log line."""

    method: str
    path: str
    body: bytes
    query: Mapping[str, str]
    log_fields: dict[str, Any] = field(default_factory=dict)

    def json(self, shape: type[T]) -> T:
        """The body as `shape` (a msgspec Struct or a plain type); `BadRequest` says which field is wrong."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The body does not fit: {error}") from None


class Router:
    """Routes of one internal function. `handle(event, context)` is the function's contract."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._map = Map(strict_slashes=False, merge_slashes=False)
        self._targets: dict[str, Callable[..., Any]] = {}

    def add(self, method: str, rule: str, target: Callable[..., Any]) -> None:
        """`target(request, **path values)` answers with a JSON value, or a contract dict with `statusCode`."""
        endpoint = f"{method} {rule}"
        self._targets[endpoint] = target
        self._map.add(Rule(rule, methods=[method], endpoint=endpoint))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Checks the signature, finds the route and calls it; our own errors become their HTTP answer."""
        try:
            require_signature(event, self._config, self._clock)
        except PushcartError as error:
            return error.answer(context.log_fields, stranger=True)
        try:
            query = event.query.to_dict()
            if "\0" in event.path or any("\0" in text for pair in query.items() for text in pair):
                raise BadRequest("The address holds a NUL character, which no name of ours has.")
            target, values = self._match(event.method, event.path)
            request = Request(event.method, event.path, event.body, query, context.log_fields)
            answer = target(request, **values)
        except PushcartError as error:
            return error.answer(context.log_fields)
        return answer if isinstance(answer, dict) and "statusCode" in answer else {"statusCode": 200, "body": answer}

    def _match(self, method: str, path: str) -> tuple[Callable[..., Any], Mapping[str, Any]]:
        try:
            endpoint, values = self._map.bind("", "/").match(path, method=method)
        except WerkzeugMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            raise MethodNotAllowed(f"{path} takes {allowed}, not {method}.") from None
        except (WerkzeugNotFound, RequestRedirect):
            raise NotFound(f"There is nothing at {path}.") from None
        return self._targets[endpoint], values


def require_signature(event: Any, config: Config, clock: Clock) -> None:
    """Raises `Unauthorised` unless the event is signed for this function with one of the internal keys."""
    auth.verify(
        event.headers.get(auth.HEADER),
        config.secret_lines("internal-key"),
        clock(),
        config["function_name"],
        event.method,
        event.path,
        event.query_string,
        event.body,
    )
