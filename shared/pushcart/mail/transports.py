"""Which transport this installation sends its mails with, and what each needs."""

from __future__ import annotations

from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.mail.message import Transport

#: What a function that sends mails reads for it.
VARIABLES = (
    "mail_transport",
    "provider_timeout",
    "sendgrid_url",
    "smtp_host",
    "smtp_port",
    "smtp_security",
    "smtp_username",
)
MAY_NEED = ("sendgrid-api-key", "smtp-password")


def needed_secrets(config: Config) -> list[str]:
    """The secrets that the chosen transport cannot do without."""
    if config["mail_transport"] == "smtp":
        return ["smtp-password"] if config["smtp_username"] else []
    return ["sendgrid-api-key"] if config["mail_transport"] == "sendgrid" else []


def needed_variables(config: Config) -> list[str]:
    """The variables without a default that the chosen transport needs."""
    return ["smtp_host"] if config["mail_transport"] == "smtp" else []


def open_transport(config: Config, clock: Clock) -> Transport:
    """The transport that `mail_transport` names; only its own modules are imported."""
    timeout = config.number("provider_timeout")
    if config["mail_transport"] == "smtp":
        from pushcart.providers.smtp_mail import SmtpMail

        username = config["smtp_username"]
        return SmtpMail(
            config["smtp_host"],
            config.number("smtp_port"),
            clock,
            security=config["smtp_security"],
            username=username,
            password=lambda: config.secret("smtp-password") if username else "",
            timeout=timeout,
        )
    from pushcart.providers.sendgrid_mail import SendGridMail

    return SendGridMail(config["sendgrid_url"], lambda: config.secret("sendgrid-api-key"), clock, timeout=timeout)
