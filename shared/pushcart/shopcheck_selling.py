"""The mistakes in what shop.yml says about options, stock, the checkout and its discounts, where fields join."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pushcart.domain.fields import Name
from pushcart.domain.selling import Option
from pushcart.providers import paylinks
from pushcart.shopcheck_parts import Mistake, amount_mistakes, items, mapping, readable, template_mistakes

STRIPE = "stripe"

#: A list's item as a mapping, and where it stands.
_Placed = tuple[str, dict[Any, Any]]


def mistakes(loaded: dict[Any, Any], mails: Path | None) -> list[Mistake]:
    """Every mistake of this kind, as far as the fields can be read; `mails` is the folder of our mails, if known."""
    products = _placed("products", loaded.get("products"))
    checkout = mapping(loaded.get("checkout"))
    currency = mapping(loaded.get("shop")).get("currency")
    found = _skus(products)
    for place, product in products:
        found += _options(place, product) + _stock(place, product)
    found += _discounts(checkout, currency, [product.get("sku") for _, product in products])
    found += _shipping(checkout, currency)
    found += _providers(checkout, currency, products)
    if mapping(loaded.get("site")).get("checkout") is not None and checkout.get("shipping") is None:
        found += [
            (f"{place}.ships", "what ships needs the section shipping: under checkout:")
            for place, product in products
            if product.get("ships") is True
        ]
    found += [
        (f"{place}.currency", f"what ships is sold in the shop's own currency, {currency}, as its shipping is")
        for place, product in products
        if product.get("ships") is True and product.get("currency") not in (None, currency)
    ]
    for name, day in mapping(mapping(loaded.get("alerts")).get("keys")).items():
        found += _day(f"alerts.keys.{name}", day)
    reminder = readable(checkout.get("reminder"), Name)
    return found + (template_mistakes(reminder, mails, "checkout.reminder") if reminder else [])


def _numbered(place: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{place}[{number}]", one) for number, one in enumerate(items(value))]


def _placed(place: str, value: Any) -> list[_Placed]:
    return [(where, one) for where, one in _numbered(place, value) if isinstance(one, dict)]


def _repeated(
    values: Iterable[tuple[str, Any]], what: str, key: Callable[[str], str] = lambda value: value
) -> list[Mistake]:
    """Each text in `values` (with its place) that stood before; `what` says what that means."""
    seen: set[str] = set()
    found = []
    for place, value in values:
        if isinstance(value, str):
            if key(value) in seen:
                found.append((place, what.format(value=value)))
            seen.add(key(value))
    return found


def _bare_words(values: Iterable[tuple[str, Any]]) -> list[Mistake]:
    """YAML reads NO, the letters of Norway, as false."""
    return [
        (place, 'no, yes, on and off are no words in YAML; put quotes around it: "NO"')
        for place, value in values
        if isinstance(value, bool)
    ]


def _skus(products: list[_Placed]) -> list[Mistake]:
    """Two that are the same to the letter are told elsewhere."""
    first: dict[str, str] = {}
    found = []
    for place, product in products:
        sku = product.get("sku")
        if not isinstance(sku, str):
            continue
        before = first.setdefault(sku.lower(), sku)
        if before != sku:
            why = "many web hosts take both pages for one"
            found.append((f"{place}.sku", f"{sku} differs from {before} only in its capitals, and {why}"))
    return found


def _options(place: str, product: dict[Any, Any]) -> list[Mistake]:
    options = _placed(f"{place}.options", product.get("options"))
    found = _repeated(
        [(f"{where}.name", option.get("name")) for where, option in options], "another option here is called {value}"
    )
    for where, option in options:
        values = _numbered(f"{where}.values", option.get("values"))
        found += _repeated(values, "{value} can be chosen here already") + _bare_words(values)
        if len(options) > 1:
            found += [
                (spot, f"{value} looks like a choice of two options; write it without ' / '")
                for spot, value in values
                if isinstance(value, str) and " / " in value
            ]
    return found


def _stock(place: str, product: dict[Any, Any]) -> list[Mistake]:
    """`stock` counts by choice: the values of all options, in their order, joined by " / "."""
    stock, options = product.get("stock"), readable(product.get("options", []), list[Option])
    if not isinstance(stock, dict) or options is None:
        return []
    if not options:
        return [(f"{place}.stock", "counts by choice, but there are no options: to choose from; write one number")]
    example = " / ".join(option.values[0] for option in options)
    return [
        (f"{place}.stock.{key}", f"there is no choice {key}; write the values of all options in order, like {example}")
        for key in stock
        if isinstance(key, str) and not _is_choice(key, options)
    ]


def _is_choice(key: str, options: list[Option]) -> bool:
    parts = key.split(" / ") if len(options) > 1 else [key]
    return len(parts) == len(options) and all(
        part in option.values for part, option in zip(parts, options, strict=True)
    )


def _discounts(checkout: dict[Any, Any], currency: Any, skus: list[Any]) -> list[Mistake]:
    discounts = _placed("checkout.discounts", checkout.get("discounts"))
    codes = [(f"{place}.code", discount.get("code")) for place, discount in discounts]
    found = _repeated(codes, "there is a code {value} already; capitals make no difference", str.lower)
    for place, discount in discounts:
        if (discount.get("percent") is None) == (discount.get("amount") is None):
            found.append((place, "a discount needs either percent: or amount:"))
        amount = readable(discount.get("amount"), Decimal)
        found += amount_mistakes(amount, currency, f"{place}.amount")
        if amount is not None and not amount:
            found.append((f"{place}.amount", "takes nothing off"))
        found += [
            (where, f"there is no product {sku}")
            for where, sku in _numbered(f"{place}.skus", discount.get("skus"))
            if isinstance(sku, str) and sku not in skus
        ]
        found += _day(f"{place}.until", discount.get("until"))
    return found


def _day(place: str, day: Any) -> list[Mistake]:
    if isinstance(day, str):
        try:
            date.fromisoformat(day)
        except ValueError:
            return [(place, f"there is no day {day}")]
    return []


def _shipping(checkout: dict[Any, Any], currency: Any) -> list[Mistake]:
    shipping = mapping(checkout.get("shipping"))
    countries = _numbered("checkout.shipping.countries", shipping.get("countries"))
    rates = _placed("checkout.shipping.rates", shipping.get("rates"))
    found = _repeated(countries, "{value} is in the list already") + _bare_words(countries)
    found += _repeated([(f"{place}.name", rate.get("name")) for place, rate in rates], "another rate is called {value}")
    for place, rate in rates:
        found += amount_mistakes(rate.get("price"), currency, f"{place}.price")
    return found


def _providers(checkout: dict[Any, Any], currency: Any, products: list[_Placed]) -> list[Mistake]:
    named = _numbered("checkout.pay_with", checkout.get("pay_with"))
    known = [STRIPE, *paylinks.known()]
    found = _repeated(named, "{value} is in the list already")
    for place, name in named:
        if not isinstance(name, str) or name == STRIPE:
            continue
        if name not in known:
            found.append((place, f"there is no provider {name}; known are {', '.join(known)}"))
            continue
        takes = paylinks.provider(name).currencies
        sold = [("shop.currency", currency)]
        sold += [(f"{where}.currency", product.get("currency")) for where, product in products]
        found += [
            (where, f"{name}, which is under checkout.pay_with, takes no {code}, only {', '.join(sorted(takes))}")
            for where, code in sold
            if isinstance(code, str) and code not in takes
        ]
    return found
