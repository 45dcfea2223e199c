"""The shop's pages: how long `make site` takes, what the pages weigh, and what a slow phone makes of them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageOps

from bench import phone
from bench.surroundings import ROOT

SIZES = (10, 1_000)
#: Pictures that the products share, so that both sizes have the same to do for them.
PICTURES = 10
DEMO_SHOP = ROOT / "deploy" / "shop"
DEMO_SITE = ROOT / "deploy" / "site"
#: Seconds until a build counts as stuck.
STUCK = 120
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
TEXT = "Thrown by hand in the studio, glazed in one of our own colours and fired twice. " * 4


class NotBuilt(Exception):
    """`make site` failed, or did not show what it should; what it wrote is in the message."""


class Weights:
    """What the pages of a built site weigh, in bytes. A page loads its HTML, the style sheet, and maybe the script."""

    def __init__(self, folder: Path) -> None:
        style, script = (folder / "assets" / name for name in ("shop.css", "shop.js"))
        self.largest_page = self.largest_script = 0
        for page in folder.rglob("*.html"):
            html = page.read_text(encoding="utf-8")
            loaded = script.stat().st_size if "assets/shop.js" in html else 0
            inline = sum(len(text.encode()) for text in INLINE.findall(html))
            self.largest_page = max(self.largest_page, page.stat().st_size + style.stat().st_size + loaded)
            self.largest_script = max(self.largest_script, loaded + inline)
        self.largest_picture = max(picture.stat().st_size for picture in folder.glob("images/*.webp"))


def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of building and loading the pages; KB are thousands of bytes, as they lie on the disk."""
    found: dict[str, Any] = {}
    weights = []
    for products in SIZES:
        shop = generated(folder / f"shop-{products}", products)
        out = folder / f"site-{products}"
        for name, what in (("site_s", "for the first time"), ("site_again_s", "once more")):
            say(f"make site: {products:,} products, {what}")
            found[f"{name}_{products}"] = built(shop, out, products)
        weights.append(Weights(out))
    with phone.shop(folder / "demo") as shop:
        demo = Weights(shop.state_dir / "site")
        weights.append(demo)
        found |= phone.measure(shop, say)
    return found | {
        "site_picture_s": max(0.0, found[f"site_s_{SIZES[0]}"] - found[f"site_again_s_{SIZES[0]}"]) / PICTURES,
        "page_kb_max": max(one.largest_page for one in weights) / 1000,
        "script_kb_max": max(one.largest_script for one in weights) / 1000,
        "picture_kb_max": demo.largest_picture / 1000,
    }


def generated(folder: Path, products: int) -> Path:
    """A shop.yml with so many products, half of them with options, and beside it `site`, the owner's folder."""
    pictures = folder / "site" / "images"
    pictures.mkdir(parents=True)
    (folder / "mails").symlink_to(DEMO_SHOP / "mails")
    (folder / "site" / "pages").symlink_to(DEMO_SITE / "pages")
    names = []
    for number, image in zip(range(PICTURES), _pictures(), strict=False):
        names.append(f"picture-{number}.jpg")
        image.save(pictures / names[-1], quality=88)
    shop = yaml.safe_load((DEMO_SHOP / "shop.yml").read_text(encoding="utf-8"))
    shop["products"] = [_product(number, names[number % PICTURES]) for number in range(products)]
    file = folder / "shop.yml"
    file.write_text(yaml.safe_dump(shop, sort_keys=False), encoding="utf-8")
    return file


def _pictures() -> Iterator[Image.Image]:
    """The demo's pictures, then the same mirrored, and so on, all of them different files."""
    changes: tuple[Callable[[Image.Image], Image.Image], ...] = (lambda image: image, ImageOps.mirror, ImageOps.flip)
    for change in changes:
        for path in sorted((DEMO_SITE / "images").glob("*.jpg")):
            with Image.open(path) as image:
                yield change(image)


def _product(number: int, picture: str) -> dict[str, Any]:
    product: dict[str, Any] = {
        "sku": f"piece-{number:04}",
        "name": f"Stoneware piece no. {number}",
        "price": 20 + number % 80,
        "text": f"{TEXT}\n\n{TEXT}",
        "images": [picture],
        "ships": True,
        "fulfilment": [{"step": "email", "template": "please-pack", "to": "admins"}],
    }
    if number % 2:
        product["options"] = [{"name": "Glaze", "values": ["Celadon", "Tenmoku", "Shino", "Ash"]}]
    return product


def built(shop: Path, out: Path, products: int) -> float:
    """Seconds that the command behind `make site` takes on a terminal, with its progress bar."""
    command = [sys.executable, "-m", "storefront"]
    options = ["--shop", str(shop), "--site", str(shop.parent / "site"), "--out", str(out)]
    here, there = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'deploy'}",
        "TERM": "xterm",
        "COLUMNS": "120",
    }
    began = time.perf_counter()
    with subprocess.Popen([*command, *options], stdout=there, stderr=there, env=environment) as process:
        os.close(there)
        shown = _shown(here)
        status = process.wait(STUCK)
    seconds = time.perf_counter() - began
    os.close(here)
    pages = len(list(out.glob("products/*/index.html")))
    if status or "Building" not in shown or pages != products:
        raise NotBuilt(f"make site ended with {status} and {pages} of {products} products: {shown[-2000:]}")
    return seconds


def _shown(terminal: int) -> str:
    """All that is written to the terminal, until its last writer has gone."""
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says so when nobody has the other end open any more
            chunk = b""
        if not chunk:
            return shown.decode(errors="replace")
        shown += chunk
