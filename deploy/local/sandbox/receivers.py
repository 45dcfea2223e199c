"""Where messages to the owner's phone go: Twilio's text messages, an ntfy server, and any receiver of plain JSON."""

from __future__ import annotations

import json
import re
from email.utils import format_datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.records import Message
from local.sandbox.world import Answer, Provider, World

_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{5,6}|[A-Za-z0-9 ]{1,11}")
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
Json = dict[str, Any]
View = Response | tuple[Response, int]


def _headers(retry_after: int | None) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": str(retry_after)}


class _Receiver(Provider):
    """What came is kept in the sandbox's records and shown on its page of messages."""

    def reset(self) -> None:
        """Nothing is held here."""

    def keep(self, to: str, title: str, text: str, message_id: str) -> None:
        self.world.records.add_message(Message(message_id, self.name, to, title, text, self.world.now()))


class Twilio(_Receiver):
    """https://www.twilio.com/docs/messaging/api/message-resource. Any account and token, or only the one in
    `auth_token`."""

    name = "twilio"

    def __init__(self, world: World) -> None:
        self.auth_token: str | None = None
        super().__init__(world)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("twilio", __name__)
        routes.add_url_rule("/2010-04-01/Accounts/<sid>/Messages.json", "send", self._send, methods=["POST"])
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        code, message = {
            401: (20003, "Authenticate"),
            404: (20404, "The requested resource was not found"),
            429: (20429, "Too Many Requests"),
        }.get(status, (20500, "An internal server error has occurred"))
        return Answer(json.dumps(_twilio_error(status, code, message)), "application/json", _headers(retry_after))

    def _send(self, sid: str) -> View:
        sent, login = request.form, request.authorization
        token = login.password if login and login.type == "basic" else None
        to, sender, body = (sent.get(name, "") for name in ("To", "From", "Body"))
        problem: tuple[int, int, str] | None = None
        if not token or self.auth_token not in (None, token):
            problem = (401, 20003, "Authenticate")
        elif not to:
            problem = (400, 21604, "A 'To' phone number is required.")
        elif not _PHONE.fullmatch(to.removeprefix("whatsapp:")):
            problem = (400, 21211, f"Invalid 'To' Phone Number: {to}")
        elif not sender:
            problem = (400, 21603, "A 'From' phone number is required.")
        elif not _SENDER.fullmatch(sender.removeprefix("whatsapp:")):
            problem = (400, 21212, f"Invalid From Number: {sender}")
        elif not body:
            problem = (400, 21602, "Message body is required.")
        elif len(body) > 1600:
            problem = (400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if problem:
            return jsonify(_twilio_error(*problem)), problem[0]
        message_id, now = f"SM{self.world.ids.hex(32)}", format_datetime(self.world.now())
        self.keep(to, "", body, message_id)
        return jsonify(
            account_sid=sid,
            api_version="2010-04-01",
            body=body,
            date_created=now,
            date_sent=None,
            date_updated=now,
            direction="outbound-api",
            error_code=None,
            error_message=None,
            **{"from": sender},
            messaging_service_sid=None,
            num_media="0",
            num_segments=str(1 + (len(body) - 1) // 160),
            price=None,
            price_unit="USD",
            sid=message_id,
            status="queued",
            to=to,
            uri=f"/2010-04-01/Accounts/{sid}/Messages/{message_id}.json",
        ), 201


def _twilio_error(status: int, code: int, message: str) -> Json:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": message, "more_info": more, "status": status}


class Ntfy(_Receiver):
    """https://docs.ntfy.sh/publish/: JSON with its topic at the root, or the plain text of a message at the topic."""

    name = "ntfy"

    def blueprint(self) -> Blueprint:
        routes = Blueprint("ntfy", __name__)
        routes.add_url_rule("/", "publish_json", self._publish_json, methods=["POST", "PUT"])
        routes.add_url_rule("/<topic>", "publish", self._publish, methods=["POST", "PUT"])
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        code, message = {
            401: (40101, "unauthorized"),
            403: (40301, "forbidden"),
            404: (40401, "page not found"),
            429: (42901, "limit reached: too many requests"),
        }.get(status, (status * 100 + 1, "internal server error"))
        body = {"code": code, "http": status, "error": message}
        return Answer(json.dumps(body), "application/json", _headers(retry_after))

    def _publish_json(self) -> View:
        sent = request.get_json(silent=True, force=True)
        if not isinstance(sent, dict):
            return self._refuse(40017, "invalid request: request body must be message JSON")
        return self._take(str(sent.get("topic") or ""), str(sent.get("title") or ""), str(sent.get("message") or ""))

    def _publish(self, topic: str) -> View:
        # A message too long for JSON comes as a file, its beginning in the query.
        title = request.headers.get("X-Title") or request.headers.get("Title") or request.args.get("title", "")
        text = request.get_data(as_text=True)
        return self._take(topic, title, "\n".join(filter(None, [request.args.get("message"), text])))

    def _take(self, topic: str, title: str, text: str) -> View:
        if not _TOPIC.fullmatch(topic):
            return self._refuse(40009, "invalid request: topic invalid")
        message_id, now = self.world.ids.token(12), self.world.timestamp()
        self.keep(topic, title, text or "triggered", message_id)
        said = {"id": message_id, "time": now, "expires": now + 43200, "event": "message", "topic": topic}
        return jsonify(said | ({"title": title} if title else {}) | {"message": text or "triggered"})

    @staticmethod
    def _refuse(code: int, message: str) -> View:
        return jsonify(code=code, http=400, error=message, link="https://ntfy.sh/docs/publish/"), 400


class Push(_Receiver):
    """Anything that takes JSON with a `title` and a `message` (or `text`, `body`), as Apprise's `json://` posts it;
    each name in the path is a receiver of its own."""

    name = "push"

    def blueprint(self) -> Blueprint:
        routes = Blueprint("push", __name__)
        routes.add_url_rule("/<path:receiver>", "receive", self._receive, methods=["POST"])
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        return Answer(json.dumps({"error": f"failed with {status}"}), "application/json", _headers(retry_after))

    def _receive(self, receiver: str) -> View:
        sent = request.get_json(silent=True, force=True)
        if not isinstance(sent, dict):
            return jsonify(error="the body is not a JSON object"), 400
        text = next((str(sent[key]) for key in ("message", "text", "body") if sent.get(key)), "")
        self.keep(receiver.strip("/"), str(sent.get("title") or ""), text, f"push_{self.world.ids.serial()}")
        return jsonify(status="ok")
