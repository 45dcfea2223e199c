"""Thinkific: the exact requests for users and enrolments, those that are there already, one effect each."""

from __future__ import annotations

from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderRefused, ProviderUnavailable
from support.invites import at, at_sandbox
from support.provider_calls import fixture
from support.step_calls import order
from support.wire import Wire

PAGE = {"meta": {"pagination": {"current_page": 1, "next_page": None, "total_pages": 1}}}


def test_thinkific_user_and_enrolment_are_looked_up_and_made(wire: Wire) -> None:
    wire.say(200, {"items": [], **PAGE}).say(201, fixture("thinkific/user.response.json"))
    wire.say(200, {"items": [], **PAGE}).say(201, fixture("thinkific/enrollment.response.json"))
    answer = at(wire.url, "thinkific")(course=90210, expires_days=365)
    base = "/api/public/v1"
    assert [(seen.method, seen.path, seen.query, seen.json) for seen in wire.seen] == [
        ("GET", f"{base}/users", {"query[email]": "ada@example.com"}, None),
        (
            "POST",
            f"{base}/users",
            {},
            {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "send_welcome_email": True},
        ),
        ("GET", f"{base}/enrollments", {"query[user_id]": "88001", "query[course_id]": "90210"}, None),
        (
            "POST",
            f"{base}/enrollments",
            {},
            {
                "course_id": 90210,
                "user_id": 88001,
                "activated_at": "2026-11-21T08:45:36.120Z",
                "expiry_date": "2027-11-21T08:45:36.120Z",
            },
        ),
    ]
    assert {(seen.headers["X-Auth-API-Key"], seen.headers["X-Auth-Subdomain"]) for seen in wire.seen} == {
        ("thinkific-key-1", "meadow")
    }
    assert answer.result == {
        "platform": "thinkific",
        "link": "https://meadow.thinkific.com/enrollments",
        "expires_at": "2027-11-21T08:45:36.120Z",
    }
    assert answer.note == "enrolled at Thinkific"


def test_thinkific_enrolment_without_end_has_no_expiry(wire: Wire) -> None:
    user = fixture("thinkific/user.response.json")
    wire.say(200, {"items": [user], **PAGE}).say(200, {"items": [], **PAGE}).say(201, {"id": 1})
    answer = at(wire.url, "thinkific")(course=90210)
    assert wire.seen[2].json == {"course_id": 90210, "user_id": 88001, "activated_at": "2026-11-21T08:45:36.120Z"}
    assert "expires_at" not in answer.result


def test_thinkific_search_result_with_another_address_is_not_the_buyer(wire: Wire) -> None:
    other = {**fixture("thinkific/user.response.json"), "id": 1, "email": "not-ada@example.com"}
    wire.say(200, {"items": [other], **PAGE}).say(201, fixture("thinkific/user.response.json"))
    wire.say(200, {"items": [], **PAGE}).say(201, {"id": 1})
    at(wire.url, "thinkific")(course=90210)
    assert wire.seen[3].json["user_id"] == 88001


def test_thinkific_user_made_by_somebody_else_meanwhile_is_taken(wire: Wire) -> None:
    wire.say(200, {"items": [], **PAGE}).say(422, {"errors": {"email": ["has already been taken"]}})
    wire.say(200, {"items": [fixture("thinkific/user.response.json")], **PAGE})
    wire.say(200, {"items": [], **PAGE}).say(201, {"id": 1})
    at(wire.url, "thinkific")(course=90210)
    assert wire.seen[-1].json["user_id"] == 88001


def test_thinkific_user_that_cannot_be_made_is_a_refusal_with_its_reason(wire: Wire) -> None:
    wire.say(200, {"items": [], **PAGE}).say(422, {"errors": {"email": ["is invalid"]}})
    wire.say(200, {"items": [], **PAGE})
    with pytest.raises(ProviderRefused, match="422 email is invalid"):
        at(wire.url, "thinkific")(course=90210)


def test_thinkific_enrolment_that_is_there_is_left_alone(wire: Wire) -> None:
    held = fixture("thinkific/enrollment.response.json")
    wire.say(200, {"items": [fixture("thinkific/user.response.json")], **PAGE}).say(200, {"items": [held], **PAGE})
    answer = at(wire.url, "thinkific")(course=90210, expires_days=30)
    assert [seen.method for seen in wire.seen] == ["GET", "GET"]
    assert answer.result["expires_at"] == "2027-11-21T08:45:36.000Z"


@pytest.mark.parametrize("state", [{"expired": True}, {"is_free_trial": True, "expiry_date": None}])
@pytest.mark.parametrize(("days", "until"), [(30, "2026-12-21T08:45:36.120Z"), (None, None)])
def test_thinkific_enrolment_that_ran_out_or_is_a_trial_is_renewed(
    wire: Wire, state: dict[str, Any], days: int | None, until: str | None
) -> None:
    held = {**fixture("thinkific/enrollment.response.json"), **state}
    wire.say(200, {"items": [fixture("thinkific/user.response.json")], **PAGE}).say(200, {"items": [held], **PAGE})
    wire.say(204)
    answer = at(wire.url, "thinkific")(course=90210, expires_days=days)
    last = wire.seen[-1]
    assert (last.method, last.path) == ("PUT", "/api/public/v1/enrollments/55012")
    assert last.json == {"activated_at": "2026-11-21T08:45:36.120Z", "expiry_date": until}
    assert answer.result.get("expires_at") == until


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada", "Ada", "-"),
        ("  Ada   King  Lovelace ", "Ada", "King Lovelace"),
        (None, "Student", "-"),
        ("", "Student", "-"),
        ("Łukasz Żółć", "Łukasz", "Żółć"),
    ],
)
def test_thinkific_always_gets_both_names(sandbox: Sandbox, name: str | None, first: str, last: str) -> None:
    at_sandbox(sandbox, "thinkific")(order(name=name), course=90210)
    user = sandbox.thinkific.users["ada@example.com"]
    assert (user["first_name"], user["last_name"]) == (first, last)


def test_an_enrolment_whose_answer_was_lost_is_not_made_twice(sandbox: Sandbox) -> None:
    ask = at_sandbox(sandbox, "thinkific")
    sandbox.fault("thinkific", "lost_answer", method="POST", path="/enrollments")
    with pytest.raises(ProviderUnavailable):
        ask(course=90210, expires_days=30)
    answer = ask(course=90210, expires_days=30)
    assert len(sandbox.thinkific.enrollments) == 1
    assert answer.result["expires_at"] == sandbox.thinkific.enrollments[0]["expiry_date"]
