"""The HTTP client over a real connection: what goes out and comes in, our own limit, the links it takes."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pushcart.errors import ProviderBusy, ProviderRefused
from pushcart.providers.http import web_address
from pushcart.providers.limiter import Limiter
from support.http_client import Thing, client, failure
from support.wire import Wire

# What goes out and comes in


def test_sends_json_and_gives_the_answer_in_the_shape_asked_for(wire: Wire) -> None:
    wire.say(201, {"id": 7, "name": "bowl", "unknown": True})
    thing = client(wire.url + "/").call(
        "POST", "/things", Thing, json={"a": 1}, query={"q[x]": "ä b"}, headers={"Authorization": "Bearer t"}
    )
    assert thing == Thing(id=7, name="bowl")
    seen = wire.seen[0]
    assert (seen.method, seen.path, seen.query, seen.json) == ("POST", "/things", {"q[x]": "ä b"}, {"a": 1})
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Authorization"] == "Bearer t"


def test_amounts_go_out_as_numbers_with_exactly_their_digits(wire: Wire) -> None:
    wire.say(200, {})
    client(wire.url).call("POST", "/", json=[Decimal("49.00"), Decimal("1050"), Decimal("0.105"), Decimal("0.10")])
    assert wire.seen[0].body == b"[49.00,1050,0.105,0.10]"


def test_a_body_that_is_encoded_already_goes_out_unchanged(wire: Wire) -> None:
    wire.say(204)
    client(wire.url).call("POST", "", content=b'{"a":  1}')
    assert wire.seen[0].body == b'{"a":  1}'


@pytest.mark.parametrize("end", ["", "/"])
def test_an_empty_path_means_the_address_exactly_as_it_is(wire: Wire, end: str) -> None:
    wire.say(204)
    client(f"{wire.url}/hooks{end}").call("POST", "")
    client(f"{wire.url}/hooks{end}").call("POST", "/things")
    assert [seen.path for seen in wire.seen] == [f"/hooks{end}", "/hooks/things"]


def test_an_empty_success_is_an_empty_object(wire: Wire) -> None:
    wire.say(204)
    assert client(wire.url).call("PUT", "/things/7") == {}


def test_a_request_without_a_body_has_no_content_type(wire: Wire) -> None:
    wire.say(200, [])
    client(wire.url).call("GET", "/things")
    assert "Content-Type" not in wire.seen[0].headers


def test_a_netrc_file_does_not_replace_our_authorization(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wire.say(200, {})
    client(wire.url).call("GET", "/", headers={"Authorization": "Bearer ours"})
    assert wire.seen[0].headers["Authorization"] == "Bearer ours"


def test_cookies_are_not_kept(wire: Wire) -> None:
    wire.say(200, {}, {"Set-Cookie": "session=1; Path=/"})
    http = client(wire.url)
    http.call("GET", "/")
    http.call("GET", "/")
    assert "Cookie" not in wire.seen[1].headers


# Our own limit


def test_a_call_beyond_our_own_limit_is_busy_and_not_made(wire: Wire) -> None:
    wire.say(200, {})
    http = client(wire.url, limiter=Limiter(2))
    http.call("GET", "/")
    http.call("GET", "/")
    error = failure(http, "GET", "/")
    assert type(error) is ProviderBusy
    assert error.retry_after == pytest.approx(60, abs=1)
    assert len(wire.seen) == 2


def test_threads_may_share_a_client(wire: Wire) -> None:
    wire.say(200, {"id": 7})
    http, found = client(wire.url, timeout=5), []
    threads = [
        threading.Thread(target=lambda: found.extend(http.call("GET", "/", Thing).id for _ in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    http.close()
    assert found == [7] * 80


@pytest.mark.parametrize("link", ["https://forum.example/invites/1", "http://127.0.0.1:8080/x?y=1#z"])
def test_a_link_may_be_http_or_https(link: str) -> None:
    assert web_address("Acme", link) == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a/b",
        "//a/b",
        "/invites/1",
        "https://",
        "",
        None,
        7,
        "https://a.example/x y",
        "https://a.example/\nBcc: x",
        "https://[::1",
    ],
)
def test_any_other_link_is_a_refusal(link: Any) -> None:
    with pytest.raises(ProviderRefused):
        web_address("Acme", link)
