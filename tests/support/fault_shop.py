"""A shop whose products make every call to a provider that there is, and the buyers who cause each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.shop import ROOT, LocalShop
from pushcart.domain.order import derived_id
from support.customers import Customer

GROUP, COURSE, SEQUENCE, VARIANT = 41, 90210, 7301, 4830100102

#: Discount codes of ten percent.
CODES = tuple(f"CODE{number:02}" for number in range(50))

#: Seconds that a call to a provider may take here.
PATIENCE = 2

SHOP = """
shop:
  name: Meadow Pottery School
  url: https://meadow-pottery.example
  currency: EUR
  support: help@meadow-pottery.example
  sender: studio@meadow-pottery.example
  admins: [owner@meadow-pottery.example]
platforms:
  discourse: {{url: https://forum.meadow-pottery.example}}
  thinkific: {{subdomain: meadow-pottery}}
  http: {{url: https://learn.meadow-pottery.example/hooks/pushcart}}
mailing_list:
  kit: {{api: {kit}}}
checkout:
  pay_with: [stripe]
  discounts: [{codes}]
  shipping:
    countries: [PL]
    rates: [{{name: Courier, price: 6.00}}]
every_order:
  fulfilment:
    - {{step: email, template: receipt}}
  on_parcel:
    - {{step: email, template: your-parcel}}
products:
  - sku: forum
    name: Throwing on the Wheel
    price: 49.00
    stripe: {{price: price_1Forum, payment_link: plink_1Forum}}
    fulfilment:
      - {{step: invite, platform: discourse, groups: [{group}]}}
      - {{step: email, template: your-access, needs: [invite]}}
  - sku: school
    name: Glaze Chemistry
    price: 79.00
    stripe: {{price: price_1School, payment_link: plink_1School}}
    fulfilment:
      - {{step: invite, platform: thinkific, course: {course}}}
      - {{step: email, template: your-access, needs: [invite]}}
  - sku: hook
    name: Studio Plans
    price: 15.00
    stripe: {{price: price_1Hook, payment_link: plink_1Hook}}
    fulfilment:
      - {{step: invite, platform: http}}
      - {{step: email, template: your-access, needs: [invite]}}
  - sku: list
    name: Letters from the Kiln
    price: 9.00
    stripe: {{price: price_1List, payment_link: plink_1List}}
    fulfilment:
      - {{step: purchase}}
      - {{step: sequence, sequence: {sequence}}}
  - sku: shirt
    name: Studio Shirt
    price: 29.00
    ships: true
    stripe: {{price: price_1Shirt, payment_link: plink_1Shirt}}
    fulfilment:
      - {{step: print, variant: {variant}}}
"""

#: What a buyer of each product gets, beside the mails.
OWED = {
    "forum": {"invitation"},
    "school": {"enrolment"},
    "hook": {"platform"},
    "list": {"purchase", "sequence"},
    "shirt": {"print"},
}


def open_shop(folder: Path, *, kit: str, **environment: str) -> LocalShop:
    """The shop that sells SHOP's products, impatient and busy, with Kit's API `kit`; not yet started."""
    file = folder / "shop.yml"
    codes = ", ".join(f"{{code: {code}, percent: 10}}" for code in CODES)
    numbers = {"group": GROUP, "course": COURSE, "sequence": SEQUENCE, "variant": VARIANT}
    file.write_text(SHOP.format(kit=kit, codes=codes, **numbers))
    (folder / "mails").symlink_to(ROOT / "deploy" / "shop" / "mails")
    busy = {"provider_timeout": str(PATIENCE), "drive_workers": "16", "threads": "24", **environment}
    return LocalShop(folder / "state", shop_file=file, catch_up=False, autosend=False, environment=busy)


class Buyer(Customer):
    """A buyer whom one call fails in one way. `event` is the webhook that starts it all, `inbox_id` what it becomes.

    `has_order` says that they have an order before that.
    """

    username: str
    student: int
    print_number: int
    event: dict[str, Any]
    inbox_id: str
    has_order = False

    @property
    def order_id(self) -> str:
        return derived_id(self.session["id"])

    def hears(self) -> int | None:
        """The shop hears of `event`; its answer's status."""
        self.inbox_id = f"stripe:{self.event['id']}"
        return self.shop.sandbox.stripe.deliver(self.event)

    def story(self) -> str:
        """The order as it is now, to be read when a test fails."""
        return json.dumps(self.shop.order(self.order_id), indent=1)


def buys(link: str) -> Callable[[Buyer], None]:
    """Pays at this payment link; the event is the completed checkout."""

    def run(buyer: Buyer) -> None:
        outcome = buyer.shop.sandbox.stripe.buy(link, email=buyer.email, name=buyer.name)
        buyer.note(outcome)
        [buyer.event] = [event for event in outcome.events if event["type"] == "checkout.session.completed"]

    return run


def is_member(buyer: Buyer) -> None:
    """Buys the forum's course although they have an account there."""
    buyer.username = f"member-{buyer.number}-"
    buyer.shop.sandbox.discourse.add_member(buyer.email, buyer.username)
    buys("plink_1Forum")(buyer)


def is_student(buyer: Buyer) -> None:
    """Buys the school's course with an account that is there already."""
    buyer.student = buyer.shop.sandbox.thinkific.add_user(buyer.email)["id"]
    buys("plink_1School")(buyer)


def buys_much(buyer: Buyer) -> None:
    """Buys more lines than Stripe shows with the session."""
    item = {"sku": "hook", "name": "Studio Plans", "unit_amount": 1500, "currency": "eur", "price_id": "price_1Hook"}
    buys(buyer.shop.sandbox.stripe.add_payment_link([item] * 12)["id"])(buyer)


def won_a_dispute(buyer: Buyer) -> None:
    """Disputed the payment and lost, all before the shop heard of the purchase."""
    buys("plink_1Hook")(buyer)
    stripe = buyer.shop.sandbox.stripe
    stripe.close_dispute(stripe.dispute(buyer.session["id"]).object, won=True)


def is_refunded_first(buyer: Buyer) -> None:
    """Gets a part back; that is the first and only thing the shop hears of."""
    buys("plink_1Hook")(buyer)
    outcome = buyer.shop.sandbox.stripe.refund(buyer.session["id"], 100)
    [buyer.event] = [event for event in outcome.events if event["type"] == "charge.refunded"]


def is_refunded_by_charge(buyer: Buyer) -> None:
    """As `is_refunded_first`, by an event that names the charge and no payment intent."""
    is_refunded_first(buyer)
    stored = buyer.shop.sandbox.stripe.find("event", buyer.event)
    stored["data"]["object"]["payment_intent"] = None


def intent_of(buyer: Buyer) -> str:
    """The id of the payment intent."""
    return str(buyer.session["payment_intent"])


def charge_of(buyer: Buyer) -> str:
    """The id of the charge."""
    return str(buyer.shop.sandbox.stripe.charge_of(buyer.session["id"])["id"])
