"""What a sale comes to: a discount spread over the lines, the way it is sent, and tax."""

from __future__ import annotations

from local.sandbox.stripe.catalogue import Catalogue
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError

#: The one tax rate there is, for every country.
TAX_PERCENT = 23
# docs.stripe.com/tax/products-prices-tax-codes-tax-behavior: what a price without a behaviour gets.
_EXCLUSIVE_CURRENCIES = frozenset(("usd", "cad"))


def spread(lines: list[Object], amount: int) -> None:
    """Spreads a discount over the lines in proportion; the last line takes the rounding."""
    whole, left = sum(line["amount_subtotal"] for line in lines), amount
    for line in lines[:-1]:
        part = amount * line["amount_subtotal"] // whole if whole else 0
        line["amount_discount"], left = part, left - part
    lines[-1]["amount_discount"] = left


def taxed(amount: int, behaviour: str, currency: str) -> tuple[int, int]:
    """The tax on an amount and the amount with it, both in minor units."""
    if behaviour == "unspecified":
        behaviour = "exclusive" if currency in _EXCLUSIVE_CURRENCIES else "inclusive"
    base = 100 if behaviour == "exclusive" else 100 + TAX_PERCENT
    tax = (2 * amount * TAX_PERCENT + base) // (2 * base)
    return tax, amount + tax if behaviour == "exclusive" else amount


class Totals(Catalogue):
    """Keeps a session's totals in step with its lines, its coupon and the shipping option that is chosen."""

    def add_up(self, session: Object, lines: list[Object], option: Object | None, *, with_tax: bool) -> None:
        """Writes the amounts of the lines and of the session, which may both be copies.

        `option` is one of the session's shipping options. `with_tax` is true once the address is known.
        """
        currency, counted = session["currency"], with_tax and session["automatic_tax"]["enabled"]
        for line in lines:
            net = line["amount_subtotal"] - line["amount_discount"]
            tax, total = taxed(net, line["price"]["tax_behavior"], currency) if counted else (0, net)
            line |= {"amount_tax": tax, "amount_total": total}
        shipping, cost = 0, None
        if option:
            shipping = option["shipping_amount"]
            behaviour = self.find("shipping_rate", option["shipping_rate"])["tax_behavior"]
            tax, total = taxed(shipping, behaviour, currency) if counted else (0, shipping)
            cost = {
                "amount_subtotal": shipping,
                "amount_tax": tax,
                "amount_total": total,
                "shipping_rate": option["shipping_rate"],
            }
        session |= {
            "shipping_cost": cost,
            "total_details": {
                "amount_discount": sum(line["amount_discount"] for line in lines),
                "amount_shipping": shipping,
                "amount_tax": sum(line["amount_tax"] for line in lines) + (cost["amount_tax"] if cost else 0),
            },
            "amount_total": sum(line["amount_total"] for line in lines) + (cost["amount_total"] if cost else 0),
        }
        if counted:
            session["automatic_tax"]["status"] = "complete"

    def option_of(self, session: Object, choice: str | int | None = None) -> Object | None:
        """The shipping option by its place, its rate's id or its rate's name; the first by default.

        Raises StripeError for one that the session does not offer.
        """
        options = session["shipping_options"]
        if choice is None or choice == "":
            return options[0] if options else None
        for place, option in enumerate(options):
            rate = self.find("shipping_rate", option["shipping_rate"])
            if str(choice) in (str(place), rate["id"], rate["display_name"]):
                return option
        raise StripeError(400, f"This Session does not offer the shipping option '{choice}'.", param="shipping_options")

    def valid_coupon(self, coupon_id: str, param: str) -> Object:
        """Raises StripeError for a coupon that is unknown, used up or past its day."""
        coupon = self.find("coupon", coupon_id, param)
        if coupon["redeem_by"] and coupon["redeem_by"] <= self.world.timestamp():
            raise StripeError(400, f"Coupon expired: {coupon_id}", code="coupon_expired", param=param)
        if not coupon["valid"]:
            raise StripeError(400, f"Coupon {coupon_id} is used up and cannot be applied.", param=param)
        return coupon

    def apply_coupon(self, session: Object, coupon_id: str, param: str) -> None:
        """Takes the coupon off the goods, never off the shipping, and never more than they cost."""
        coupon, whole = self.valid_coupon(coupon_id, param), session["amount_subtotal"]
        if coupon["amount_off"] is None:
            amount = int(whole * coupon["percent_off"] / 100 + 0.5)
        elif coupon["currency"] != session["currency"]:
            raise StripeError(
                400,
                f"The coupon {coupon_id} is in {coupon['currency']} and cannot be applied to a Session "
                f"in {session['currency']}.",
                param=param,
            )
        else:
            amount = min(coupon["amount_off"], whole)
        spread(self.lines[session["id"]], amount)
        session["discounts"] = [{"coupon": coupon_id, "promotion_code": None}]

    def redeem(self, session: Object) -> None:
        """Counts the session's coupon as used. Raises StripeError when others were faster."""
        for discount in session["discounts"]:
            if discount["coupon"] and self.lookup(discount["coupon"]):
                coupon = self.valid_coupon(discount["coupon"], "discounts")
                coupon["times_redeemed"] += 1
                coupon["valid"] = coupon["times_redeemed"] != coupon["max_redemptions"]
