"""The mailing list Kit, API v3, which still serves accounts without an OAuth app.

https://developers.kit.com/api-reference/v3/sequences and .../v3/purchases; requests carry the API secret in
their JSON body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.domain.catalogue import SequenceStep
from pushcart.providers.http import Http
from pushcart.providers.kit import custom_fields, first_name, purchase_body
from pushcart.providers.request import email_of
from pushcart.stepcall import StepAnswer, StepRequest

#: Where v3 lives; v4's address does not serve it.
URL = "https://api.convertkit.com"


class _Purchase(msgspec.Struct):
    id: int


class _Account(msgspec.Struct):
    primary_email_address: str


class KitV3:
    """Records purchases and fills sequences; `api_secret` is read at each call."""

    def __init__(self, http: Http, api_secret: Callable[[], str]) -> None:
        self._http = http
        self._api_secret = api_secret

    def purchase(self, call: StepRequest) -> StepAnswer:
        """Records the purchase under the step's key; Kit keeps one purchase for each transaction_id."""
        body = purchase_body(call)
        # v3's documents write 2018-03-17 11:28:04, and mean UTC: the answer repeats it with a Z.
        body["transaction_time"] = body["transaction_time"].replace("T", " ").rstrip("Z")
        made = self._post("/v3/purchases", {"purchase": body}, _Purchase)
        return StepAnswer(result={"purchase_id": made.id}, note="purchase recorded in Kit")

    def sequence(self, call: StepRequest, step: SequenceStep) -> StepAnswer:
        """Adds the buyer to the sequence, with the custom fields filled; may be repeated."""
        body = {"email": email_of(call), **first_name(call), "fields": custom_fields(call, step)}
        self._post(f"/v3/sequences/{step.sequence}/subscribe", body)
        return StepAnswer(result={"sequence": step.sequence}, note=f"added to sequence {step.sequence} in Kit")

    def check(self) -> str:
        """That Kit accepts the API secret. Changes nothing."""
        # https://developers.kit.com/api-reference/v3/account takes the secret in the query only.
        self._http.call("GET", "/v3/account", _Account, query={"api_secret": self._api_secret()})
        return "accepts the API secret"

    def _post(self, path: str, body: dict[str, Any], shape: Any = Any) -> Any:
        return self._http.call("POST", path, shape, json={"api_secret": self._api_secret(), **body})
