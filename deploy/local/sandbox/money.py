"""Amounts as people read them."""

from __future__ import annotations

# docs.stripe.com/currencies: charges in these have no decimals, or three; all others two.
_ZERO = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_THREE = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def money(amount: int, currency: str) -> str:
    """`1200, "jpy"` to `1,200 JPY`, `1999, "eur"` to `19.99 EUR`; `amount` is in the minor unit."""
    code = currency.lower()
    digits = 0 if code in _ZERO else 3 if code in _THREE else 2
    sign, whole, part = "-" if amount < 0 else "", *divmod(abs(amount), 10**digits)
    decimals = f".{part:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {code.upper()}"
