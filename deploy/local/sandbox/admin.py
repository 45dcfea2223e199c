"""The sandbox's own HTTP API under `/_sandbox`: whatever tests in another process or the owner ask of it."""

from __future__ import annotations

import dataclasses
import inspect
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.autopay_messages import AutopayError
from local.sandbox.faults import Fault
from local.sandbox.printful import PrintfulError
from local.sandbox.stripe import Outcome, StripeError

if TYPE_CHECKING:
    from local.sandbox.sandbox import Sandbox

_FAULT_FIELDS = {field.name for field in dataclasses.fields(Fault) if field.init} - {"id"}


class Admin:
    """Answers 400 with {"error": "..."} for what cannot be done."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def blueprint(self) -> Blueprint:
        routes = Blueprint("admin", __name__, url_prefix="/_sandbox")
        rules = (
            (("GET",), "/health", self.health),
            (("POST",), "/reset", self.reset),
            (("GET", "POST"), "/clock", self.clock),
            (("GET", "POST", "DELETE"), "/faults", self.faults),
            (("GET",), "/calls", self.calls),
            (("GET", "POST"), "/chaos", self.chaos),
            (("GET",), "/mails", self.mails),
            (("GET",), "/mails/<mail_id>", self.mail),
            (("GET",), "/messages", self.messages),
            (("GET",), "/stripe/events", self.events),
            (("GET",), "/stripe/deliveries", self.deliveries),
            (("GET",), "/autopay/transactions", self.transactions),
            (("GET",), "/autopay/deliveries", self.notices),
            (("GET",), "/printful/orders", self.prints),
            (("GET",), "/printful/events", self.print_events),
            (("GET",), "/printful/deliveries", self.print_deliveries),
            (("POST",), "/<provider>/<name>", self.act),
        )
        for methods, path, view in rules:
            routes.add_url_rule(path, view.__name__, view, methods=list(methods))
        for kind in (StripeError, ValueError, TypeError, KeyError):
            routes.register_error_handler(kind, self._refuse)
        return routes

    @staticmethod
    def _refuse(error: Exception) -> tuple[Response, int]:
        text = f"missing field {error}" if isinstance(error, KeyError) else str(error)
        return jsonify(error=text), error.status if isinstance(
            error, StripeError | AutopayError | PrintfulError
        ) else 400

    @staticmethod
    def _sent() -> dict[str, Any]:
        sent = request.get_json(silent=True) if request.get_data() else {}
        if not isinstance(sent, dict):
            raise ValueError("send a JSON object")
        return sent

    def health(self) -> Response:
        return jsonify(status="ok", url=self.sandbox.url, smtp_port=self.sandbox.smtp_port)

    def reset(self) -> Response:
        self.sandbox.reset()
        return jsonify(status="ok")

    def clock(self) -> Response:
        if request.method == "POST":
            self.sandbox.advance(int(self._sent()["advance_seconds"]))
        return jsonify(now=self.sandbox.now().isoformat(), ahead_seconds=self.sandbox.world.advanced())

    def faults(self) -> Response:
        faults = self.sandbox.world.faults
        if request.method == "POST":
            sent = self._sent()
            if sent.keys() - _FAULT_FIELDS:
                raise ValueError(f"unknown fields: {', '.join(sorted(sent.keys() - _FAULT_FIELDS))}")
            return jsonify(faults.add(sent.pop("provider"), sent.pop("kind"), **sent).as_json())
        if request.method == "DELETE":
            faults.clear(request.args.get("id", type=int))
        return jsonify(faults=[fault.as_json() for fault in faults.all()])

    def chaos(self) -> Response:
        return jsonify(
            self.sandbox.chaos(**self._sent()) if request.method == "POST" else self.sandbox.world.chaos.as_json()
        )

    def calls(self) -> Response:
        args = request.args
        found = self.sandbox.calls(args.get("provider"), args.get("method"), args.get("path"))
        return jsonify(calls=[call.as_json() for call in found])

    def mails(self) -> Response:
        return jsonify(mails=[mail.as_json() for mail in self.sandbox.mails(request.args.get("to"))])

    def mail(self, mail_id: str) -> Response | tuple[Response, int]:
        found = self.sandbox.world.records.mail(mail_id)
        return (jsonify(error=f"no mail {mail_id}"), 404) if found is None else jsonify(found.as_json())

    def messages(self) -> Response:
        return jsonify(messages=[m.as_json() for m in self.sandbox.messages(request.args.get("via"))])

    def events(self) -> Response:
        found = self.sandbox.stripe.events(request.args.get("type"), request.args.get("about"))
        return jsonify(events=found)

    def deliveries(self) -> Response:
        return jsonify(deliveries=[d.as_json() for d in list(self.sandbox.stripe.deliveries)])

    def transactions(self) -> Response:
        found = self.sandbox.autopay.transactions(request.args.get("order"))
        return jsonify(transactions=[t.as_json() for t in found])

    def notices(self) -> Response:
        return jsonify(deliveries=[d.as_json() for d in list(self.sandbox.autopay.deliveries)])

    def prints(self) -> Response:
        return jsonify(orders=self.sandbox.printful.orders(request.args.get("status")))

    def print_events(self) -> Response:
        found = self.sandbox.printful.events(request.args.get("type"), request.args.get("about", type=int))
        return jsonify(events=[event.as_json() for event in found])

    def print_deliveries(self) -> Response:
        return jsonify(deliveries=[d.as_json() for d in list(self.sandbox.printful.deliveries)])

    def act(self, provider: str, name: str) -> Response | tuple[Response, int]:
        """Calls an action of a provider with the JSON object as its keyword arguments."""
        stand_in = self.sandbox.providers.get(provider)
        if stand_in is None or name not in stand_in.actions:
            known = [f"{p}/{a}" for p, s in self.sandbox.providers.items() for a in s.actions]
            return jsonify(error=f"no action {provider}/{name}; there are: {', '.join(known)}"), 404
        method, sent = getattr(stand_in, name), self._sent()
        positional = [
            p.name
            for p in inspect.signature(method).parameters.values()
            if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and p.default is inspect.Parameter.empty
        ]
        unset = [p for p in positional if p not in sent]
        if unset:
            raise ValueError(f"{provider}/{name} needs {', '.join(unset)}")
        with stand_in.lock if name != "deliver" else nullcontext():
            # A delivery waits for the shop, which may ask the stand-in meanwhile.
            result = method(**sent)
        if isinstance(result, Outcome):
            return jsonify(object=result.object, events=result.events)
        return jsonify(object=result, events=[])
