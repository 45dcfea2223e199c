"""A stand-in for an owner's own platform: it takes signed JSON and answers with a link."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from local.sandbox.world import Answer, Provider, World

_TOLERANCE = 300
View = Response | tuple[Response, int]


class Platform(Provider):
    """With a `secret`, `X-Pushcart-Signature: t=<Unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{body}">` must match
    and be at most five minutes off the sandbox's clock. An `Idempotency-Key` gets its first answer again."""

    name = "platform"
    actions = ("set_secret",)

    def __init__(self, world: World) -> None:
        self.secret: str | None = None
        super().__init__(world)

    def reset(self) -> None:
        self.links: dict[str, Any] = {}
        self._answers: dict[str, tuple[bytes, str]] = {}

    def set_secret(self, secret: str | None) -> None:
        self.secret = secret

    def blueprint(self) -> Blueprint:
        routes = Blueprint("platform", __name__)
        routes.add_url_rule("/", "receive_root", self._receive, methods=["POST"], defaults={"path": ""})
        routes.add_url_rule("/<path:path>", "receive", self._receive, methods=["POST"])
        routes.add_url_rule("/welcome/<token>", "welcome", self._welcome)
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Answer(json.dumps({"error": f"failed with {status}"}), "application/json", headers)

    def _receive(self, path: str) -> View:
        body = request.get_data()
        if self.secret is not None and not self._signed(body, self.secret):
            return jsonify(error="the signature does not match"), 401
        sent = request.get_json(silent=True, force=True)
        if sent is None:
            return jsonify(error="the body is not JSON"), 400
        key = request.headers.get("Idempotency-Key")
        if key and key in self._answers:
            first, link = self._answers[key]
            if first != body:
                return jsonify(error="this idempotency key came with another body"), 409
            return jsonify(link=link)
        token = self.world.ids.token(20)
        link = f"{self.world.url}/platform/welcome/{token}"
        self.links[token] = sent
        if key:
            self._answers[key] = (body, link)
        return jsonify(link=link)

    def _signed(self, body: bytes, secret: str) -> bool:
        header = request.headers.get("X-Pushcart-Signature", "")
        parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
        stamp = parts.get("t", "")
        if not stamp.isdigit() or abs(int(stamp) - self.world.timestamp()) > _TOLERANCE:
            return False
        digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(digest, parts.get("v1", ""))

    def _welcome(self, token: str) -> str | tuple[str, int]:
        if token not in self.links:
            return render_template("message.html", title="This link does not exist", text="", back=""), 404
        return render_template(
            "message.html", title="Welcome to the course", back="", text="Here the buyer would find what they bought."
        )
