"""Any other course platform: one signed POST to an address of the owner's.

    POST <platforms.http.url>
    Idempotency-Key: the same for every attempt of this step
    X-Pushcart-Signature: t=<unix seconds>,v1=<hex hmac-sha256 of "<t>.<body>" under the secret platform-key>

The platform answers 2xx when the buyer has been let in, with `{"link": "https://..."}` if there is a link to
pass on and `{"expires_at": "<ISO 8601 with Z or an offset>"}` if it ends. A key that was seen before must
have no second effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart import auth
from pushcart.clock import Clock, to_instant
from pushcart.domain.catalogue import Catalogue, InviteStep
from pushcart.providers.http import Http, Moment, encode, web_address
from pushcart.providers.request import email_of, order_of
from pushcart.stepcall import StepAnswer, StepRequest

NAME = "your platform"


class _Answer(msgspec.Struct):
    link: str | None = None
    expires_at: Moment | None = None


class SignedHttp:
    """Posts invites. `http` points at the platform's address; `key` is read at each call."""

    def __init__(self, http: Http, clock: Clock, key: Callable[[], str]) -> None:
        self._http = http
        self._clock = clock
        self._key = key

    def invite(self, call: StepRequest, step: InviteStep) -> StepAnswer:
        """Gives `link` and `expires_at`, each if the platform did."""
        body = encode(invite_body(call, step))
        headers = {"Idempotency-Key": call.key, auth.HEADER: auth.sign_body(self._key(), self._clock(), body)}
        answer = self._http.call("POST", "", _Answer, content=body, headers=headers)
        result: dict[str, Any] = {"platform": "http"}
        if answer.link is not None:
            result["link"] = web_address(NAME, answer.link)
        if answer.expires_at is not None:
            result["expires_at"] = to_instant(answer.expires_at)
        return StepAnswer(result=result, note="your platform has let the buyer in")

    def check(self, catalogue: Catalogue) -> str:
        """That something listens at the address; whether it knows our key, only an invitation could tell."""
        self._http.connect()
        return f"something listens at {self._http.url}"


def invite_body(call: StepRequest, step: InviteStep) -> dict[str, Any]:
    """The JSON posted: `event`, `order` (its id), `lines`, `buyer`, `data` and, if set, `expires_days`."""
    order = order_of(call)
    body: dict[str, Any] = {
        "event": "invite",
        "order": order.id,
        "lines": [{"sku": line.sku, "name": line.name, "quantity": line.quantity} for line in call.lines],
        "buyer": {"email": email_of(call), "name": order.buyer.name, "locale": order.buyer.locale},
        "data": step.data,
    }
    return body if step.expires_days is None else {**body, "expires_days": step.expires_days}
