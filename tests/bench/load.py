"""The load client, a process of its own: JSON posted over kept connections, in one thread without a framework.

    python load.py < plan.json > result.json

A closed loop sends the next request when the last is answered; an open loop sends at fixed times whatever happens,
and counts from when a request should have gone out, so that a stall is not hidden by the client waiting with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
STALLED = 30.0

JSON = {"Content-Type": "application/json"}
#: What Stripe sends with a webhook besides its signature.
AS_STRIPE = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    "Accept": "*/*; q=0.5",
}


@dataclass(frozen=True)
class Plan:
    """`bodies` are posted to `path` in order: with a `secret` as Stripe's webhooks, each signed beforehand, else as
    JSON. `headers` come besides, or in the place of those. `rate` is requests a second for an open loop; None is a
    closed one."""

    port: int
    bodies: Sequence[str]
    secret: str | None = None
    path: str = "/"
    connections: int = 16
    rate: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """`latencies` in ms in the order of the answers, `seconds` for all, `started` as Unix time."""

    seconds: float
    started: float
    latencies: list[float]
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


class Refused(Exception):
    """Not every request was answered 200: there is no measurement."""


def run(plan: Plan) -> Result:
    """Carries out the plan in a process of its own; `Refused` unless every answer is a 200."""
    given = json.dumps(asdict(plan))
    made = subprocess.run([sys.executable, __file__], input=given, stdout=subprocess.PIPE, text=True, check=True)
    result = Result(**json.loads(made.stdout))
    if result.statuses != {"200": len(plan.bodies)}:
        raise Refused(f"of {len(plan.bodies)} requests to {plan.path}, these were answered: {result.statuses}")
    return result


class Connection:
    """One kept connection with at most one request on it; opened anew where the server says that it keeps none."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()
        self._received = b""
        self.since = 0.0

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ends = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes, since: float) -> None:
        """`since` is when the request counts as sent, on the performance counter."""
        if self._ends:
            self._socket.close()
            self._open()
        self._received, self.since = b"", since
        self._socket.sendall(request)

    def answer(self) -> str | None:
        """The status once the answer is whole; ConnectionError when the server hung up."""
        chunk = self._socket.recv(65536)
        if not chunk:
            raise ConnectionError("the function closed a connection in the middle of the measurement")
        self._received += chunk
        head, gap, body = self._received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if not gap or len(body) < int(length[1] if length else 0):
            return None
        self._ends = CLOSES.search(head) is not None
        return head[9:12].decode()

    def close(self) -> None:
        self._socket.close()


def requests(plan: Plan) -> list[bytes]:
    """The requests as they go over the wire, signed now where they are to be signed."""
    stamp, made = int(time.time()), []
    for text in plan.bodies:
        body = text.encode()
        headers = {**JSON, **plan.headers}
        if plan.secret:
            headers = {**AS_STRIPE, "Stripe-Signature": signature(body, plan.secret, stamp), **plan.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return made


def signature(body: bytes, secret: str, stamp: int) -> str:
    """What Stripe would sign the body with at this Unix time."""
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hex()
    return f"t={stamp},v1={digest}"


def send(plan: Plan) -> Result:
    """Sends all in this process."""
    waiting = deque(requests(plan))
    free = [Connection(plan.port) for _ in range(plan.connections)]
    everyone, busy = list(free), set()
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    started, begun, sent = time.time(), time.perf_counter(), 0
    while waiting or busy:
        due = begun + sent / plan.rate if plan.rate else time.perf_counter()
        while free and waiting and due <= time.perf_counter():
            connection = free.pop()
            connection.send(waiting.popleft(), due)
            busy.add(connection)
            sent += 1
            due = begun + sent / plan.rate if plan.rate else time.perf_counter()
        pause = max(0.0, due - time.perf_counter()) if free and waiting else STALLED
        ready, _, _ = select.select(busy, [], [], pause)
        if not ready and pause == STALLED:
            raise TimeoutError(f"no answer for {STALLED:g} s")
        for connection in ready:
            if status := connection.answer():
                latencies.append((time.perf_counter() - connection.since) * 1000)
                statuses[status] += 1
                busy.discard(connection)
                free.append(connection)
    seconds = time.perf_counter() - begun
    for connection in everyone:
        connection.close()
    return Result(seconds, started, latencies, dict(statuses))


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    json.dump(asdict(send(Plan(**given))), sys.stdout)


if __name__ == "__main__":
    main()
