"""SendGrid through its official client, SMTP through smtplib: what is kept and what is refused."""

from __future__ import annotations

import json
import smtplib
from email.message import EmailMessage

import pytest
import python_http_client
import requests
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Content, CustomArg, From, Header, Mail, Personalization, To

from local.sandbox import Sandbox


def letter(**change: object) -> dict:
    return {
        "personalizations": [{"to": [{"email": "ada@example.com"}]}],
        "from": {"email": "shop@example.com"},
        "subject": "Thanks",
        "content": [{"type": "text/plain", "value": "Hello"}],
        **change,
    }


@pytest.fixture
def sendgrid(sb: Sandbox) -> SendGridAPIClient:
    return SendGridAPIClient("SG.test", host=f"{sb.url}/sendgrid")


def test_a_mail_is_accepted_with_an_empty_answer_and_kept(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    mail = Mail(
        From("shop@example.com", "The shop"),
        To("ada@example.com", "Ada"),
        "Danke schön",
        plain_text_content="Hallo",
        html_content="<p>Hallo</p>",
    )
    mail.add_custom_arg(CustomArg("order_id", "ord_1"))
    mail.add_header(Header("X-Order", "ord_1"))
    answer = sendgrid.send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    assert answer.headers["X-Message-Id"]
    (kept,) = sb.mails()
    assert (kept.via, kept.from_, kept.to) == ("sendgrid", "The shop <shop@example.com>", ["ada@example.com"])
    assert (kept.subject, kept.text, kept.html) == ("Danke schön", "Hallo", "<p>Hallo</p>")
    assert kept.custom_args == {"order_id": "ord_1"}
    assert kept.headers == {"X-Order": "ord_1"}
    assert kept.at == sb.now()
    assert kept.id.startswith(answer.headers["X-Message-Id"])


def test_each_personalization_is_a_mail_of_its_own(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    mail = Mail(From("shop@example.com"))
    mail.template_id = "d-123"
    for address in ("ada@example.com", "bob@example.com"):
        person = Personalization()
        person.add_to(To(address))
        person.dynamic_template_data = {"name": address[:3]}
        mail.add_personalization(person)
    sendgrid.send(mail)
    assert sorted((m.to, m.template_id, m.template_data["name"]) for m in sb.mails()) == [
        (["ada@example.com"], "d-123", "ada"),
        (["bob@example.com"], "d-123", "bob"),
    ]
    assert [m.to for m in sb.mails(to="BOB@example.com")] == [["bob@example.com"]]


def test_a_wrong_key_is_refused(sb: Sandbox) -> None:
    with pytest.raises(python_http_client.UnauthorizedError) as refused:
        SendGridAPIClient("wrong", host=f"{sb.url}/sendgrid").send(letter())
    assert "authorization grant is invalid" in refused.value.to_dict["errors"][0]["message"]
    assert sb.mails() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": [{}]}, "personalizations.0.to"),
        ({"personalizations": [{"to": [{"email": "nobody"}]}]}, "personalizations.0.to.0.email"),
        ({"from": None}, "from.email"),
        ({"content": None}, "content"),
        ({"subject": ""}, "subject"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"content": [{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "b"}]}, "content"),
    ],
)
def test_an_incomplete_mail_is_refused_by_field(
    sb: Sandbox, sendgrid: SendGridAPIClient, change: dict, field: str
) -> None:
    with pytest.raises(python_http_client.BadRequestsError) as refused:
        sendgrid.send(letter(**change))
    (error,) = refused.value.to_dict["errors"]
    assert error["field"] == field
    assert error["message"]
    assert sb.mails() == []


