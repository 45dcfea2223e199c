"""The pages of the static shop, by their path below its address."""

from __future__ import annotations

from pushcart.domain.catalogue import Catalogue

#: The pages that every shop has.
FIXED = ("/", "/cart/", "/order/", "/thank-you/", "/cancelled/", "/terms/", "/privacy/")


def product_page(sku: str) -> str:
    """`/products/SKU/`."""
    return f"/products/{sku}/"


def pages(catalogue: Catalogue) -> list[str]:
    """Every page of the shop."""
    return [*FIXED, *(product_page(product.sku) for product in catalogue.products)]
