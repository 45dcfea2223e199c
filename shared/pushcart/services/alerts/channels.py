"""Where alerts go: the addresses of the secret `alert-urls`, and a mail to the owner where none works.

Each line is `LEVEL ADDRESS`: the least level that goes there (`warning` unless given), or `escalation ADDRESS` for what
nobody answered.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pushcart import commands
from pushcart.clock import Clock, Instant, to_instant
from pushcart.domain import attention
from pushcart.domain.alerting import Level, Text
from pushcart.errors import ConfigurationError, FunctionFailed, ProviderError, PushcartError
from pushcart.gateway import Gateway
from pushcart.stepcall import Problem, StepRequest

log = logging.getLogger(__name__)

#: What goes to the address for what nobody answered.
ESCALATION = "escalation"

MAIL = "mail"


class Address(NamedTuple):
    """One line of the secret: `least` is None for escalations."""

    least: Level | None
    url: str

    @property
    def key(self) -> str:
        """What tells addresses apart without their secrets."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The service, for people: `twilio`."""
        return self.url.partition(":")[0]


class Push(Protocol):
    """Sends one message to one address. Raises `ProviderError`; its words hold no secret of the address."""

    def send(self, url: str, text: Text, level: Level) -> None: ...

    def check(self, url: str) -> None: ...


class Letter(NamedTuple):
    """What the mail about an alert holds besides its words."""

    key: str
    code: str
    since: Instant
    command: str


def addresses(lines: list[str]) -> list[Address]:
    """The secret's lines, read."""
    found = []
    for line in lines:
        *word, url = line.split(maxsplit=1)
        least = None if word == [ESCALATION] else Level(word[0]) if word else Level.WARNING
        found.append(Address(least, url.strip()))
    return found


class Channels:
    """`lines` gives the lines of the secret `alert-urls`, none when it is not used."""

    def __init__(self, lines: Callable[[], list[str]], push: Push, gateway: Gateway, clock: Clock) -> None:
        self._lines = lines
        self._push = push
        self._gateway = gateway
        self._clock = clock

    def chosen(self, level: Level, *, escalated: bool) -> list[Address]:
        """Where something of this level goes; nowhere means by mail."""
        try:
            known = addresses(self._lines())
        except ConfigurationError as error:
            log.error("alerts go by mail: %s", error.message)
            return []
        usual = [one for one in known if one.least is not None and one.least.rank <= level.rank]
        last = [one for one in known if one.least is None]
        return list(dict.fromkeys([*(last if escalated else []), *usual]))

    def push(self, address: Address, text: Text, level: Level) -> bool:
        """Sends to one address; False, with the reason in the log, when it did not take the message."""
        try:
            self._push.send(address.url, text, level)
        except ProviderError as error:
            log.error("an alert did not reach %s: %s", address.name, error.message)
            return False
        return True

    def mail(self, text: Text, letter: Letter) -> bool:
        """Sends the owner a mail; False, with the reason in the log, when that cannot be done now."""
        problem = Problem(
            code=letter.code, text=_for_mail(text), since=letter.since, command=letter.command, remedy=None
        )
        config = {"template": attention.TEMPLATE, "to": "admins"}
        request = StepRequest(key=letter.key, step=attention.TEMPLATE, kind="email", config=config, problem=problem)
        try:
            self._gateway.call("email-dispatch", "/", request, repeatable=False)
        except FunctionFailed as error:
            log.error("an alert could not be mailed: %s", error.message)
            return False
        return True

    def trial(self, text: Text, level: Level) -> list[dict[str, object]]:
        """Sends a test to every address that this level goes to, escalations too, and by mail where there is none.

        Gives `{"to", "for", "ok", "error"}` for each.
        """
        found: list[dict[str, object]] = []
        for address in self.chosen(level, escalated=True):
            error = None
            try:
                self._push.send(address.url, text, level)
            except PushcartError as failed:
                error = failed.message
            least = str(address.least or ESCALATION)
            found.append({"to": address.name, "for": least, "ok": error is None, "error": error})
        if not any(one["for"] != ESCALATION for one in found):
            now = to_instant(self._clock())
            sent = self.mail(text, Letter(f"alert.test.{now}", "test", now, commands.list_alerts()))
            error = None if sent else "email-dispatch did not take it; see its log"
            found.append({"to": MAIL, "for": str(level), "ok": sent, "error": error})
        return found

    def examine(self) -> str:
        """How many addresses there are, for a doctor; `ConfigurationError` names those that cannot be used."""
        known = addresses(self._lines())
        if not known:
            return "no addresses: alerts go by mail to shop.admins"
        bad = []
        for address in known:
            try:
                self._push.check(address.url)
            except ProviderError as error:
                bad.append(error.message)
        if bad:
            raise ConfigurationError(bad)
        return f"{len(known)} can be used; pushcart alerts test sends a message to each"


def _for_mail(text: Text) -> str:
    """The mail's layout has places of its own for the command and the time; its paragraphs are one."""
    kept = [line for line in text.body.splitlines() if not line.startswith(("Run: ", "Since "))]
    prefix = text.title.partition("] ")[2].partition(":")[0]
    return f"{prefix}: " + " ".join(kept)
