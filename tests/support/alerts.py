"""What the tests of alerts share: a clock that is set, addresses and a mail function that take or refuse, a teller."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pushcart.clock import from_instant
from pushcart.domain.alerting import AlertSettings, Level, Text
from pushcart.errors import FunctionFailed, ProviderUnavailable
from pushcart.services.alerts.channels import Channels
from pushcart.services.alerts.incidents import Condition, Incidents
from pushcart.services.alerts.teller import Teller
from support.shop import SHOP, catalogue

#: A Saturday at noon, in a shop in Warsaw.
NOON = "2026-11-21T11:00:00.000Z"

PHONE, CHAT, BOSS = "sms://phone", "chat://room", "sms://boss"
ADDRESSES = [f"critical {PHONE}", f"warning {CHAT}", f"escalation {BOSS}"]


class SetClock:
    """A clock that stands until it is told."""

    def __init__(self, instant: str = NOON) -> None:
        self.now = from_instant(instant)

    def __call__(self) -> datetime:
        return self.now

    def set(self, instant: str) -> None:
        self.now = from_instant(instant)

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Addresses:
    """Takes every message but those to what is `broken`; `before` is called in the middle of a message."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Text, Level]] = []
        self.tried: list[str] = []
        self.broken: set[str] = set()
        self.before: Callable[[], None] = lambda: None

    def send(self, url: str, text: Text, level: Level) -> None:
        self.tried.append(url)
        self.before()
        if url in self.broken:
            raise ProviderUnavailable(url.partition(":")[0], "it could not be reached")
        self.sent.append((url, text, level))

    def check(self, url: str) -> None:
        """All are well formed."""

    def titles(self, url: str) -> list[str]:
        return [text.title for to, text, _ in self.sent if to == url]


class Mailer:
    """The gateway, as far as mails go: `down` refuses."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.down = False

    def call(self, function: str, path: str, body: Any = None, *, repeatable: bool = True) -> Any:
        assert (function, path, repeatable) == ("email-dispatch", "/", False)
        if self.down:
            raise FunctionFailed("email-dispatch", "SendGrid: down", status=503, answered=True)
        self.mails.append(body)
        return {}


class Desk:
    """A teller with all it needs, and what it told."""

    def __init__(self, store: Any, lines: list[str] | None = None, timezone: str = "Europe/Warsaw") -> None:
        self.clock = SetClock()
        self.addresses, self.mailer = Addresses(), Mailer()
        self.lines = ADDRESSES if lines is None else lines
        self.settings = AlertSettings()
        self.store = store
        self.shop = catalogue(SHOP.replace("currency: EUR", f"currency: EUR\n  timezone: {timezone}", 1))
        self.incidents = Incidents(store, self.clock)
        self._tokens = itertools.count()
        self.teller = self.another()

    def another(self) -> Teller:
        """A teller as another process would have it."""
        channels = Channels(lambda: self.lines, self.addresses, self.mailer, self.clock)  # type: ignore[arg-type]
        number = next(self._tokens)
        return Teller(
            channels,
            lambda: self.shop,
            lambda: self.settings,
            self.clock,
            lambda: f"token-{number}-{next(self._tokens)}",
        )

    def see(self, id: str = "failing.Kit", level: Level = Level.WARNING, **more: Any) -> None:
        self.incidents.see(condition(id, level, **more))

    def tell(self) -> int:
        return self.teller.tell(self.incidents)

    def minutes(self, count: int, each: Callable[[int], None] = lambda minute: None) -> None:
        """So many minutes of the watch: `each` sees or ends, what is not seen is over after a while."""
        for minute in range(count):
            each(minute)
            self.incidents.expire()
            self.tell()
            self.clock.pass_(60)


def condition(id: str = "failing.Kit", level: Level = Level.WARNING, **more: Any) -> Condition:
    fields = {
        "what": "Kit has been failing since noon",
        "means": "purchases wait and are tried again",
        "command": "pushcart doctor",
        "lasts": 300.0,
        **more,
    }
    return Condition(id=id, level=level, **fields)
