"""Mails through any SMTP server.

SMTP has no idempotency key: a connection that breaks after the server took the mail leads to a second one
with the same `Message-ID`, which many servers and mailboxes drop.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage

from pushcart.clock import Clock
from pushcart.errors import ProviderError, ProviderRefused, ProviderUnavailable
from pushcart.mail.message import Message, Sent, without_addresses

NAME = "smtp"

# Seven bits, because not every relay announces 8BITMIME.
_POLICY = policy.SMTP.clone(cte_type="7bit")


class SmtpMail:
    """Sends through one server. `security` is `starttls`, `tls` or `none`; `timeout` is in seconds.

    `password` is asked for at each mail, and only with a `username`.
    """

    name = NAME
    takes_templates = False

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        *,
        security: str,
        username: str,
        password: Callable[[], str],
        timeout: float,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._security = security
        self._username = username
        self._password = password
        self._timeout = timeout
        self._tls = tls

    def send(self, message: Message) -> Sent:
        """Hands the mail over. Raises ProviderRefused or ProviderUnavailable."""
        mail = _compose(message, self._clock)
        with self._session(message.sender) as server:
            refused = server.send_message(mail, message.sender, message.to)
        return Sent(message.reference, refused=len(refused))

    def check(self, sender: str) -> str:
        """That the server takes our connection and login as for a mail from `sender`. Sends none."""
        with self._session(sender) as server:
            server.ehlo_or_helo_if_needed()
        return f"{self._host}:{self._port} answers" + (" and accepts the login" if self._username else "")

    @contextlib.contextmanager
    def _session(self, sender: str) -> Iterator[smtplib.SMTP]:
        """A connection that is ready for a mail; what goes wrong with it comes out as our errors."""
        password = self._password() if self._username else ""
        with _our_errors(self._security):
            server = self._connect(sender.rpartition("@")[2])
        try:
            with _our_errors(self._security):
                if self._security == "starttls":
                    server.starttls(context=self._tls())
                if self._username:
                    server.login(self._username, password)
                yield server
        finally:
            # The mail is taken or not by now; how the goodbye goes must not turn the one into the other.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _connect(self, own_name: str) -> smtplib.SMTP:
        # Our own name is given, because looking it up can hang in a container without DNS.
        if self._security == "tls":
            return smtplib.SMTP_SSL(
                self._host, self._port, local_hostname=own_name, timeout=self._timeout, context=self._tls()
            )
        return smtplib.SMTP(self._host, self._port, local_hostname=own_name, timeout=self._timeout)


def _compose(message: Message, clock: Clock) -> EmailMessage:
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = _address(message.sender, message.sender_name)
    mail["To"] = [_address(address) for address in message.to]
    if message.reply_to:
        mail["Reply-To"] = _address(message.reply_to)
    mail["Subject"] = message.subject
    mail["Date"] = clock()
    mail["Message-ID"] = message.message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def _address(address: str, name: str = "") -> Address:
    # In two parts: `addr_spec=` would raise for addresses that are odd, yet for the server to judge.
    username, _, domain = address.rpartition("@")
    return Address(name, username, domain)


@contextlib.contextmanager
def _our_errors(security: str) -> Iterator[None]:
    """What smtplib raises as our errors: a 4xx reply is for later, a 5xx for good (RFC 5321, 4.2.1)."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        step = "; check smtp_username and the secret smtp-password (some providers want an app password)"
        raise _replied("login", error.smtp_code, error.smtp_error, step) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, words = min(error.recipients.values())  # one address that may be taken later is worth a retry
        raise _replied("recipient", code, words) from None
    except smtplib.SMTPResponseException as error:
        what = type(error).__name__.removeprefix("SMTP").removesuffix("Error").lower()
        raise _replied(what, error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPServerDisconnected as error:
        raise ProviderUnavailable(NAME, "the server closed the connection") from error
    except smtplib.SMTPNotSupportedError as error:
        text = str(error)
        step = f" Check smtp_port and smtp_security={security}." if "STARTTLS" in text or "AUTH" in text else ""
        raise ProviderRefused(NAME, without_addresses(text) + step) from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
        raise ProviderUnavailable(NAME, f"no safe connection ({reason}); check smtp_host and smtp_security") from error
    except smtplib.SMTPException as error:
        raise ProviderRefused(NAME, without_addresses(str(error))) from None
    except OSError as error:
        raise ProviderUnavailable(NAME, f"no connection ({type(error).__name__})") from error


def _replied(what: str, code: int, words: bytes | str, next_step: str = "") -> ProviderError:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    said = f"{what}: {code} {without_addresses(text)[:300]}"
    if 500 <= code < 600:
        return ProviderRefused(NAME, said + next_step, status=code)
    return ProviderUnavailable(NAME, said, status=code if code >= 400 else None)
