"""What a function reads from its surroundings: environment variables and secrets, each declared once.

A handler says what it reads (`READS = Reads(...)`); `Config` gives out nothing else. The tables below are
the reference the README repeats and stack.yml is checked against.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushcart.errors import ConfigurationError


@dataclass(frozen=True)
class Variable:
    """One environment variable: its default, the pattern its value has to match, and what it is for."""

    default: str
    about: str
    pattern: str = r".*"
    expected: str = "text"


@dataclass(frozen=True)
class Secret:
    """One secret file: the pattern each of its lines has to match, and what it is for."""

    about: str
    pattern: str = r"\S{8,}"
    expected: str = "at least 8 characters without spaces"

    def fits(self, text: str) -> bool:
        """Whether the file holds something, and each of its lines looks as it should."""
        lines = lines_of(text)
        return bool(lines) and all(re.fullmatch(self.pattern, line) for line in lines)


def lines_of(text: str) -> list[str]:
    """The non-empty lines of a secret's file: the current secret first, then the previous one during a rotation."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _url(default: str, about: str) -> Variable:
    return Variable(default, about, r"https?://[^\s/]+(/\S*)?|", "an address beginning with http:// or https://")


def _count(default: int, about: str) -> Variable:
    return Variable(str(default), about, r"[1-9]\d{0,8}", "a whole number above 0")


VARIABLES: dict[str, Variable] = {
    "function_name": Variable(
        "",
        "The function's own name; signatures and log lines carry it.",
        r"[a-z][a-z0-9-]*",
        "the function's name in stack.yml",
    ),
    "gateway_url": _url("http://gateway:8080", "Where the functions reach one another."),
    "stripe_mode": Variable(
        "test", "Which events and keys this installation takes: `test` or `live`.", "test|live", "test or live"
    ),
    "max_event_bytes": _count(524_288, "The largest webhook body accepted, in bytes; more is answered 413."),
    "max_cart_bytes": _count(32_768, "The largest cart that checkout accepts, in bytes; more is answered 413."),
    "site_url": _url("", "The static shop's address, in place of `shop.url` in shop.yml."),
    "drive_workers": _count(4, "How many orders order-store drives at the same time."),
    "lease_seconds": _count(150, "How long a step may run before another attempt takes it over; above step_timeout."),
    "step_timeout": _count(55, "Seconds order-store waits for a step's function; above its exec_timeout."),
    "sweep_batch": _count(200, "How many due orders, and how many due events, one sweep takes on."),
    "sweep_seconds": _count(40, "How long one sweep may take; what is left waits for the next."),
    "provider_timeout": _count(15, "Seconds a call to a provider may take, for connecting and for each read."),
    "mail_transport": Variable(
        "sendgrid", "Who sends the mails: `sendgrid` or `smtp`.", "sendgrid|smtp", "sendgrid or smtp"
    ),
    "smtp_host": Variable("", "The SMTP server's name.", r"[A-Za-z0-9.:-]*", "a host name"),
    "smtp_port": _count(587, "The SMTP server's port."),
    "smtp_security": Variable(
        "starttls",
        "`starttls`, `tls` (from the first byte) or `none` (only for a local relay).",
        "starttls|tls|none",
        "starttls, tls or none",
    ),
    "smtp_username": Variable("", "The SMTP login; empty sends without one."),
    "stripe_url": _url("https://api.stripe.com", "Stripe's API."),
    "sendgrid_url": _url("https://api.sendgrid.com", "SendGrid's API; EU accounts: https://api.eu.sendgrid.com."),
    "kit_url": _url("https://api.kit.com", "Kit's API."),
    "kit_client_id": Variable("", "The client id of your Kit OAuth app, for purchases through v4."),
    "discourse_url": _url("", "Discourse's address, in place of `platforms.discourse.url` in shop.yml."),
    "thinkific_url": _url("https://api.thinkific.com", "Thinkific's API."),
    "platform_url": _url("", "Your own platform's address, in place of `platforms.http.url` in shop.yml."),
    "autopay_url": _url("https://pay.autopay.eu", "Where Autopay's links lead; for tests: https://testpay.autopay.eu."),
    "autopay_service_id": Variable("", "The number of your service at Autopay.", r"[0-9]{0,10}", "a number"),
    "printful_url": _url("https://api.printful.com", "Printful's API."),
    "printful_store": Variable(
        "", "The number of your store at Printful, for a token that opens several.", r"[0-9]{0,12}", "a number"
    ),
    "twilio_url": _url("https://api.twilio.com", "Twilio's API, for alerts by text message."),
    "shop_file": Variable("", "Another shop.yml than the one packed into the function."),
    "clock_file": Variable("", "Only for the local gateway: a file with seconds to add to the clock."),
    "crash_file": Variable("", "Only for tests: a file with the name of the point where the process kills itself."),
    "secret_mount_path": Variable("/var/openfaas/secrets", "Where the secret files lie."),
}

