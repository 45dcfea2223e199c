"""The load client measures what it says: a stall is seen by all that had to wait, a refusal is no measurement."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from bench import load
from bench.sink import NUMBER, sink
from pushcart.services.stripe_inbox import verify

SECRET = "whsec_test"
BODY = '{"id": "evt_1"}'
STALL = 0.4


@contextmanager
def stalling_server() -> Iterator[int]:
    """Takes one connection and answers at once, but the first request only after a while."""

    def serve() -> None:
        connection, _ = listener.accept()
        pause = STALL
        with connection:
            while connection.recv(65536):
                time.sleep(pause)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                pause = 0.0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        server.join()


def test_an_open_loop_counts_the_wait_of_every_request_that_should_have_gone_out_meanwhile():
    with stalling_server() as port:
        open_loop = load.send(load.Plan(port, [BODY] * 10, SECRET, connections=1, rate=20))
    # They are due every 50 ms, so those due during the stall waited for the rest of it.
    assert [round(ms / 50) for ms in open_loop.latencies[:4]] == pytest.approx([8, 7, 6, 5], abs=1)
    with stalling_server() as port:
        closed_loop = load.send(load.Plan(port, [BODY] * 10, SECRET, connections=1))
    assert sum(ms > STALL * 500 for ms in closed_loop.latencies) == 1, "the control: a closed loop hides the others"


def test_an_open_loop_keeps_its_rate():
    with sink("200 OK") as port:
        result = load.send(load.Plan(port, [BODY] * 20, SECRET, rate=100))
    assert result.seconds >= 0.19
    assert result.statuses == {"200": 20}


def test_answers_other_than_200_are_no_measurement():
    with sink("503 Service Unavailable") as port, pytest.raises(load.Refused, match="'503': 3"):
        load.run(load.Plan(port, [BODY] * 3, SECRET))


def test_a_server_that_hangs_up_is_no_measurement():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=lambda: listener.accept()[0].close()).start()
        with pytest.raises(ConnectionError):
            load.send(load.Plan(port, [BODY], SECRET, connections=1))


def test_a_server_that_keeps_no_connection_is_asked_over_new_ones():
    def serve() -> None:
        for _ in range(3):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        result = load.send(load.Plan(listener.getsockname()[1], [BODY] * 3, connections=1))
        server.join()
    assert result.statuses == {"200": 3}


def test_with_a_secret_the_requests_are_signed_as_stripe_signs():
    [request] = load.requests(load.Plan(0, [BODY], SECRET))
    fields, body = taken_apart(request)
    assert body == BODY.encode()
    assert int(fields["Content-Length"]) == len(body)
    verify(body, fields["Stripe-Signature"], [SECRET])


def test_without_one_they_are_what_a_page_sends():
    origin = {"Origin": "https://shop.example"}
    [as_json] = load.requests(load.Plan(0, [BODY], headers=origin))
    fields, body = taken_apart(as_json)
    assert body == BODY.encode()
    assert fields == {**origin, "Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": "15"}
    [as_form] = load.requests(load.Plan(0, ["a=1"], headers={"Content-Type": "application/x-www-form-urlencoded"}))
    assert taken_apart(as_form)[0]["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_stand_in_never_gives_the_same_answer_twice():
    with sink("200 OK", json.dumps({"id": f"cs_{NUMBER}", "name": "é"})) as port:
        found = [requests.post(f"http://127.0.0.1:{port}/", json={}, timeout=5).json() for _ in range(3)]
    assert len({answer["id"] for answer in found}) == 3
    assert {answer["name"] for answer in found} == {"é"}


def taken_apart(request: bytes) -> tuple[dict[str, str], bytes]:
    """The header fields and the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), body
