"""The doctor's comparison of shop.yml with Stripe, for every way a product can be sold, through the official SDK."""

from __future__ import annotations

import pytest

from local.sandbox import Sandbox
from pushcart.providers.stripe_payments import StripePayments
from pushcart.services.stripe_doctor import StripeDoctor
from support.shop import SHOP, catalogue

ITEM = {"sku": "course", "name": "Course", "unit_amount": 4900, "currency": "eur"}
COURSE = {**ITEM, "price_id": "price_course", "product_id": "prod_course"}
OTHER = {"sku": "mug", "name": "Mug", "unit_amount": 900, "currency": "eur"}


@pytest.fixture(scope="module")
def shared_sandbox():
    with Sandbox(autosend=False) as running:
        yield running


@pytest.fixture
def stripe(shared_sandbox):
    shared_sandbox.reset()
    return shared_sandbox.stripe


def sold(stripe, by, sku="course", text=SHOP):
    """What is found about the course, when shop.yml sells it by these ids."""
    shop = catalogue(text.replace("stripe: {price: price_course, payment_link: plink_course}", f"stripe: {by}"))
    payments = StripePayments(f"{stripe.world.url}/stripe", lambda: "rk_test_abc", 5)
    checks = StripeDoctor(payments, shop, livemode=False).examine()
    return [(check.status, check.text) for check in checks if check.name == f"sells {sku}"]


GOOD = [("pass", "for 49.00 EUR at Stripe")]


@pytest.mark.parametrize(
    "by",
    [
        "{price: price_course}",
        "{product: prod_course}",
        "{payment_link: plink_course}",
        "{price: price_course, product: prod_course, payment_link: plink_course}",
        "{product: prod_course, payment_link: plink_course}",
    ],
)
def test_a_product_is_right_by_price_by_product_and_by_link(stripe, by):
    stripe.add_payment_link([COURSE], "plink_course")
    assert sold(stripe, by) == GOOD


def test_a_product_that_nothing_at_stripe_sells_is_left_out(stripe):
    assert sold(stripe, "{}")[0][0] == "skip"


def test_an_archived_product_is_red_by_its_price_and_by_itself(stripe):
    stripe.add_payment_link([COURSE])
    stripe.find("product", "prod_course")["active"] = False
    assert sold(stripe, "{price: price_course}") == [
        ("fail", "price_course: its product prod_course is archived"),
    ]
    assert sold(stripe, "{product: prod_course}") == [("fail", "prod_course: this product is archived")]


def test_a_price_of_another_product_is_red(stripe):
    stripe.add_payment_link([COURSE])
    stripe.add_payment_link([{**OTHER, "product_id": "prod_mug"}])
    assert sold(stripe, "{price: price_course, product: prod_mug}") == [
        ("fail", "price_course: it belongs to prod_course and not to prod_mug")
    ]


def test_a_link_alone_is_red_with_another_amount_or_several_lines(stripe):
    stripe.add_payment_link([{**COURSE, "unit_amount": 5000}], "plink_course")
    assert sold(stripe, "{payment_link: plink_course}") == [
        ("fail", "plink_course: it costs 50.00 EUR at Stripe, shop.yml says 49.00 EUR")
    ]
    stripe.add_payment_link([COURSE, OTHER], "plink_course")
    assert sold(stripe, "{payment_link: plink_course}") == [
        ("fail", "plink_course: it has 2 lines; name the price of this one in shop.yml")
    ]
    assert sold(stripe, "{price: price_course, payment_link: plink_course}") == GOOD


def test_a_link_by_its_product_has_to_have_the_amount_too(stripe):
    stripe.add_payment_link([{**COURSE, "unit_amount": 5000}], "plink_course")
    assert sold(stripe, "{product: prod_course, payment_link: plink_course}") == [
        ("fail", "plink_course: it costs 50.00 EUR at Stripe, shop.yml says 49.00 EUR")
    ]


def test_every_mistake_of_a_product_is_told_at_once(stripe):
    stripe.add_payment_link([{**COURSE, "unit_amount": 5000}], "plink_course")
    stripe.find("price", "price_course")["active"] = False
    stripe.find("payment_link", "plink_course")["active"] = False
    found = sold(stripe, "{price: price_course, payment_link: plink_course}")
    assert [text.split(":")[0] for _, text in found] == ["price_course", "price_course", "plink_course"]


def test_amounts_are_compared_in_the_currencys_own_minor_unit(stripe):
    yen = SHOP.replace("price: 49.00\n", "price: 4900\n    currency: JPY\n")
    stripe.add_payment_link([{**COURSE, "currency": "jpy"}])
    assert sold(stripe, "{price: price_course}", text=yen) == [("pass", "for 4900 JPY at Stripe")]
