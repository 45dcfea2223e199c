"""Calls from one function to another, through the gateway, signed.

OpenFaaS starts a crashed or cold function at its next call and answers 500 until it listens; those answers
carry `X-OpenFaaS-Internal` and are tried again here. Everything else is the caller's to judge.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests
from requests.adapters import HTTPAdapter

from pushcart import auth
from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.errors import ConfigurationError, FunctionFailed, is_permanent

log = logging.getLogger(__name__)

#: Seconds to wait before calling a function again that the gateway is still starting; about 8 s in all.
COLD_START_WAITS = (0.1, 0.2, 0.4, 0.8, 1.5, 2.0, 3.0)

#: Seconds in which hints gather after one went out, for each event it told of: a single purchase is told at once,
#: and a burst costs one call for many events.
PAUSE, LONGEST_PAUSE = 0.005, 0.1

#: Events in one hint; an async call's body may hold 256,000 bytes.
MOST_EVENTS = 500

#: Seconds within which a refusal means that the function was not reached: no mail is sent in that time.
QUICK = 0.05


def connect(config: Config, clock: Clock, *, timeout: float, connections: int = 8) -> Gateway:
    """A client with the function's settings; `timeout` is in seconds."""
    key = partial(config.secret, "internal-key")
    return Gateway(config["gateway_url"], key, clock, timeout=timeout, connections=connections)


class Gateway:
    """A client for our own functions. `key` gives the internal key at each call, so that a rotation is live."""

    def __init__(
        self,
        url: str,
        key: Callable[[], str],
        clock: Clock,
        *,
        timeout: float,
        connections: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._clock = clock
        self._timeout = timeout
        self._sleep = sleep
        self._now = now
        self._http = requests.Session()
        self._http.mount("http", HTTPAdapter(pool_connections=2, pool_maxsize=connections))

    def call(
        self,
        function: str,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        query: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        """The function's JSON answer. `FunctionFailed` for anything but a 2xx, with what the function said.

        The gateway's answer is the same for a function that does not listen yet and for one that died in the
        middle of the call, so a call that is not `repeatable` is made again only after an answer so quick that
        nothing can have been done. All attempts together take no longer than the timeout.
        """
        end = self._now() + self._timeout
        for wait in (*COLD_START_WAITS, None):
            sent = self._now()
            response = self._send("function", function, method, path, query, body, timeout=end - sent)
            untouched = repeatable or self._now() - sent < QUICK
            if wait is None or not _still_starting(response) or not untouched or self._now() + wait >= end:
                return _answer(function, response)
            self._sleep(wait)
        raise AssertionError("the loop above always returns")

    def hint(self, function: str, path: str, body: Any) -> None:
        """Asks for an asynchronous call that may be lost; `FunctionFailed` when not even the gateway took it."""
        response = self._send("async-function", function, "POST", path, None, body, timeout=self._timeout)
        if response.status_code != 202:
            raise FunctionFailed(function, f"the gateway did not queue the call: {response.status_code}")

    def close(self) -> None:
        self._http.close()

    def _send(
        self,
        prefix: str,
        function: str,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Any,
        *,
        timeout: float,
    ) -> requests.Response:
        data = b"" if body is None else msgspec.json.encode(body)
        query_string = urlencode(query or {})
        try:
            signature = auth.sign(self._key(), self._clock(), function, method, path, query_string, data)
        except ConfigurationError as error:
            raise FunctionFailed(function, f"the call could not be signed: {error.message}") from error
        headers = {auth.HEADER: signature, "Content-Type": "application/json"}
        url = f"{self._url}/{prefix}/{function}{path}" + (f"?{query_string}" if query_string else "")
        try:
            return self._http.request(method, url, data=data, headers=headers, timeout=timeout)
        except requests.RequestException as error:
            raise FunctionFailed(function, f"no answer through the gateway ({type(error).__name__})") from error


def _still_starting(response: requests.Response) -> bool:
    # Not 504: that one says that the function ran, and for too long.
    return response.status_code in (500, 502, 503) and "X-OpenFaaS-Internal" in response.headers


def _answer(function: str, response: requests.Response) -> Any:
    try:
        body = msgspec.json.decode(response.content) if response.content else None
    except msgspec.DecodeError:
        body = None
    if response.ok and (body is not None or not response.content):
        return body
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        # Not one of our functions speaking: the gateway, the watchdog or a proxy. A redeploy cures it.
        raise FunctionFailed(
            function, f"{function} is not answering ({response.status_code})", status=response.status_code
        )
    wait = response.headers.get("Retry-After", "")
    raise FunctionFailed(
        function,
        str(error.get("message", "no reason given")),
        status=response.status_code,
        answered=True,
        # A 401 of our own is a key in the middle of its rotation or a clock, which the next attempt may find mended.
        permanent=is_permanent(response.status_code) and response.status_code != 401,
        busy=response.status_code == 429,
        retry_after=float(wait) if wait.isdecimal() else None,
    )


class Hints:
    """Tells another function of events in the inbox, from a thread of its own: no acknowledgement waits for a hint.

    The first goes out at once; those that come within a pause after it go together. At most `limit` events wait; more
    are dropped, because the sweep finds what a hint would have started.
    """

    def __init__(self, gateway: Gateway, function: str, path: str, limit: int = 10_000) -> None:
        self._gateway = gateway
        self._target = (function, path)
        self._limit = limit
        self._waiting: list[str] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()

    def send(self, event_id: str) -> None:
        with self._changed:
            if len(self._waiting) < self._limit:
                self._waiting.append(event_id)
                self._changed.notify()
                return
        log.warning("hint dropped: %s events are waiting; the next sweep does the work", self._limit)

    def close(self, timeout: float = 5) -> None:
        """Sends what waits, for at most `timeout` seconds."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while event_ids := self._gathered():
            try:
                self._gateway.hint(*self._target, {"events": event_ids})
            except FunctionFailed as error:
                log.warning("hint lost, the next sweep does the work: %s", error)
            except Exception:
                # The thread is the only one: whatever goes wrong with one hint must not end all others.
                log.exception("hint lost on a mistake of ours; the next sweep does the work")
            self._closing.wait(min(PAUSE * len(event_ids), LONGEST_PAUSE))

    def _gathered(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            taken, self._waiting = self._waiting[:MOST_EVENTS], self._waiting[MOST_EVENTS:]
            return taken
