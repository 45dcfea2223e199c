"""Money as an integer in the currency's minor unit, with its ISO 4217 code.

The number of decimals is Stripe's, because its amounts are the ones we are given
(https://docs.stripe.com/currencies#zero-decimal and #special-cases).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD JOD KWD OMR TND".split())
#: Without a minor unit, but kept as two-decimal amounts by Stripe for compatibility.
WHOLE = frozenset({"ISK", "UGX"})


def decimals(currency: str) -> int:
    """How many decimals an amount in `currency` (any case) has: 0, 2 or 3."""
    code = currency.upper()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def step(currency: str) -> int:
    """The smallest amount that can be paid, and of which every other is a multiple, in minor units.

    https://docs.stripe.com/currencies#three-decimal: the last digit is 0; #special-cases: no decimals.
    """
    return 10 if decimals(currency) == 3 else 100 if currency.upper() in WHOLE else 1


def to_decimal(amount: int, currency: str) -> Decimal:
    """1050 in EUR is Decimal("10.50"); 1050 in JPY is Decimal("1050")."""
    return Decimal(amount).scaleb(-decimals(currency))


def to_minor(price: str | Decimal, currency: str) -> int:
    """`"10.50"` in EUR is 1050. ValueError when it is no number, negative or finer than the minor unit."""
    try:
        scaled = Decimal(price).scaleb(decimals(currency))
    except InvalidOperation:
        raise ValueError(f"{str(price)!r} is not an amount; write it like 49.00") from None
    if not scaled.is_finite() or scaled < 0:
        raise ValueError(f"{str(price)!r} is not an amount; write it like 49.00")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{price} has too many decimals for {currency.upper()} ({decimals(currency)} allowed)")
    return int(scaled)


def nearest_minor(price: Decimal, currency: str) -> int:
    """`to_minor`, rounded, for amounts that somebody else counts finer than the currency has it."""
    return int(price.scaleb(decimals(currency)).quantize(Decimal(1), ROUND_HALF_UP))


def plain(amount: int, currency: str) -> str:
    """`10.50 EUR`: for timelines and logs; mails format amounts for the buyer's locale."""
    return f"{to_decimal(amount, currency):f} {currency.upper()}"
