"""A stand-in for Kit (ConvertKit): API v4 with OAuth and its rotating refresh tokens, and the older v3."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.kit_purchases import ADDRESS, purchase_problems
from local.sandbox.kit_tokens import Tokens
from local.sandbox.world import Answer, Provider, World

_BY_STATUS = {
    401: "The access token is invalid",
    403: "You do not have sufficient permissions to access this resource",
    404: "Not Found",
    422: "The request could not be processed",
}
_V3_DENIED = {
    "error": "Authorization Failed",
    "message": "You do not have sufficient permissions to access this resource",
}
Json = dict[str, Any]
View = Response | tuple[Response, int]


class Kit(Provider):
    """Purchases need a Bearer token (OAuth), everything else also takes an API key, as at Kit.

    `access_token` and `refresh_token` are the newest pair; the first pair is the same in every run. An access
    token lives `expires_in` seconds of the sandbox's clock and a refresh token works once. `sequences`
    restricts the sequence ids that exist (None: any), `custom_fields` are the keys that subscribers may have.
    """

    name = "kit"
    actions = ("expire_access_token", "revoke_refresh_token", "add_custom_field", "tokens")

    def __init__(self, world: World) -> None:
        self.expires_in = 7200
        self.sequences: dict[int, str] | None = None
        super().__init__(world)

    def reset(self) -> None:
        self.purchases: dict[str, Json] = {}
        self.subscribers: dict[str, Json] = {}
        self.sequence_members: dict[int, list[str]] = {}
        self.custom_fields: dict[str, str] = {}
        self._tokens = Tokens(self.world, self.expires_in)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("kit", __name__)
        v4 = (
            ("GET", "/account", self._account, False),
            ("POST", "/purchases", self._purchase, True),
            ("GET", "/purchases", self._purchases, True),
            ("POST", "/subscribers", self._subscriber, False),
            ("GET", "/subscribers", self._find_subscribers, False),
            ("GET", "/custom_fields", self._fields, False),
            ("POST", "/custom_fields", self._field, False),
            ("GET", "/sequences", self._sequences, False),
            ("POST", "/sequences/<int:sequence_id>/subscribers", self._enrol, False),
        )
        for method, path, view, oauth_only in v4:
            routes.add_url_rule(f"/v4{path}", view.__name__, self._guarded(view, oauth_only), methods=[method])
        routes.add_url_rule("/v4/oauth/token", "token", self._token, methods=["POST"])
        routes.add_url_rule("/v3/account", "v3_account", self._v3_account)
        routes.add_url_rule("/v3/purchases", "v3_purchase", self._v3_purchase, methods=["POST"])
        routes.add_url_rule(
            "/v3/sequences/<int:sequence_id>/subscribe", "v3_subscribe", self._v3_subscribe, methods=["POST"]
        )
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 429:
            return Answer("Retry later\n", "text/plain", headers)
        message = _BY_STATUS.get(status, "Something went wrong on our end")
        return Answer(json.dumps({"errors": [message]}), "application/json", headers)

    def expire_access_token(self) -> None:
        """All access tokens issued so far stop working; their refresh tokens still do."""
        self._tokens.expire()

    def revoke_refresh_token(self) -> None:
        """All refresh tokens issued so far stop working, as when the owner removes the app."""
        self._tokens.revoke()

    @property
    def access_token(self) -> str:
        return self._tokens.access

    @property
    def refresh_token(self) -> str:
        return self._tokens.refresh

    def tokens(self) -> Json:
        return {"access_token": self.access_token, "refresh_token": self.refresh_token}

    def _token(self) -> View:
        sent = request.get_json(silent=True) or request.form.to_dict()
        if sent.get("grant_type") != "refresh_token":
            return jsonify(
                error="unsupported_grant_type",
                error_description="The authorization grant type is not supported by the authorization server.",
            ), 400
        if not sent.get("client_id"):
            return jsonify(
                error="invalid_client",
                error_description="Client authentication failed due to unknown "
                "client, no client authentication included, or unsupported authentication method.",
            ), 401
        if not self._tokens.rotate(str(sent.get("refresh_token", "")), self.expires_in):
            return jsonify(
                error="invalid_grant",
                error_description="The provided authorization grant is invalid, "
                "expired, revoked, does not match the redirection URI used in the authorization request, "
                "or was issued to another client.",
            ), 400
        return jsonify(
            **self.tokens(),
            token_type="Bearer",
            expires_in=self.expires_in,
            scope="public",
            created_at=self.world.timestamp(),
        )

    def _guarded(self, view: Any, oauth_only: bool) -> Any:
        def run(**route: Any) -> View:
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if bearer and not self._tokens.accepts(bearer):
                return _errors(401, "The access token is invalid")
            if not bearer and (oauth_only or not request.headers.get("X-Kit-Api-Key")):
                return _errors(401, "This endpoint requires OAuth" if oauth_only else "The API key is invalid")
            if request.method == "POST" and not isinstance(request.get_json(silent=True), dict):
                return _errors(400, "The request body is not valid JSON")
            return view(**route)

        return run

    # v4

    def _account(self) -> View:
        return jsonify(
            user={"email": "owner@example.com"},
            account={
                "id": 5,
                "name": "Pushcart sandbox",
                "plan_type": "creator",
                "primary_email_address": "owner@example.com",
                "created_at": "2023-02-17T11:43:55Z",
            },
        )

    def _purchase(self) -> View:
        sent = request.get_json()
        sent = sent.get("purchase", sent)
        problems = purchase_problems(sent)
        if problems:
            return _errors(422, *problems)
        stored = self.purchases.get(sent["transaction_id"])
        if stored is not None:
            return jsonify(purchase=stored), 200
        return jsonify(purchase=self._keep_purchase(sent)), 201

    def _keep_purchase(self, sent: Json) -> Json:
        subscriber = self._upsert(sent["email_address"], sent.get("first_name"), {})
        money = {k: sent.get(k, 0) for k in ("subtotal", "discount", "tax", "shipping", "total")}
        self.purchases[sent["transaction_id"]] = {
            "id": self.world.ids.serial(),
            "transaction_id": sent["transaction_id"],
            "subscriber_id": subscriber["id"],
            "status": sent.get("status"),
            "email_address": sent["email_address"],
            "currency": str(sent.get("currency", "USD")).upper(),
            "transaction_time": sent.get("transaction_time") or self.world.iso(),
            **money,
            "products": sent["products"],
        }
        return self.purchases[sent["transaction_id"]]

    def _purchases(self) -> View:
        return jsonify(purchases=list(self.purchases.values()), pagination=_one_page(len(self.purchases)))

    def _upsert(self, address: str, first_name: str | None, fields: Json) -> Json:
        known = self.subscribers.get(address.lower())
        if known is None:
            known = self.subscribers[address.lower()] = {
                "id": self.world.ids.serial(),
                "first_name": None,
                "email_address": address,
                "state": "active",
                "created_at": self.world.iso(),
                "fields": {},
            }
        known["first_name"] = first_name or known["first_name"]
        known["fields"].update({k: v for k, v in fields.items() if k in self.custom_fields})
        return {**known, "fields": {**dict.fromkeys(self.custom_fields), **known["fields"]}}

    def _subscriber(self) -> View:
        sent = request.get_json()
        if not ADDRESS.fullmatch(str(sent.get("email_address", ""))):
            return _errors(422, "Email address is invalid")
        fields = sent.get("fields") or {}
        new = sent["email_address"].lower() not in self.subscribers
        body: Json = {"subscriber": self._upsert(sent["email_address"], sent.get("first_name"), fields)}
        # Kit ignores fields that the account does not have, and only says so.
        unknown = [key for key in fields if key not in self.custom_fields]
        if unknown:
            body["warnings"] = [f"Custom field '{key}' does not exist and was ignored" for key in unknown]
        return jsonify(body), 201 if new else 200

    def _find_subscribers(self) -> View:
        wanted = request.args.get("email_address", "").lower()
        found = [s for address, s in self.subscribers.items() if wanted in ("", address)]
        return jsonify(subscribers=found, pagination=_one_page(len(found)))

    def add_custom_field(self, label: str) -> Json:
        """A custom field as the owner would make it; its key is the label in snake case."""
        key = re.sub(r"\W+", "_", label.lower()).strip("_")
        self.custom_fields[key] = label
        return {"id": self.world.ids.serial(), "name": f"ck_field_{key}", "key": key, "label": label}

    def _fields(self) -> View:
        found = [
            {"id": n, "name": f"ck_field_{n}_{k}", "key": k, "label": label}
            for n, (k, label) in enumerate(self.custom_fields.items(), 1)
        ]
        return jsonify(custom_fields=found, pagination=_one_page(len(found)))

    def _field(self) -> View:
        label = str(request.get_json().get("label") or "")
        if not label:
            return _errors(422, "Label can't be blank")
        if label in self.custom_fields.values():
            return _errors(422, "Label has already been taken")
        return jsonify(custom_field=self.add_custom_field(label)), 201

    def _sequences(self) -> View:
        found = [
            {"id": i, "name": name, "hold": False, "repeat": False, "created_at": self.world.iso()}
            for i, name in (self.sequences or {}).items()
        ]
        return jsonify(sequences=found, pagination=_one_page(len(found)))

    def _enrol(self, sequence_id: int) -> View:
        address = str(request.get_json().get("email_address", "")).lower()
        known = self.subscribers.get(address)
        if known is None or (self.sequences is not None and sequence_id not in self.sequences):
            return _errors(404, "Not Found")
        new = self._add_member(sequence_id, address)
        return jsonify(subscriber={**known, "added_at": self.world.iso()}), 201 if new else 200

    def _add_member(self, sequence_id: int, address: str) -> bool:
        members = self.sequence_members.setdefault(sequence_id, [])
        new = address not in members
        if new:
            members.append(address)
        return new

    # v3

    def _v3_account(self) -> View:
        if not request.args.get("api_secret"):
            return jsonify(_V3_DENIED), 401
        return jsonify(name="Pushcart sandbox", primary_email_address="owner@example.com")

    def _v3_purchase(self) -> View:
        sent = request.get_json(silent=True) or {}
        if not sent.get("api_secret"):
            return jsonify(_V3_DENIED), 401
        purchase = sent.get("purchase") or {}
        problems = [p.replace("Transaction", "transaction_id") for p in purchase_problems(purchase)]
        if problems:
            return jsonify(error="Your request is missing parameters", message=", ".join(problems)), 400
        stored = self.purchases.get(purchase["transaction_id"]) or self._keep_purchase(purchase)
        return jsonify({k: v for k, v in stored.items() if k != "subscriber_id"}), 201

    def _v3_subscribe(self, sequence_id: int) -> View:
        sent = request.get_json(silent=True) or {}
        if not (sent.get("api_key") or sent.get("api_secret")):
            return jsonify(_V3_DENIED), 401
        if not ADDRESS.fullmatch(str(sent.get("email", ""))):
            return jsonify(error="Missing parameter", message="Email address is invalid"), 400
        subscriber = self._upsert(sent["email"], sent.get("first_name"), sent.get("fields") or {})
        self._add_member(sequence_id, sent["email"].lower())
        return jsonify(
            subscription={
                "id": self.world.ids.serial(),
                "state": "active",
                "created_at": self.world.iso(),
                "source": None,
                "referrer": None,
                "subscribable_id": sequence_id,
                "subscribable_type": "course",
                "subscriber": {"id": subscriber["id"]},
            }
        )


def _errors(status: int, *messages: str) -> View:
    return jsonify(errors=list(messages)), status


def _one_page(count: int) -> Json:
    return {
        "has_previous_page": False,
        "has_next_page": False,
        "start_cursor": None,
        "end_cursor": None,
        "per_page": max(count, 500),
    }
