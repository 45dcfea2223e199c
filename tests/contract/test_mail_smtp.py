"""Mails through SMTP, plain and with TLS and login: what goes over the wire, and every way it can fail."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pushcart.errors import ProviderRefused, ProviderUnavailable
from pushcart.mail.message import Sent
from pushcart.providers.smtp_mail import SmtpMail
from support.mail_server import Keeper, MailServer, Rude
from support.messages import MESSAGE, NOW, message


def smtp(port: int, **changes) -> SmtpMail:
    settings = {"security": "none", "username": "", "password": lambda: "", "timeout": 5, **changes}
    return SmtpMail("127.0.0.1", port, lambda: NOW, **settings)


class TestSmtp:
    def test_a_mail_arrives_whole_in_both_forms(self, sandbox):
        sent = smtp(sandbox.smtp_port).send(MESSAGE)
        [mail] = sandbox.mails()
        assert mail.from_ == '"Müller, \\"Clay\\" & Co" <studio@meadow.example>'
        assert (mail.to, mail.reply_to, mail.subject) == (
            ["ada@example.org"],
            "help@meadow.example",
            MESSAGE.subject,
        )
        assert (mail.html.strip(), mail.text.strip()) == (MESSAGE.html, MESSAGE.text.strip())
        assert mail.headers["Message-ID"] == f"<{sent.message_id}@meadow.example>"
        assert mail.headers["Auto-Submitted"] == "auto-generated"
        assert mail.headers["Date"] == "Sat, 21 Nov 2026 08:45:36 +0000"

    def test_several_admins_get_one_mail(self, sandbox):
        smtp(sandbox.smtp_port).send(message(to=["a@meadow.example", "b@meadow.example"], reply_to=None))
        [mail] = sandbox.mails()
        assert mail.to == ["a@meadow.example", "b@meadow.example"]
        assert mail.reply_to == ""

    def test_the_message_id_is_the_same_for_every_attempt_and_another_for_every_mail(self, sandbox):
        sandbox.fault("smtp", "lost_answer")
        with pytest.raises(ProviderUnavailable):
            smtp(sandbox.smtp_port).send(MESSAGE)
        smtp(sandbox.smtp_port).send(MESSAGE)
        smtp(sandbox.smtp_port).send(message(key="o-2.receipt"))
        first, second, other = (mail.headers["Message-ID"] for mail in sandbox.mails())
        assert first == second != other

    @pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (421, ProviderUnavailable),
            (450, ProviderUnavailable),
            (451, ProviderUnavailable),
            (550, ProviderRefused),
            (552, ProviderRefused),
            (554, ProviderRefused),
        ],
    )
    def test_a_4xx_reply_is_for_later_and_a_5xx_for_good(self, sandbox, command, status, error):
        sandbox.fault("smtp", "status", method=command, status=status, body="5.7.1 <ada@example.org> is not wanted")
        with pytest.raises(error) as caught:
            smtp(sandbox.smtp_port).send(MESSAGE)
        assert type(caught.value) is error
        assert f"{status} 5.7.1 <(address)> is not wanted" in caught.value.message
        assert caught.value.status == status
        assert sandbox.mails() == []

    def test_a_dropped_connection_is_for_later(self, sandbox):
        sandbox.fault("smtp", "refused")
        with pytest.raises(ProviderUnavailable, match="closed the connection"):
            smtp(sandbox.smtp_port).send(MESSAGE)

    def test_a_silent_server_ends_after_the_timeout(self, sandbox):
        sandbox.fault("smtp", "timeout", delay=5.0)
        began = time.monotonic()
        with pytest.raises(ProviderUnavailable):
            smtp(sandbox.smtp_port, timeout=0.2).send(MESSAGE)
        assert time.monotonic() - began < 2

    def test_a_closed_port_is_for_later(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(ProviderUnavailable, match="ConnectionRefusedError"):
            smtp(port).send(MESSAGE)

    def test_a_server_without_starttls_or_login_is_refused_with_the_setting_to_change(self, sandbox):
        with pytest.raises(ProviderRefused, match=r"STARTTLS .*smtp_security=starttls"):
            smtp(sandbox.smtp_port, security="starttls").send(MESSAGE)
        assert sandbox.mails() == []

    def test_an_address_the_server_cannot_take_is_refused(self):
        with (
            MailServer(Keeper(), enable_SMTPUTF8=False) as server,
            pytest.raises(ProviderRefused, match="internat") as caught,
        ):
            smtp(server.port).send(message(to=["żółw@example.org"]))
        assert "smtp_port" not in caught.value.message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A server context for 127.0.0.1, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, lambda: ssl.create_default_context(cafile=str(folder / "cert.pem"))


def secure(server: MailServer, client, security: str, password: str = "right") -> SmtpMail:
    return smtp(server.port, security=security, username="shop", password=lambda: password, tls=client)


class TestSmtpSafely:
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_login_and_mail_go_through_tls(self, certificate, security):
        keeper = Keeper()
        context, client = certificate
        options = {"require_starttls": True} if security == "starttls" else {"auth_require_tls": False}
        with MailServer(
            keeper,
            implicit=security == "tls",
            tls_context=context,
            authenticator=keeper.authenticate,
            **options,
        ) as server:
            assert secure(server, client, security).send(MESSAGE) == Sent(MESSAGE.reference)
        assert keeper.users == [(b"shop", b"right")]
        assert len(keeper.mails) == 1

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_nothing_is_told_to_a_server_whose_certificate_is_not_trusted(self, certificate, security):
        keeper = Keeper()
        with (
            MailServer(
                keeper, implicit=security == "tls", tls_context=certificate[0], authenticator=keeper.authenticate
            ) as server,
            pytest.raises(ProviderUnavailable, match=r"no safe connection .*self.signed.*check smtp_host"),
        ):
            secure(server, ssl.create_default_context, security).send(MESSAGE)
        assert keeper.users == keeper.mails == []

    def test_a_wrong_password_is_refused_with_the_secret_to_look_at(self, certificate):
        keeper = Keeper()
        context, client = certificate
        with (
            MailServer(keeper, tls_context=context, authenticator=keeper.authenticate) as server,
            pytest.raises(ProviderRefused, match=r"login: 535 .*secret smtp-password") as caught,
        ):
            secure(server, client, "starttls", "wrong").send(MESSAGE)
        assert "wrong" not in caught.value.message
        assert keeper.mails == []

    def test_a_login_that_fails_for_now_is_for_later(self, certificate):
        keeper = Keeper()
        context, client = certificate
        with (
            MailServer(keeper, tls_context=context, authenticator=keeper.authenticate) as server,
            pytest.raises(ProviderUnavailable, match=r"454 4\.7\.0 Temporary failure"),
        ):
            secure(server, client, "starttls", "later").send(MESSAGE)

    def test_a_rude_goodbye_does_not_undo_a_mail_that_was_taken(self):
        keeper = Keeper()
        with MailServer(keeper, Rude) as server:
            assert smtp(server.port).send(MESSAGE).message_id == MESSAGE.reference
        assert len(keeper.mails) == 1

    def test_one_refused_admin_does_not_keep_the_mail_from_the_others(self):
        keeper = Keeper({"gone@meadow.example": "550 5.1.1 No such user"})
        with MailServer(keeper) as server:
            sent = smtp(server.port).send(message(to=["owner@meadow.example", "gone@meadow.example"]))
        assert sent.refused == 1
        assert len(keeper.mails) == 1

    @pytest.mark.parametrize(
        ("replies", "error"),
        [
            (("550 No", "550 No"), ProviderRefused),
            (("550 No", "451 Later"), ProviderUnavailable),
        ],
    )
    def test_when_every_recipient_is_refused_a_later_one_decides(self, replies, error):
        keeper = Keeper(dict(zip(("a@meadow.example", "b@meadow.example"), replies, strict=True)))
        with MailServer(keeper) as server, pytest.raises(error):
            smtp(server.port).send(message(to=list(keeper.refuse)))

    def test_the_mail_on_the_wire_is_seven_bit_with_short_lines(self):
        keeper = Keeper()
        with MailServer(keeper, decode_data=False) as server:
            smtp(server.port).send(message(html="<p>" + "Łódź " * 400 + "</p>"))
        assert keeper.mails[0].isascii()
        assert max(len(line) for line in keeper.mails[0].splitlines()) <= 998

    def test_a_line_break_in_a_name_or_subject_never_becomes_a_header(self):
        keeper = Keeper()
        with MailServer(keeper) as server, pytest.raises(ValueError, match=r"(?i)linefeed|newline|CR or LF"):
            smtp(server.port).send(message(subject="Hi\r\nBcc: all@example.org"))
        assert keeper.mails == []
