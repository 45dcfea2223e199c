"""One mail on its way out, whoever sends it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

_ADDRESS = re.compile(r"[^\s@<>\"\\,;:()\[\]]+@[^\s@<>\"\\,;:()\[\]]+")


@dataclass(frozen=True)
class Message:
    """A mail to one or more addresses, sent in one call.

    Either `subject`, `html` and `text` are filled, or `template_id` and `template_data` (a JSON object) for a
    SendGrid dynamic template. `name` is which mail it is; `key` is the step's idempotency key, the same for
    every attempt.
    """

    name: str
    sender: str
    sender_name: str
    to: list[str]
    key: str
    step: str
    subject: str = ""
    html: str = ""
    text: str = ""
    template_id: str | None = None
    template_data: dict[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    order_id: str | None = None

    @property
    def message_id(self) -> str:
        """The `Message-ID` header: the same for every attempt, so that a duplicate is known by it."""
        return f"<{self.reference}@{self.sender.rpartition('@')[2]}>"

    @property
    def reference(self) -> str:
        """The part of the `Message-ID` before the @."""
        return hashlib.sha256(f"{self.key}\n{self.step}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Sent:
    """A mail the provider took: under which id, and how many of the addresses it refused."""

    message_id: str
    refused: int = 0


class Transport(Protocol):
    """Who sends mails. Both verbs raise ProviderRefused, ProviderBusy or ProviderUnavailable.

    `check` says in a sentence that mails from `sender` could be sent now, as far as one can tell without one.
    """

    name: str
    takes_templates: bool

    def send(self, message: Message) -> Sent: ...

    def check(self, sender: str) -> str: ...


def is_address(text: str) -> bool:
    """Whether `text` is one bare mail address and nothing that a header would read as more."""
    return bool(_ADDRESS.fullmatch(text)) and text.isprintable()


def without_addresses(text: str) -> str:
    """A provider's words without the mail addresses it quotes, for logs and timelines; one line."""
    return _ADDRESS.sub("(address)", " ".join(text.split()))
