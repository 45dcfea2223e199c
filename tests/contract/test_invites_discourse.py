"""Discourse: the exact requests for invitations and groups, members already there, one effect each."""

from __future__ import annotations

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable
from support.invites import at, at_sandbox
from support.provider_calls import fixture
from support.wire import Wire


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
