"""The hosted pay page: what a buyer sees behind a payment link or a session's `url`."""

from __future__ import annotations

import copy

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.checkout import DEFAULT_BUYER, Checkout
from local.sandbox.stripe.errors import StripeError

COUNTRIES = (
    ("PL", "Poland"),
    ("DE", "Germany"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("JP", "Japan"),
    ("KW", "Kuwait"),
    ("US", "United States"),
    ("AU", "Australia"),
)
LOCALES = (
    ("auto", "As the browser says"),
    ("en", "English"),
    ("pl", "Polski"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("ja", "日本語"),
)
_STREET = {"line1": "ul. Prosta 51", "city": "Warszawa", "postal_code": "00-838"}
_FIELDS = ("email", "name", "country", "locale", "line1", "city", "postal_code")
Page = str | tuple[str, int] | BaseResponse


class PayPage:
    """Visiting a link opens a session and leads to its page, where the buyer pays or leaves."""

    def __init__(self, shop: Checkout) -> None:
        self.shop = shop

    def register(self, blueprint: Blueprint) -> None:
        blueprint.add_url_rule("/pay/<link_id>", "visit", self._visit)
        blueprint.add_url_rule("/c/pay/<session_id>", "pay", self._page, methods=["GET", "POST"])
        blueprint.add_url_rule("/receipts/<charge_id>", "receipt", self._receipt)

    def _visit(self, link_id: str) -> Page:
        """Takes the query parameters a real payment link takes."""
        try:
            session = self.shop.open_session(
                link_id,
                client_reference_id=request.args.get("client_reference_id"),
                customer_email=request.args.get("prefilled_email"),
                locale=request.args.get("locale"),
            )
        except StripeError as error:
            return self._message("This link does not work", str(error)), 404
        return redirect(f"/stripe/c/pay/{session['id']}", 303)

    def _page(self, session_id: str) -> Page:
        with self.shop.lock:
            self.shop.expire_due()
            try:
                session = self.shop.find_session(session_id)
            except StripeError as error:
                return self._message("There is nothing to pay here", str(error)), 404
            if session["status"] == "open":
                return self._act(session) if request.method == "POST" else self._form(session)
            if session["status"] == "expired":
                return self._message("This page has expired", "Go back to the shop and start again."), 410
            return render_template("paid.html", session=copy.deepcopy(session), lines=self.shop.lines[session_id])

    def _act(self, session: Object) -> Page:
        buyer = {name: request.form.get(name, "").strip() for name in _FIELDS}
        wish = request.form.get("do")
        if wish == "cancel":
            if session["cancel_url"]:
                return redirect(session["cancel_url"], 303)
            return self._message(
                "You have not paid",
                "The payment was called off. The page stays open for a day.",
                back=f"/stripe/c/pay/{session['id']}",
            )
        if "@" not in buyer["email"] or not buyer["name"] or not buyer["country"]:
            return self._form(session, buyer, "Please fill in your mail address, name and country."), 422
        if wish == "decline":
            self.shop.decline(session)
            return self._form(session, buyer, "Your card was declined. Please try another card."), 402
        street = {name: buyer[name] for name in _STREET}
        self.shop.buy(
            session=session,
            email=buyer["email"],
            name=buyer["name"],
            country=buyer["country"],
            locale=buyer["locale"] or None,
            delayed=wish == "later",
            shipping={"name": buyer["name"], "address": {"country": buyer["country"], **street}}
            if session["shipping_address_collection"]
            else False,
        )
        if session["success_url"]:
            return redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)
        return redirect(f"/stripe/c/pay/{session['id']}", 303)

    def _form(self, session: Object, buyer: dict[str, str] | None = None, problem: str = "") -> str:
        given = {
            **DEFAULT_BUYER,
            **_STREET,
            "locale": session["locale"] or "auto",
            **({"email": session["customer_email"]} if session["customer_email"] else {}),
            **(buyer or {}),
        }
        return render_template(
            "pay.html",
            session=copy.deepcopy(session),
            lines=self.shop.lines[session["id"]],
            buyer=given,
            countries=COUNTRIES,
            locales=LOCALES,
            problem=problem,
        )

    def _receipt(self, charge_id: str) -> Page:
        with self.shop.lock:
            try:
                charge = copy.deepcopy(self.shop.find("charge", charge_id))
            except StripeError as error:
                return self._message("No such receipt", str(error)), 404
        return render_template("receipt.html", charge=charge)

    @staticmethod
    def _message(title: str, text: str, back: str = "") -> str:
        return render_template("message.html", title=title, text=text, back=back)
