"""Stripe's idempotency layer: one key, one answer."""

from __future__ import annotations

from typing import NamedTuple

from local.sandbox.stripe.errors import StripeError

_KEEP_SECONDS = 24 * 3600


class Stored(NamedTuple):
    fingerprint: str
    at: int
    status: int
    body: str
    request_id: str


class IdempotencyKeys:
    """Answers by key, kept 24 hours. What failed the check of its parameters is not kept, as at Stripe
    (docs.stripe.com/api/idempotent_requests), so it may be sent again, mended, under the same key."""

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}

    def replay(self, key: str, fingerprint: str, now: int) -> Stored | None:
        """The stored answer; None for a new key. Raises StripeError when the key came with other parameters."""
        if len(key) > 255:
            raise StripeError(400, "Idempotency-Key must be at most 255 characters long.", kind="idempotency_error")
        stored = self._stored.get(key)
        if stored is None or now - stored.at > _KEEP_SECONDS:
            return None
        if stored.fingerprint != fingerprint:
            raise StripeError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to execute "
                "a different request.",
                kind="idempotency_error",
            )
        return stored

    def keep(self, key: str, stored: Stored) -> None:
        if stored.status != 400 and stored.status != 401:
            self._stored[key] = stored

    def clear(self) -> None:
        self._stored.clear()
