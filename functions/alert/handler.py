"""alert: watches over the shop, and tells the owner when something needs a human: once, and again when it is over.

    POST /watch                   signed · look at everything and tell; catch-up asks every minute
    GET  /incidents               signed · what is wrong; ?all=1 also what was
    POST /incidents/ID/answer     signed, {"note": text} · the owner has it in hand
    POST /test                    signed, {"level": "warning"} · a test message to every address
    GET  /doctor                  signed · what is wrong, seen from here
    GET  /health                  public · 200 or 503, for an uptime monitor outside

It watches by itself every minute as well, so that a cron that does not run is noticed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pushcart import clock as clocks
from pushcart import doctor, gateway, shapes, startup
from pushcart.config import Config, Reads, lines_of
from pushcart.domain.alerting import AlertSettings
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import MethodNotAllowed
from pushcart.providers.apprise_push import ApprisePush
from pushcart.services.alerts.channels import Channels
from pushcart.services.alerts.desk import AlertDesk
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.alerts.teller import Teller
from pushcart.services.alerts.vitals import Vitals
from pushcart.services.alerts.watch import Timer, Watch
from pushcart.store import connect
from pushcart.web import Router

READS = Reads(
    variables=("gateway_url", "stripe_mode", "twilio_url", "shop_file"),
    needs=("internal-key", "store-url"),
    may_need=("alert-urls", "shop"),
)

#: Seconds the mail about an alert may take.
MAIL_TIMEOUT = 30


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._config = config
        self._catalogue = catalogue
        self._store = connect(config.secret("store-url"))
        self._gateway = gateway.connect(config, clock, timeout=MAIL_TIMEOUT)
        self._channels = Channels(self._addresses, ApprisePush(config["twilio_url"]), self._gateway, clock)
        test = config["stripe_mode"] == "test"
        teller = Teller(self._channels, catalogue, self._settings, clock, partial(secrets.token_hex, 8), test=test)
        folders = {"root": "/", **_folder_of(config.secret("store-url"))}
        watch = Watch(self._store, teller, catalogue, self._settings, clock, folders=folders)
        self._timer = Timer(watch)
        self._vitals = Vitals(self._store, clock)
        desk = AlertDesk(watch, Incidents(self._store, clock), self._channels, catalogue, test=test)
        self._router = Router(config, clock)
        self._router.add("POST", "/watch", lambda request: watch.run())
        self._router.add("GET", "/incidents", desk.list)
        self._router.add("POST", "/incidents/<id>/answer", desk.answer)
        self._router.add("POST", "/test", desk.trial)
        doctor.add(self._router, config, clock, self._probes)

    def open(self) -> None:
        self._timer.start()

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        if event.path.rstrip("/") != "/health":
            return self._router.handle(event, context)
        if event.method not in ("GET", "HEAD"):
            error = MethodNotAllowed("/health takes GET and HEAD only.")
            return error.answer(context.log_fields, stranger=True)
        return self._vitals.answer()

    def _addresses(self) -> list[str]:
        return self._config.secret_lines("alert-urls") if self._config.secret_text("alert-urls") else []

    def _settings(self) -> AlertSettings:
        return self._catalogue().alerts

    def _probes(self) -> doctor.Probes:
        return {
            "configuration": doctor.Probe(partial(doctor.settings, partial(check, self._config))),
            "store": doctor.store(self._store, "alert"),
            "alert-urls": doctor.Probe(self._channels.examine, "look at the secret alert-urls"),
        }

    def close(self) -> None:
        self._timer.stop()
        self._gateway.close()
        self._store.close()


def check(config: Config) -> None:
    """`ConfigurationError` with everything wrong; `alert-urls` may say `unused`."""
    config.check(["alert-urls"] if lines_of(config.secret_text("alert-urls")) else [])


def _folder_of(url: str) -> dict[str, str]:
    """Where a SQLite file lies; servers look after their own disks."""
    kind, _, path = url.partition(":///")
    return {"store": str(Path(path).parent)} if kind == "sqlite" else {}


app: App


def start() -> None:
    """Reads the configuration and shop.yml; `ConfigurationError` names everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, checks=[check])
    app = App(config, shop, clocks.clock_from_environment())
    app.open()


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.handle(event, context)


def stop() -> None:
    """After the calls in flight: end the watch and give the connections back."""
    app.close()
