"""From the address at the checkout to the one that Printful gets."""

from __future__ import annotations

from typing import Any

import pytest

from pushcart.domain.order import Address, Shipping
from pushcart.errors import BadRequest
from pushcart.providers.printful_recipient import recipient
from pushcart.providers.stripe_payments import StripePayments
from support.printful import ADDRESS, shipped
from support.provider_calls import fixture
from support.step_calls import order
from support.wire import Wire


def to(**parts: Any) -> dict[str, str]:
    address = {"line1": "1 Kiln Lane", "city": "Town", "postal_code": "00-001", "country": "PL", **parts}
    return recipient(shipped(to=Shipping(name="Ada Lovelace", address=Address(**address))))


@pytest.mark.parametrize("shape", ["collected_information", "shipping_details", "shipping"])
def test_the_address_of_every_stripe_api_version_reaches_printful(wire: Wire, shape: str) -> None:
    """Since 2025-03-31 in `collected_information`, before that in `shipping_details`, before that in `shipping`."""
    session = fixture("printful/stripe_sessions.json")
    wire.say(200, {**session["session"], **session["shapes"][shape]})
    facts = StripePayments(wire.url, lambda: "sk_test_x", 2).payment("cs_1")
    view = order(email=facts.buyer.email, name=facts.buyer.name, phone=facts.buyer.phone)
    view.shipping = facts.shipping
    assert recipient(view) == {
        "name": "Jenny Rosen",
        "address1": "Address line 1",
        "address2": "Address line 2",
        "city": "Colombo",
        "country_code": "LK",
        "zip": "00150",
        "email": "jenny.rosen@example.com",
        "phone": "+94112345678",
    }


@pytest.mark.parametrize(
    ("country", "state", "code"),
    [
        ("US", "CA", "CA"),
        ("US", "California", "CA"),
        ("us", " new  york ", "NY"),
        ("US", "PR", "PR"),
        ("CA", "Québec", "QC"),
        ("AU", "New South Wales", "NSW"),
        ("JP", "13", "13"),
    ],
)
def test_a_state_is_sent_by_its_code(country: str, state: str, code: str) -> None:
    sent = to(country=country, state=state)
    assert (sent["state_code"], sent["country_code"]) == (code, country.upper())


def test_a_region_that_has_no_code_is_sent_by_its_name() -> None:
    sent = to(state="Mazowieckie")
    assert sent["state_name"] == "Mazowieckie"
    assert "state_code" not in sent


@pytest.mark.parametrize("country", ["US", "CA", "AU"])
@pytest.mark.parametrize("state", [None, "", "Somewhere"])
def test_where_printful_needs_a_state_its_lack_is_told_before_anything_is_ordered(
    country: str, state: str | None
) -> None:
    with pytest.raises(BadRequest, match=f"lacks state_code, which Printful needs to send it to {country}"):
        to(country=country, state=state)


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({"country": None}, "country_code, which Printful needs to send it to anywhere"),
        ({"line1": " "}, "address1"),
        ({"city": None}, "city"),
        ({"city": None, "line1": None}, "address1, city"),
    ],
)
def test_a_part_that_is_missing_is_named_and_what_is_there_is_not_repeated(parts: dict[str, Any], missing: str) -> None:
    with pytest.raises(BadRequest, match=missing) as raised:
        to(**parts)
    assert "Kiln" not in raised.value.message


def test_an_address_in_a_city_state_needs_no_city() -> None:
    assert to(country="SG", city=None)["city"] == "Singapore"


def test_a_country_without_postal_codes_needs_none() -> None:
    assert "zip" not in to(country="HK", postal_code=None)


def test_a_parcel_without_a_name_of_its_own_goes_to_the_buyer() -> None:
    assert recipient(shipped(to=Shipping(address=ADDRESS)))["name"] == "Ada Lovelace"
