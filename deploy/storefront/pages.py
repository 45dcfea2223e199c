"""Which pages there are, and what each of them shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue
from pushcart.mail.formats import tag_of
from storefront import machines
from storefront.assets import Assets
from storefront.texts import TextPage
from storefront.views import View, Views, digits

TEMPLATES = Path(__file__).parent / "templates"

#: Products on one page of the listing; with more it would be too heavy for a phone.
PER_PAGE = 24

#: Countries whose addresses need a state or province.
WITH_STATES = frozenset("AE AR AU BR CA CN ES IN IT JP MX MY US".split())

#: Other products below a product.
NEIGHBOURS = 3


@dataclass(frozen=True)
class Page:
    """One file of the site. `place` is its address from the site's root, `path` what a visit of it is counted as.

    `listed` pages are for search engines; a page with `script` loads shop.js.
    """

    place: str
    template: str
    title: str
    path: str = ""
    description: str = ""
    listed: bool = False
    script: bool = False
    picture: str | None = None
    context: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def file(self) -> str:
        return f"{self.place}index.html" if self.place.endswith("/") or not self.place else self.place

    @property
    def root(self) -> str:
        """The way from the page to the site's root."""
        return "../" * self.place.count("/") or "./"


def all_pages(
    catalogue: Catalogue, views: Views, written: list[TextPage], url: str, checkout: str | None, assets: Assets
) -> list[Page]:
    """Every page. `url` is the site's address and `checkout` the function's, both without a slash at the end."""
    products = views.all()
    common = {
        "shop": catalogue.shop,
        "site": catalogue.site,
        "settings": catalogue.checkout,
        "url": url,
        "checkout": checkout,
        "assets": assets,
        "texts": written,
        "titles": {text.name: text.title for text in written},
        "lang": tag_of(views.formats.locale),
        "rtl": views.formats.locale.character_order == "right-to-left",
        "policy": _policy(checkout, assets),
        "currencies": digits({view.currency for view in products} | {catalogue.shop.currency}),
    }
    pages = [*_listings(catalogue, products), *_products(catalogue, products, views, url)]
    if checkout:
        pages += _ordering(catalogue, views)
    pages += [
        Page("thank-you/", "thank-you.html", "Thank you", script=bool(checkout)),
        Page("cancelled/", "cancelled.html", "Nothing was paid"),
        # A host shows it at any address, so its links cannot be relative.
        Page("404.html", "404.html", "Page not found", context={"root": f"{urlsplit(url).path}/"}),
    ]
    for text in written:
        page = Page(f"{text.name}/", "text.html", text.title, listed=True)
        page.context["text"] = Markup(text.html(page.root))
        pages.append(page)
    for page in pages:
        page.context.update({"root": page.root, **common, **page.context, "visited": page.path or f"/{page.place}"})
    return pages


def environment(own: Path, assets: Assets) -> jinja2.Environment:
    """The templates: the owner's folder `own` goes before ours. Everything is escaped, an unknown name an error."""
    loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(own), jinja2.FileSystemLoader(TEMPLATES)])
    jinja = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.globals["inline"] = Markup(assets.inline)
    jinja.filters["json"] = lambda value: htmlsafe_json_dumps(value, ensure_ascii=False)
    return jinja


def syntax_mistakes(jinja: jinja2.Environment) -> list[str]:
    """What shows in the templates before there is anything to put into them."""
    mistakes = []
    for name in jinja.list_templates(extensions=["html", "svg"]):
        try:
            jinja.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            mistakes.append(explain(error, name))
        except UnicodeDecodeError:
            mistakes.append(f"the template {name} is not UTF-8 text")
    return mistakes


def explain(error: Exception, template: str) -> str:
    """Where a template is wrong, and how."""
    if isinstance(error, jinja2.TemplateNotFound):
        return f"the template {error.name} is missing; {template} needs it"
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"the template {error.filename or error.name} line {error.lineno}: {error.message}"
    place, trace = template, error.__traceback__
    while trace is not None:
        # Jinja rewrites the traceback to the templates' own lines.
        if (file := trace.tb_frame.f_code.co_filename).endswith((".html", ".svg")):
            place = f"{file} line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"the template {place}: {error}"


def _listings(catalogue: Catalogue, products: list[View]) -> Iterator[Page]:
    chunks = [products[first : first + PER_PAGE] for first in range(0, len(products), PER_PAGE)]
    for number, chunk in enumerate(chunks, 1):
        yield Page(
            "" if number == 1 else f"page/{number}/",
            "listing.html",
            catalogue.shop.name if number == 1 else f"Page {number}",
            path="/",
            description=catalogue.site.description,
            listed=True,
            picture=next((view.pictures[0].jpeg for view in chunk if view.pictures), None),
            context={"products": chunk, "number": number, "last": len(chunks)},
        )


def _products(catalogue: Catalogue, products: list[View], views: Views, url: str) -> Iterator[Page]:
    for number, view in enumerate(products):
        others = [*products[number + 1 :][:NEIGHBOURS], *products[:number]][:NEIGHBOURS]
        yield Page(
            view.path,
            "product.html",
            view.product.name,
            description=view.summary,
            listed=True,
            script=view.way != "none" and not view.sold_out,
            picture=view.pictures[0].jpeg if view.pictures else None,
            context={
                "view": view,
                "others": others,
                "shipping": _shipping(catalogue, views) if view.product.ships else None,
                "data": machines.product_data(view, catalogue, url),
            },
        )


def _ordering(catalogue: Catalogue, views: Views) -> list[Page]:
    return [
        Page("cart/", "cart.html", "Your cart", script=True),
        Page(
            "order/",
            "order.html",
            "Your order",
            script=True,
            context={"ways": catalogue.checkout.pay_with, "shipping": _shipping(catalogue, views)},
        ),
    ]


def _shipping(catalogue: Catalogue, views: Views) -> dict[str, Any] | None:
    """Where parcels go and what that costs, or None."""
    settings = catalogue.checkout.shipping
    if settings is None:
        return None
    currency = catalogue.shop.currency
    rates = []
    for rate in settings.rates:
        amount = money.to_minor(rate.price, currency)
        rates.append({"name": rate.name, "amount": amount, "price": views.formats.money(amount, currency)})
    names = {code: views.formats.country(code) for code in settings.countries}
    countries = dict(sorted(names.items(), key=lambda one: one[1]))
    return {
        "rates": rates,
        "cheapest": min(rates, key=lambda rate: rate["amount"]),
        "countries": countries,
        "states": not WITH_STATES.isdisjoint(settings.countries),
        "where": views.formats.listing(list(countries.values())),
    }


def _policy(checkout: str | None, assets: Assets) -> str:
    """The Content-Security-Policy. It leaves out form-action: browsers apply it to the redirect to the payment too."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(checkout)) if checkout else "'none'"
    return (
        f"default-src 'none'; script-src 'self' '{assets.inline_hash}'; style-src 'self'; img-src 'self'; "
        f"connect-src {origin}; base-uri 'none'"
    )
