"""Invitations to a Discourse forum (https://docs.discourse.org/#tag/Invites)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from pushcart.clock import Clock, to_instant
from pushcart.domain.catalogue import Catalogue, InviteStep
from pushcart.errors import ProviderRefused
from pushcart.providers.http import Http, Moment, web_address
from pushcart.providers.request import email_of
from pushcart.stepcall import StepAnswer, StepRequest

NAME = "Discourse"

#: Discourse's `max_admin_api_reqs_per_minute` unless the forum's owner has changed it.
CALLS_PER_MINUTE = 60


#: An address that nobody can have (RFC 2606), to look for without finding anybody.
NOBODY = "nobody@pushcart.invalid"


class _Invitation(msgspec.Struct):
    link: str
    expires_at: Moment | None = None


class _Member(msgspec.Struct):
    username: str


class Discourse:
    """Invites buyers. `http` points at the forum; `api_key` is read at each call."""

    def __init__(self, http: Http, clock: Clock, username: str, api_key: Callable[[], str]) -> None:
        self._http = http
        self._clock = clock
        self._username = username
        self._api_key = api_key

    def invite(self, call: StepRequest, step: InviteStep) -> StepAnswer:
        """Gives `link` and `expires_at`, or the forum's address and `existing_member` for a member.

        Asking again for the same address gives the same link: Discourse updates the invitation it has. It does
        so three times a day for one address, then answers 429.
        """
        email = email_of(call)
        body: dict[str, Any] = {"email": email, "skip_email": True}
        if step.groups:
            body["group_ids"] = ",".join(map(str, step.groups))
        if step.expires_days:
            body["expires_at"] = to_instant(self._clock() + timedelta(days=step.expires_days))
        try:
            made = self._http.call("POST", "/invites.json", _Invitation, json=body, headers=self._headers())
        except ProviderRefused as refusal:
            if refusal.status != 422:
                raise
            return self._let_in(email, step.groups, refusal)
        result = {"platform": "discourse", "link": web_address(NAME, made.link)}
        if made.expires_at is not None:
            result["expires_at"] = to_instant(made.expires_at)
        return StepAnswer(result=result, note="invitation to Discourse made")

    def check(self, catalogue: Catalogue) -> str:
        """That the forum answers and lets the key look for members, which an invitation may need. Changes nothing."""
        self._members(NOBODY)
        return f"{self._http.url} answers and accepts the key"

    def _let_in(self, email: str, groups: list[int], refusal: ProviderRefused) -> StepAnswer:
        """Adds the member with this address to the groups; raises `refusal` when there is no such member."""
        # The 422 does not say which of its reasons it has: forums can hide that an address is taken.
        members = self._members(email)
        if not members:
            raise refusal
        for group in groups:
            try:
                self._http.call(
                    "PUT",
                    f"/groups/{group}/members.json",
                    json={"usernames": members[0].username},
                    headers=self._headers(),
                )
            except ProviderRefused as error:
                # 422 is Discourse's answer for someone who is in the group already; a wrong group is 404 or 403.
                if error.status != 422:
                    raise
        result = {"platform": "discourse", "link": self._http.url, "existing_member": True}
        return StepAnswer(result=result, note="is a member of Discourse already; added to the groups")

    def _members(self, email: str) -> list[_Member]:
        found: list[_Member] = self._http.call(
            "GET", "/admin/users/list/active.json", list[_Member], query={"email": email}, headers=self._headers()
        )
        return found

    def _headers(self) -> dict[str, str]:
        return {"Api-Key": self._api_key(), "Api-Username": self._username}
