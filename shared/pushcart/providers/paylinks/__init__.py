"""Payment providers whose link is signed on our side: built in memory, and heard of again by a signed notification.

A provider is one module here with a class `Provider` that follows `PayLinks`. shop.yml names it under
`checkout.pay_with`, the function NAME-webhook takes its notifications. Its module is imported wherever shop.yml is
read, so packages of its own wait until they are used, and it declares no msgspec.Struct (see `pushcart.shapes`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from pushcart.clock import Instant
from pushcart.config import Config
from pushcart.domain.order import Notice

__all__ = ["Message", "Notice", "PayLinks", "functions", "known", "provider", "reads"]


class Message(msgspec.Struct, kw_only=True):
    """One verified notification: its text as the inbox keeps it, and what it says."""

    text: str
    notices: list[Notice]


class PayLinks(Protocol):
    """One provider. `config` holds `variables` and `secrets`, which are read at each use."""

    name: ClassVar[str]
    variables: ClassVar[tuple[str, ...]]
    secrets: ClassVar[tuple[str, ...]]
    #: The currencies it takes, as ISO codes.
    currencies: ClassVar[frozenset[str]]

    def __init__(self, config: Config) -> None: ...

    def mode(self) -> str | None:
        """`test` or `live`, by where its links lead; None when that does not tell."""

    def link(
        self, order_id: str, amount: int, currency: str, *, description: str, email: str, expires_at: Instant
    ) -> str:
        """The address where the buyer pays `amount` (minor units); built and signed here, nobody is asked."""

    def receive(self, body: bytes) -> Message:
        """The notification in a request's body. Raises `BadRequest`, and `BadSignature` unless the key signed it."""

    def confirmation(self, message: Message) -> dict[str, Any]:
        """The function's answer (`statusCode`, `body`, `headers`) that the provider takes for a receipt."""

    def returned(self, query: Mapping[str, str]) -> str | None:
        """The id of the order whose buyer the provider sends back with this query, or None without its signature."""

    @staticmethod
    def notices(text: str) -> Sequence[Notice]:
        """What a message says that was verified before and kept as `Message.text`."""


def known() -> list[str]:
    """The names that `checkout.pay_with` may hold besides stripe."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def functions() -> list[str]:
    """The functions that take their notifications."""
    return [f"{name}-webhook" for name in known()]


def reads() -> tuple[list[str], list[str]]:
    """The variables and the secrets of all of them: what a function may need that lets the buyer choose."""
    every = [provider(name) for name in known()]
    return [name for one in every for name in one.variables], [name for one in every for name in one.secrets]


def provider(name: str) -> type[PayLinks]:
    """The provider's class. `name` is one of `known()`; only what is used is imported."""
    found: type[PayLinks] = importlib.import_module(f"{__name__}.{name}").Provider
    return found
