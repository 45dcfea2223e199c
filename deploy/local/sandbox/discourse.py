"""A stand-in for a Discourse forum: invitations, users and groups."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from local.sandbox.world import Answer, Provider

_DENIED = "You are not permitted to view the requested resource. The API username or key is invalid."
_BY_STATUS = {
    403: (_DENIED, "invalid_access"),
    404: ("The requested URL or resource could not be found.", "not_found"),
    422: ("The request could not be processed.", "invalid_parameters"),
    429: ("You’ve performed this action too many times, please try again later.", "rate_limit"),
}
Json = dict[str, Any]
View = Response | tuple[Response, int]


class Discourse(Provider):
    """`members` are accounts by address, `groups` the usernames by group id."""

    name = "discourse"
    actions = ("add_member",)

    def reset(self) -> None:
        self.members: dict[str, Json] = {}
        self.invites: dict[str, Json] = {}
        self.groups: dict[int, list[str]] = {}

    def blueprint(self) -> Blueprint:
        routes = Blueprint("discourse", __name__)
        routes.add_url_rule("/invites.json", "invite", self._invite, methods=["POST"])
        routes.add_url_rule("/admin/users/list/active.json", "users", self._users)
        routes.add_url_rule("/u/search/users.json", "search", self._search)
        routes.add_url_rule("/groups/<int:group_id>/members.json", "join", self._join, methods=["PUT"])
        routes.add_url_rule("/site.json", "site", self._site)
        routes.add_url_rule("/invites/<key>", "accept", self._accept, methods=["GET", "POST"])
        routes.before_request(self._authorise)
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        message, kind = _BY_STATUS.get(status, ("Oops! The software powering this forum met a problem.", "error"))
        body: Json = {"errors": [message], "error_type": kind}
        if status == 429:
            body["extras"] = {"wait_seconds": retry_after or 10, "time_left": f"{retry_after or 10} seconds"}
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Answer(json.dumps(body), "application/json; charset=utf-8", headers)

    def add_member(self, email: str, username: str | None = None) -> Json:
        """An account, as it is after an invitation was accepted."""
        name = username or email.split("@")[0].replace("+", "_")
        user = {
            "id": self.world.ids.serial(),
            "username": name,
            "name": name,
            "email": email,
            "active": True,
            "admin": False,
            "moderator": False,
            "trust_level": 0,
            "created_at": self.world.iso(),
        }
        self.members[email.lower()] = user
        return user

    def _authorise(self) -> View | None:
        if request.endpoint == "discourse.accept":
            return None
        if request.headers.get("Api-Key") and request.headers.get("Api-Username"):
            return None
        return jsonify(errors=[_DENIED], error_type="invalid_access"), 403

    @staticmethod
    def _sent() -> Json:
        if request.is_json:
            sent = request.get_json(silent=True)
            return sent if isinstance(sent, dict) else {}
        return {k.removesuffix("[]"): v if k.endswith("[]") else v[0] for k, v in request.form.lists()}

    def _invite(self) -> View:
        sent = self._sent()
        email = str(sent.get("email") or "")
        if email.lower() in self.members:
            return jsonify(errors=[f"There's no need to invite <b>{email}</b>, they already have an account!"]), 422
        if email and "@" not in email:
            return jsonify(errors=["Email is invalid."]), 422
        invite = self.invites.get(email.lower()) if email else None
        if invite is None:
            invite = self._new_invite(sent, email)
        return jsonify(invite)

    def _new_invite(self, sent: Json, email: str) -> Json:
        key, now = self.world.ids.hex(32), self.world.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        group_ids = sent.get("group_ids") or []
        if not isinstance(group_ids, list):
            group_ids = str(group_ids).split(",")
        invite = {
            "id": self.world.ids.serial(),
            "invite_key": key,
            "link": f"{self.world.url}/discourse/invites/{key}",
            "description": None,
            "email": email or None,
            "domain": None,
            "emailed": str(sent.get("skip_email", "false")).lower() != "true",
            "can_delete_invite": True,
            "custom_message": sent.get("custom_message"),
            "created_at": now,
            "updated_at": now,
            "expires_at": sent.get("expires_at"),
            "expired": False,
            "grants_admin": False,
            "grants_moderator": False,
            "topics": [],
            "groups": [{"id": int(g)} for g in group_ids],
        }
        self.invites[email.lower() or key] = invite
        return invite

    def _users(self) -> View:
        wanted = (request.args.get("email") or request.args.get("filter") or "").lower()
        return jsonify([u for address, u in self.members.items() if wanted in ("", address)])

    def _search(self) -> View:
        term = request.args.get("term", "").lower()
        return jsonify(
            users=[
                {k: u[k] for k in ("id", "username", "name")}
                for address, u in self.members.items()
                if term in (address, u["username"].lower())
            ],
            groups=[],
        )

    def _join(self, group_id: int) -> View:
        sent = self._sent()
        names = list(_split(sent.get("usernames")))
        emails = [e.lower() for e in _split(sent.get("emails"))]
        unknown = [e for e in emails if e not in self.members]
        if unknown or (not names and not emails):
            return jsonify(errors=["You specified an invalid user."], error_type="invalid_parameters"), 400
        names += [self.members[e]["username"] for e in emails]
        group = self.groups.setdefault(group_id, [])
        there = [n for n in names if n in group]
        if there:
            verb = "is already a member" if len(there) == 1 else "are already members"
            return jsonify(errors=[f"{', '.join(repr(n) for n in there)} {verb} of this group."]), 422
        group.extend(names)
        return jsonify(success="OK", usernames=names, emails=emails)

    def _site(self) -> View:
        return jsonify(
            default_archetype="regular", groups=[{"id": g, "name": f"group_{g}"} for g in self.groups], categories=[]
        )

    def _accept(self, key: str) -> str | tuple[str, int] | BaseResponse:
        """The page behind an invitation's link; accepting it makes the account and joins the groups."""
        invite = next((i for i in self.invites.values() if i["invite_key"] == key), None)
        if invite is None:
            return render_template("message.html", title="This invitation does not exist", text="", back=""), 404
        email = invite["email"]
        if request.method == "POST" and email and email.lower() not in self.members:
            username = self.add_member(email)["username"]
            for group in invite["groups"]:
                self.groups.setdefault(group["id"], []).append(username)
            return redirect(request.path, 303)
        return render_template("invite.html", invite=invite, member=self.members.get((email or "").lower()))


def _split(value: Any) -> list[str]:
    return value if isinstance(value, list) else [v for v in str(value or "").split(",") if v]
