"""The pages for people: what can be bought, what was received, what should go wrong, and what time it is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from local.sandbox.autopay_messages import AutopayError
from local.sandbox.faults import HTTP_KINDS, PROVIDERS
from local.sandbox.money import money
from local.sandbox.printful import PrintfulError
from local.sandbox.printful_page import can_happen, let_happen
from local.sandbox.stripe import StripeError

if TYPE_CHECKING:
    from local.sandbox.sandbox import Sandbox

JUMPS = ((3600, "+1 hour"), (86400, "+1 day"), (3 * 86400, "+3 days"), (7 * 86400, "+1 week"))
# A mail may look like anything but must not run anything; its links open in a tab of their own.
_MAIL_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; font-src https: data:; "
    "base-uri 'none'; form-action 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_SHOWN = 30
_WAYS = ("twilio", "ntfy", "push")
_AGAIN = ("repeat", "Tell the shop again")
# What can still happen to a transaction at Autopay by its status, as (action, label).
_CAN_HAPPEN = {
    "PENDING": [("settle", "Money arrives"), ("fail", "Payment fails")],
    "SUCCESS": [_AGAIN, ("late_failure", "Late failure")],
    "FAILURE": [_AGAIN],
}
Page = str | tuple[str, int] | BaseResponse


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


class Pages:
    """Plain HTML that works without script."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def blueprint(self) -> Blueprint:
        routes = Blueprint("pages", __name__)
        routes.add_app_template_filter(money)
        routes.add_app_template_filter(lambda at: at.strftime("%Y-%m-%d %H:%M:%S"), "moment")
        routes.add_app_template_filter(self._stamp, "stamp")
        routes.add_app_template_filter(_pretty, "pretty")
        routes.add_app_template_filter(lambda share: f"{share * 100:g}", "percent")
        for path, view, methods in (
            ("/", self.overview, ["GET"]),
            ("/mails", self.mails, ["GET"]),
            ("/mails/<mail_id>", self.mail, ["GET"]),
            ("/mails/<mail_id>/html", self.mail_html, ["GET"]),
            ("/messages", self.messages, ["GET"]),
            ("/calls", self.calls, ["GET"]),
            ("/faults", self.faults, ["POST"]),
            ("/chaos", self.chaos, ["POST"]),
            ("/clock", self.clock, ["POST"]),
            ("/sales/<session_id>", self.sale, ["POST"]),
            ("/transactions/<remote_id>", self.transaction, ["POST"]),
            ("/prints/<number>", self.print_order, ["POST"]),
        ):
            routes.add_url_rule(path, view.__name__, view, methods=methods)
        return routes

    def _stamp(self, seconds: int) -> str:
        return type(self.sandbox.now()).fromtimestamp(seconds, self.sandbox.now().tzinfo).strftime("%Y-%m-%d %H:%M")

    def overview(self, problem: str = "", status: int = 200) -> Page:
        stripe, world = self.sandbox.stripe, self.sandbox.world
        with stripe.lock:
            stripe.expire_due()
            links = [
                {"link": link, "lines": stripe.lines[link["id"]]} for link in reversed(stripe.newest("payment_link"))
            ]
            sales = [
                {"session": s, "lines": stripe.lines[s["id"]], "can": self._can(s)}
                for s in stripe.newest("checkout.session")
                if s["status"] == "complete"
            ][:_SHOWN]
            carts = [
                {"session": s, "lines": stripe.lines[s["id"]]}
                for s in stripe.newest("checkout.session")
                if s["status"] == "open"
            ][:_SHOWN]
            deliveries = list(reversed(stripe.deliveries))[:_SHOWN]
            types = {e["id"]: e["type"] for e in stripe.newest("event")}
        calls = self.sandbox.calls()
        return render_template(
            "overview.html",
            links=links,
            sales=sales,
            carts=carts,
            transactions=[
                {"transaction": t, "can": _CAN_HAPPEN[t.status]}
                for t in reversed(self.sandbox.autopay.transactions()[-_SHOWN:])
            ],
            notices=list(reversed(self.sandbox.autopay.deliveries))[:_SHOWN],
            prints=[{"order": order, "can": can_happen(order)} for order in self.sandbox.printful.orders(limit=_SHOWN)],
            print_deliveries=list(reversed(self.sandbox.printful.deliveries))[:_SHOWN],
            deliveries=deliveries,
            types=types,
            problem=problem,
            counts={name: sum(c.provider == name for c in calls) for name in PROVIDERS},
            mails=list(reversed(self.sandbox.mails()))[:5],
            messages=list(reversed(self.sandbox.messages()))[:5],
            chaos=world.chaos.as_json(),
            held=sum(sender.held for sender in self.sandbox.senders),
            faults=world.faults.all(),
            kinds=HTTP_KINDS,
            providers=PROVIDERS,
            jumps=JUMPS,
            now=self.sandbox.now(),
            ahead=world.advanced(),
        ), status

    def _can(self, session: dict[str, Any]) -> list[tuple[str, str]]:
        """What can still happen to a sale, as (action, label)."""
        if session["payment_status"] == "unpaid":
            intent = self.sandbox.stripe.find("payment_intent", session["payment_intent"])
            return [("settle", "Money arrives"), ("fail", "Payment fails")] if intent["status"] == "processing" else []
        if not session["payment_intent"]:
            return []
        charge = self.sandbox.stripe.charge_of(session)
        if charge["disputed"]:
            dispute = self.sandbox.stripe.find("dispute", charge["dispute"])
            return [] if dispute["status"] in ("won", "lost") else [("won", "Win dispute"), ("lost", "Lose dispute")]
        return [] if charge["refunded"] else [("refund", "Refund"), ("dispute", "Dispute")]

    def sale(self, session_id: str) -> Page:
        stripe, wish = self.sandbox.stripe, request.form.get("do", "")
        try:
            if wish in ("settle", "fail"):
                stripe.settle(session_id, success=wish == "settle")
            elif wish in ("won", "lost"):
                stripe.close_dispute(stripe.charge_of(session_id)["dispute"] or "", won=wish == "won")
            elif wish == "refund":
                stripe.refund(session_id)
            elif wish == "dispute":
                stripe.dispute(session_id)
            elif wish == "expire":
                stripe.expire(session_id)
                return redirect("/#carts", 303)
            else:
                return self.overview(f"There is no action {wish!r}.", 400)
        except StripeError as error:
            return self.overview(str(error), 409)
        return redirect("/#sales", 303)

    def transaction(self, remote_id: str) -> Page:
        """What happens next to a payment at Autopay."""
        autopay, wish = self.sandbox.autopay, request.form.get("do", "")
        try:
            with autopay.lock:
                if wish in ("settle", "fail"):
                    autopay.settle(remote_id, success=wish == "settle")
                elif wish == "repeat":
                    autopay.repeat(remote_id)
                elif wish == "late_failure":
                    autopay.late_failure(remote_id)
                else:
                    return self.overview(f"There is no action {wish!r}.", 400)
        except AutopayError as error:
            return self.overview(str(error), 409)
        return redirect("/#transactions", 303)

    def print_order(self, number: str) -> Page:
        """What happens next to an order at Printful."""
        try:
            let_happen(self.sandbox.printful, number, request.form.get("do", ""))
        except PrintfulError as error:
            return self.overview(str(error), 409)
        except ValueError as error:
            return self.overview(str(error), 400)
        return redirect("/#prints", 303)

    def messages(self) -> Page:
        via = request.args.get("via") or None
        found = list(reversed(self.sandbox.messages(via)))
        return render_template("messages.html", messages=found[:200], via=via, ways=_WAYS)

    def chaos(self) -> Page:
        """Which share of the webhooks gets lost, comes twice or comes late, in percent."""
        try:
            if request.form.get("do") == "stop":
                self.sandbox.chaos()
            else:
                shares = {name: float(request.form.get(name) or 0) / 100 for name in ("lost", "doubled", "late")}
                self.sandbox.chaos(**shares)
        except ValueError as error:
            return self.overview(str(error), 400)
        return redirect("/#chaos", 303)

    def mails(self) -> Page:
        to = request.args.get("to", "").strip()
        return render_template("mails.html", mails=list(reversed(self.sandbox.mails(to or None))), to=to)

    def mail(self, mail_id: str) -> Page:
        found = self.sandbox.world.records.mail(mail_id)
        if found is None:
            return self._missing("This mail is not here", "It may be gone since the sandbox was started again.")
        shown = request.args.get("show") or ("html" if found.html else "text")
        return render_template("mail.html", mail=found, shown=shown)

    def mail_html(self, mail_id: str) -> Page:
        found = self.sandbox.world.records.mail(mail_id)
        if found is None:
            return self._missing("This mail is not here", "")
        head = '<base target="_blank">'
        body, placed = re.subn(r"(?i)<head[^>]*>", lambda m: m[0] + head, found.html, count=1)
        return Response(
            body if placed else head + body,
            content_type="text/html; charset=utf-8",
            headers={
                "Content-Security-Policy": _MAIL_POLICY,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def calls(self) -> Page:
        provider = request.args.get("provider") or None
        found = list(reversed(self.sandbox.calls(provider)))
        return render_template(
            "calls.html", calls=found[:200], total=len(found), provider=provider, providers=PROVIDERS
        )

    def faults(self) -> Page:
        faults = self.sandbox.world.faults
        if request.form.get("do") == "clear":
            faults.clear()
            return redirect("/#faults", 303)
        try:
            sent = {k: v.strip() for k, v in request.form.items() if v.strip() and k != "do"}
            rule: dict[str, Any] = {k: int(sent[k]) for k in ("status", "retry_after") if k in sent}
            rule |= {"delay": float(sent["delay"])} if "delay" in sent else {}
            rule |= {"path": sent["path"]} if "path" in sent else {}
            rule["times"] = None if sent.get("times") == "always" else int(sent.get("times", "1"))
            faults.add(sent.get("provider", ""), sent.get("kind", ""), **rule)
        except ValueError as error:
            return self.overview(str(error), 400)
        return redirect("/#faults", 303)

    def clock(self) -> Page:
        try:
            self.sandbox.advance(int(request.form.get("advance_seconds", "")))
        except ValueError as error:
            return self.overview(str(error), 400)
        return redirect("/#time", 303)

    @staticmethod
    def _missing(title: str, text: str) -> Page:
        return render_template("message.html", title=title, text=text, back="/mails"), 404
