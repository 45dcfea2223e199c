"""The HTTP client for providers without an SDK of their own: JSON in and out, and every failure as one of ours.

What a caller gets is either the answer in the shape it asked for, or
- `ProviderRefused`: a 4xx that a retry cannot cure, or an address that has moved for good;
- `ProviderBusy`: 429, or our own count of calls is used up;
- `ProviderUnavailable`: everything else, from a refused connection to a server's own error; of its kinds,
  `ProviderUnreadable` is a success with something else than the JSON that was promised, such as HTML, and
  `AnswerTooLarge` one with more than is read.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from pushcart.clock import Clock
from pushcart.domain.retry import LONGEST_WAIT
from pushcart.errors import (
    AnswerTooLarge,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreadable,
    is_permanent,
)
from pushcart.providers.limiter import Limiter

T = TypeVar("T")

#: A time in a provider's answer; one without a zone is not taken, because nobody knows when it is.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

#: The largest answer read, in bytes; what we ask for is a few kilobytes.
LARGEST_ANSWER = 1_048_576

_encoder = msgspec.json.Encoder(decimal_format="number")

_ADDRESS = re.compile(r"[^\s\"'<>(),;:=]+(?:@|%40|&#64;)[^\s\"'<>(),;]+")
_ERROR_KEYS = ("errors", "error", "error_description", "message", "detail")
_LONGEST_WORDS = 200


def encode(value: Any) -> bytes:
    """`value` as JSON. A Decimal becomes a number with exactly its digits: 49.00 stays 49.00."""
    return _encoder.encode(value)


def web_address(provider: str, value: Any) -> str:
    """`value` when it is an http or https address that may go into a mail; else `ProviderRefused`."""
    try:
        parts = urlsplit(value) if isinstance(value, str) and not re.search(r"\s", value) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderRefused(provider, "the link it gave is no http or https address; look at its settings")
    return str(value)


class Http:
    """Calls to one provider at one base URL. Thread-safe.

    `timeout` is in seconds, for connecting and for each read; a whole answer may take twice that. `secret`
    names the secret to look at when the provider does not let us in. `busy_wait` is the `retry_after` of a 429
    that names none.
    """

    def __init__(
        self,
        provider: str,
        url: str,
        clock: Clock,
        *,
        timeout: float,
        secret: str,
        limiter: Limiter | None = None,
        busy_wait: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self.url = url
        self._clock = clock
        self._timeout = timeout
        self._secret = secret
        self._limiter = limiter
        self._busy_wait = busy_wait
        self._monotonic = monotonic
        self._session = requests.Session()
        # A .netrc on the machine would otherwise replace our Authorization header.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # No compression: our answers are small, and a small answer cannot then become a large one.
        self._session.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Pushcart"}
        )

    def call(
        self,
        method: str,
        path: str,
        shape: type[T] | Any = Any,
        *,
        json: Any = None,
        content: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T | Any:
        """The 2xx answer's JSON as `shape`; an empty answer counts as `{}`.

        The body is `json`, encoded here, or `content`, JSON that is encoded already. `path` must not hold
        personal data, because it is part of error messages; `query` may.
        """
        data = encode(json) if json is not None else content
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if self._limiter is not None:
            self._limiter.take(self.provider)
        what = f"{method} {path or '/'}"
        try:
            with self._session.request(
                method,
                self.url.rstrip("/") + path if path else self.url,
                params=query,
                data=data,
                headers={**sent, **(headers or {})},
                timeout=(self._timeout, self._timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._read(response, what)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise ProviderRefused(self.provider, f"{self.url} is not an address that can be called") from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise ProviderUnavailable(self.provider, f"{what} got no answer in {self._timeout:g} s") from error
        except requests.RequestException as error:
            raise ProviderUnavailable(self.provider, f"{what} failed: {type(error).__name__}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ProviderUnavailable(self.provider, f"{what}: the answer broke off") from error
        return self._answer(response, body, what, shape)

    def connect(self) -> None:
        """Opens a connection and closes it again: the address resolves, something listens, its certificate is good.

        Raises `ProviderRefused` for an address that is none, else `ProviderUnavailable`.
        """
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            host, port = None, 0
        if not host:
            raise ProviderRefused(self.provider, f"{self.url} is not an address that can be called")
        try:
            with socket.create_connection((host, port), timeout=self._timeout) as opened:
                if parts.scheme == "https":
                    ssl.create_default_context().wrap_socket(opened, server_hostname=host).close()
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
            raise ProviderUnavailable(self.provider, f"no safe connection to {host} ({reason})") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ProviderUnavailable(self.provider, f"no connection to {host}:{port} ({reason})") from error

    def close(self) -> None:
        """Gives the connections back."""
        self._session.close()

    def _read(self, response: requests.Response, what: str) -> bytes:
        """The whole body, within the time and size that are allowed."""
        deadline = self._monotonic() + 2 * self._timeout
        body = bytearray()
        # read1 returns what has arrived; read and iter_content would wait for a full buffer, drop by drop.
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                kind = AnswerTooLarge if 200 <= response.status_code < 300 else ProviderUnavailable
                raise self._unavailable(response, f"{what}: the answer is larger than {LARGEST_ANSWER} bytes", kind)
            if self._monotonic() > deadline:
                raise self._unavailable(response, f"{what}: the answer did not end in {2 * self._timeout:g} s")
        return bytes(body)

    def _answer(self, response: requests.Response, body: bytes, what: str, shape: type[T] | Any) -> T | Any:
        status = response.status_code
        if 200 <= status < 300:
            try:
                return msgspec.json.decode(body.strip() or b"{}", type=shape)
            except msgspec.ValidationError as error:
                said = f"{what}: not the answer its documents promise: {error}"
                raise self._unavailable(response, said, ProviderUnreadable) from None
            except (msgspec.DecodeError, RecursionError):
                said = f"{what}: the answer is not JSON"
                raise self._unavailable(response, said, ProviderUnreadable) from None
        said = f"{what}: {status} {_words(response, body)}".rstrip()
        if status == 429:
            wait = self._wait(response)
            raise ProviderBusy(
                self.provider, said, status=status, retry_after=self._busy_wait if wait is None else wait
            )
        if status in (301, 308):
            # Followed, a POST could become a GET, and the key could go to a stranger.
            target = response.headers.get("Location", "").partition("?")[0][:100]
            raise ProviderRefused(
                self.provider, f"{said}, it has moved to {target or 'nowhere'}; correct its address", status=status
            )
        if is_permanent(status):
            hint = f"; look at the secret {self._secret}" if status in (401, 403) else ""
            raise ProviderRefused(self.provider, said + hint, status=status)
        raise self._unavailable(response, said)

    def _unavailable(
        self, response: requests.Response, message: str, kind: type[ProviderUnavailable] = ProviderUnavailable
    ) -> ProviderUnavailable:
        return kind(self.provider, message, status=response.status_code, retry_after=self._wait(response))

    def _wait(self, response: requests.Response) -> float | None:
        """Seconds until the provider wants to be asked again (RFC 9110, section 10.2.3), or None."""
        value = response.headers.get("Retry-After", "").strip()
        if value.isdecimal():
            return min(float(value), LONGEST_WAIT)
        try:
            return self._until(parsedate_to_datetime(value).timestamp())
        except (TypeError, ValueError, OverflowError):
            pass
        # Thinkific sends no Retry-After but the Unix time of the reset:
        # https://developers.thinkific.com/api/rate-limits/
        reset = response.headers.get("RateLimit-Reset", "")
        return self._until(float(reset)) if reset.isdecimal() and len(reset) == 10 else None

    def _until(self, timestamp: float) -> float:
        return min(max(timestamp - self._clock().timestamp(), 0.0), LONGEST_WAIT)


def _words(response: requests.Response, body: bytes) -> str:
    """What the provider said about its error: short, on one line, without mail addresses."""
    try:
        text = "; ".join(_texts(msgspec.json.decode(body), depth=4))
    except (msgspec.DecodeError, RecursionError):
        page = body.lstrip().startswith(b"<") or "html" in response.headers.get("Content-Type", "")
        text = "(a page instead of JSON)" if page else body.decode("utf-8", "replace")
    text = _ADDRESS.sub("(address)", " ".join(text.split()))
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "…"


def _texts(value: Any, depth: int, name: str | None = None) -> list[str]:
    """The sentences in an error's JSON. Fields that are not known to hold one are looked at only inside one."""
    if isinstance(value, str):
        return [f"{name} {value}" if name else value]
    if depth == 0:
        return []
    if isinstance(value, list):
        return [text for one in value for text in _texts(one, depth - 1, name)]
    if isinstance(value, dict):
        known = [key for key in _ERROR_KEYS if value.get(key)]
        if known or name is None:
            return [text for key in known for text in _texts(value[key], depth - 1, "")]
        return [text for key, one in value.items() for text in _texts(one, depth - 1, key)]
    return []
