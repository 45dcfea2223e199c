"""A small shop whose pages are quick to build, and what its pages hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from PIL import Image

from pushcart import shopfile
from pushcart.domain.catalogue import Catalogue

CHECKOUT = "https://gateway.test/function/checkout"
URL = "https://shop.test"

SHOP = """
shop:
  name: Test & Shop
  url: https://shop.test
  currency: EUR
  support: help@shop.test
  sender: shop@shop.test
  admins: [owner@shop.test]
  locale: en-GB
site:
  checkout: https://gateway.test/function/checkout
  description: Things to test.
checkout:
  pay_with: [stripe]
  shipping:
    countries: [PL, DE]
    rates:
      - {name: Post, price: 3.50}
products:
  - sku: course
    name: Course
    price: 49.00
    text: |
      First part.

      Second part.
    images: [a.png, b.png]
    stripe: {price: price_course, url: "https://buy.stripe.test/a?b=1&c=2"}
  - sku: shirt
    name: Shirt
    price: 1234.50
    images: [a.png]
    options:
      - {name: Size, values: [S, L]}
      - {name: Colour, values: [Red, Blue]}
    stock: {S / Red: 3, S / Blue: 0, L / Red: 0, L / Blue: 0}
    ships: true
  - sku: gone
    name: Gone
    price: 5.00
    stock: 0
"""

#: Elements that hold nothing and have no end.
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


def catalogue(text: str = SHOP) -> Catalogue:
    return shopfile.parse(text)


def owners_folder(folder: Path) -> Path:
    """The owner's folder with two small pictures and both pages."""
    (folder / "images").mkdir(parents=True)
    (folder / "pages").mkdir()
    Image.new("RGB", (500, 300), "teal").save(folder / "images" / "a.png")
    Image.new("RGBA", (90, 120), (200, 40, 40, 90)).save(folder / "images" / "b.png")
    (folder / "pages" / "terms.md").write_text("# Terms\n\nSee [privacy](/privacy/). <b>no tag</b> [x](javascript:x)\n")
    (folder / "pages" / "privacy.md").write_text("# Privacy\n\nNothing.\n")
    return folder


class Tree(HTMLParser):
    """A page taken apart: its elements in order, each `(tag, attributes)`, and their texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self._texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in VOID:
            self.mistakes.append(f"</{tag}> at {self.getpos()} where {self.open[-1:]} is open")

    def handle_data(self, data: str) -> None:
        self._texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of each such element; a trailing `_` of a name is dropped and `_` within it is `-`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    def text(self, tag: str | None = None) -> str:
        """The text within elements of this kind, or all that is shown."""
        shown = [
            text for inside, text in self._texts if inside == tag or (tag is None and inside not in ("script", ""))
        ]
        return " ".join(" ".join(shown).split())

    def scripts(self, kind: str) -> list[Any]:
        """What the data blocks of this type hold."""
        blocks, texts = self.all("script"), [text for inside, text in self._texts if inside == "script"]
        inline = [block for block in blocks if "src" not in block]
        return [json.loads(text) for block, text in zip(inline, texts, strict=True) if block.get("type") == kind]


def tree(out: Path, path: str) -> Tree:
    """The page at `path` of a built site, such as `cart/`."""
    return Tree((out / path / "index.html" if not path.endswith(".html") else out / path).read_text(encoding="utf-8"))


def pages(out: Path) -> Iterator[tuple[str, Tree]]:
    """Every page of a built site with its path, such as `products/course/index.html`."""
    for file in sorted(out.rglob("*.html")):
        yield file.relative_to(out).as_posix(), Tree(file.read_text(encoding="utf-8"))


def dead_links(out: Path, base: str = "/") -> list[str]:
    """References of all pages that lead to no file; the site is at the path `base` of its host."""
    dead = []
    for path, page in pages(out):
        here = f"https://host.test{base}{path}"
        for tag, attributes in page.elements:
            named = [attributes.get("href"), attributes.get("src")]
            named += [part.split()[0] for part in attributes.get("srcset", "").split(",") if part.strip()]
            for reference in filter(None, named):
                target = urlsplit(urljoin(here, reference))
                if target.netloc != "host.test":
                    continue
                file = out / target.path.removeprefix(base)
                if not (file / "index.html" if target.path.endswith("/") else file).is_file():
                    dead.append(f"{path}: <{tag}> {reference}")
    return dead
