"""Course platforms over HTTP: Discourse, Thinkific, and any platform that takes signed JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests

from local.sandbox import Sandbox

DISCOURSE = {"Api-Key": "key", "Api-Username": "system"}
THINKIFIC = {"X-Auth-API-Key": "key", "X-Auth-Subdomain": "shop"}


def discourse(sb: Sandbox, method: str, path: str, headers: dict = DISCOURSE, **how: Any) -> requests.Response:
    return requests.request(method, f"{sb.url}/discourse{path}", headers=headers, timeout=5, **how)


def thinkific(sb: Sandbox, method: str, path: str, headers: dict = THINKIFIC, **how: Any) -> requests.Response:
    return requests.request(method, f"{sb.url}/thinkific/api/public/v1{path}", headers=headers, timeout=5, **how)


@pytest.mark.parametrize("form", [False, True])
def test_an_invitation_has_a_link_and_is_made_once(sb: Sandbox, form: bool) -> None:
    body = {"email": "ada@example.com", "skip_email": "true", ("group_ids[]" if form else "group_ids"): [41, 42]}
    first, again = (
        discourse(sb, "POST", "/invites.json", **({"data": body} if form else {"json": body})).json() for _ in range(2)
    )
    assert first == again
    assert first["link"].startswith(f"{sb.url}/discourse/invites/")
    assert first["email"] == "ada@example.com"
    assert first["emailed"] is False
    assert [g["id"] for g in first["groups"]] == [41, 42]


def test_a_member_needs_no_invitation_but_can_join_a_group(sb: Sandbox) -> None:
    sb.discourse.add_member("ada@example.com", "ada")
    refused = discourse(sb, "POST", "/invites.json", json={"email": "Ada@example.com"})
    assert refused.status_code == 422
    assert "they already have an account" in refused.json()["errors"][0]
    found = discourse(sb, "GET", "/admin/users/list/active.json", params={"email": "ada@example.com"}).json()
    assert [u["username"] for u in found] == ["ada"]
    assert discourse(sb, "GET", "/u/search/users.json", params={"term": "ada"}).json()["users"][0]["username"] == "ada"
    joined = discourse(sb, "PUT", "/groups/41/members.json", json={"emails": "ada@example.com"})
    assert joined.json()["usernames"] == ["ada"]
    assert sb.discourse.groups == {41: ["ada"]}
    again = discourse(sb, "PUT", "/groups/41/members.json", json={"usernames": "ada"})
    assert again.status_code == 422
    assert "already a member" in again.json()["errors"][0]
    assert discourse(sb, "PUT", "/groups/41/members.json", json={"emails": "bob@example.com"}).status_code == 400


def test_the_link_of_an_invitation_opens_and_can_be_accepted(sb: Sandbox) -> None:
    link = discourse(sb, "POST", "/invites.json", json={"email": "ada@example.com", "group_ids": [41]}).json()["link"]
    assert "This invitation is for ada@example.com" in requests.get(link, timeout=5).text
    assert "Welcome, ada" in requests.post(link, timeout=5).text
    assert sb.discourse.groups == {41: ["ada"]}
    assert "ada@example.com" in sb.discourse.members
    assert requests.get(f"{sb.url}/discourse/invites/none", timeout=5).status_code == 404


def test_discourse_wants_both_headers(sb: Sandbox) -> None:
    answer = discourse(sb, "POST", "/invites.json", headers={"Api-Key": "key"}, json={"email": "a@example.com"})
    assert answer.status_code == 403
    assert answer.json()["error_type"] == "invalid_access"
    assert discourse(sb, "GET", "/site.json").status_code == 200
    assert [c.headers["Api-Key"] for c in sb.calls("discourse", "GET")] == ["key…"]


def test_thinkific_makes_a_user_and_enrols_it(sb: Sandbox) -> None:
    who = {"email": "ada@example.com", "first_name": "Ada", "last_name": "L"}
    made = thinkific(sb, "POST", "/users", json=who)
    assert made.status_code == 201
    taken = thinkific(sb, "POST", "/users", json=who)
    assert taken.status_code == 422
    assert taken.json() == {"errors": {"email": ["has already been taken"]}}
    found = thinkific(sb, "GET", "/users", params={"query[email]": "ada@example.com"}).json()["items"]
    assert [u["id"] for u in found] == [made.json()["id"]]
    place = {"user_id": found[0]["id"], "course_id": 5, "activated_at": "2026-11-20T12:00:00Z"}
    enrolled = thinkific(sb, "POST", "/enrollments", json=place)
    assert enrolled.status_code == 201
    assert enrolled.json()["user_email"] == "ada@example.com"
    assert thinkific(sb, "POST", "/enrollments", json=place).status_code == 422
    for query, count in (({"query[user_id]": found[0]["id"], "query[course_id]": 5}, 1), ({"query[course_id]": 6}, 0)):
        listed = thinkific(sb, "GET", "/enrollments", params=query).json()
        assert len(listed["items"]) == count == listed["meta"]["pagination"]["total_items"]


def test_thinkific_refuses_what_is_incomplete_or_unknown(sb: Sandbox) -> None:
    blank = thinkific(sb, "POST", "/users", json={"email": "a@example.com"})
    assert blank.status_code == 422
    assert blank.json()["errors"]["first_name"] == ["can't be blank"]
    assert thinkific(sb, "POST", "/enrollments", json={"user_id": 1, "course_id": 5}).status_code == 422
    assert thinkific(sb, "GET", "/users", headers={}).status_code == 401


def signed(body: bytes, stamp: int, secret: str = "s3cret") -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Pushcart-Signature": f"t={stamp},v1={digest}", "Content-Type": "application/json"}


def test_a_platform_answers_signed_json_with_a_link(sb: Sandbox) -> None:
    sb.platform.secret = "s3cret"
    body, now = json.dumps({"order": "ord_1"}).encode(), int(sb.now().timestamp())
    url = f"{sb.url}/platform/hooks/pushcart"
    answer = requests.post(url, data=body, headers=signed(body, now), timeout=5)
    assert answer.status_code == 200
    assert "Welcome to the course" in requests.get(answer.json()["link"], timeout=5).text
    for headers in ({}, signed(body, now, "wrong"), signed(body + b" ", now), signed(body, now - 301)):
        assert requests.post(url, data=body, headers=headers, timeout=5).status_code == 401
    assert sb.calls("platform", path="/hooks/pushcart")[0].json == {"order": "ord_1"}


def test_a_platform_honours_an_idempotency_key(sb: Sandbox) -> None:
    """Without a secret no signature is asked for."""

    def post(order: str) -> requests.Response:
        return requests.post(
            f"{sb.url}/platform/hook", json={"order": order}, timeout=5, headers={"Idempotency-Key": "ord_1.invite"}
        )

    assert post("ord_1").json() == post("ord_1").json()
    assert post("ord_2").status_code == 409
    assert requests.post(f"{sb.url}/platform/hook", data=b"{", timeout=5).status_code == 400