def test_a_template_needs_neither_content_nor_subject(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    assert sendgrid.send(letter(content=None, subject="", template_id="d-1")).status_code == 202


def test_sandbox_mode_checks_a_mail_and_does_not_send_it(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    answer = sendgrid.send(letter(mail_settings={"sandbox_mode": {"enable": True}}))
    assert answer.status_code == 200
    assert sb.mails() == []


def test_what_is_no_json_is_a_bad_request(sb: Sandbox) -> None:
    answer = requests.post(
        f"{sb.url}/sendgrid/v3/mail/send", data=b"{", timeout=5, headers={"Authorization": "Bearer SG.test"}
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == "Bad Request"


def test_scopes_and_templates_can_be_asked_for(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    """What a preflight asks."""
    sb.sendgrid.templates["d-1"] = "Receipt"
    assert "mail.send" in json.loads(sendgrid.client.scopes.get().body)["scopes"]
    assert json.loads(sendgrid.client.templates.get().body)["result"][0]["id"] == "d-1"


def test_sendgrid_says_when_its_limit_ends(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    """429 has no Retry-After but X-RateLimit-Reset, in Unix seconds."""
    sb.fault("sendgrid", "status", status=429, retry_after=20)
    with pytest.raises(python_http_client.TooManyRequestsError) as refused:
        sendgrid.send(letter())
    headers = refused.value.headers
    assert int(headers["X-RateLimit-Reset"]) == int(sb.now().timestamp()) + 20
    assert "Retry-After" not in headers


def post(sb: Sandbox, subject: str = "Grüße", user: str | None = None) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "The shop <shop@example.com>", "Ada <ada@example.com>"
    message["Cc"] = "c@example.com"
    message["Subject"], message["X-Order"] = subject, "ord_1"
    message.set_content("Hallo Ada")
    message.add_alternative("<p>Hallo Ada ☕</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", sb.smtp_port, timeout=5) as client:
        if user:
            client.login(user, "secret")
        client.send_message(message, to_addrs=["ada@example.com", "c@example.com", "hidden@example.com"])


@pytest.mark.parametrize("user", [None, "apikey"])
def test_smtp_keeps_a_mail_with_and_without_a_login(sb: Sandbox, user: str | None) -> None:
    post(sb, user=user)
    (kept,) = sb.mails(to="hidden@example.com")
    assert (kept.via, kept.from_, kept.to) == ("smtp", "The shop <shop@example.com>", ["ada@example.com"])
    assert (kept.cc, kept.bcc) == (["c@example.com"], ["hidden@example.com"])
    assert kept.subject == "Grüße"
    assert kept.text.strip() == "Hallo Ada"
    assert "☕" in kept.html
    assert kept.headers["X-Order"] == "ord_1"
    assert [(c.method, c.status) for c in sb.calls("smtp")] == [("DATA", 250)]


def test_attachments_are_named(sb: Sandbox) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", "ada@example.com", "Invoice"
    message.set_content("See attached")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
    with smtplib.SMTP("127.0.0.1", sb.smtp_port, timeout=5) as client:
        client.send_message(message)
    assert sb.mails()[0].attachments == ["invoice.pdf"]
    assert sb.mails()[0].text.strip() == "See attached"


@pytest.mark.parametrize(("status", "error"), [(451, smtplib.SMTPDataError), (554, smtplib.SMTPDataError)])
def test_smtp_refuses_a_mail_for_now_or_for_good(sb: Sandbox, status: int, error: type[Exception]) -> None:
    """Once: the next try is kept."""
    sb.fault("smtp", "status", status=status)
    with pytest.raises(error) as refused:
        post(sb)
    assert refused.value.smtp_code == status
    assert sb.mails() == []
    post(sb)
    assert len(sb.mails()) == 1


def test_smtp_refuses_a_recipient_or_a_sender(sb: Sandbox) -> None:
    sb.fault("smtp", "status", method="RCPT", status=550, path="ada@", times=None)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", "ada@example.com", "x"
    with smtplib.SMTP("127.0.0.1", sb.smtp_port, timeout=5) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.send_message(message)
    sb.fault("smtp", "status", method="MAIL", status=452)
    with smtplib.SMTP("127.0.0.1", sb.smtp_port, timeout=5) as client, pytest.raises(smtplib.SMTPSenderRefused):
        client.send_message(message)
    assert sb.mails() == []


@pytest.mark.parametrize(("kind", "kept"), [("refused", 0), ("lost_answer", 1)])
def test_smtp_drops_the_connection(sb: Sandbox, kind: str, kept: int) -> None:
    """With the mail lost, or with the mail kept and only its answer lost."""
    sb.fault("smtp", kind)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        post(sb)
    assert len(sb.mails()) == kept
    assert [c.status for c in sb.calls("smtp")] == [None]


def test_smtp_keeps_the_client_waiting(sb: Sandbox) -> None:
    sb.fault("smtp", "timeout", delay=0.6)
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.com", "ada@example.com"
    client = smtplib.SMTP("127.0.0.1", sb.smtp_port, timeout=0.3)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.send_message(message)
    client.close()
    assert sb.mails() == []


def test_content_helper_of_the_sdk_keeps_its_order(sb: Sandbox, sendgrid: SendGridAPIClient) -> None:
    """The SDK sorts plain text first by itself, so both orders of calls are fine."""
    mail = Mail(From("shop@example.com"), To("ada@example.com"), "Hi")
    mail.add_content(Content("text/html", "<p>b</p>"))
    mail.add_content(Content("text/plain", "b"))
    assert sendgrid.send(mail).status_code == 202
    assert (sb.mails()[0].text, sb.mails()[0].html) == ("b", "<p>b</p>")
