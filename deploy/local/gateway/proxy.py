"""Forwards one call to a function, byte for byte, with the headers a function behind OpenFaaS would see."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError
from urllib3.util import SKIP_HEADER, Timeout
from werkzeug.http import is_hop_by_hop_header

from local.gateway.errors import StartFailed, Starting
from local.gateway.supervisor import Supervisor

log = logging.getLogger("local.gateway")

# OpenFaaS's provider marks the errors of its own with this; they are safe to retry.
INTERNAL = {"X-OpenFaaS-Internal": "proxy", "Content-Type": "text/plain; charset=utf-8"}
MAX_READ_BYTES = 1024 * 1024
CONNECT_SECONDS = 5.0
UPSTREAM_SECONDS = 65.0


@dataclass(frozen=True)
class Call:
    """One call: `path` is what follows the function's name, percent-encoded, `query` is raw."""

    name: str
    method: str
    path: str = "/"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What the caller gets. With `upstream` the body is to be streamed from there, and it must be closed."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    upstream: urllib3.BaseHTTPResponse | None = None
    reason: str | None = None


class Proxy:
    """`wait` says whether a call that finds its function cold waits for it or fails, as on faasd."""

    def __init__(self, supervisor: Supervisor, wait: bool, upstream_seconds: float) -> None:
        self._supervisor, self._wait = supervisor, wait
        self._timeout = Timeout(connect=CONNECT_SECONDS, read=upstream_seconds)

    def forward(self, call: Call) -> Answer:
        """Call the function; its failures become answers. Raises UnknownFunction."""
        self._supervisor.invocations[self._supervisor.spec(call.name).name] += 1
        try:
            try:
                return self._send(call)
            except NewConnectionError:
                # The process ended between two calls: nothing was sent, so its successor may be asked.
                self._settle(call.name)
                return self._send(call)
        except Starting:
            return refusal(500, f"Can't reach service for: {call.name}.")
        except StartFailed as error:
            return refusal(503, f"Can't reach service for: {call.name}. {error}")
        except TimeoutError:
            log.warning("%s did not answer within %g s", call.name, self._timeout.read_timeout)
            return refusal(504, f"{call.name} did not answer in time.")
        except HTTPError as error:
            self._settle(call.name)
            log.warning("%s broke off a call: %s", call.name, error)
            return refusal(500, f"Can't reach service for: {call.name}.")

    def deliver(self, call: Call) -> int:
        """Call the function for nobody: the answer's status, its body thrown away. Raises UnknownFunction."""
        answer = self.forward(call)
        if answer.upstream is not None:
            answer.upstream.close()
        return answer.status

    def _send(self, call: Call) -> Answer:
        connections = self._supervisor.connections(call.name, self._wait)
        target = f"{call.path}?{call.query}" if call.query else call.path
        response = connections.urlopen(
            call.method,
            target,
            body=call.body or None,
            headers=upstream_headers(call.headers),
            retries=False,
            redirect=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )
        headers = [pair for pair in response.headers.items() if not is_hop_by_hop_header(pair[0])]
        length = response.length_remaining
        if length is None or length > MAX_READ_BYTES:
            return Answer(response.status, headers, upstream=response, reason=response.reason)
        return Answer(response.status, headers, response.read(), reason=response.reason)

    def _settle(self, name: str) -> None:
        """Give a dying process the moment it needs to be seen as dead: the next call then starts another."""
        if process := self._supervisor.running(name):
            process.wait(0.5)


def refusal(status: int, message: str) -> Answer:
    """An answer of the gateway's own, marked as OpenFaaS marks it."""
    return Answer(status, list(INTERNAL.items()), f"{message}\n".encode())


def upstream_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The caller's headers without those that concern its own connection, or claim who it is."""
    listed = {
        token.strip().lower() for name, value in headers if name.lower() == "connection" for token in value.split(",")
    }
    kept = {name: value for name, value in headers if not _is_dropped(name.lower(), listed)}
    # Nothing of the client library's own may be added.
    defaults = {"Accept-Encoding": SKIP_HEADER, "User-Agent": SKIP_HEADER}
    lower = {name.lower() for name in kept}
    return {**{name: value for name, value in defaults.items() if name.lower() not in lower}, **kept}


def _is_dropped(name: str, listed: set[str]) -> bool:
    return (
        name in listed
        or name in ("host", "content-length", "expect", "forwarded")
        or name.startswith("x-forwarded-")
        or is_hop_by_hop_header(name)
    )
