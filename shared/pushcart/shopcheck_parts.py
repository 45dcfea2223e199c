"""What the checks of shop.yml share: fields are read as far as they can be, whatever the owner wrote there."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pushcart.domain import money

#: Where a mistake is (`products[0].price`, or empty for the whole file), and what it is.
Mistake = tuple[str, str]


def mapping(value: Any) -> dict[Any, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def readable(value: Any, shape: Any) -> Any:
    """`value` as `shape`, or None when it cannot be read as that, which is said elsewhere."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return None


def amount_mistakes(value: Any, currency: Any, place: str) -> list[Mistake]:
    """Whether `value` can be an amount of `currency` and be paid, as far as both can be read."""
    amount = readable(value, Decimal)
    if amount is None or not isinstance(currency, str):
        return []
    try:
        minor = money.to_minor(amount, currency)
    except ValueError as error:
        return [(place, str(error))]
    if minor % money.step(currency):
        least = money.plain(money.step(currency), currency)
        return [(place, f"{amount} cannot be paid in {currency}: amounts go by {least}")]
    return []


def template_mistakes(name: str, mails: Path | None, place: str) -> list[Mistake]:
    """Whether our mail `name` is there; `mails` is the folder of our mails, None without one."""
    if mails is None:
        return []
    return [
        (place, f"there is no {path.name} in {mails.name}/")
        for path in (mails / f"{name}.html", mails / f"{name}.txt")
        if not path.exists()
    ]
