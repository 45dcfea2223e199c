"""Amounts are integers in the currency's minor unit, with Stripe's number of decimals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushcart.domain import money


@pytest.mark.parametrize(
    ("amount", "currency", "major"),
    [(4900, "EUR", "49.00"), (800, "jpy", "800"), (12345, "KWD", "12.345"), (500, "ISK", "5.00"), (500, "UGX", "5.00")],
)
def test_an_amount_has_the_decimals_of_its_currency(amount, currency, major):
    assert str(money.to_decimal(amount, currency)) == major
    assert money.to_minor(major, currency) == amount


@pytest.mark.parametrize("price", ["1.999", "abc", "-1", "NaN", "Infinity", ""])
def test_a_price_that_is_no_amount_is_refused(price):
    with pytest.raises(ValueError, match=r"EUR|amount"):
        money.to_minor(price, "EUR")


def test_yen_with_decimals_are_refused():
    with pytest.raises(ValueError, match="too many decimals for JPY"):
        money.to_minor("10.50", "JPY")


@given(st.integers(0, 10**12), st.sampled_from(["EUR", "JPY", "KWD", "ISK", "HUF"]))
def test_minor_and_major_units_are_the_same_amount(amount, currency):
    assert money.to_minor(money.to_decimal(amount, currency), currency) == amount


def test_the_plain_form_names_the_currency():
    assert money.plain(1050, "eur") == "10.50 EUR"
    assert money.plain(1050, "JPY") == "1050 JPY"
