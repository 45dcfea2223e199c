"""Mails through SendGrid's SDK and through SMTP: what goes over the wire, and every way it can fail."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.sandbox import Sandbox
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.mail.message import Message, Sent, is_address, without_addresses
from pushcart.providers.sendgrid_mail import SendGridMail
from pushcart.providers.smtp_mail import SmtpMail
from support.wire import Wire

NOW = datetime(2026, 11, 21, 8, 45, 36, tzinfo=UTC)
MESSAGE = Message(
    name="receipt",
    sender="studio@meadow.example",
    sender_name='Müller, "Clay" & Co',
    to=["ada@example.org"],
    reply_to="help@meadow.example",
    key="o-1.receipt",
    step="order.receipt",
    order_id="o-1",
    subject="Zażółć: your receipt",
    html="<p>Łódź €49.00</p>",
    text="Łódź €49.00\n",
)


def message(**changes) -> Message:
    return Message(**{**MESSAGE.__dict__, **changes})


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


def sendgrid(url: str, timeout: float = 5, key: str = "SG.test") -> SendGridMail:
    return SendGridMail(url, lambda: key, lambda: NOW, timeout=timeout)


def smtp(port: int, **changes) -> SmtpMail:
    settings = {"security": "none", "username": "", "password": lambda: "", "timeout": 5, **changes}
    return SmtpMail("127.0.0.1", port, lambda: NOW, **settings)


class TestSendGrid:
    def transport(self, sandbox: Sandbox, **changes) -> SendGridMail:
        return sendgrid(f"{sandbox.url}/sendgrid", **changes)

    def test_a_mail_arrives_whole_and_its_id_comes_back(self, sandbox):
        sent = self.transport(sandbox).send(MESSAGE)
        [mail] = sandbox.mails()
        assert mail.id.startswith(sent.message_id)
        assert (mail.to, mail.reply_to, mail.subject) == (
            ["ada@example.org"],
            "help@meadow.example",
            MESSAGE.subject,
        )
        assert (mail.html, mail.text) == (MESSAGE.html, MESSAGE.text)
        assert mail.custom_args == {"order_id": "o-1", "step": "order.receipt", "key": "o-1.receipt"}
        assert mail.headers == {"Message-ID": MESSAGE.message_id, "Auto-Submitted": "auto-generated"}

    def test_the_request_has_the_form_sendgrid_documents_and_leaves_links_alone(self, sandbox):
        self.transport(sandbox).send(MESSAGE)
        [call] = sandbox.calls("sendgrid")
        assert (call.method, call.path) == ("POST", "/v3/mail/send")
        assert call.json["from"] == {"email": "studio@meadow.example", "name": 'Müller, "Clay" & Co'}
        assert call.json["tracking_settings"] == {"click_tracking": {"enable": False, "enable_text": False}}
        assert call.json["categories"] == ["pushcart", "receipt"]
        assert [block["type"] for block in call.json["content"]] == ["text/plain", "text/html"]

    def test_several_admins_get_one_mail_in_one_call(self, sandbox):
        self.transport(sandbox).send(message(to=["a@meadow.example", "b@meadow.example"], reply_to=None, order_id=None))
        [call] = sandbox.calls("sendgrid")
        assert len(call.json["personalizations"]) == 1
        assert "reply_to" not in call.json
        assert "order_id" not in call.json["custom_args"]
        assert sandbox.mails()[0].to == ["a@meadow.example", "b@meadow.example"]

    def test_a_dynamic_template_gets_its_data_and_no_content_of_ours(self, sandbox):
        data = {"order": {"total": "€49.00"}}
        self.transport(sandbox).send(message(subject="", html="", text="", template_id="d-1f", template_data=data))
        [mail] = sandbox.mails()
        assert (mail.template_id, mail.template_data) == ("d-1f", data)
        assert not {"content", "subject"} & set(sandbox.calls("sendgrid")[0].json)

    def test_the_key_is_asked_for_at_each_mail(self, sandbox):
        keys = iter(["SG.old-one", "SG.new-one"])
        transport = SendGridMail(f"{sandbox.url}/sendgrid/", lambda: next(keys), lambda: NOW, timeout=5)
        transport.send(MESSAGE)
        transport.send(MESSAGE)
        assert [call.headers["Authorization"] for call in sandbox.calls("sendgrid")] == [
            "Bearer SG.o…",
            "Bearer SG.n…",
        ]

    @pytest.mark.parametrize(
        ("status", "said", "next_step"),
        [
            (400, "Bad Request", "Bad Request"),
            (401, "The provided authorization grant is invalid", "look at the secret sendgrid-api-key"),
            (403, "The from address does not match a verified Sender Identity.", "verify the shop's sender"),
            (404, "not found", "404"),
            (413, "content too large", "too large"),
        ],
    )
    def test_a_refusal_is_for_good_and_has_sendgrids_words_and_a_next_step(self, sandbox, status, said, next_step):
        body = json.dumps({"errors": [{"message": said, "field": None, "help": None}]})
        sandbox.fault("sendgrid", "status", status=status, body=body)
        with pytest.raises(ProviderRefused) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert said in caught.value.message
        assert next_step in caught.value.message
        assert caught.value.status == status

    def test_the_sandboxs_own_refusals_are_understood(self, sandbox):
        with pytest.raises(ProviderRefused, match="Does not contain a valid address"):
            self.transport(sandbox).send(message(to=["not an address"]))
        with pytest.raises(ProviderRefused, match="authorization grant"):
            self.transport(sandbox, key="wrong").send(MESSAGE)
        assert sandbox.mails() == []

    def test_used_up_credits_are_no_refusal_but_wait_an_hour(self, sandbox):
        body = '{"errors": [{"message": "Maximum credits exceeded", "field": null, "help": null}]}'
        sandbox.fault("sendgrid", "status", status=401, body=body)
        with pytest.raises(ProviderUnavailable, match="Maximum credits exceeded; buy more") as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.retry_after == 3600

    def test_a_rate_limit_waits_until_its_reset(self, sandbox):
        sandbox.fault("sendgrid", "status", status=429, retry_after=42)
        with pytest.raises(ProviderBusy, match="too many requests") as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.retry_after == 42

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"X-RateLimit-Reset": "1"}, 1.0),
            ({"X-RateLimit-Reset": "99999999999"}, 3600.0),
            ({"X-RateLimit-Reset": "soon"}, None),
            ({"Retry-After": "7"}, 7.0),
            ({}, None),
        ],
    )
    def test_a_strange_reset_time_never_stops_the_mails_for_long(self, headers, wait):
        with Wire() as wire, pytest.raises(ProviderBusy) as caught:
            sendgrid(wire.say(429, b"slow down", headers).url).send(MESSAGE)
        assert caught.value.retry_after == wait
        assert "429 (no reason given)" in caught.value.message

    @pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504])
    def test_a_failing_sendgrid_is_asked_again_later(self, sandbox, status):
        sandbox.fault("sendgrid", "status", status=status)
        with pytest.raises(ProviderUnavailable) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.status == status
        self.transport(sandbox).send(MESSAGE)
        assert len(sandbox.mails()) == 1

    @pytest.mark.parametrize("kind", ["refused", "html", "garbage"])
    def test_an_answer_that_is_none_of_sendgrids_is_asked_for_again(self, sandbox, kind):
        sandbox.fault("sendgrid", kind)
        with pytest.raises(ProviderUnavailable):
            self.transport(sandbox).send(MESSAGE)
        assert sandbox.mails() == []

    def test_no_answer_ends_after_the_timeout(self, sandbox):
        sandbox.fault("sendgrid", "timeout", delay=5.0)
        began = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="no usable answer"):
            self.transport(sandbox, timeout=0.2).send(MESSAGE)
        assert time.monotonic() - began < 2

    def test_a_closed_port_and_a_broken_answer_are_unavailable(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(ProviderUnavailable, match="ConnectionRefusedError"):
            sendgrid(f"http://127.0.0.1:{port}").send(MESSAGE)
        with Wire() as wire, pytest.raises(ProviderUnavailable):
            sendgrid(wire.do(lambda handler: handler.wfile.write(b"220 smtp\r\n\r\n")).url).send(MESSAGE)

    def test_a_followed_redirect_is_not_taken_for_a_sent_mail(self):
        with Wire() as wire:
            wire.say(302, b"", {"Location": f"{wire.url}/login"}).say(200, b"<h1>Sign in</h1>")
            with pytest.raises(ProviderUnavailable, match="answered 200 and not 202; look at sendgrid_url"):
                sendgrid(wire.url).send(MESSAGE)

    def test_after_a_lost_answer_the_second_mail_has_the_same_message_id(self, sandbox):
        sandbox.fault("sendgrid", "lost_answer")
        with pytest.raises(ProviderUnavailable):
            self.transport(sandbox).send(MESSAGE)
        self.transport(sandbox).send(MESSAGE)
        first, second = sandbox.mails()
        assert first.headers["Message-ID"] == second.headers["Message-ID"]

    def test_no_address_and_no_key_reaches_log_or_error(self, sandbox, caplog):
        caplog.set_level(logging.DEBUG)
        self.transport(sandbox).send(MESSAGE)
        body = '{"errors": [{"message": "ada@example.org is on the\\nsuppression list"}]}'
        sandbox.fault("sendgrid", "status", status=400, body=body)
        with pytest.raises(ProviderRefused) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert "400 (address) is on the suppression list" in caught.value.message
        assert not [
            record for record in caplog.records if "ada@" in record.getMessage() or "SG." in record.getMessage()
        ]


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


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("ada@example.org", True),
        ("o'hara@example.org", True),
        ("a@b", True),
        ("a@x.example, b@y.example", False),
        ("a@x.example\nBcc: b@y.example", False),
        ("Ada <a@x.example>", False),
        ("a@b@c", False),
        ("", False),
    ],
)
def test_an_address_is_one_address_and_nothing_more(text, one):
    assert is_address(text) is one


def test_addresses_are_taken_out_of_what_a_provider_says():
    assert without_addresses("550 <ada@example.org>:\n no; b@c.d.") == "550 <(address)>: no; (address)"
