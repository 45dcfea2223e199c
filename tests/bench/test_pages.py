"""The figures of the pages count what a browser loads, and the generated shops are what they are said to be."""

from __future__ import annotations

from bench import site
from pushcart import shopfile

STYLE, SCRIPT = "x" * 1000, "y" * 400


def a_site(folder):
    files = {
        "assets/shop.css": STYLE,
        "assets/shop.js": SCRIPT,
        "index.html": "<script>one()</script>" + "p" * 100,
        "cart/index.html": '<script src="../assets/shop.js?v=1"></script><script>two</script>',
        "images/a-400.webp": "z" * 30,
        "images/a-800.webp": "z" * 70,
        "images/a-800.jpg": "z" * 900,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return files


def test_a_page_weighs_its_html_and_what_it_loads_but_no_pictures(tmp_path):
    files = a_site(tmp_path)
    weights = site.Weights(tmp_path)
    assert weights.largest_page == len(files["cart/index.html"]) + len(STYLE) + len(SCRIPT)
    assert weights.largest_picture == 70
    (tmp_path / "index.html").write_text("p" * 900)
    assert site.Weights(tmp_path).largest_page == 900 + len(STYLE), "a page without the script does not load it"


def test_all_script_of_a_page_counts_also_what_stands_in_it(tmp_path):
    a_site(tmp_path)
    assert site.Weights(tmp_path).largest_script == len(SCRIPT) + len("two")


def test_a_generated_shop_has_so_many_products_and_pictures(tmp_path):
    file = site.generated(tmp_path / "shop", 25)
    products = shopfile.read(file).products
    assert len({product.sku for product in products}) == 25
    assert {bool(product.options) for product in products} == {True, False}
    pictures = {path.read_bytes() for path in (tmp_path / "shop" / "site" / "images").iterdir()}
    assert len(pictures) == site.PICTURES
    assert {name for product in products for name in product.images} == {
        path.name for path in (tmp_path / "shop" / "site" / "images").iterdir()
    }
