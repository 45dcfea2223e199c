"""The HTTP client: each status becomes one of our errors, in the provider's words and with no address."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from support.http_client import client, failure
from support.step_calls import NOW
from support.wire import Wire


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
