"""The HTTP client: connections that fail and answers that are not what was promised become our errors."""

from __future__ import annotations

import gzip
import socket
import time
from typing import Any

import pytest

from pushcart.errors import AnswerTooLarge, ProviderRefused, ProviderUnavailable, ProviderUnreadable
from pushcart.providers.http import LARGEST_ANSWER
from support.http_client import client, failure
from support.wire import Wire


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
def test_a_success_that_is_not_the_json_promised_is_unreadable(wire: Wire, body: bytes) -> None:
    wire.say(200, body)
    error = failure(client(wire.url))
    assert type(error) is ProviderUnreadable
    assert error.status == 200
    assert "Just a moment" not in error.message


@pytest.mark.parametrize(("status", "kind"), [(200, AnswerTooLarge), (500, ProviderUnavailable)])
def test_an_answer_too_large_is_no_answer(wire: Wire, status: int, kind: type[ProviderUnavailable]) -> None:
    wire.say(status, b" " * (LARGEST_ANSWER + 1))
    error = failure(client(wire.url, timeout=5))
    assert type(error) is kind
    assert "larger than" in error.message


def test_a_compressed_answer_is_measured_unpacked(wire: Wire) -> None:
    wire.say(200, gzip.compress(b" " * (LARGEST_ANSWER * 3)), {"Content-Encoding": "gzip"})
    error = failure(client(wire.url, timeout=5))
    assert type(error) is AnswerTooLarge
    assert "larger than" in error.message
