"""Enrolments at Thinkific (https://developers.thinkific.com/api/api-documentation/)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from pushcart.clock import Clock, to_instant
from pushcart.domain.catalogue import Catalogue, InviteStep
from pushcart.errors import ProviderRefused
from pushcart.providers.http import Http, Moment
from pushcart.providers.request import email_of, order_of, split_name
from pushcart.stepcall import StepAnswer, StepRequest

NAME = "Thinkific"

#: https://developers.thinkific.com/api/rate-limits/
CALLS_PER_MINUTE = 120

_API = "/api/public/v1"


class _User(msgspec.Struct):
    id: int
    email: str


class _Users(msgspec.Struct):
    items: list[_User]


class _Course(msgspec.Struct):
    id: int
    name: str


class _Enrolment(msgspec.Struct):
    id: int
    course_id: int
    expired: bool = False
    is_free_trial: bool = False
    expiry_date: Moment | None = None


class _Enrolments(msgspec.Struct):
    items: list[_Enrolment]


class Thinkific:
    """Enrols buyers. `http` points at Thinkific's API; `api_key` is read at each call."""

    def __init__(self, http: Http, clock: Clock, subdomain: str, api_key: Callable[[], str]) -> None:
        self._http = http
        self._clock = clock
        self._subdomain = subdomain
        self._api_key = api_key

    def invite(self, call: StepRequest, step: InviteStep) -> StepAnswer:
        """Gives `link`, the student's list of courses, and `expires_at`.

        Thinkific has no idempotency key, so the student and the enrolment are looked up before they are made.
        """
        email = email_of(call)
        user = self._find_user(email) or self._make_user(email, order_of(call).buyer.name)
        expiry = self._enrol(user, step)
        result = {"platform": "thinkific", "link": f"https://{self._subdomain}.thinkific.com/enrollments"}
        if expiry is not None:
            result["expires_at"] = expiry
        return StepAnswer(result=result, note="enrolled at Thinkific")

    def check(self, catalogue: Catalogue) -> str:
        """That Thinkific accepts the key and has every course that shop.yml names. Changes nothing."""
        courses = {step.course for _, step in catalogue.steps() if isinstance(step, InviteStep) and step.course}
        # https://developers.thinkific.com/api/api-documentation/ (GET /courses/{id})
        names = [self._call("GET", f"/courses/{course}", _Course).name for course in sorted(courses)]
        return f"accepts the key and has {', '.join(names)}"

    def _find_user(self, email: str) -> _User | None:
        found = self._call("GET", "/users", _Users, query={"query[email]": email})
        # The search is a search: only the very address is the buyer.
        return next((user for user in found.items if user.email.casefold() == email.casefold()), None)

    def _make_user(self, email: str, name: str | None) -> _User:
        first, last = split_name(name)
        # Thinkific takes neither an empty first name nor an empty last one.
        names = {"first_name": first or "Student", "last_name": last or "-"}
        body = {**names, "email": email, "send_welcome_email": True}
        try:
            return self._call("POST", "/users", _User, json=body)
        except ProviderRefused as refusal:
            # Another order of the same buyer may have made the user since we looked.
            user = self._find_user(email) if refusal.status == 422 else None
            if user is None:
                raise
            return user

    def _enrol(self, user: _User, step: InviteStep) -> str | None:
        """Makes the enrolment, or renews one that has run out or is a trial; returns when it ends."""
        query = {"query[user_id]": user.id, "query[course_id]": step.course}
        found = self._call("GET", "/enrollments", _Enrolments, query=query).items
        held = next((one for one in found if one.course_id == step.course), None)
        if held is not None and not held.expired and not held.is_free_trial:
            return None if held.expiry_date is None else to_instant(held.expiry_date)
        now = self._clock()
        expiry = to_instant(now + timedelta(days=step.expires_days)) if step.expires_days else None
        # Without activated_at an enrolment is a free trial.
        dates = {"activated_at": to_instant(now), "expiry_date": expiry}
        if held is not None:
            self._call("PUT", f"/enrollments/{held.id}", json=dates)
        else:
            dates = {name: date for name, date in dates.items() if date is not None}
            self._call("POST", "/enrollments", json={"course_id": step.course, "user_id": user.id, **dates})
        return expiry

    def _call(self, method: str, path: str, shape: Any = Any, **request: Any) -> Any:
        headers = {"X-Auth-API-Key": self._api_key(), "X-Auth-Subdomain": self._subdomain}
        return self._http.call(method, _API + path, shape, headers=headers, **request)
