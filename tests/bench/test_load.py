"""The load client measures what it says: a stall is seen by all that had to wait, a refusal is no measurement."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import load
from bench.sink import sink
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


def test_the_requests_are_signed_as_stripe_signs():
    [request] = load.signed(load.Plan(0, [BODY], SECRET))
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert body == BODY.encode()
    assert int(fields["Content-Length"]) == len(body)
    verify(body, fields["Stripe-Signature"], [SECRET])
