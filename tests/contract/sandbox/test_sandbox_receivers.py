"""Where messages to the owner's phone go: text messages, ntfy and plain JSON, sent as Apprise sends them."""

from __future__ import annotations

import re

import apprise
import pytest
import requests

from local.sandbox import Sandbox

SID, TOKEN = "AC" + "a" * 32, "secret"
TEXT = {"To": "+48600700800", "From": "+15005550006", "Body": "2 orders wait"}


def text(sb: Sandbox, auth: tuple[str, str] | None = (SID, TOKEN), **changes: str) -> requests.Response:
    path = f"/twilio/2010-04-01/Accounts/{SID}/Messages.json"
    return requests.post(sb.url + path, data=TEXT | changes, auth=auth, timeout=5)


def test_apprise_reaches_every_receiver(sb: Sandbox) -> None:
    host = sb.url.removeprefix("http://")
    twilio = apprise.Apprise.instantiate(f"twilio://{SID}:{TOKEN}@15005550006/48600700800")
    twilio.notify_sms_url = f"{sb.url}/twilio/2010-04-01/Accounts/{{sid}}/Messages.json"
    ways = [
        twilio,
        *(apprise.Apprise.instantiate(f"{url}") for url in (f"ntfy://{host}/shop", f"json://{host}/push/me")),
    ]
    for way in ways:
        assert way.notify(title="Żółw: 2 orders wait", body="Run pushcart attention")
    said = "Żółw: 2 orders wait", "Run pushcart attention"
    assert [(m.via, m.to, m.title, m.text, m.at) for m in sb.messages()] == [
        ("twilio", "+48600700800", "", "\r\n".join(said), sb.now()),
        ("ntfy", "shop", *said, sb.now()),
        ("push", "me", *said, sb.now()),
    ]
    assert [m.to for m in sb.messages("ntfy")] == ["shop"]
    assert {c.provider: c.status for c in sb.calls()} == {"twilio": 201, "ntfy": 200, "push": 200}


@pytest.mark.parametrize("way", ["twilio", "ntfy", "push"])
def test_apprise_sees_that_a_receiver_is_away(sb: Sandbox, way: str) -> None:
    host = sb.url.removeprefix("http://")
    addresses = {"ntfy": f"ntfy://{host}/shop", "push": f"json://{host}/push/me"}
    addresses["twilio"] = f"twilio://{SID}:{TOKEN}@15005550006/48600700800"
    receiver = apprise.Apprise.instantiate(addresses[way])
    receiver.notify_sms_url = f"{sb.url}/twilio/2010-04-01/Accounts/{{sid}}/Messages.json"
    sb.fault(way, "status", status=503)
    assert not receiver.notify(body="hello")
    assert [c.status for c in sb.calls(way)] == [503]
    assert sb.messages() == []


def test_a_text_message_is_answered_as_twilio_does(sb: Sandbox) -> None:
    answer = text(sb, Body="x" * 161)
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch("SM[0-9a-f]{32}", body["sid"])
    assert (body["status"], body["num_segments"], body["direction"]) == ("queued", "2", "outbound-api")
    assert (body["to"], body["from"], body["account_sid"]) == (TEXT["To"], TEXT["From"], SID)
    assert body["date_created"] == "Fri, 20 Nov 2026 12:00:00 +0000"
    assert TOKEN not in str(sb.calls("twilio"))


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"auth": None}, 401, 20003),
        ({"auth": (SID, "wrong")}, 401, 20003),
        ({"To": ""}, 400, 21604),
        ({"To": "600700800"}, 400, 21211),
        ({"From": ""}, 400, 21603),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
    ],
)
def test_twilio_refuses_by_its_own_numbers(sb: Sandbox, changes: dict, status: int, code: int) -> None:
    sb.twilio.auth_token = TOKEN
    answer = text(sb, **changes)
    assert answer.status_code == status
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert sb.messages() == []


def test_ntfy_takes_json_at_its_root_and_text_at_a_topic(sb: Sandbox) -> None:
    named = requests.post(f"{sb.url}/ntfy/", json={"topic": "shop", "title": "Up", "message": "again"}, timeout=5)
    assert (named.json()["event"], named.json()["topic"], named.json()["message"]) == ("message", "shop", "again")
    plain = requests.post(f"{sb.url}/ntfy/shop", data="down", headers={"Title": "Oh"}, timeout=5)
    assert plain.status_code == 200
    assert [(m.title, m.text) for m in sb.messages("ntfy")] == [("Up", "again"), ("Oh", "down")]
    for body, code in (({"topic": "no/topic"}, 40009), ([], 40017)):
        refused = requests.post(f"{sb.url}/ntfy/", json=body, timeout=5)
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert requests.post(f"{sb.url}/push/me", data="not json", timeout=5).status_code == 400


def test_messages_are_shown_on_a_page_and_over_http(sb: Sandbox) -> None:
    text(sb, Body="<script>alert(1)</script>")
    requests.post(f"{sb.url}/push/me", json={"title": "Over", "message": "It is over"}, timeout=5)
    overview = requests.get(f"{sb.url}/", timeout=5).text
    assert 'href="/messages"' in overview
    assert "Over" in overview
    page = requests.get(f"{sb.url}/messages", timeout=5).text
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.index("It is over") < page.index("&lt;script&gt;")
    assert "It is over" not in requests.get(f"{sb.url}/messages?via=twilio", timeout=5).text
    listed = requests.get(f"{sb.url}/_sandbox/messages", params={"via": "push"}, timeout=5).json()["messages"]
    assert [(m["to"], m["text"]) for m in listed] == [("me", "It is over")]
    sb.reset()
    assert sb.messages() == []