#: Read by the template, before any of our code runs.
TEMPLATE_VARIABLES: dict[str, Variable] = {
    "port": Variable("5000", "The port the function listens on inside its container; of-watchdog expects 5000."),
    "threads": Variable("8", "How many requests one function serves at the same time."),
    "max_body_bytes": Variable("1048576", "The largest request body, in bytes; more is answered 413."),
    "drain_seconds": Variable("25", "How long requests in flight may take to finish after SIGTERM."),
}

SECRETS: dict[str, Secret] = {
    "internal-key": Secret(
        "Signs the calls between functions and from the owner's command; a second line is the "
        "previous key during a rotation.",
        r"\S{32,}",
        "at least 32 characters without spaces",
    ),
    "store-url": Secret(
        "The database: `mongodb://...` or `mongodb+srv://...`, `postgresql://...`, or `sqlite:////path/to/file.db`.",
        r"(sqlite:///|postgres(ql(\+psycopg)?)?://|mongodb(\+srv)?://)\S+",
        "an address like mongodb://user:password@host/shop, postgresql://... or sqlite:////path/shop.db",
    ),
    "stripe-webhook-secret": Secret(
        "The webhook endpoint's signing secret; a second line is the previous one during a rotation.",
        r"whsec_\S+",
        "whsec_...",
    ),
    "stripe-api-key": Secret(
        "A Stripe key, best a restricted one that reads Checkout Sessions, PaymentIntents, Charges, Disputes, Events, "
        "Prices and Products, and for a shop with a cart writes Checkout Sessions and Coupons.",
        r"(sk|rk)_(test|live)_\w+",
        "sk_... or rk_..., test or live",
    ),
    "sendgrid-api-key": Secret("A SendGrid key with Mail Send.", r"SG\.\S+", "SG...."),
    "smtp-password": Secret("The password of `smtp_username`."),
    "discourse-api-key": Secret("A Discourse key for invitations and group members."),
    "thinkific-api-key": Secret("Thinkific's API key."),
    "platform-key": Secret("Signs the calls to your own platform.", r"\S{16,}", "at least 16 characters"),
    "kit-api-secret": Secret("Kit's v3 API secret, for old accounts."),
    "kit-client-secret": Secret("The client secret of your Kit OAuth app."),
    "kit-refresh-token": Secret("The first refresh token of your Kit OAuth app; later ones live in the store."),
    "autopay-key": Secret("Your service's shared key at Autopay; signs links and notifications."),
    "printful-api-key": Secret("A private token of Printful's that may read and write orders."),
    "printful-webhook-secret": Secret(
        "The last part of the address that Printful's webhooks go to, because Printful does not sign them; a second "
        "line is the previous one during a rotation.",
        r"[A-Za-z0-9_-]{24,}",
        "at least 24 letters, digits, - and _",
    ),
    "alert-urls": Secret(
        "Where alerts go: Apprise addresses, one a line, each after the least level it is for (`info`, `warning`, "
        "`critical`) or `escalation`.",
        r"(?:(?:info|warning|critical|escalation)\s+)?[a-z][a-z0-9]*s?://\S+",
        "lines like critical twilio://SID:TOKEN@FROM/TO",
    ),
    "metrics-token": Secret(
        "What Prometheus shows to read the figures; unused closes them.",
        r"\S{24,}",
        "at least 24 characters without spaces",
    ),
    "shop": Secret("A whole shop.yml that replaces the packed one without a rebuild.", r"(?s).+", "a shop.yml"),
}

