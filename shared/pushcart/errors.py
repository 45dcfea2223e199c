"""Every error Pushcart raises on purpose: what is wrong, where, and the next step.

Each carries the HTTP status a function answers with, so that a handler never translates errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class PushcartError(Exception):
    """Base of all: an error with an HTTP status, a stable code and a sentence for a person."""

    http_status = 500
    code = "internal"
    #: What a stranger is told in place of the message, where that may say too much about us.
    for_strangers: str | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {name: value for name, value in details.items() if value is not None}

    def headers(self) -> dict[str, str]:
        """Extra response headers, such as `Retry-After` (whole seconds)."""
        return {}

    def answer(self, log_fields: dict[str, Any], *, stranger: bool = False) -> dict[str, Any]:
        """`to_response`, with the code noted for the request's log line and a fault of ours logged.

        A `stranger`, whose signature was not (yet) found good, is not told which part of us is broken.
        """
        log_fields.setdefault("error", self.code)
        if self.http_status >= 500:
            log.error("%s", self.message)
        response = self.to_response()
        broken = "This function is broken; its log says why." if self.http_status == 500 else None
        if stranger and (instead := self.for_strangers or broken):
            response["body"] = {"error": {"code": self.code, "message": instead}}
        return response

    def to_response(self) -> dict[str, Any]:
        """The error as a function's answer: `{"error": {"code", "message", ...details}}`."""
        error = {"code": self.code, "message": self.message, **self.details}
        return {"statusCode": self.http_status, "body": {"error": error}, "headers": self.headers()}


class ConfigurationError(PushcartError):
    """The environment or the secrets are not usable; `problems` names every one of them."""

    code = "configuration"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Configuration: " + "; ".join(problems))
        self.problems = problems


def problems_of(*checks: Callable[[], object]) -> list[str]:
    """Every problem that the checks find with the configuration, each once."""
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return problems


class CatalogueError(ConfigurationError):
    """`shop.yml` has mistakes; `problems` lists each with its line."""

    code = "catalogue"


class BadRequest(PushcartError):
    """The request cannot be understood; sending it again unchanged is pointless."""

    http_status = 400
    code = "bad_request"


class CartRefused(PushcartError):
    """A cart that cannot be sold as it is; `problems` lists everything that is wrong with it.

    Each is `{"code", "message"}`, with `item` (its number in the cart, from 0) and `field` where it is about one.
    """

    http_status = 422
    code = "cart_refused"
    #: What may be right a moment later, or was a moment ago.
    CHANGED = frozenset({"price_changed", "sold_out"})

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(" ".join(problem["message"] for problem in problems), problems=problems)
        self.problems = problems
        if all(problem["code"] in self.CHANGED for problem in problems):
            self.http_status = 409


class ForeignOrigin(PushcartError):
    """A browser asked from a page that is not the shop's."""

    http_status = 403
    code = "foreign_origin"


class BadSignature(BadRequest):
    """A webhook's signature does not match its body, its secret or its time."""

    code = "bad_signature"


class WrongMode(BadRequest):
    """A live event at a test installation, or the other way round."""

    code = "wrong_mode"


class Unauthorised(PushcartError):
    """The caller did not prove that it holds the internal key."""

    http_status = 401
    code = "unauthorised"


class NotFound(PushcartError):
    """No such route, order, step or event."""

    http_status = 404
    code = "not_found"


class MethodNotAllowed(PushcartError):
    """The route exists, but not for this method."""

    http_status = 405
    code = "method_not_allowed"


class Conflict(PushcartError):
    """The thing asked for does not fit the state it is in, for example a retry of a step that is done."""

    http_status = 409
    code = "conflict"


class TooLarge(PushcartError):
    """The body is larger than this function accepts."""

    http_status = 413
    code = "too_large"


class StoreUnavailable(PushcartError):
    """The store did not confirm a read or a durable write; the caller should try again."""

    http_status = 503
    code = "store_unavailable"
    for_strangers = "The shop's store does not answer just now; try again in a minute."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "10"}


class ProviderError(PushcartError):
    """A provider (Stripe, SendGrid, Kit, ...) did not do what it was asked.

    `provider` names it, `status` is its HTTP status if it answered at all.
    """

    def __init__(self, provider: str, message: str, *, status: int | None = None, **details: Any) -> None:
        super().__init__(f"{provider}: {message}", provider=provider, provider_status=status, **details)
        self.provider = provider
        self.status = status


class ProviderRefused(ProviderError):
    """The provider said no for good: the same request will fail again until a person changes something."""

    http_status = 422
    code = "provider_refused"


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, was busy or failed; `retry_after` is in seconds, if it said so."""

    http_status = 503
    code = "provider_unavailable"

    def __init__(
        self, provider: str, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(provider, message, status=status)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after)))}


class ProviderUnreadable(ProviderUnavailable):
    """The provider answered, but with something that cannot be what was asked for."""


class AnswerTooLarge(ProviderUnreadable):
    """The provider's answer is more than we read of one: ask for less at once."""


class ProviderBusy(ProviderUnavailable):
    """The provider's rate limit is used up for now (its 429, or our own count of it): wait, nothing failed."""

    http_status = 429
    code = "provider_busy"


class PaymentUnavailable(PushcartError):
    """The provider of the payment does not answer the checkout; the same cart can be sent again."""

    http_status = 503
    code = "payment_unavailable"

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("The payment page cannot be opened just now. Nothing was charged; try again in a minute.")
        self._retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, round(self._retry_after or 10)))}


class CheckoutBroken(PushcartError):
    """The provider refuses the checkout for good; only the owner can put that right."""

    http_status = 502
    code = "checkout_broken"

    def __init__(self) -> None:
        super().__init__("The shop cannot take payments just now. Nothing was charged, and its owner has been told.")


class FunctionFailed(PushcartError):
    """Another function answered with an error, or not at all.

    `answered` says that the function itself spoke, and not the gateway or a proxy in its place; `permanent` that a
    retry cannot help.
    """

    http_status = 502
    code = "function_failed"

    def __init__(
        self,
        function: str,
        message: str,
        *,
        status: int | None = None,
        answered: bool = False,
        permanent: bool = False,
        busy: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, function=function, status=status)
        self.function = function
        self.status = status
        self.answered = answered
        self.permanent = permanent
        self.busy = busy
        self.retry_after = retry_after


#: HTTP statuses below 500 that a later, unchanged request may still turn into success (RFC 9110, 8470, 6585).
RETRIABLE_4XX = frozenset({408, 409, 425, 429})


def is_permanent(status: int) -> bool:
    """Whether an HTTP answer with this status says that a retry is pointless."""
    return 400 <= status < 500 and status not in RETRIABLE_4XX
