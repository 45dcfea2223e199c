"""What happens after a sale: refunds, refunds that fail, disputes, and events of other products.

And after no sale: an expired session that its buyer takes up again."""

from __future__ import annotations

import copy
from typing import Any

from local.sandbox.stripe import payment_objects as shape
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.checkout import Checkout
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.state import action

DISPUTE_REASONS = (
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)
# What a recovered session has of the expired one; its discount is not among it.
_RECOVERED = (
    "automatic_tax",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "locale",
    "metadata",
    "phone_number_collection",
    "shipping_address_collection",
    "shipping_options",
    "success_url",
)


class AfterSale(Checkout):
    """Every action returns an `Outcome(object, events)`."""

    def recover(self, session: str | Object) -> Object:
        """A new open session like the expired one. Raises StripeError when that one cannot be recovered (any more)."""
        with self.lock:
            left = self.find_session(session, status="expired")
            recovery = (left["after_expiration"] or {}).get("recovery") or {}
            if not recovery.get("url") or recovery["expires_at"] <= self.world.timestamp():
                raise StripeError(400, "This Session cannot be recovered.")
            taken = {name: copy.deepcopy(left[name]) for name in _RECOVERED}
            lines = [line | {"amount_discount": 0} for line in self.copy_lines(self.lines[left["id"]])]
            fresh = self.make_session(
                lines,
                recovered_from=left["id"],
                **taken,
                allow_promotion_codes=recovery["allow_promotion_codes"],
            )
            self.intent_data[fresh["id"]] = self._intent_data(left)
            return copy.deepcopy(fresh)

    @action
    def refund(
        self,
        payment: str | Object,
        amount: int | None = None,
        *,
        reason: str | None = None,
        metadata: dict[str, str] | None = None,
        updated: bool = False,
    ) -> Object:
        """Refunds a session, payment intent or charge: `amount` minor units, or all that is left.

        Returns the refund. `updated` adds the `refund.updated` event that tells the bank's reference.
        """
        charge = self.charge_of(payment)
        left = charge["amount"] - charge["amount_refunded"]
        if charge["status"] != "succeeded":
            raise StripeError(400, f"Charge {charge['id']} has not succeeded.", param="charge")
        if charge["disputed"]:
            raise StripeError(
                400, f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
        if left == 0:
            raise StripeError(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        if amount is not None and amount > left:
            raise StripeError(
                400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
            )
        before = {key: charge[key] for key in ("amount_refunded", "refunded", "receipt_url")}
        refund = self.keep(
            shape.refund(
                self.world.ids.stripe("re_"),
                self.world.timestamp(),
                charge,
                left if amount is None else amount,
                reason=reason,
                metadata=dict(metadata or {}),
                balance_transaction=self.world.ids.stripe("txn_"),
            )
        )
        charge["amount_refunded"] += refund["amount"]
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        changed = {k: v for k, v in before.items() if charge[k] != v}
        self.emit("charge.refunded", charge, changed)
        self.emit("refund.created", refund)
        if updated:
            self._reference(refund)
        return refund

    def _reference(self, refund: Object) -> None:
        kind = refund["destination_details"]["type"]
        details = refund["destination_details"][kind]
        before = {"destination_details": {kind: {"reference_status": details.get("reference_status")}}}
        details |= {"reference": self.world.ids.token(23, "0123456789"), "reference_status": "available"}
        self.emit("refund.updated", refund, before)

    @action
    def refund_fails(self, refund: str | Object) -> Object:
        """The bank sends a refund back: it failed, and the charge counts as not refunded by its amount."""
        failed = self.find("refund", refund)
        if failed["status"] != "succeeded":
            raise StripeError(400, f"This refund is {failed['status']}: it cannot fail any more.")
        failed |= {
            "status": "failed",
            "failure_reason": "lost_or_stolen_card",
            "failure_balance_transaction": self.world.ids.stripe("txn_"),
        }
        charge = self.find("charge", failed["charge"])
        charge["amount_refunded"] -= failed["amount"]
        charge["refunded"] = False
        self.emit("charge.refund.updated", failed, {"status": "succeeded"})
        self.emit("refund.failed", failed)
        return failed

    @action
    def dispute(self, payment: str | Object, reason: str = "fraudulent") -> Object:
        """The buyer's bank takes the money back, for one of DISPUTE_REASONS. Returns the dispute."""
        if reason not in DISPUTE_REASONS:
            raise ValueError(f"unknown dispute reason {reason!r}: one of {', '.join(DISPUTE_REASONS)}")
        charge = self.charge_of(payment)
        if charge["disputed"]:
            raise StripeError(400, f"Charge {charge['id']} is disputed already.")
        charge["disputed"] = True
        dispute = self.keep(shape.dispute(self.world.ids.stripe("dp_"), self.world.timestamp(), charge, reason))
        charge["dispute"] = dispute["id"]
        self.emit("charge.dispute.created", dispute)
        self.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    @action
    def close_dispute(self, dispute: str | Object, won: bool = True) -> Object:
        """The bank's decision. The charge stays `disputed` either way, as at Stripe."""
        closed = self.find("dispute", dispute)
        if closed["status"] in ("won", "lost"):
            raise StripeError(400, f"This dispute is already closed: {closed['status']}.")
        closed["status"] = "won" if won else "lost"
        self.emit("charge.dispute.closed", closed, {"status": "needs_response"})
        if won:
            self.emit("charge.dispute.funds_reinstated", closed)
        return closed

    @action
    def foreign_event(self, type: str, object: dict[str, Any] | None = None, *, livemode: bool = False) -> Object:
        """An event that is none of the shop's: another product of the same account, such as `invoice.paid`.

        It is delivered although the shop did not ask for it. Returns the event's object.
        """
        kind = type.rsplit(".", 1)[0]
        prefix = {"customer": "cus_", "invoice": "in_"}.get(kind, "prod_")
        obj = object or {
            "id": self.world.ids.stripe(prefix),
            "object": kind,
            "livemode": livemode,
            "created": self.world.timestamp(),
            "metadata": {},
        }
        self.emit(type, obj, livemode=livemode, force=True)
        return obj
