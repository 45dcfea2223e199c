"""What machines read: structured data of a product, the sitemap, robots.txt."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue
from storefront.views import View

SITEMAP, ROBOTS = "sitemap.xml", "robots.txt"


def product_data(view: View, catalogue: Catalogue, url: str) -> dict[str, Any]:
    """schema.org's Product with its Offer (https://schema.org/Product); addresses are absolute, as it asks."""
    product = view.product
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": product.name,
        "sku": product.sku,
        "offers": {
            "@type": "Offer",
            "url": f"{url}/{view.path}",
            "price": f"{money.to_decimal(view.amount, view.currency):f}",
            "priceCurrency": view.currency,
            "availability": f"https://schema.org/{'SoldOut' if view.sold_out else 'InStock'}",
            "seller": {"@type": "Organization", "name": catalogue.shop.name},
        },
    }
    if view.paragraphs:
        data["description"] = "\n\n".join(view.paragraphs)
    if view.pictures:
        data["image"] = [f"{url}/{picture.jpeg}" for picture in view.pictures]
    return data


def write(folder: Path, places: Iterable[str], url: str) -> None:
    """sitemap.xml with the places a search engine should list (https://www.sitemaps.org/protocol.html), robots.txt."""
    locations = "".join(f"<url><loc>{escape(url + '/' + place)}</loc></url>\n" for place in places)
    sitemap = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{locations}</urlset>\n'
    )
    (folder / SITEMAP).write_text(sitemap, encoding="utf-8")
    (folder / ROBOTS).write_text(f"User-agent: *\nAllow: /\n\nSitemap: {url}/{SITEMAP}\n", encoding="utf-8")


def is_site(folder: Path) -> bool:
    """Whether the folder is a site that was built here."""
    return (folder / SITEMAP).is_file() and (folder / "assets" / "shop.css").is_file()