#: What a secret file holds when it has to exist for the deployment but is not used.
UNUSED = "unused"

#: Seconds within which a file may change twice and look the same.
_COARSE = 2.0


@dataclass(frozen=True)
class Reads:
    """What one function reads. `needs` are secrets it cannot start without; `may_need` depends on shop.yml."""

    variables: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    may_need: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.needs + self.may_need


#: Every function of ours reads these.
COMMON_VARIABLES = ("function_name", "secret_mount_path", "clock_file", "crash_file")


class Config:
    """The environment and the secrets of one function; asking for anything undeclared is a KeyError."""

    def __init__(self, reads: Reads, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._variables = frozenset(reads.variables + COMMON_VARIABLES)
        self._reads = reads
        self._texts: dict[str, tuple[tuple[int, int, int], str]] = {}

    def __getitem__(self, name: str) -> str:
        """The variable's value, or its default."""
        if name not in self._variables:
            raise KeyError(f"{name} is not among the variables this function declares")
        return self._environ.get(name) or VARIABLES[name].default

    def declares(self, name: str) -> bool:
        """Whether this function reads the variable."""
        return name in self._variables

    def number(self, name: str) -> int:
        return int(self[name])

    def secret(self, name: str) -> str:
        """The secret's first line, read from its file now; `ConfigurationError` when it is missing or malformed."""
        return self.secret_lines(name)[0]

    def secret_lines(self, name: str) -> list[str]:
        """Every non-empty line: the current secret first, then the previous one during a rotation."""
        text = self.secret_text(name)
        problems = self._secret_problems(name, text)
        if problems:
            raise ConfigurationError(problems)
        return lines_of(text)

    def secret_text(self, name: str) -> str:
        """The secret's file as it stands, or the empty text when there is none or it is marked as unused."""
        if name not in self._reads.secrets:
            raise KeyError(f"{name} is not among the secrets this function declares")
        try:
            text = self._text_of(os.path.join(self["secret_mount_path"], name))
        except OSError:
            return ""
        except UnicodeDecodeError:
            raise ConfigurationError([f"the secret {name} is not UTF-8 text"]) from None
        return "" if text.strip() == UNUSED else text

    def _text_of(self, path: str) -> str:
        """The file's text. Reading it costs as much as checking a signature, so one that has not changed is kept."""
        about = os.stat(path)
        stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
        kept = self._texts.get(path)
        if kept is None or kept[0] != stamp:
            kept = (stamp, Path(path).read_text())
            # A file just written may change again without a new time: clocks of file systems are coarse.
            if time.time() - about.st_mtime > _COARSE:
                self._texts[path] = kept
        return kept[1]

    def check(self, also_needs: Iterable[str] = (), also_variables: Iterable[str] = ()) -> None:
        """Raises one `ConfigurationError` with every problem; the arguments name what this shop needs besides."""
        problems = [
            f"{name}={self[name]!r} should be {VARIABLES[name].expected}"
            for name in sorted(self._variables)
            if not re.fullmatch(VARIABLES[name].pattern, self[name])
        ]
        problems += [f"{name} is not set; set it in stack.yml" for name in also_variables if not self[name]]
        for name in dict.fromkeys((*self._reads.needs, *also_needs)):
            problems += self._secret_problems(name, self.secret_text(name))
        if problems:
            raise ConfigurationError(problems)

    @staticmethod
    def _secret_problems(name: str, text: str) -> list[str]:
        if not lines_of(text):
            return [f"the secret {name} is missing or empty; write it to .secrets/{name} and apply it"]
        return [] if SECRETS[name].fits(text) else [f"the secret {name} should be {SECRETS[name].expected}"]
