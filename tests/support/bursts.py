"""Many buyers at once: their webhooks, delivered as Stripe does it, and what each has to have got in the end."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.shop import LocalShop
from support.customers import Customer, eventually

COMPLETED = "checkout.session.completed"


def hear_of(customer: Customer, outcome: Any, type: str = COMPLETED) -> None:
    """Delivers the outcome's event of this type until it is acknowledged; the shop must not send by itself."""
    customer.note(outcome)
    [event] = [event for event in outcome.events if event["type"] == type]
    eventually(lambda: customer.shop.sandbox.stripe.deliver(event) == 200, seconds=60)


class Burst:
    """One buyer for each of `links`, who have all paid; their webhooks come in from four threads."""

    def __init__(self, shop: LocalShop, links: Sequence[str]) -> None:
        self.shop = shop
        self.customers = [Customer(shop) for _ in links]
        buy = shop.sandbox.stripe.buy
        bought = [
            (one, buy(link, email=one.email, name=one.name)) for one, link in zip(self.customers, links, strict=True)
        ]
        self._pool = ThreadPoolExecutor(4)
        self._deliveries = [self._pool.submit(hear_of, *one) for one in bought]

    def acknowledged(self) -> None:
        """Returns when every webhook was; raises what kept one from it."""
        for delivery in self._deliveries:
            delivery.result()
        self._pool.shutdown()

    def open(self) -> list[Customer]:
        """Whose order is not fulfilled."""
        return [one for one in self.customers if (one.order() or {}).get("fulfilment_status") != "fulfilled"]

    def judge(self) -> None:
        """Everything each product promises is there once; a mail at least once, and all its copies are one message."""
        for customer in self.customers:
            _judge(self.shop, customer)


def _judge(shop: LocalShop, customer: Customer) -> None:
    email, order = customer.email, customer.order()
    assert order is not None
    sku = order["skus"][0]
    kit, transaction = shop.sandbox.kit, f"{order['id']}.{sku}.purchase"
    purchases = [one["transaction_id"] for one in kit.purchases.values() if one["email_address"] == email]
    assert purchases == ([] if sku == "studio-plans" else [transaction])
    assert list(shop.sandbox.discourse.invites).count(email) == (sku == "wheel-basics")
    assert kit.sequence_members.get(7301, []).count(email) == (sku == "wheel-basics")
    assert sum(one["user_email"] == email for one in shop.sandbox.thinkific.enrollments) == (sku == "glaze-chemistry")
    links = [sent for sent in shop.sandbox.platform.links.values() if sent["buyer"]["email"] == email]
    assert len(links) == (sku == "studio-plans")
    mails = shop.sandbox.mails(email)
    assert {mail.custom_args["step"] for mail in mails} == {f"{sku}.your-access", "receipt"}
    assert len({mail.headers["Message-ID"] for mail in mails}) == 2
