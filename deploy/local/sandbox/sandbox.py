"""The sandbox: every outside service the shop talks to, on one HTTP port and one SMTP port."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from flask import Flask

from local.sandbox.admin import Admin
from local.sandbox.autopay import Autopay
from local.sandbox.courier import Posting
from local.sandbox.discourse import Discourse
from local.sandbox.faults import Fault
from local.sandbox.kit import Kit
from local.sandbox.pages import Pages
from local.sandbox.platform import Platform
from local.sandbox.printful import Printful
from local.sandbox.receivers import Ntfy, Push, Twilio
from local.sandbox.records import Call, Mail, Message
from local.sandbox.sendgrid import SendGrid
from local.sandbox.server import Edge, HttpServer
from local.sandbox.smtp import SmtpServer
from local.sandbox.stripe import StripeSandbox
from local.sandbox.thinkific import Thinkific
from local.sandbox.world import Provider, World


class Sandbox:
    """Stands in for Stripe, Autopay, Printful, SendGrid, an SMTP server, Kit, Discourse, Thinkific, any signed HTTP
    receiver, Twilio, ntfy and whatever else takes a message as JSON.

    `clock` returns the time as an aware UTC datetime; `clock_file` holds whole seconds to add to it.
    `webhook_url` is where Stripe's events go, signed with `webhook_secret`; `autopay` and `printful` have their
    settings as attributes. `autosend=False` keeps the events of all three until `deliver`. `port` and `smtp_port` 0
    take free ports. `start` returns the URL; it is a context manager.
    """

    def __init__(
        self,
        port: int = 0,
        smtp_port: int = 0,
        clock: Callable[[], datetime] | None = None,
        seed: int = 0,
        webhook_url: str | None = None,
        webhook_secret: str = "whsec_sandbox",
        autosend: bool = True,
        clock_file: Path | str | None = None,
    ) -> None:
        self.world = World(clock, seed, Path(clock_file) if clock_file else None)
        self.stripe = StripeSandbox(self.world, webhook_url, webhook_secret, autosend)
        self.autopay = Autopay(self.world, autosend)
        self.printful = Printful(self.world, autosend)
        self.senders: tuple[Posting, ...] = (self.stripe, self.autopay, self.printful)
        self.sendgrid = SendGrid(self.world)
        self.kit = Kit(self.world)
        self.discourse = Discourse(self.world)
        self.thinkific = Thinkific(self.world)
        self.platform = Platform(self.world)
        self.twilio = Twilio(self.world)
        self.ntfy = Ntfy(self.world)
        self.push = Push(self.world)
        self.providers: dict[str, Provider] = {
            p.name: p
            for p in (
                self.stripe,
                self.autopay,
                self.printful,
                self.sendgrid,
                self.kit,
                self.discourse,
                self.thinkific,
                self.platform,
                self.twilio,
                self.ntfy,
                self.push,
            )
        }
        self._port, self._smtp_port = port, smtp_port
        self._http: HttpServer | None = None
        self._smtp: SmtpServer | None = None

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def smtp_port(self) -> int:
        return self._smtp.port if self._smtp else self._smtp_port

    def start(self) -> str:
        """Opens both ports and returns the HTTP URL. Raises OSError when a port is taken."""
        app = Flask("local.sandbox", static_url_path="/_sandbox/static")
        app.json.sort_keys = False  # type: ignore[attr-defined]
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        for name, provider in self.providers.items():
            app.register_blueprint(provider.blueprint(), url_prefix=f"/{name}")
        app.register_blueprint(Admin(self).blueprint())
        app.register_blueprint(Pages(self).blueprint())
        self._http = HttpServer(Edge(app, self.world, self.providers), self._port)
        self.world.url = self._http.url
        try:
            self._smtp = SmtpServer(self.world, self._smtp_port)
            self._smtp.start()
        except OSError:
            self._http.close()
            raise
        self._http.start()
        for sender in self.senders:
            sender.start_sending()
        return self.url

    def stop(self) -> None:
        """Closes both ports and drops whatever is held open. May be called twice."""
        self.world.stopping.set()
        for sender in self.senders:
            sender.stop_sending()
        if self._http:
            self._http.stop()
        if self._smtp:
            self._smtp.stop()
        self._http = self._smtp = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reset(self) -> None:
        """Forgets calls, mails, messages, faults, chaos and what the providers hold. Ids go on: none comes twice."""
        self.world.faults.clear()
        self.world.chaos.stop()
        for provider in self.providers.values():
            provider.reset()
        self.world.records.clear()

    def now(self) -> datetime:
        return self.world.now()

    def advance(self, seconds: int) -> int:
        """Moves the clock ahead, expires the sessions and sends the late webhooks whose time has passed, returns the
        seconds ahead."""
        total = self.world.advance(seconds)
        self.stripe.expire_due()
        for sender in self.senders:
            sender.look_at_the_clock()
        return total

    def fault(self, provider: str, kind: str, **rule: Any) -> Fault:
        """Makes the next call (or `times` calls, None for ever) to a provider go wrong.

        Kinds: status, timeout, refused, lost_answer, slow, truncated, html, garbage; see `Fault` for the
        fields of a rule. Raises ValueError for one that makes no sense.
        """
        return self.world.faults.add(provider, kind, **rule)

    def chaos(self, lost: float = 0.0, doubled: float = 0.0, late: float = 0.0, seed: Any = None) -> dict[str, Any]:
        """From now on loses the share `lost` (0 to 1) of all webhooks for good, though their sender believes they
        were taken, delivers the share `doubled` twice, and holds the share `late` back until the clock has gone on by
        minutes or hours; 0 switches it off, but what is held back comes. Those a test delivers itself arrive.

        Returns the shares and what was lost, doubled and late so far. With the same seed (by default from the
        sandbox's own) the same messages get lost. Raises ValueError for shares that make no sense.
        """
        self.world.chaos.set(lost, doubled, late, self.world.ids.hex(16) if seed is None else seed)
        return self.world.chaos.as_json()

    def calls(self, provider: str | None = None, method: str | None = None, path: str | None = None) -> list[Call]:
        """Calls received, oldest first; `path` is below the provider's prefix, `*` at its end for any rest."""
        return self.world.records.calls(provider, method, path)

    def mails(self, to: str | None = None) -> list[Mail]:
        """Mails received over SendGrid and SMTP, oldest first."""
        return self.world.records.mails(to)

    def messages(self, via: str | None = None) -> list[Message]:
        """What reached a phone: texts over Twilio, ntfy's and others' (`via`: twilio, ntfy, push), oldest first."""
        return self.world.records.messages(via)
