"""What the sandbox received: every call, every mail and every message to a phone, with secrets masked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

_SECRET_HEADERS = {"authorization", "api-key", "x-kit-api-key", "x-auth-api-key", "cookie"}
_SECRET_FIELDS = {"api_secret", "api_key", "client_secret", "refresh_token", "access_token", "password"}
_KEEP_CALLS = 5000
_KEEP_MAILS = 1000
_KEEP_MESSAGES = 1000


@dataclass(frozen=True)
class Call:
    """One request (or one SMTP transaction) that reached the sandbox.

    `status` is None when no answer was sent; `fault` is the kind of the fault that was applied, or None.
    `path` is the path below the provider's prefix. `body` is only kept when it is neither JSON nor a form.
    """

    provider: str
    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    json: Any
    form: dict[str, Any] | None
    body: str
    status: int | None
    at: datetime
    fault: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Mail:
    """One mail to one set of recipients. `to`, `cc`, `bcc` hold bare addresses; `from_` is the full header."""

    id: str
    via: str
    from_: str
    to: list[str]
    subject: str
    html: str
    text: str
    at: datetime
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    reply_to: str = ""
    template_id: str | None = None
    template_data: dict[str, Any] = field(default_factory=dict)
    custom_args: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    attachments: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Message:
    """A text or push message. `to` is the phone's number, the topic or the receiver's name; `title` may be empty."""

    id: str
    via: str
    to: str
    title: str
    text: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: _mask(v) if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()}


def mask_fields(value: Any) -> Any:
    """A copy of decoded JSON or form data with the values of secret fields masked."""
    if isinstance(value, Mapping):
        return {k: _mask(str(v)) if k in _SECRET_FIELDS else mask_fields(v) for k, v in value.items()}
    if isinstance(value, list):
        return [mask_fields(v) for v in value]
    return value


def _mask(value: str) -> str:
    scheme, _, token = value.rpartition(" ")
    return f"{scheme} {token[:4]}…".lstrip()


class Records:
    """The sandbox's memory of calls, mails and messages; the oldest are dropped past a few thousand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._mails: list[Mail] = []
        self._messages: list[Message] = []

    def add_call(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
            del self._calls[:-_KEEP_CALLS]

    def add_mails(self, mails: Iterable[Mail]) -> None:
        with self._lock:
            self._mails.extend(mails)
            del self._mails[:-_KEEP_MAILS]

    def calls(self, provider: str | None = None, method: str | None = None, path: str | None = None) -> list[Call]:
        """Oldest first; `path` is an exact path or, when it ends in `*`, a beginning."""
        with self._lock:
            found = list(self._calls)
        return [
            c
            for c in found
            if provider in (None, c.provider)
            and (method is None or method.upper() == c.method)
            and (path is None or c.path == path or (path.endswith("*") and c.path.startswith(path[:-1])))
        ]

    def mails(self, to: str | None = None) -> list[Mail]:
        """Oldest first; `to` matches an address among to, cc and bcc, whatever its case."""
        with self._lock:
            found = list(self._mails)
        if to is None:
            return found
        return [m for m in found if to.lower() in (a.lower() for a in (*m.to, *m.cc, *m.bcc))]

    def mail(self, mail_id: str) -> Mail | None:
        return next((m for m in self.mails() if m.id == mail_id), None)

    def add_message(self, message: Message) -> None:
        with self._lock:
            self._messages.append(message)
            del self._messages[:-_KEEP_MESSAGES]

    def messages(self, via: str | None = None) -> list[Message]:
        """Oldest first."""
        with self._lock:
            return [m for m in self._messages if via in (None, m.via)]

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
            self._mails.clear()
            self._messages.clear()
