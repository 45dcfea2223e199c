"""The HTTP client: every way a provider can fail, over a real connection, becomes one of our errors."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pushcart.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable
from pushcart.providers.http import LARGEST_ANSWER, Http, web_address
from pushcart.providers.limiter import Limiter
from support.step_calls import NOW
from support.wire import Wire


class Thing(msgspec.Struct):
    id: int
    name: str = ""


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as running:
        yield running


def client(url: str, **settings: Any) -> Http:
    return Http("Acme", url, lambda: NOW, **{"timeout": 0.3, "secret": "acme-key", **settings})


def failure(http: Http, *request: Any, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        http.call(*(request or ("POST", "/things", Thing)), **more)
    http.close()
    return raised.value


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


# Statuses


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 413, 418, 422])
def test_a_4xx_that_a_retry_cannot_cure_is_a_refusal(wire: Wire, status: int) -> None:
    wire.say(status, {"error": "no"})
    error = failure(client(wire.url))
    assert type(error) is ProviderRefused
    assert error.status == status
    assert f"Acme: POST /things: {status} no" in error.message


@pytest.mark.parametrize("status", [408, 409, 425, 500, 501, 502, 503, 504, 520, 302, 303, 307])
def test_a_status_that_may_pass_is_unavailable(wire: Wire, status: int) -> None:
    wire.say(status, {"error": "later"}, {"Location": "/elsewhere"})
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert (error.status, error.retry_after) == (status, None)
    assert len(wire.seen) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_being_shut_out_names_the_secret_to_look_at(wire: Wire, status: int) -> None:
    wire.say(status, {"error": "no"})
    assert "look at the secret acme-key" in failure(client(wire.url)).message


@pytest.mark.parametrize("status", [301, 308])
def test_an_address_that_has_moved_is_a_refusal_and_nobody_is_asked_there(wire: Wire, status: int) -> None:
    with Wire() as other:
        other.say(200, {"id": 1})
        wire.say(status, b"", {"Location": other.url + "/things"})
        error = failure(client(wire.url))
        assert type(error) is ProviderRefused
        assert other.url.removeprefix("http://") in error.message
        assert other.seen == []


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "99999999"}, 86_400),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
        ({"RateLimit-Reset": str(int(NOW.timestamp()) + 30)}, pytest.approx(30, abs=1)),
        ({"RateLimit-Reset": "nonsense"}, None),
    ],
)
def test_429_is_busy_and_says_when_to_come_back(wire: Wire, headers: dict[str, str], wait: float | None) -> None:
    wire.say(429, b"Retry later\n", {"Content-Type": "text/plain", **headers})
    error = failure(client(wire.url))
    assert type(error) is ProviderBusy
    assert error.retry_after == wait
    assert error.message == "Acme: POST /things: 429 Retry later"


@pytest.mark.parametrize(("seconds", "wait"), [(90, 90), (-90, 0)])
def test_retry_after_may_be_a_date(wire: Wire, seconds: int, wait: float) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    wire.say(429, b"", {"Retry-After": date})
    error = failure(client(wire.url))
    assert isinstance(error, ProviderBusy)
    assert error.retry_after == pytest.approx(wait, abs=1)


def test_a_provider_whose_429_says_nothing_has_a_wait_of_its_own(wire: Wire) -> None:
    wire.say(429, b"Retry later\n")
    error = failure(client(wire.url, busy_wait=60))
    assert isinstance(error, ProviderBusy)
    assert error.retry_after == 60


def test_retry_after_of_a_503_is_kept(wire: Wire) -> None:
    wire.say(503, b"", {"Retry-After": "120"})
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert error.retry_after == 120


# Connections


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = failure(client(url))
    assert type(error) is ProviderUnavailable
    assert error.status is None


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    assert type(failure(client("http://pushcart.invalid"))) is ProviderUnavailable


def test_an_address_that_is_none_is_a_refusal() -> None:
    assert type(failure(client("http://[::1"))) is ProviderRefused


def test_no_answer_in_time_is_unavailable(wire: Wire) -> None:
    wire.do(lambda handler: handler.wait(5) and None)
    started = time.monotonic()
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert "no answer in 0.3 s" in error.message
    assert time.monotonic() - started < 2


def test_a_connection_dropped_before_the_answer_is_unavailable(wire: Wire) -> None:
    wire.do(lambda handler: handler.reset_connection())
    assert type(failure(client(wire.url))) is ProviderUnavailable


def test_a_body_that_drips_is_given_up_after_twice_the_timeout(wire: Wire) -> None:
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not handler.wait(0.05):
            handler.wfile.write(b" ")

    wire.do(drip)
    started = time.monotonic()
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert "did not end in 0.6 s" in error.message
    assert time.monotonic() - started < 2


def test_a_body_that_stops_half_way_is_given_up(wire: Wire) -> None:
    def stall(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"id":')
        handler.wait(5)

    wire.do(stall)
    assert type(failure(client(wire.url))) is ProviderUnavailable


# Answers that are not what was promised


@pytest.mark.parametrize("sent", [b'{"id": 7, "na', b"", b'{"id": 7}'])
def test_an_answer_shorter_than_it_says_is_unavailable(wire: Wire, sent: bytes) -> None:
    wire.say(200, sent, {"Content-Length": "40", "Connection": "close"})
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert "broke off" in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": 7, "na',
        b"<!doctype html><h1>Just a moment</h1>",
        b"\x00\xff\xfe garbage",
        b"[" * 100_000,
        b"OK",
        b"",
        b'{"name": "without an id"}',
        b'{"id": "not a number"}',
        b"[]",
        b"null",
    ],
)
def test_a_success_that_is_not_the_json_promised_is_unavailable(wire: Wire, body: bytes) -> None:
    wire.say(200, body)
    error = failure(client(wire.url))
    assert type(error) is ProviderUnavailable
    assert error.status == 200
    assert "Just a moment" not in error.message


def test_an_answer_too_large_is_unavailable(wire: Wire) -> None:
    wire.say(200, b" " * (LARGEST_ANSWER + 1))
    assert "larger than" in failure(client(wire.url, timeout=5)).message


def test_a_compressed_answer_is_measured_unpacked(wire: Wire) -> None:
    wire.say(200, gzip.compress(b" " * (LARGEST_ANSWER * 3)), {"Content-Encoding": "gzip"})
    error = failure(client(wire.url, timeout=5))
    assert type(error) is ProviderUnavailable
    assert "larger than" in error.message


# The provider's own words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"errors": ["Course could not be found.", "User could not be found."]},
            "Course could not be found.; User could not be found.",
        ),
        (
            {"errors": {"first_name": ["can't be blank"], "last_name": ["can't be blank"]}},
            "first_name can't be blank; last_name can't be blank",
        ),
        (
            {"error": "invalid_grant", "error_description": "The grant is invalid."},
            "invalid_grant; The grant is invalid.",
        ),
        ({"error": {"code": "x1", "message": "No such thing"}}, "No such thing"),
        (
            {"error": "Your request is missing parameters", "message": "transaction_id can't be blank"},
            "Your request is missing parameters; transaction_id can't be blank",
        ),
        ({"errors": []}, ""),
        ({"customer": "Ada", "note": "not an error's field"}, ""),
    ],
)
def test_the_message_holds_the_providers_own_words(wire: Wire, body: Any, words: str) -> None:
    wire.say(422, body)
    assert failure(client(wire.url)).message == f"Acme: POST /things: 422 {words}".rstrip()


def test_a_page_instead_of_json_is_not_quoted(wire: Wire) -> None:
    wire.say(503, b"<html><h1>Down for maintenance</h1></html>", {"Content-Type": "text/html"})
    assert failure(client(wire.url)).message == "Acme: POST /things: 503 (a page instead of JSON)"


@pytest.mark.parametrize("address", ["ada@example.com", "ada.l+x@mail.example.co.uk", "ada%40example.com"])
def test_the_message_never_holds_a_mail_address(wire: Wire, address: str) -> None:
    wire.say(422, {"errors": [f"No need to invite <b>{address}</b>, they have an account", f"email={address}"]})
    message = failure(client(wire.url), "GET", "/users", query={"email": address}).message
    assert "example" not in message
    assert "No need to invite <b>(address)</b>" in message


def test_long_words_are_cut_and_put_on_one_line(wire: Wire) -> None:
    wire.say(400, b"no\n\n  way " + b"x" * 5000, {"Content-Type": "text/plain"})
    message = failure(client(wire.url)).message
    assert message.startswith("Acme: POST /things: 400 no way xxx")
    assert len(message) < 260


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
