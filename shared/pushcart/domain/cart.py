"""A cart as the buyer's browser sends it, checked and priced from the catalogue: nothing the browser says is a price.

Amounts are integers in the minor unit of the cart's one currency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue, Product
from pushcart.domain.order import Address, Line
from pushcart.domain.selling import Discount, ShippingRate
from pushcart.errors import CartRefused

#: Different items in one cart; Stripe takes a hundred lines.
MOST_ITEMS = 50
#: Pieces of one item.
MOST_PIECES = 99

Short = Annotated[str, Meta(max_length=200)]
#: 64 bits, so that a quantity of any size is a number and not a body that cannot be read.
Number = int | float

_WORD = r"[^@\s.<>\"',;:\\()\[\]|]"
_MAIL = re.compile(rf"(?=[^@]{{1,64}}@){_WORD}+(\.{_WORD}+)*@({_WORD}+\.)+{_WORD}{{2,}}")


class Item(msgspec.Struct):
    """One product in the cart; `price` is what the buyer was shown for one."""

    sku: Short
    quantity: Number = 1
    options: dict[Short, Short] = {}
    price: Number | None = None


class Destination(Address, kw_only=True):
    """Where a parcel goes and by which of the shop's rates, where the provider does not ask for that itself."""

    name: Short | None = None
    rate: Short | None = None


class Cart(msgspec.Struct, kw_only=True):
    """What the buyer sends. `token` names the cart; `remind` is the consent to one mail if it is left."""

    items: list[Item]
    token: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}\Z")] | None = None
    currency: Short | None = None
    email: Short | None = None
    name: Short | None = None
    code: Short | None = None
    remind: bool = False
    pay: Short | None = None
    locale: Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")] | None = None
    shipping: Destination | None = None


class Rules(msgspec.Struct):
    """What the way to pay adds.

    `currencies` are those it takes (None: all); `asks_itself` for address and name, on its own page;
    `failed_may_pay`: after a payment that failed the same address can be paid at.
    """

    currencies: Collection[str] | None = None
    asks_itself: bool = True
    failed_may_pay: bool = False


class Quote(msgspec.Struct, kw_only=True):
    """A cart that can be sold, at the shop's own prices. A line's id is its number in the cart."""

    currency: str
    lines: list[Line]
    amount_subtotal: int
    amount_discount: int
    amount_shipping: int
    code: str | None = None
    rate: str | None = None
    ships: bool = False

    @property
    def amount_total(self) -> int:
        return self.amount_subtotal - self.amount_discount + self.amount_shipping


