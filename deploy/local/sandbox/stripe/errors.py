"""Stripe's error object (docs.stripe.com/api/errors)."""

from __future__ import annotations

import json
from typing import Any

from local.sandbox.world import Answer

# status -> (type, code, message) for failures that are asked for, not caused
_BY_STATUS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", None, "Invalid API Key provided: sk_test_****"),
    402: ("card_error", "card_declined", "Your card was declined."),
    403: ("invalid_request_error", None, "The provided key does not have access to this resource."),
    404: ("invalid_request_error", "resource_missing", "No such object."),
    409: (
        "invalid_request_error",
        "lock_timeout",
        "This object cannot be accessed right now because another API "
        "request or Stripe process is currently accessing it.",
    ),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}


class StripeError(Exception):
    """Raised by the endpoints and turned into Stripe's JSON error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": kind, **more}
        if code:
            self.error["code"] = code
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param is not None:
            self.error["param"] = param


def missing(noun: str, object_id: str, param: str = "id") -> StripeError:
    """404 for a path's id; the same error is a 400 when a parameter names the object."""
    return StripeError(
        404 if param == "id" else 400, f"No such {noun}: '{object_id}'", code="resource_missing", param=param
    )


def by_status(status: int, retry_after: int | None) -> Answer:
    kind, code, message = _BY_STATUS.get(status, ("api_error", None, "An unknown error occurred."))
    error = StripeError(status, message, kind=kind, code=code).error
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(json.dumps({"error": error}, indent=2), "application/json", headers)
