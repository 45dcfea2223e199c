"""A real SMTP server on a free port, with or without TLS and login, that keeps the mails it gets."""

from __future__ import annotations

import socket

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keeper:
    """Keeps what arrives; refuses the recipients it is told to."""

    def __init__(self, refuse: dict[str, str] | None = None) -> None:
        self.mails: list[bytes] = []
        self.users: list[tuple[bytes, bytes]] = []
        self.refuse = refuse or {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 Ok"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope.original_content)
        return "250 Ok"

    def authenticate(self, server, session, envelope, mechanism, data: LoginPassword) -> AuthResult:
        self.users.append((data.login, data.password))
        reply = {b"right": None, b"later": "454 4.7.0 Temporary failure"}.get(data.password, "535 5.7.8 Bad login")
        return AuthResult(success=reply is None, handled=False, message=reply)


class Rude(SMTP):
    """Takes the mail and says goodbye in a way of its own."""

    async def smtp_QUIT(self, arg):
        await self.push("554 I am not done with you")


class MailServer(Controller):
    """A real SMTP server on a free port; `implicit` speaks TLS from the first byte."""

    def __init__(self, keeper: Keeper, smtp_class: type[SMTP] = SMTP, implicit: bool = False, **options) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._smtp_class = smtp_class
        tls = {"ssl_context": options.pop("tls_context")} if implicit else {}
        super().__init__(keeper, hostname="127.0.0.1", port=self._listener.getsockname()[1], **tls, **options)

    def factory(self) -> SMTP:
        return self._smtp_class(self.handler, **self.SMTP_kwargs)

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)

    def __enter__(self) -> MailServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._listener.close()