class Problems:
    """Collects everything that is wrong with a cart."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, code: str, message: str, **more: Any) -> None:
        self.found.append({"code": code, "message": message, **more})

    def check(self) -> None:
        """Raises `CartRefused` when something is wrong."""
        if self.found:
            raise CartRefused(self.found)


def quote(cart: Cart, catalogue: Catalogue, today: str, rules: Rules) -> Quote:
    """The cart's price, or `CartRefused` with every problem. `today` is the day in the shop's time zone."""
    problems = Problems()
    if not cart.items:
        problems.add("nothing_to_pay", "The cart is empty.")
    if len(cart.items) > MOST_ITEMS:
        problems.add("too_many_items", f"A cart takes {MOST_ITEMS} different items, this one has {len(cart.items)}.")
        problems.check()
    lines = [line for number, item in enumerate(cart.items) if (line := _line(number, item, catalogue, problems))]
    currency = _currency(cart, lines, rules, problems)
    _about_buyer(cart, problems, rules)
    ships = any((product := catalogue.product(line.sku)) and product.ships for line in lines)
    rate = _rate(cart, catalogue, problems) if ships and not rules.asks_itself else None
    discount = _discount(cart, catalogue, today, problems)
    home = catalogue.shop.currency
    if currency and currency != home and (ships or (discount and discount.amount)):
        what = "Parcels are" if ships else f"The code {cart.code} is"
        problems.add("wrong_currency", f"{what} priced in {home}, this cart is in {currency}; buy it without.")
    problems.check()
    if discount:
        take_off(lines, discount_amount(lines, discount, currency), _eligible(discount))
    priced = Quote(
        currency=currency,
        lines=lines,
        amount_subtotal=sum(line.amount_subtotal for line in lines),
        amount_discount=sum(line.amount_discount for line in lines),
        amount_shipping=money.to_minor(rate.price, currency) if rate else 0,
        code=discount.code if discount else None,
        rate=rate.name if rate else None,
        ships=ships,
    )
    if priced.amount_total - priced.amount_shipping <= 0:
        problems.add("nothing_to_pay", "There is nothing to pay for in this cart; a free product has its own link.")
    problems.check()
    return priced


def _line(number: int, item: Item, catalogue: Catalogue, problems: Problems) -> Line | None:
    product = catalogue.product(item.sku)
    before = len(problems.found)
    quantity = int(item.quantity) if 1 <= item.quantity <= MOST_PIECES else 0
    if product is None:
        problems.add("unknown_product", f"There is no product {item.sku!r} in this shop.", item=number)
        return None
    if not quantity or quantity != item.quantity:
        text = f"{product.name}: the quantity should be a whole number from 1 to {MOST_PIECES}."
        problems.add("bad_quantity", text, item=number)
    options = _options(number, item, product, problems)
    price, currency = catalogue.price_of(product), catalogue.currency_of(product).upper()
    if item.price is not None and item.price != price:
        text = f"{product.name} costs {money.plain(price, currency)} now. Look at the new price before you pay."
        problems.add("price_changed", text, item=number, price=price)
    if catalogue.stock_of(product, options) == 0:
        problems.add("sold_out", f"{named(product, options)} is sold out.", item=number, left=0)
    if len(problems.found) > before:
        return None
    return Line(
        id=str(number + 1),
        name=named(product, options),
        quantity=quantity,
        unit_amount=price,
        unit_currency=currency,
        amount_subtotal=price * quantity,
        amount_total=price * quantity,
        sku=product.sku,
        item=str(number + 1),
        options=options,
    )


def named(product: Product, options: dict[str, str]) -> str:
    """`Studio Apron (Size: M)`."""
    chosen = ", ".join(f"{name}: {value}" for name, value in options.items())
    return f"{product.name} ({chosen})" if chosen else product.name


def _options(number: int, item: Item, product: Product, problems: Problems) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for option in product.options:
        value = item.options.get(option.name)
        if value in option.values:
            chosen[option.name] = value
        else:
            known = ", ".join(option.values)
            code = "unknown_option" if value else "missing_option"
            text = f"{product.name}: choose the {option.name} from {known}."
            problems.add(code, text, item=number, field=option.name)
    for name in sorted(item.options.keys() - {option.name for option in product.options}):
        problems.add("unknown_option", f"{product.name} has no option {name!r}.", item=number, field=name)
    return chosen


def _currency(cart: Cart, lines: Sequence[Line], rules: Rules, problems: Problems) -> str:
    found = sorted({line.unit_currency for line in lines if line.unit_currency})
    if len(found) > 1:
        problems.add(
            "mixed_currencies", f"The cart mixes {' and '.join(found)}. Buy these products one after the other."
        )
    elif found and cart.currency and cart.currency.upper() != found[0]:
        text = f"The price is in {found[0]} now, not in {cart.currency.upper()!r}; empty the cart and fill it again."
        problems.add("wrong_currency", text)
    elif found and rules.currencies is not None and found[0] not in rules.currencies:
        problems.add("wrong_currency", f"This way to pay does not take {found[0]}; choose another.", field="pay")
    return found[0] if found else ""


def _about_buyer(cart: Cart, problems: Problems, rules: Rules) -> None:
    if cart.email and not is_mail(cart.email):
        problems.add("bad_email", "This does not look like a mail address.", field="email")
    elif not cart.email and not rules.asks_itself:
        problems.add("missing_email", "Enter your mail address: what you buy is sent there.", field="email")
    if not rules.asks_itself and not (cart.name or "").strip():
        problems.add("missing_name", "Enter your name.", field="name")


def is_mail(text: str) -> bool:
    """Whether `text` can be a mail address that every provider takes; at most 255 characters, all of them ASCII."""
    return len(text) <= 255 and text.isascii() and text.isprintable() and bool(_MAIL.fullmatch(text))


def _rate(cart: Cart, catalogue: Catalogue, problems: Problems) -> ShippingRate | None:
    settings, sent = catalogue.checkout.shipping, cart.shipping or Destination()
    if settings is None:
        problems.add("missing_address", "This shop has not said where it ships to; ask it, please.")
        return None
    for field, label in (("line1", "street and number"), ("city", "city"), ("country", "country")):
        if not (getattr(sent, field) or "").strip():
            problems.add("missing_address", f"Enter the {label} the parcel goes to.", field=field)
    if sent.country and sent.country not in settings.countries:
        text = f"This shop ships to {', '.join(settings.countries)}, not to {sent.country!r}."
        problems.add("bad_country", text, field="country")
    rate = next((rate for rate in settings.rates if rate.name == sent.rate), None)
    if rate is None:
        known = ", ".join(rate.name for rate in settings.rates)
        problems.add("unknown_rate", f"Choose how the parcel should come: {known}.", field="rate")
    return rate


def _discount(cart: Cart, catalogue: Catalogue, today: str, problems: Problems) -> Discount | None:
    code = (cart.code or "").strip()
    if not code:
        return None
    found = next((one for one in catalogue.checkout.discounts if one.code.lower() == code.lower()), None)
    if found is None:
        problems.add("unknown_code", f"There is no discount code {code!r}.", field="code")
    elif found.until and today > found.until:
        problems.add("code_expired", f"The discount code {found.code} ended on {found.until}.", field="code")
    elif found.skus and not any(item.sku in found.skus for item in cart.items):
        problems.add("unknown_code", f"The discount code {found.code} is for none of these products.", field="code")
    else:
        return found
    return None


def _eligible(discount: Discount) -> Callable[[Line], bool]:
    return lambda line: not discount.skus or line.sku in discount.skus


def discount_amount(lines: Sequence[Line], discount: Discount, currency: str) -> int:
    """What the code takes off, in minor units: a percentage is rounded once, half up; never more than there is.

    It is rounded to what can be paid.
    """
    counted = sum(line.amount_subtotal for line in lines if _eligible(discount)(line))
    if discount.percent is not None:
        step = money.step(currency)
        return min((counted * discount.percent + 50 * step) // (100 * step) * step, counted)
    assert discount.amount is not None, "a discount is a percentage or an amount"
    return min(money.to_minor(discount.amount, currency), counted)


def take_off(lines: Sequence[Line], amount: int, eligible: Callable[[Line], bool] = lambda line: True) -> None:
    """Spreads `amount` over the eligible lines by what they cost, so that the parts add up to it exactly."""
    counted = [line for line in lines if eligible(line)]
    left, whole = amount, sum(line.amount_subtotal for line in counted)
    for line in counted:
        part = left * line.amount_subtotal // whole if whole else 0
        line.amount_discount, line.amount_total = part, line.amount_subtotal - part
        left, whole = left - part, whole - line.amount_subtotal
