"""A stand-in for SendGrid's Web API v3: it checks a mail as SendGrid does, and keeps it."""

from __future__ import annotations

import email.utils
import json
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.records import Mail
from local.sandbox.world import Answer, Provider, World

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#"
_MAX_BYTES = 30 * 1024 * 1024
_BY_STATUS = {
    401: "The provided authorization grant is invalid, expired, or revoked",
    403: "access forbidden",
    413: "content too large",
    429: "too many requests",
    400: "invalid request",
    404: "not found",
}
_SCOPES = ["mail.send", "sender_verification_eligible", "templates.read"]


class Invalid(Exception):
    """One entry of SendGrid's `errors`."""

    def __init__(self, message: str, field: str, help_: str) -> None:
        super().__init__(message)
        self.entry = {"message": message, "field": field, "help": _HELP + help_}


class SendGrid(Provider):
    """`templates` are the dynamic templates that GET /v3/templates lists: id to name."""

    name = "sendgrid"

    def __init__(self, world: World) -> None:
        self.templates: dict[str, str] = {}
        super().__init__(world)

    def reset(self) -> None:
        """Mails are among the records; there is nothing else to forget."""

    def blueprint(self) -> Blueprint:
        routes = Blueprint("sendgrid", __name__)
        routes.add_url_rule("/v3/mail/send", "send", self._send, methods=["POST"])
        routes.add_url_rule("/v3/scopes", "scopes", self._scopes)
        routes.add_url_rule("/v3/templates", "templates", self._templates)
        routes.before_request(self._authorise)
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        message = _BY_STATUS.get(status, "internal server error")
        headers: dict[str, str] = {}
        if status == 429:
            # SendGrid sends no Retry-After but the moment the window opens again, in Unix seconds.
            headers = {
                "X-RateLimit-Limit": "600",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(self.world.timestamp() + (retry_after or 60)),
            }
        elif retry_after is not None:
            headers = {"Retry-After": str(retry_after)}
        body = json.dumps({"errors": [{"message": message, "field": None, "help": None}]})
        return Answer(body, "application/json", headers)

    def _authorise(self) -> Response | None:
        sent = request.headers.get("Authorization", "")
        if sent.startswith("Bearer SG."):
            return None
        return Response(self.error(401, None).body, 401, content_type="application/json")

    def _scopes(self) -> Response:
        return jsonify(scopes=_SCOPES)

    def _templates(self) -> Response:
        return jsonify(
            result=[{"id": i, "name": n, "generation": "dynamic", "versions": []} for i, n in self.templates.items()],
            _metadata={"count": len(self.templates)},
        )

    def _send(self) -> Response:
        if len(request.get_data()) > _MAX_BYTES:
            return Response(self.error(413, None).body, 413, content_type="application/json")
        sent = request.get_json(silent=True)
        if not isinstance(sent, dict):
            return self._bad({"message": "Bad Request", "field": None, "help": None})
        try:
            message_id = self.world.ids.token(22)
            mails = self._mails(sent, message_id)
        except Invalid as error:
            return self._bad(error.entry)
        if sent.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            return Response(status=200)
        self.world.records.add_mails(mails)
        return Response(status=202, headers={"X-Message-Id": message_id})

    @staticmethod
    def _bad(entry: dict[str, Any]) -> Response:
        return Response(json.dumps({"errors": [entry]}), 400, content_type="application/json")

    def _mails(self, sent: dict[str, Any], message_id: str) -> list[Mail]:
        """One mail for each personalization. Raises Invalid with SendGrid's own words."""
        parts = sent.get("personalizations")
        if not isinstance(parts, list) or not parts:
            raise Invalid(
                "The personalizations field is required and must have at least one personalization.",
                "personalizations",
                "-Personalizations-Errors",
            )
        sender = sent.get("from") or {}
        if not sender.get("email"):
            raise Invalid(
                "The from object must be provided for every email send. It is an object that requires the "
                'email parameter, but may also contain a name parameter.  e.g. {"email" : '
                '"example@example.com"}  or {"email" : "example@example.com", "name" : "Example '
                'Recipient"}.',
                "from.email",
                "message.from",
            )
        self._check_address(sender, "from.email")
        content = self._content(sent)
        return [
            self._mail(sent, part, index, content, sender, f"{message_id}.{index}") for index, part in enumerate(parts)
        ]

    @staticmethod
    def _content(sent: dict[str, Any]) -> dict[str, str]:
        blocks = sent.get("content") or []
        if not blocks and not sent.get("template_id"):
            raise Invalid(
                "Unless a valid template_id is provided, the content parameter is required. There must be "
                "at least one defined content block. We typically suggest both text/plain and text/html "
                "blocks are included, but only one block is required.",
                "content",
                "message.content",
            )
        for index, block in enumerate(blocks):
            if not block.get("value"):
                raise Invalid(
                    "The content value must be a string at least one character in length.",
                    f"content.{index}.value",
                    "message.content.value",
                )
        kinds = [block.get("type") for block in blocks]
        if "text/plain" in kinds[1:]:
            raise Invalid(
                "If present, text/plain and text/html may only be provided once, in this order.",
                "content",
                "message.content",
            )
        return {block["type"]: block["value"] for block in blocks}

    @staticmethod
    def _check_address(who: Any, field: str) -> str:
        address = who.get("email") if isinstance(who, dict) else None
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise Invalid("Does not contain a valid address.", field, "message.personalizations.to")
        return address

    def _mail(
        self,
        sent: dict[str, Any],
        part: dict[str, Any],
        index: int,
        content: dict[str, str],
        sender: dict[str, str],
        mail_id: str,
    ) -> Mail:
        where = f"personalizations.{index}"
        if not part.get("to"):
            raise Invalid(
                "The to array is required for all personalization objects, and must have at least one "
                "email object with a valid email address.",
                f"{where}.to",
                "message.personalizations.to",
            )
        boxes = {
            box: [self._check_address(who, f"{where}.{box}.{n}.email") for n, who in enumerate(part.get(box) or [])]
            for box in ("to", "cc", "bcc")
        }
        subject = part.get("subject") or sent.get("subject") or ""
        if not subject and not sent.get("template_id"):
            raise Invalid(
                "The subject is required. You can get around this requirement if you use a template with a "
                "subject defined or if every personalization has a subject defined.",
                "subject",
                "message.subject",
            )
        return Mail(
            id=mail_id,
            via="sendgrid",
            from_=email.utils.formataddr((sender.get("name") or "", sender["email"])),
            subject=subject,
            html=content.get("text/html", ""),
            text=content.get("text/plain", ""),
            at=self.world.now(),
            reply_to=(sent.get("reply_to") or {}).get("email", ""),
            template_id=sent.get("template_id"),
            template_data=part.get("dynamic_template_data") or {},
            custom_args={**sent.get("custom_args", {}), **part.get("custom_args", {})},
            headers={**sent.get("headers", {}), **part.get("headers", {})},
            attachments=[a.get("filename", "") for a in sent.get("attachments") or []],
            **boxes,
        )
