"""Buttons for other people's pages, such as a Carrd site: a link to the payment, or a form for the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from pushcart.domain.catalogue import Catalogue, Product
from storefront.views import fits_a_form, formats_of, way_of


@dataclass(frozen=True)
class Snippet:
    """What sells one product elsewhere. `link` and `form` are HTML to paste; `missing` says what to add without any."""

    sku: str
    name: str
    price: str
    link: str | None
    form: str | None
    missing: list[str]


def snippets(catalogue: Catalogue, products: list[Product]) -> list[Snippet]:
    """The snippets of these products. No price stands in them: the buyer sees today's before paying."""
    formats = formats_of(catalogue)
    checkout = (catalogue.site.checkout or "").rstrip("/")
    made = []
    for product in products:
        # A link knows nothing of options, so it is only for a product without any.
        url = product.stripe.url if way_of(product, product.stripe.url, checkout) == "link" else None
        link = f'<a href="{escape(url)}">Buy {escape(product.name)}</a>' if url else None
        form = _form(catalogue, product, checkout) if checkout and fits_a_form(catalogue, product) else None
        price = str(formats.money(catalogue.price_of(product), catalogue.currency_of(product)))
        made.append(Snippet(product.sku, product.name, price, link, form, _missing(product, link or form)))
    return made


def _missing(product: Product, found: str | None) -> list[str]:
    if found:
        return []
    return [
        f"stripe.url of {product.sku}: the address of its payment link, as Stripe's Dashboard shows it",
        "or site.checkout: the public address of the function checkout, and stripe under checkout.pay_with if it ships",
    ]


def _form(catalogue: Catalogue, product: Product, checkout: str) -> str:
    """A form that needs no script: the checkout answers it with the way to the payment."""
    lines = [f'<form method="post" action="{escape(checkout)}">']
    lines.append(f'  <input type="hidden" name="sku" value="{escape(product.sku)}">')
    for option in product.options:
        values = "".join(f"<option>{escape(value)}</option>" for value in option.values)
        name = escape(option.name)
        lines.append(f'  <label>{name} <select name="option.{name}" required>{values}</select></label>')
    lines.append('  <label>Quantity <input type="number" name="quantity" value="1" min="1" max="99" required></label>')
    if "stripe" in catalogue.checkout.pay_with:
        # Stripe asks for everything else on its own page.
        lines.append('  <input type="hidden" name="pay" value="stripe">')
    else:
        lines.append('  <label>Mail address <input type="email" name="email" autocomplete="email" required></label>')
        lines.append('  <label>Name <input name="name" autocomplete="name" required></label>')
    lines.append(f"  <button>Buy {escape(product.name)}</button>")
    return "\n".join([*lines, "</form>"])
