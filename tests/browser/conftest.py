"""A real Chromium (Debian's) and a whole shop with its pages; catch-up runs by itself, as in `make run`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
import yaml
from playwright.sync_api import expect

from local.shop import ROOT, LocalShop
from support import chromium as browsers
from support.browsing import PATIENCE, SIZES, Visitor, Watch

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def chromium():
    with browsers.chromium() as browser:
        yield browser


class ShopFile:
    """A copy of deploy/shop/shop.yml with aprons enough for every test, and a course of which nothing is left.

    It can be changed while the shop runs.
    """

    def __init__(self, folder):
        self.path = folder / "shop.yml"
        (folder / "mails").symlink_to(ROOT / "deploy" / "shop" / "mails")
        self._content = yaml.safe_load((ROOT / "deploy" / "shop" / "shop.yml").read_text())
        self.product("studio-apron")["stock"] = {"S": 500, "M": 500, "L": 0}
        self.product("glaze-chemistry")["stock"] = 0
        self._write()

    def product(self, sku):
        return next(product for product in self._content["products"] if product["sku"] == sku)

    def _write(self):
        # The functions read it whenever it has changed, never half of it.
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(self._content, sort_keys=False))
        fresh.rename(self.path)

    @contextmanager
    def changed(self, sku, **fields):
        """For a while the product has other fields than its page was built with."""
        product = self.product(sku)
        before = dict(product)
        product.update(fields)
        self._write()
        try:
            yield
        finally:
            product.update(before)
            self._write()


@pytest.fixture(scope="session")
def shop_file(tmp_path_factory):
    return ShopFile(tmp_path_factory.mktemp("shop-file"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory, shop_file):
    with LocalShop(tmp_path_factory.mktemp("shop"), site_port=0, shop_file=shop_file.path) as shop:
        shop.build_site()
        yield shop


@contextmanager
def window(chromium, shop, size="desktop", rough=False, **options):
    """A new browser with nothing in it. What must never happen on any page fails the test at its end."""
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(PATIENCE)
    watch = Watch(context, shop, rough)
    yield context.new_page()
    found = watch.found()
    context.close()
    assert found == []


@pytest.fixture(params=SIZES)
def page(request, chromium, shop):
    with window(chromium, shop, request.param) as page:
        yield page


@pytest.fixture
def desktop(chromium, shop):
    """A page where the size of the window makes no difference."""
    with window(chromium, shop) as page:
        yield page


@pytest.fixture
def opened(chromium, shop):
    """Opens windows with options of the test's own; the argument is another shop."""
    with ExitStack() as stack:
        yield lambda of=shop, **options: stack.enter_context(window(chromium, of, **options))


@pytest.fixture
def visitor(shop, page):
    return Visitor(shop, page)


@pytest.fixture
def anybody(shop, desktop):
    """A visitor for whom the size of the window makes no difference."""
    return Visitor(shop, desktop)
