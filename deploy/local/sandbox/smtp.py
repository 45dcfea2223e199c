"""A mail server that keeps what it gets, and fails when it is told to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import email.utils
import socket
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from local.sandbox.faults import Fault
from local.sandbox.records import Call, Mail
from local.sandbox.world import World

_MAX_BYTES = 30 * 1024 * 1024
_REPLIES = {
    421: "4.3.2 Service not available",
    450: "4.2.1 Mailbox unavailable",
    451: "4.3.0 Local error",
    452: "4.2.2 Insufficient storage",
    535: "5.7.8 Authentication failed",
    550: "5.1.1 No such user",
    552: "5.3.4 Message too big",
    554: "5.7.1 Rejected",
}


class _Keeper:
    """aiosmtpd's handler: every command may fail first, then the mail is kept."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        trouble = await self._trouble(server, "MAIL", address, None)
        if trouble is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return trouble or "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        trouble = await self._trouble(server, "RCPT", address, None)
        if trouble is None:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return trouble or "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return await self._trouble(server, "DATA", ",".join(envelope.rcpt_tos), envelope) or "250 2.0.0 Ok: queued"

    async def _trouble(self, server: SMTP, command: str, path: str, envelope: Envelope | None) -> str | None:
        """The reply of a fault; None when the command goes well. A mail is kept unless it is refused."""
        fault = self.world.faults.take("smtp", command, path) if command == "DATA" else self._early(command, path)
        kept = envelope is not None and (fault is None or fault.kind == "lost_answer")
        if kept and envelope is not None:
            self.world.records.add_mails([self._mail(envelope)])
        if command == "DATA" or fault is not None:
            status = 250 if fault is None else fault.status if fault.kind == "status" else None
            self.world.records.add_call(
                Call(
                    "smtp",
                    command,
                    path,
                    {},
                    {},
                    None,
                    None,
                    "",
                    status,
                    self.world.now(),
                    fault.kind if fault else None,
                )
            )
        if fault is None:
            return None
        if fault.wait:
            await asyncio.sleep(fault.wait)
        if fault.kind == "status":
            code = fault.status or 451
            return f"{code} {fault.body or _REPLIES.get(code, '4.0.0 Failed' if code < 500 else '5.0.0 Failed')}"
        server.transport.abort()
        return "421 4.3.2 Closing"

    def _early(self, command: str, path: str) -> Fault | None:
        """A fault that names no command fails DATA, where a mail is really lost or not."""
        if any(f.provider == "smtp" and (f.method or "").upper() == command for f in self.world.faults.all()):
            return self.world.faults.take("smtp", command, path)
        return None

    def _mail(self, envelope: Envelope) -> Mail:
        message = email.message_from_bytes(envelope.original_content or b"", EmailMessage, policy=email.policy.default)
        seen = {
            box: [a for _, a in email.utils.getaddresses([str(v) for v in message.get_all(box, [])])]
            for box in ("to", "cc")
        }
        shown = {a.lower() for box in seen.values() for a in box}
        return Mail(
            id=self.world.ids.hex(16),
            via="smtp",
            from_=str(message.get("from", envelope.mail_from or "")),
            to=seen["to"],
            cc=seen["cc"],
            bcc=[a for a in envelope.rcpt_tos if a.lower() not in shown],
            subject=str(message.get("subject", "")),
            html=_part(message, "html"),
            text=_part(message, "plain"),
            at=self.world.now(),
            reply_to=str(message.get("reply-to", "")),
            headers={name: str(value) for name, value in message.items()},
            attachments=[a.get_filename() or "" for a in message.iter_attachments()],
        )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return part.get_content() if part is not None else ""


def _welcome(*_: Any) -> AuthResult:
    """Any user and password will do."""
    return AuthResult(success=True)


class _Controller(Controller):
    """Takes a socket that is bound already, so that port 0 means a free one."""

    def __init__(self, handler: _Keeper, listener: socket.socket) -> None:
        self._listener = listener
        super().__init__(
            handler,
            hostname="127.0.0.1",
            port=listener.getsockname()[1],
            authenticator=_welcome,
            auth_require_tls=False,
            auth_required=False,
            data_size_limit=_MAX_BYTES,
            enable_SMTPUTF8=True,
        )

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)


class SmtpServer:
    """Listens on 127.0.0.1. Raises OSError when the port is taken."""

    def __init__(self, world: World, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._controller = _Controller(_Keeper(world), self._listener)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()
        self._listener.close()
