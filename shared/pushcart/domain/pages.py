"""The pages of the static shop, by their path below its address."""

from __future__ import annotations

import re

from pushcart.domain.catalogue import Catalogue

#: The pages that every shop has.
FIXED = ("/", "/cart/", "/order/", "/thank-you/", "/cancelled/", "/terms/", "/privacy/")


#: What the owner may call a page of their own, `NAME.md` at `/NAME/`.
OWN_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def may_be_own(path: str) -> bool:
    """Whether it can be a page that the owner wrote: which there are only the built site knows."""
    return path not in FIXED and path[:1] == path[-1:] == "/" and OWN_NAME.fullmatch(path[1:-1]) is not None


def product_page(sku: str) -> str:
    """`/products/SKU/`."""
    return f"/products/{sku}/"


def pages(catalogue: Catalogue) -> list[str]:
    """Every page of the shop."""
    return [*FIXED, *(product_page(product.sku) for product in catalogue.products)]
