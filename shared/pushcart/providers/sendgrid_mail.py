"""Mails through SendGrid's v3 API, with its official SDK.

SendGrid has no idempotency key: an answer that is lost after SendGrid took the mail leads to a second one.
Both carry the same `Message-ID`, by which many mailboxes show only one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import sendgrid
from python_http_client.exceptions import HTTPError

from pushcart.clock import Clock
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable, is_permanent
from pushcart.mail.message import Message, Sent, without_addresses

NAME = "sendgrid"

#: Seconds to wait when the account's mails are used up: a person has to buy more, or the day has to end.
OUT_OF_CREDITS_WAIT = 3600.0

#: The longest wait taken from a rate limit's reset time, in seconds.
LONGEST_WAIT = 3600.0

_NEXT_STEP = {
    401: "look at the secret sendgrid-api-key",
    403: "verify the shop's sender at SendGrid, and let the key send mails",
    413: "the mail is too large",
}

# At level DEBUG the SDK's HTTP client logs the key, the addresses and the whole mail.
logging.getLogger("python_http_client").setLevel(logging.INFO)


class SendGridMail:
    """Sends through the account of `key`, which is asked for at each mail. `timeout` is in seconds."""

    name = NAME
    takes_templates = True

    def __init__(self, url: str, key: Callable[[], str], clock: Clock, *, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._clock = clock
        self._timeout = timeout

    def send(self, message: Message) -> Sent:
        """Hands the mail over. Raises ProviderRefused, ProviderBusy or ProviderUnavailable."""
        response = self._ask(lambda api: api.send(_body(message)))
        if response.status_code != 202:
            # A redirect that was followed, a proxy, a captive page: SendGrid itself says 202 or an error.
            raise ProviderUnavailable(
                NAME,
                f"it answered {response.status_code} and not 202; look at sendgrid_url",
                status=response.status_code,
            )
        return Sent(response.headers.get("X-Message-Id") or message.reference)

    def check(self, sender: str) -> str:
        """That SendGrid accepts the key, and that the key may send mails. Changes nothing.

        https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions
        """
        response = self._ask(lambda api: api.client.scopes.get())
        try:
            scopes = json.loads(response.body)["scopes"]
        except (ValueError, LookupError, TypeError):
            raise ProviderUnavailable(NAME, "an answer that is not SendGrid's; look at sendgrid_url") from None
        if "mail.send" not in scopes:
            raise ProviderRefused(NAME, "the key may not send mails; make one with Mail Send")
        return "accepts the key, which may send mails"

    def _ask(self, request: Callable[[sendgrid.SendGridAPIClient], Any]) -> Any:
        api = sendgrid.SendGridAPIClient(self._key(), host=self._url)
        api.client.timeout = self._timeout  # none by default
        try:
            return request(api)
        except HTTPError as error:
            raise self._failure(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ProviderUnavailable(NAME, f"no usable answer ({type(reason).__name__})") from error

    def _failure(self, error: HTTPError) -> Exception:
        status = error.status_code
        said = f"{status} {_words(error.body)}"
        if status == 429:
            return ProviderBusy(NAME, said, status=status, retry_after=self._reset(error.headers))
        if status == 401 and "credits" in said.lower():
            text = f"{said}; buy more mails or wait for the next day"
            return ProviderUnavailable(NAME, text, status=status, retry_after=OUT_OF_CREDITS_WAIT)
        if is_permanent(status):
            step = _NEXT_STEP.get(status)
            return ProviderRefused(NAME, f"{said}; {step}" if step else said, status=status)
        return ProviderUnavailable(NAME, said, status=status, retry_after=_seconds(error.headers, "Retry-After"))

    def _reset(self, headers: Any) -> float | None:
        """Seconds until the limit is lifted; `X-RateLimit-Reset` is a Unix time in seconds.

        https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits
        """
        reset = _seconds(headers, "X-RateLimit-Reset")
        if reset is None:
            return _seconds(headers, "Retry-After")
        return min(max(reset - self._clock().timestamp(), 1.0), LONGEST_WAIT)


def _body(message: Message) -> dict[str, Any]:
    """The request of POST /v3/mail/send: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""
    ids = {"order_id": message.order_id, "step": message.step, "key": message.key}
    personalization: dict[str, Any] = {"to": [{"email": address} for address in message.to]}
    body: dict[str, Any] = {
        "personalizations": [personalization],
        "from": {"email": message.sender, "name": message.sender_name},
        "custom_args": {name: value for name, value in ids.items() if value},
        "categories": ["pushcart", message.name],
        "headers": {"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"},
        # An invitation's link has to reach the buyer as it is, not as a redirect through SendGrid.
        "tracking_settings": {"click_tracking": {"enable": False, "enable_text": False}},
    }
    if message.reply_to:
        body["reply_to"] = {"email": message.reply_to}
    if message.template_id:
        body["template_id"] = message.template_id
        personalization["dynamic_template_data"] = message.template_data
    else:
        body["subject"] = message.subject
        body["content"] = [
            {"type": "text/plain", "value": message.text},
            {"type": "text/html", "value": message.html},
        ]
    return body


def _words(body: bytes) -> str:
    """SendGrid's own words: `errors[].message`, without mail addresses."""
    try:
        errors = json.loads(body)["errors"]
        text = "; ".join(str(error["message"]) for error in errors)
    except (ValueError, LookupError, TypeError):
        text = "(no reason given)"
    return without_addresses(text)[:300]


def _seconds(headers: Any, name: str) -> float | None:
    value = (headers.get(name) or "").strip() if headers else ""
    return float(value) if value.isdecimal() else None
