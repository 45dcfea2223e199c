"""The hosted pay page: what a buyer sees behind a payment link or a session's `url`."""

from __future__ import annotations

import copy

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from local.sandbox.stripe.after_sale import AfterSale
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.checkout import DEFAULT_BUYER
from local.sandbox.stripe.countries import USUAL, named
from local.sandbox.stripe.errors import StripeError

LOCALES = (
    ("auto", "As the browser says"),
    ("en", "English"),
    ("pl", "Polski"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("ja", "日本語"),
)
_STREET = {"line1": "ul. Prosta 51", "city": "Warszawa", "postal_code": "00-838"}
_FIELDS = ("email", "name", "country", "locale", "line1", "city", "postal_code", "rate")
Page = str | tuple[str, int] | BaseResponse


class PayPage:
    """Visiting a link opens a session and leads to its page, where the buyer pays or leaves.

    Leaving without a word, as by closing the window, does nothing: the session stays open until it expires."""

    def __init__(self, shop: AfterSale) -> None:
        self.shop = shop

    def register(self, blueprint: Blueprint) -> None:
        blueprint.add_url_rule("/pay/<link_id>", "visit", self._visit)
        blueprint.add_url_rule("/c/pay/<session_id>", "pay", self._page, methods=["GET", "POST"])
        blueprint.add_url_rule("/c/recover/<session_id>", "recover", self._recover)
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

    def _recover(self, session_id: str) -> Page:
        """Where the link to an abandoned cart leads."""
        try:
            session = self.shop.recover(session_id)
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
            # A shop with a page of its own sent the buyer there: who comes here then comes again.
            again = request.method == "POST" or session["success_url"] is not None
            return render_template(
                "paid.html", session=copy.deepcopy(session), lines=self.shop.lines[session_id], again=again
            )

    def _act(self, session: Object) -> Page:
        buyer = {name: request.form.get(name, "").strip() for name in _FIELDS}
        buyer["email"] = self.shop.fixed_email(session) or buyer["email"]
        wish = request.form.get("do")
        if wish == "cancel":
            if session["cancel_url"]:
                return redirect(session["cancel_url"], 303)
            return self._message(
                "You have not paid",
                "The payment was called off. The page stays open until it expires.",
                back=f"/stripe/c/pay/{session['id']}",
            )
        if wish == "apply":
            return self._apply(session, request.form.get("code", "").strip())
        if "@" not in buyer["email"] or not buyer["name"] or not buyer["country"]:
            return self._form(session, buyer, "Please fill in your mail address, name and country."), 422
        if session["shipping_address_collection"] and buyer["country"] not in self.shop.countries_of(session):
            return self._form(session, buyer, "The shop does not send parcels to this country."), 422
        if wish == "decline":
            self.shop.decline(session)
            return self._form(session, buyer, "Your card was declined. Please try another card."), 402
        if wish == "later" and not self.shop.takes_transfers(session):
            return self._form(session, buyer, "The shop takes no bank transfers here. Please pay another way."), 422
        street = {name: buyer[name] for name in _STREET}
        try:
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
                shipping_rate=buyer["rate"],
            )
        except StripeError as error:
            return self._form(session, {**buyer, "rate": ""}, str(error)), 409
        if session["success_url"]:
            return redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)
        return redirect(f"/stripe/c/pay/{session['id']}", 303)

    def _apply(self, session: Object, code: str) -> Page:
        """A promotion code is a coupon's id here, where the session lets buyers type one in."""
        try:
            if not session["allow_promotion_codes"]:
                raise StripeError(400, "This page takes no promotion codes.")
            self.shop.apply_coupon(session, code, "promotion_code")
        except StripeError:
            return self._form(session, problem="This code is invalid."), 422
        self.shop.add_up(session, self.shop.lines[session["id"]], self.shop.option_of(session), with_tax=False)
        return redirect(f"/stripe/c/pay/{session['id']}", 303)

    def _form(self, session: Object, buyer: dict[str, str] | None = None, problem: str = "") -> str:
        ships = session["shipping_address_collection"] is not None
        countries = self.shop.countries_of(session) if ships else USUAL
        given = {
            **DEFAULT_BUYER,
            **_STREET,
            "country": countries[0],
            "locale": session["locale"] or "auto",
            **({"email": session["customer_email"]} if session["customer_email"] else {}),
            **(buyer or {}),
        }
        return render_template(
            "pay.html",
            session=copy.deepcopy(session),
            lines=self.shop.lines[session["id"]],
            ways=self._ways(session, given.get("rate", "")),
            buyer=given,
            email_is_fixed=self.shop.fixed_email(session) is not None,
            transfers=self.shop.takes_transfers(session),
            countries=named(countries),
            locales=LOCALES,
            problem=problem,
        )

    def _ways(self, session: Object, picked: str) -> list[Object]:
        """What the session comes to with each shipping option, tax and all; one entry when nothing is sent."""
        ways = []
        chosen = self.shop.option_of(session, picked)
        for option in session["shipping_options"] or [None]:
            lines, preview = copy.deepcopy(self.shop.lines[session["id"]]), copy.deepcopy(session)
            self.shop.add_up(preview, lines, option, with_tax=True)
            exclusive = preview["amount_total"] - self._before_tax(preview)
            rate = self.shop.find("shipping_rate", option["shipping_rate"]) if option else {"display_name": ""}
            ways.append(
                {
                    "name": rate["display_name"],
                    "shipping": option["shipping_amount"] if option else None,
                    "total": preview["amount_total"],
                    "tax": preview["total_details"]["amount_tax"],
                    "tax_is_on_top": exclusive > 0,
                    "chosen": option is chosen,
                }
            )
        return ways

    @staticmethod
    def _before_tax(session: Object) -> int:
        total = session["total_details"]
        return int(session["amount_subtotal"] - total["amount_discount"] + total["amount_shipping"])

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
