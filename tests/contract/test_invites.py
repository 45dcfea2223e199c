"""Course platforms: the exact requests to Discourse, Thinkific and a platform of one's own, and one effect each."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.domain.catalogue import InviteStep
from pushcart.errors import BadRequest, ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable
from pushcart.providers.discourse import Discourse
from pushcart.providers.http import Http
from pushcart.providers.signed_http import SignedHttp
from pushcart.providers.thinkific import Thinkific
from pushcart.stepcall import StepAnswer
from support.step_calls import NOW, ROOT, invite, order
from support.wire import Wire

KEY = "platform-key-0123456789"
PAGE = {"meta": {"pagination": {"current_page": 1, "next_page": None, "total_pages": 1}}}


def fixture(name: str) -> Any:
    return json.loads((ROOT / "tests" / "fixtures" / name).read_text())


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as running:
        yield running


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    shared_sandbox.platform.set_secret(KEY)
    return shared_sandbox


def platforms(discourse: str, thinkific: str, own: str, clock: Callable[[], datetime]) -> dict[str, Any]:
    def http(name: str, url: str) -> Http:
        return Http(name, url, clock, timeout=1, secret="a-key")

    return {
        "discourse": Discourse(http("Discourse", discourse), clock, "system", lambda: "discourse-key-1"),
        "thinkific": Thinkific(http("Thinkific", thinkific), clock, "meadow", lambda: "thinkific-key-1"),
        "http": SignedHttp(http("your platform", own), clock, lambda: KEY),
    }


def at(url: str, platform: str) -> Callable[..., StepAnswer]:
    """Invites at a server under test."""
    chosen = platforms(url, url, url + "/hooks/pushcart", lambda: NOW)[platform]

    def run(view: Any = None, **config: Any) -> StepAnswer:
        answer: StepAnswer = chosen.invite(invite(platform, view), InviteStep(platform=platform, **config))
        return answer

    return run


def at_sandbox(sandbox: Sandbox, platform: str) -> Callable[..., StepAnswer]:
    url = sandbox.url
    chosen = platforms(f"{url}/discourse", f"{url}/thinkific", f"{url}/platform/hook", sandbox.now)[platform]

    def run(view: Any = None, **config: Any) -> StepAnswer:
        answer: StepAnswer = chosen.invite(invite(platform, view), InviteStep(platform=platform, **config))
        return answer

    return run


# Discourse


def test_discourse_invitation_is_what_the_documents_show(wire: Wire) -> None:
    wire.say(200, fixture("discourse/invite.response.json"))
    answer = at(wire.url, "discourse")(groups=[41, 42], expires_days=30)
    seen = wire.seen[0]
    assert (seen.method, seen.path, seen.json) == ("POST", "/invites.json", fixture("discourse/invite.request.json"))
    assert (seen.headers["Api-Key"], seen.headers["Api-Username"]) == ("discourse-key-1", "system")
    assert answer.result == {
        "platform": "discourse",
        "link": "https://forum.meadow-pottery.example/invites/9b1f0c2d77",
        "expires_at": "2026-12-21T08:45:36.120Z",
    }
    assert answer.note == "invitation to Discourse made"


def test_discourse_without_groups_and_end_sends_neither(wire: Wire) -> None:
    wire.say(200, {**fixture("discourse/invite.response.json"), "expires_at": None})
    answer = at(wire.url, "discourse")()
    assert wire.seen[0].json == {"email": "ada@example.com", "skip_email": True}
    assert "expires_at" not in answer.result


def test_discourse_member_is_found_by_address_and_added_to_the_groups(wire: Wire) -> None:
    wire.say(422, {"errors": ["There's no need to invite <b>ada@example.com</b>, they already have an account!"]})
    wire.say(200, fixture("discourse/users.response.json"))
    wire.say(422, {"errors": ["'ada_l' is already a member of this group."]})
    wire.say(200, {"success": "OK", "usernames": ["ada_l"], "emails": []})
    answer = at(wire.url, "discourse")(groups=[41, 42], expires_days=30)
    assert [(seen.method, seen.path, seen.query, seen.json) for seen in wire.seen[1:]] == [
        ("GET", "/admin/users/list/active.json", {"email": "ada@example.com"}, None),
        ("PUT", "/groups/41/members.json", {}, {"usernames": "ada_l"}),
        ("PUT", "/groups/42/members.json", {}, {"usernames": "ada_l"}),
    ]
    assert answer.result == {"platform": "discourse", "link": wire.url, "existing_member": True}


def test_discourse_422_for_somebody_who_is_no_member_stays_a_refusal(wire: Wire) -> None:
    wire.say(422, {"errors": ["Email ada@example.com is invalid."]}).say(200, [])
    with pytest.raises(ProviderRefused, match=r"422 Email \(address\) is invalid\."):
        at(wire.url, "discourse")(groups=[41])
    assert len(wire.seen) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, ProviderRefused), (403, ProviderRefused), (500, ProviderUnavailable), (429, ProviderBusy)],
)
def test_discourse_group_that_cannot_be_joined_is_not_hidden(
    wire: Wire, status: int, error: type[ProviderError]
) -> None:
    wire.say(422, {"errors": ["there already"]}).say(200, fixture("discourse/users.response.json"))
    wire.say(status, {"errors": ["no"]})
    with pytest.raises(error) as raised:
        at(wire.url, "discourse")(groups=[41])
    assert type(raised.value) is error


def test_discourse_link_that_is_no_web_address_is_refused(wire: Wire) -> None:
    wire.say(200, {**fixture("discourse/invite.response.json"), "link": "javascript:alert(1)"})
    with pytest.raises(ProviderRefused, match="no http or https address"):
        at(wire.url, "discourse")()


def test_discourse_gives_the_same_link_for_the_same_buyer(sandbox: Sandbox) -> None:
    ask = at_sandbox(sandbox, "discourse")
    assert ask(groups=[41]).result["link"] == ask(groups=[41]).result["link"]
    assert len(sandbox.discourse.invites) == 1


def test_discourse_member_of_the_sandbox_joins_the_group_once(sandbox: Sandbox) -> None:
    sandbox.discourse.add_member("Ada@example.com", "ada_l")
    ask = at_sandbox(sandbox, "discourse")
    for _ in range(2):
        assert ask(groups=[41, 42]).result == {
            "platform": "discourse",
            "link": f"{sandbox.url}/discourse",
            "existing_member": True,
        }
    assert sandbox.discourse.groups == {41: ["ada_l"], 42: ["ada_l"]}


# Thinkific


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


# A platform of one's own


def test_own_platform_gets_the_whole_invite_signed(wire: Wire) -> None:
    wire.say(200, {"link": "https://learn.example/welcome/1", "expires_at": "2026-12-21T09:45:36+01:00"})
    answer = at(wire.url, "http")(data={"plan": "studio"}, expires_days=30)
    seen = wire.seen[0]
    assert (seen.method, seen.path) == ("POST", "/hooks/pushcart")
    assert seen.json == fixture("platform/invite.request.json")
    assert seen.headers["Idempotency-Key"] == "o_1001.s1"
    stamp = str(int(NOW.timestamp()))
    mac = hmac.new(KEY.encode(), f"{stamp}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert seen.headers["X-Pushcart-Signature"] == f"t={stamp},v1={mac}"
    assert answer.result == {
        "platform": "http",
        "link": "https://learn.example/welcome/1",
        "expires_at": "2026-12-21T08:45:36.000Z",
    }


@pytest.mark.parametrize(("status", "body"), [(204, b""), (202, b""), (200, {}), (201, {"link": None})])
def test_own_platform_may_answer_without_a_link(wire: Wire, status: int, body: Any) -> None:
    wire.say(status, body)
    assert at(wire.url, "http")().result == {"platform": "http"}


@pytest.mark.parametrize("link", ["javascript:alert(1)", "/welcome", "mailto:a@b.c"])
def test_own_platforms_link_must_be_a_web_address(wire: Wire, link: str) -> None:
    wire.say(200, {"link": link})
    with pytest.raises(ProviderRefused, match="no http or https address"):
        at(wire.url, "http")()


def test_own_platforms_end_without_a_zone_is_not_guessed(wire: Wire) -> None:
    wire.say(200, {"expires_at": "2026-12-21T09:45:36"})
    with pytest.raises(ProviderUnavailable, match="expires_at"):
        at(wire.url, "http")()


def test_own_platform_verifies_the_signature_and_sees_one_key(sandbox: Sandbox) -> None:
    ask = at_sandbox(sandbox, "http")
    first, second = ask(data={"plan": "studio"}), ask(data={"plan": "studio"})
    assert first.result == second.result
    assert len(sandbox.platform.links) == 1
    sandbox.platform.set_secret("another-key-9876543210")
    with pytest.raises(ProviderRefused, match="401"):
        ask(data={"plan": "other"})


# What goes wrong with any of them


CONFIG: dict[str, dict[str, Any]] = {
    "discourse": {"groups": [41], "expires_days": 30},
    "thinkific": {"course": 90210, "expires_days": 30},
    "http": {"data": {"plan": "studio"}},
}
PROVIDERS = {"discourse": "discourse", "thinkific": "thinkific", "http": "platform"}


def effects(sandbox: Sandbox, platform: str) -> set[int]:
    """How often each thing that an invite makes is there."""
    return {
        "discourse": {len(sandbox.discourse.invites)},
        "thinkific": {len(sandbox.thinkific.users), len(sandbox.thinkific.enrollments)},
        "http": {len(sandbox.platform.links)},
    }[platform]


@pytest.mark.parametrize("platform", list(CONFIG))
@pytest.mark.parametrize(
    ("kind", "rule", "error"),
    [
        ("refused", {}, ProviderUnavailable),
        ("timeout", {"delay": 1.5}, ProviderUnavailable),
        ("lost_answer", {}, ProviderUnavailable),
        ("truncated", {}, ProviderUnavailable),
        ("html", {}, ProviderUnavailable),
        ("garbage", {}, ProviderUnavailable),
        ("status", {"status": 400}, ProviderRefused),
        ("status", {"status": 401}, ProviderRefused),
        ("status", {"status": 404}, ProviderRefused),
        ("status", {"status": 409}, ProviderUnavailable),
        ("status", {"status": 422}, ProviderRefused),
        ("status", {"status": 429}, ProviderBusy),
        ("status", {"status": 429, "retry_after": 9}, ProviderBusy),
        ("status", {"status": 500}, ProviderUnavailable),
        ("status", {"status": 503}, ProviderUnavailable),
    ],
)
def test_after_any_failure_a_retry_lets_the_buyer_in_once(
    sandbox: Sandbox, platform: str, kind: str, rule: dict[str, Any], error: type[ProviderError]
) -> None:
    ask = at_sandbox(sandbox, platform)
    sandbox.fault(PROVIDERS[platform], kind, method="POST", **rule)
    with pytest.raises(error) as raised:
        ask(**CONFIG[platform])
    assert type(raised.value) is error
    assert "ada" not in raised.value.message
    if "retry_after" in rule:
        assert isinstance(raised.value, ProviderBusy)
        assert raised.value.retry_after == 9
    answer = ask(**CONFIG[platform])
    assert effects(sandbox, platform) == {1}
    assert answer.result["link"].startswith("http")
    assert "ada@" not in json.dumps(answer.result) + answer.note


def test_an_enrolment_whose_answer_was_lost_is_not_made_twice(sandbox: Sandbox) -> None:
    ask = at_sandbox(sandbox, "thinkific")
    sandbox.fault("thinkific", "lost_answer", method="POST", path="/enrollments")
    with pytest.raises(ProviderUnavailable):
        ask(course=90210, expires_days=30)
    answer = ask(course=90210, expires_days=30)
    assert len(sandbox.thinkific.enrollments) == 1
    assert answer.result["expires_at"] == sandbox.thinkific.enrollments[0]["expiry_date"]


@pytest.mark.parametrize("platform", list(CONFIG))
def test_an_order_without_an_address_is_a_bad_request_and_nobody_is_asked(wire: Wire, platform: str) -> None:
    wire.say(200, {})
    with pytest.raises(BadRequest, match="no mail address"):
        at(wire.url, platform)(order(email=None), **CONFIG[platform])
    assert wire.seen == []
