"""Checkout sessions and what a buyer does with one: pay, pay later, be declined, let it expire."""

from __future__ import annotations

import copy
from typing import Any

from local.sandbox.stripe import payment_objects as shape
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.state import Outcome, action
from local.sandbox.stripe.totals import Totals, spread

DEFAULT_BUYER = {"email": "jenny.rosen@example.com", "name": "Jenny Rosen", "country": "PL"}
_STREET = {"line1": "ul. Prosta 51", "city": "Warszawa", "postal_code": "00-838"}
#: How long an expired session can be taken up again: 30 days (docs.stripe.com/payments/checkout/abandoned-carts).
_RECOVERABLE = 30 * 86400


class Checkout(Totals):
    """The buyer's side. Every action returns an `Outcome(object, events)`."""

    def open_session(self, payment_link: str | Object, **fields: Any) -> Object:
        """An open session, as a visit to a payment link makes one. `fields` are session fields that a link
        takes from its query: client_reference_id, customer_email, locale. Raises StripeError for an unknown
        or inactive link."""
        with self.lock:
            link = self.find("payment_link", payment_link)
            if not link["active"]:
                raise StripeError(400, "This payment link is not active.", param="payment_link")
            redirect = link["after_completion"].get("redirect") or {}
            taken = {
                key: copy.deepcopy(link[key])
                for key in (
                    "allow_promotion_codes",
                    "billing_address_collection",
                    "customer_creation",
                    "metadata",
                    "phone_number_collection",
                    "shipping_address_collection",
                    "shipping_options",
                    "submit_type",
                )
            }
            return copy.deepcopy(
                self.make_session(
                    self.copy_lines(self.lines[link["id"]]),
                    **{
                        **taken,
                        "payment_link": link["id"],
                        "locale": "auto",
                        "success_url": redirect.get("url"),
                        **{k: v for k, v in fields.items() if v is not None},
                    },
                )
            )

    def make_session(self, lines: list[Object], **fields: Any) -> Object:
        session_id = self.world.ids.stripe("cs_test_")
        session = self.keep(
            shape.session(
                session_id,
                self.world.timestamp(),
                lines[0]["currency"],
                sum(line["amount_subtotal"] for line in lines),
                url=f"{self.world.url}/stripe/c/pay/{session_id}",
                **fields,
            )
        )
        self.lines[session_id] = lines
        self.add_up(session, lines, self.option_of(session), with_tax=False)
        return session

    def forget(self, session: Object) -> None:
        """Takes back a session that came to nothing."""
        self.drop(session)
        del self.lines[session["id"]]

    @action
    def buy(
        self,
        payment_link: str | Object | None = None,
        *,
        session: str | Object | None = None,
        email: str | None = None,
        name: str = DEFAULT_BUYER["name"],
        locale: str | None = None,
        country: str | None = None,
        shipping: bool | Object | None = None,
        shipping_rate: str | int | None = None,
        phone: str | None = None,
        delayed: bool = False,
        amount_off: int = 0,
        free: bool = False,
        client_reference_id: str | None = None,
    ) -> Object:
        """Completes a session: the given one, or a new one of the payment link. Returns the session.

        `email` counts unless the session fixes it. `shipping` is {name, address}, or True for a plausible one (the
        default when the session asks for an address); `shipping_rate` is one of its options by place, rate id or
        name, the first by default. `delayed` leaves the payment processing until `settle`. `amount_off` is a
        discount in minor units, `free` one of all of it: nothing is charged then, and there is no payment intent.
        """
        if (payment_link is None) == (session is None):
            raise ValueError("buy needs either a payment_link or a session")
        if session is None:
            session = self.open_session(payment_link or "", client_reference_id=client_reference_id)
        bought = self.find_session(session, status="open")
        option = self.option_of(bought, shipping_rate)
        home = shape.address(country or self.countries_of(bought)[0], **_STREET)
        if shipping is None:
            shipping = bought["shipping_address_collection"] is not None
        sent_to = {"address": home, "name": name} if shipping is True else self._shipping(shipping)
        whole, sending = bought["amount_subtotal"], option["shipping_amount"] if option else 0
        discount = whole + sending if free else amount_off
        if not 0 <= discount <= whole + sending:
            raise ValueError(f"amount_off must be between 0 and {whole}")
        self.redeem(bought)
        self._take_off(bought, discount, option)
        email = self.fixed_email(bought) or email or bought["customer_email"] or DEFAULT_BUYER["email"]
        bought |= {
            "status": "complete",
            "url": None,
            "locale": locale or bought["locale"],
            "customer_details": shape.customer_details(email, name, home, phone),
            "collected_information": {"business_name": None, "individual_name": None, "shipping_details": sent_to},
        }
        if bought["amount_total"] == 0:
            bought["payment_status"] = "no_payment_required"
        else:
            self._pay(bought, sent_to, delayed)
        self.emit("checkout.session.completed", bought)
        return bought

    @staticmethod
    def _shipping(given: bool | Object) -> Object | None:
        if not given:
            return None
        assert isinstance(given, dict)
        return {"name": given["name"], "address": shape.address(**given["address"])}

    def _take_off(self, session: Object, discount: int, option: Object | None) -> None:
        lines = self.lines[session["id"]]
        if discount:
            goods = min(discount, session["amount_subtotal"])
            spread(lines, goods)
            session["discounts"] = [{"coupon": None, "promotion_code": None}]
            if option and discount > goods:
                option["shipping_amount"] -= discount - goods
        self.add_up(session, lines, option, with_tax=True)

    @staticmethod
    def fixed_email(session: Object) -> str | None:
        """The address the buyer cannot change: a payment link's is only filled in."""
        return None if session["payment_link"] else session["customer_email"]

    @staticmethod
    def countries_of(session: Object) -> list[str]:
        """The countries a parcel may go to, the likely one first; any at all leaves the default buyer's."""
        allowed = (session["shipping_address_collection"] or {}).get("allowed_countries")
        return sorted(allowed or [DEFAULT_BUYER["country"]], key=lambda code: code != DEFAULT_BUYER["country"])

    @staticmethod
    def takes_transfers(session: Object) -> bool:
        """Whether the buyer may pay by a bank transfer, whose money comes later."""
        allowed, excluded = session["allowed_payment_method_types"], session["excluded_payment_method_types"]
        return "sepa_debit" not in (excluded or ()) and (not allowed or "sepa_debit" in allowed)

    def _intent(self, session: Object, sent_to: Object | None) -> Object:
        """The session's payment intent; one that was declined before is used again."""
        if session["payment_intent"]:
            tried = self.find("payment_intent", session["payment_intent"])
            tried["amount"] = session["amount_total"]
            return tried
        ids = self.world.ids
        shipping = sent_to and {**sent_to, "carrier": None, "phone": None, "tracking_number": None}
        intent = self.keep(
            shape.payment_intent(
                ids.stripe("pi_"),
                ids.token(25),
                self.world.timestamp(),
                session["amount_total"],
                session["currency"],
                shipping=shipping,
                **self._intent_data(session),
            )
        )
        session["payment_intent"] = intent["id"]
        self.emit("payment_intent.created", intent)
        return intent

    def _intent_data(self, session: Object) -> Object:
        return copy.deepcopy(self.intent_data.get(session["id"], {}))

    def clear(self) -> None:
        super().clear()
        self.intent_data: dict[str, Object] = {}

    def _charge(self, session: Object, intent: Object, delayed: bool) -> Object:
        ids, amount = self.world.ids, intent["amount"]
        who = session["customer_details"] or {"address": None, "email": None, "name": None, "phone": None}
        country = who["address"] and who["address"]["country"]
        intent["payment_method"] = ids.stripe("pm_")
        method = shape.bank_details(country) if delayed else shape.card_details(amount, country)
        charge = self.keep(
            shape.charge(
                ids.stripe("py_" if delayed else "ch_"),
                self.world.timestamp(),
                intent,
                billing_details={**{k: who[k] for k in ("address", "email", "name", "phone")}, "tax_id": None},
                payment_method_details=method,
            )
        )
        intent["payment_method_types"] = session["payment_method_types"] = [method["type"]]
        intent["latest_charge"] = charge["id"]
        return charge

    def _pay(self, session: Object, sent_to: Object | None, delayed: bool) -> None:
        intent = self._intent(session, sent_to)
        charge = self._charge(session, intent, delayed)
        if delayed:
            intent["status"] = "processing"
            self.emit("payment_intent.processing", intent)
            self.emit("charge.pending", charge)
        else:
            self._succeed(session, intent, charge)

    def _succeed(self, session: Object, intent: Object, charge: Object) -> None:
        ids, amount = self.world.ids, intent["amount"]
        charge |= {
            "status": "succeeded",
            "paid": True,
            "captured": True,
            "amount_captured": amount,
            "balance_transaction": ids.stripe("txn_"),
            "outcome": shape.outcome(),
            "receipt_url": f"{self.world.url}/stripe/receipts/{charge['id']}",
        }
        intent |= {"status": "succeeded", "amount_received": amount, "last_payment_error": None}
        session["payment_status"] = "paid"
        self.emit("charge.succeeded", charge)
        self.emit("payment_intent.succeeded", intent)

    def _fail(self, intent: Object, charge: Object, code: str, message: str, kind: str) -> None:
        charge |= {
            "status": "failed",
            "failure_code": code,
            "failure_message": message,
            "outcome": shape.outcome(declined=True),
        }
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": {
                "charge": charge["id"],
                "code": code,
                "message": message,
                "type": kind,
                "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
            },
        }
        self.emit("charge.failed", charge)
        self.emit("payment_intent.payment_failed", intent)

    @action
    def settle(self, session: str | Object, success: bool = True) -> Object:
        """The end of a delayed payment: the money came, or it did not. Returns the session."""
        waiting = self.find_session(session, status="complete")
        intent = self.find("payment_intent", waiting["payment_intent"] or "")
        if intent["status"] != "processing":
            raise StripeError(400, f"This payment is {intent['status']}: only a processing one can be settled.")
        charge = self.find("charge", intent["latest_charge"])
        if success:
            self._succeed(waiting, intent, charge)
            self.emit("checkout.session.async_payment_succeeded", waiting)
        else:
            self._fail(
                intent,
                charge,
                "payment_intent_payment_attempt_failed",
                "The payment failed: the bank account has insufficient funds.",
                "invalid_request_error",
            )
            self.emit("checkout.session.async_payment_failed", waiting)
        return waiting

    @action
    def decline(self, session: str | Object) -> Object:
        """A card that is refused: the session stays open, and its payment intent keeps the error."""
        unpaid = self.find_session(session, status="open")
        intent = self._intent(unpaid, None)
        self._fail(
            intent,
            self._charge(unpaid, intent, delayed=False),
            "card_declined",
            "Your card was declined.",
            "card_error",
        )
        return unpaid

    @action
    def expire(self, session: str | Object) -> Object:
        """Ends an open session unpaid."""
        return self._expire(self.find_session(session, status="open"))

    def _expire(self, session: Object) -> Object:
        session |= {"status": "expired", "url": None}
        recovery = (session["after_expiration"] or {}).get("recovery")
        if recovery and recovery["enabled"]:
            recovery |= {
                "expires_at": self.world.timestamp() + _RECOVERABLE,
                "url": f"{self.world.url}/stripe/c/recover/{session['id']}",
            }
        self.emit("checkout.session.expired", session)
        return session

    @action
    def _expire_due(self, due: list[Object]) -> Object:
        for session in due:
            self._expire(session)
        return {}

    def expire_due(self) -> Outcome | None:
        """Expires every open session whose time has passed, as Stripe does by itself."""
        with self.lock:
            now = self.world.timestamp()
            due = [s for s in self.open_sessions()[::-1] if s["expires_at"] <= now]
            return self._expire_due(due) if due else None
