"""Products as the pages show them: texts cut, prices written, pictures found, what is sold out."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from babel import Locale
from babel.numbers import get_currency_precision

from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue, InviteStep, Product, choice
from pushcart.errors import ConfigurationError
from pushcart.mail.formats import Formats, locale_of
from storefront.pictures import Picture

#: Letters of a product's text that the listing and search engines get.
SUMMARY = 150

#: How a page without its script sells a product: the payment link, a form for the checkout, or not at all.
Way = Literal["link", "form", "none"]


@dataclass(frozen=True)
class Choices:
    """An option and its values; `gone` are those that are sold out whatever else is chosen."""

    name: str
    values: list[str]
    gone: frozenset[str]


@dataclass(frozen=True)
class View:
    """One product. `path` is its page from the site's root, `amount` is in minor units of `currency`."""

    product: Product
    path: str
    amount: int
    currency: str
    price: str
    paragraphs: list[str]
    summary: str
    pictures: list[Picture]
    choices: list[Choices]
    sold_out: bool
    way: Way
    link: str | None
    #: Whether it comes by mail as soon as it is paid.
    at_once: bool
    #: What the script needs to know of it.
    data: dict[str, Any] = field(repr=False)


class Views:
    """Makes the views; `made` are the pictures by name, `links` payment links by sku that go before shop.yml's."""

    def __init__(
        self, catalogue: Catalogue, made: Mapping[str, Picture], links: Mapping[str, str], checkout: str | None
    ) -> None:
        self._catalogue = catalogue
        self._made = made
        self._links = links
        self._checkout = checkout
        self.formats = formats_of(catalogue)

    def all(self) -> list[View]:
        return [self._view(product) for product in self._catalogue.products]

    def _view(self, product: Product) -> View:
        amount, currency = self._catalogue.price_of(product), self._catalogue.currency_of(product).upper()
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", product.text) if part.strip()]
        pictures = [self._made[name] for name in product.images if name in self._made]
        gone = never_there(product)
        choices = _choices(product, gone)
        path = f"products/{product.sku}/"
        link = self._links.get(product.sku) or product.stripe.url
        data = {
            "sku": product.sku,
            "name": product.name,
            "price": amount,
            "currency": currency,
            "ships": product.ships,
            "image": pictures[0].webp[0][0] if pictures else "",
            "options": [{"name": option.name, "values": option.values} for option in product.options],
            "stock": gone,
        }
        return View(
            product=product,
            path=path,
            amount=amount,
            currency=currency,
            price=self.formats.money(amount, currency),
            paragraphs=paragraphs,
            summary=textwrap.shorten(paragraphs[0], SUMMARY, placeholder="…") if paragraphs else "",
            pictures=pictures,
            choices=choices,
            sold_out=gone == 0 or any(len(one.gone) == len(one.values) for one in choices),
            way=way_of(product, link, self._checkout),
            link=link,
            at_once=not product.ships and any(isinstance(step, InviteStep) for step in product.fulfilment),
            data=data,
        )


def formats_of(catalogue: Catalogue) -> Formats:
    """How the shop writes amounts. `ConfigurationError` when its locale is unknown."""
    locale: Locale | None = locale_of(catalogue.shop.locale)
    if locale is None:
        raise ConfigurationError([f"shop.locale: {catalogue.shop.locale!r} is no locale; write it like en-GB"])
    return Formats(locale, catalogue.shop.timezone)


def way_of(product: Product, link: str | None, checkout: str | None) -> Way:
    """A payment link knows nothing of options: with them the checkout's form is the better way."""
    if link and not (product.options and checkout):
        return "link"
    return "form" if checkout else "none"


def fits_a_form(catalogue: Catalogue, product: Product) -> bool:
    """Whether a form for one product is enough: it asks for no address, which only Stripe asks for by itself."""
    return not product.ships or "stripe" in catalogue.checkout.pay_with


def never_there(product: Product) -> int | dict[str, int] | None:
    """What shop.yml has none of, in the shape of the live stock: 0, `{"L": 0}`, or None."""
    if isinstance(product.stock, dict):
        return {name: 0 for name, count in product.stock.items() if count == 0} or None
    return 0 if product.stock == 0 else None


def digits(currencies: set[str]) -> dict[str, list[int]]:
    """For each currency the decimals of its minor unit, and those that are written when the rest is zero."""
    return {code: [money.decimals(code), get_currency_precision(code)] for code in sorted(currencies)}


def _choices(product: Product, gone: int | dict[str, int] | None) -> list[Choices]:
    """The options; a value is gone when every choice with it is."""
    if not isinstance(gone, dict):
        none_left = gone == 0
        return [Choices(one.name, one.values, frozenset(one.values if none_left else ())) for one in product.options]
    every = itertools.product(*(option.values for option in product.options))
    names = [option.name for option in product.options]
    there = [values for values in every if choice(dict(zip(names, values, strict=True))) not in gone]
    return [
        Choices(option.name, option.values, frozenset(option.values) - {values[number] for values in there})
        for number, option in enumerate(product.options)
    ]
