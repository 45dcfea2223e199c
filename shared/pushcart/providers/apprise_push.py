"""Text messages and push notices through Apprise, which speaks to some hundred services: https://appriseit.com/services/

Apprise is imported at the first message: it is heavy, and most days it is not needed.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Any

from pushcart.domain.alerting import Level, Text
from pushcart.errors import ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from apprise.plugins import NotifyBase

#: Services whose messages hold no more than this get the short form.
SHORT_BELOW = 700

#: Twilio's own address, as Apprise has it.
TWILIO = "https://api.twilio.com"

#: Schemes of Apprise's that run something on this machine instead of telling anybody.
_LOCAL = frozenset({"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})


class ApprisePush:
    """Sends to Apprise addresses such as `twilio://SID:TOKEN@FROM/TO`. Thread-safe; `twilio_url` is Twilio's API."""

    def __init__(self, twilio_url: str = TWILIO) -> None:
        self._twilio_url = twilio_url.rstrip("/")
        self._apprise: Any = None
        self._lock = threading.Lock()
        self._sending = threading.Lock()

    def send(self, url: str, text: Text, level: Level) -> None:
        """Sends one message. `ProviderRefused` for an address that is none, `ProviderUnavailable` when it failed."""
        service = self._open(url)
        name, apprise = self._name(url), self._loaded()
        kinds = {Level.CRITICAL: apprise.NotifyType.FAILURE, Level.WARNING: apprise.NotifyType.WARNING}
        short = 0 < service.body_maxlen <= SHORT_BELOW
        # One at a time, because what went wrong is read from a log that all services share.
        with self._sending, _Listening() as heard:
            try:
                sent = service.notify(
                    body=text.short if short else text.body,
                    title="" if short else text.title,
                    notify_type=kinds.get(level, apprise.NotifyType.INFO),
                    body_format=apprise.NotifyFormat.TEXT,
                )
            except Exception as error:  # a plugin's own mistake must not keep the others from being asked
                raise ProviderUnavailable(name, f"its plugin failed ({type(error).__name__})") from error
        if not sent:
            raise ProviderUnavailable(name, heard.reason())

    def check(self, url: str) -> None:
        """`ProviderRefused` for an address that Apprise cannot use; sends nothing."""
        self._open(url)

    def _open(self, url: str) -> NotifyBase:
        apprise, name = self._loaded(), self._name(url)
        if name in _LOCAL:
            raise ProviderRefused(name, "this reaches nobody from a server; name a service that reaches you")
        with self._sending, _Listening():
            asset = apprise.AppriseAsset(storage_mode="memory", app_id="Pushcart", app_desc="Pushcart")
            service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            raise ProviderRefused(name, "Apprise cannot use this address; see https://appriseit.com/services/")
        # Apprise knows Twilio's address as part of its class; what is set here is this one message's.
        for field in ("notify_sms_url", "notify_call_url"):
            if hasattr(service, field):
                setattr(service, field, getattr(service, field).replace(TWILIO, self._twilio_url, 1))
        return service

    def _loaded(self) -> Any:
        with self._lock:
            if self._apprise is None:
                import apprise

                # Nothing of it goes to our log: it quotes telephone numbers.
                logging.getLogger("apprise").propagate = False
                self._apprise = apprise
        return self._apprise

    @staticmethod
    def _name(url: str) -> str:
        return url.partition(":")[0]


class _Listening(logging.Handler):
    """Hears what Apprise writes about a message that failed, and keeps nothing of it but the service's code."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._words.append(record.getMessage())

    def reason(self) -> str:
        """Why it failed, without an address."""
        said = " ".join(self._words)
        if code := re.search(r"error=(\d{3,6})\b", said):
            return f"it refused the message (code {code[1]})"
        return "it could not be reached" if "onnection" in said else "it did not take the message"

    def __enter__(self) -> _Listening:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
