"""The static shop's pages: what they show, what they load, and that nothing in shop.yml becomes markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from pushcart import shopfile
from storefront import SHOP_FILE, SITE, build
from storefront.building import HEAVY
from support.storefront import CHECKOUT, SHOP, URL, catalogue, dead_links, owners_folder, pages, tree

#: The most that all script of a page may weigh, in bytes.
MOST_SCRIPT = 12_000

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return owners_folder(tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def out(tmp_path_factory, site):
    out = tmp_path_factory.mktemp("built") / "site"
    build(catalogue(), out, site=site)
    return out


@pytest.fixture
def built(tmp_path, site):
    """Builds a changed shop.yml; gives the folder."""

    def make(text: str = SHOP, **overrides) -> Path:
        build(catalogue(text), tmp_path / "site", site=site, **overrides)
        return tmp_path / "site"

    return make


def referenced(page) -> list[str]:
    """What the page loads besides pictures, from the site's root."""
    return [one["src"] for one in page.all("script") if "src" in one] + [
        one["href"] for one in page.all("link", rel="stylesheet")
    ]


# The pages as a whole


def test_every_page_that_belongs_to_a_shop_is_there(out):
    names = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.suffix in (".html", ".xml", ".txt")}
    folders = "cart order thank-you cancelled terms privacy products/course products/shirt products/gone".split()
    expected = {"index.html", "404.html", "sitemap.xml", "robots.txt", *(f"{one}/index.html" for one in folders)}
    assert names == expected


@pytest.mark.parametrize("place", ["https://shop.test", "https://host.test/shops/mine"])
def test_every_link_leads_to_a_page_also_below_a_path(built, place):
    assert dead_links(built(url=place), f"{urlsplit(place).path}/") == []


def test_a_dead_link_would_be_found(built):
    out = built()
    (out / "terms" / "index.html").unlink()
    assert any("../terms/" in found for found in dead_links(out))


def test_every_page_is_whole_has_one_heading_and_says_its_language(out):
    for path, page in pages(out):
        assert (page.mistakes, page.open) == ([], []), path
        assert page.all("html")[0]["lang"] == "en-GB", path
        assert len(page.all("main")) == 1, path
        shown = "thank-you" not in path  # which has a heading for each state of the order
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1, path
        assert not shown or levels.count(1) == 1, path
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), path
        assert page.elements[[tag for tag, _ in page.elements].index("body") + 1][1] == {
            "class": "skip",
            "href": "#main",
        }


def test_ids_are_unique_and_every_label_and_reference_finds_its_element(out):
    for path, page in pages(out):
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), path
        for _, attributes in page.elements:
            for name in ("for", "aria-labelledby", "aria-describedby"):
                assert set(attributes.get(name, "").split()) <= set(ids), (path, attributes)


@pytest.mark.parametrize("text", ["shipped", "long"])
def test_a_page_weighs_at_most_60_kb_and_its_script_12(tmp_path, site, text):
    if text == "shipped":
        done = build(shopfile.read(SHOP_FILE), tmp_path / "site", site=SITE)
    else:
        many = "".join(
            f"  - {{sku: p{n}, name: {'Name ' * 9}{n}, price: 5.00, text: {'word ' * 99}, images: [a.png]}}\n"
            for n in range(30)
        )
        done = build(catalogue(SHOP + many), tmp_path / "site", site=site)
    assert not done.heavy
    for path, page in pages(tmp_path / "site"):
        file = tmp_path / "site" / path
        loaded = [
            (file.parent / one.partition("?")[0]).resolve() for one in referenced(page) if not one.startswith("/")
        ]
        assert file.stat().st_size + sum(one.stat().st_size for one in loaded) <= done.largest_bytes <= HEAVY, path
        script = sum(one.stat().st_size for one in loaded if one.suffix == ".js")
        inline = re.search(r"<script>(.*?)</script>", file.read_text(), re.S)
        assert inline is not None
        assert script + len(inline[1].encode()) <= MOST_SCRIPT, path


def test_only_pages_that_do_something_load_the_script(out):
    with_script = {
        path.rpartition("/")[0] for path, page in pages(out) if any("shop.js" in one for one in referenced(page))
    }
    assert with_script == {"products/course", "products/shirt", "cart", "order", "thank-you"}


def test_the_policy_lets_the_inline_script_run_and_only_the_checkout_be_called(out):
    for path, page in pages(out):
        policy = page.all("meta", http_equiv="Content-Security-Policy")[0]["content"]
        inline = re.search(r"<script>(.*?)</script>", (out / path).read_text(), re.S)
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert "connect-src https://gateway.test;" in policy
        assert "unsafe" not in policy
        assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found), path


def test_every_page_says_where_it_is_so_that_its_visit_can_be_counted(out):
    said = {path: page.all("html")[0] for path, page in pages(out)}
    assert said["index.html"]["data-page"] == "/"
    assert said["products/course/index.html"]["data-page"] == "/products/course/"
    assert said["404.html"]["data-page"] == "/404.html"
    assert {one["data-checkout"] for one in said.values()} == {CHECKOUT}


def test_the_page_that_is_not_found_has_links_that_work_from_anywhere(built):
    page = tree(built(url="https://host.test/shops/mine"), "404.html")
    assert page.all("link", rel="stylesheet")[0]["href"].startswith("/shops/mine/assets/")
    assert page.all("a", class_="brand")[0]["href"] == "/shops/mine/"


# What is in shop.yml stays text


def test_a_name_that_is_markup_is_shown_and_not_run(built):
    text = SHOP.replace("name: Shirt", f"name: '{EVIL}'").replace("First part.", f"{EVIL} \"'&")
    text = text.replace("values: [S, L]", "values: ['\"><img src=x onerror=alert(1)>', L]")
    text = text.replace("Things to test.", f"'{EVIL}'").replace("Test & Shop", f"'\"{EVIL}'")
    for path, page in pages(built(text.replace("S / Red: 3, S / Blue: 0, ", ""))):
        assert (page.mistakes, page.open) == ([], []), path
        assert not any(attributes.get("src") == "x" for tag, attributes in page.elements), path
        assert sum(1 for one in page.all("script") if not one) == 1, f"only our inline script runs: {path}"
        assert EVIL in page.text(), path


def test_markup_does_not_end_the_structured_data_or_the_data_of_the_script(built):
    page = tree(built(SHOP.replace("name: Shirt", f"name: 'a</script>{EVIL}'")), "products/shirt")
    assert page.scripts("application/ld+json")[0]["name"] == f"a</script>{EVIL}"
    about = json.loads(page.all("form")[0]["data-product"])
    assert about["name"] == f"a</script>{EVIL}"


def test_html_in_a_page_of_the_owner_is_text_and_a_script_no_link(out):
    page = tree(out, "terms")
    assert "<b>no tag</b>" in page.text()
    assert not page.all("b")
    assert page.all("a", href="../privacy/")
    assert not any("javascript" in one["href"] for one in page.all("a"))


def test_the_script_never_makes_markup_of_data():
    static = SHOP_FILE.parents[1] / "storefront" / "static"
    for file in static.glob("*.js"):
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), file


# Buying


def test_a_product_with_a_payment_link_is_bought_without_a_script(out):
    page = tree(out, "products/course")
    assert "https://buy.stripe.test/a?b=1&c=2" in [one["href"] for one in page.all("a", class_="button")]
    assert "js-only" in page.all("form")[0]["class"]


def test_a_product_without_one_has_a_form_that_needs_no_script(out):
    page = tree(out, "products/shirt")
    form = page.all("form")[0]
    assert (form["method"], form["action"], form["class"]) == ("post", CHECKOUT, "buy")
    hidden = {one["name"]: one["value"] for one in page.all("input", type="hidden")}
    assert hidden == {"sku": "shirt", "price": "123450", "currency": "EUR", "pay": "stripe"}
    assert {one["name"] for one in page.all("input", type="radio")} == {"option.Size", "option.Colour"}
    assert page.all("input", name="quantity")[0]["max"] == "99"


def test_a_choice_that_is_sold_out_whatever_else_is_chosen_cannot_be_taken(out):
    radios = {one["value"]: "disabled" in one for one in tree(out, "products/shirt").all("input", type="radio")}
    assert radios == {"S": False, "L": True, "Red": False, "Blue": True}


def test_a_product_of_which_there_is_none_says_so_and_sells_nothing(out):
    page = tree(out, "products/gone")
    assert "Sold out" in page.text()
    assert not page.all("form")
    assert tree(out, "").text().count("Sold out") == 1


def test_links_and_addresses_given_to_the_build_go_before_the_files(built):
    out = built(checkout="http://127.0.0.1:1/function/checkout", links={"course": "https://sandbox.test/pay"}, url=URL)
    page = tree(out, "products/course")
    assert [one["href"] for one in page.all("a", class_="button")] == ["https://sandbox.test/pay"]
    assert page.all("form")[0]["action"] == "http://127.0.0.1:1/function/checkout"
    assert "connect-src http://127.0.0.1:1;" in page.all("meta", http_equiv="Content-Security-Policy")[0]["content"]


def test_without_a_checkout_there_are_payment_links_and_no_cart(built):
    out = built(SHOP.replace(f"  checkout: {CHECKOUT}\n", ""))
    assert not (out / "cart").exists()
    assert not (out / "order").exists()
    assert tree(out, "products/course").all("a", class_="button main", href="https://buy.stripe.test/a?b=1&c=2")
    assert tree(out, "products/shirt").all("a", href="mailto:help@shop.test")
    assert dead_links(out) == []


def test_the_order_form_asks_for_a_code_and_a_consent_only_where_the_shop_has_them(built, out):
    names = {one.get("name") for one in tree(out, "order").all("input")}
    assert names == {"email", "name", "pay", "accept"}
    text = SHOP.replace(
        "checkout:\n  pay", "checkout:\n  reminder: your-cart\n  discounts: [{code: TEN, percent: 10}]\n  pay"
    )
    changed = built(text)
    page = tree(changed, "order")
    assert {"code", "remind"} <= {one.get("name") for one in page.all("input")}
    assert "checked" not in page.all("input", name="remind")[0]
    assert "TEN" not in (changed / "order" / "index.html").read_text()


# Amounts


@pytest.mark.parametrize(
    ("locale", "currency", "price", "shown", "minor", "data"),
    [
        ("en-GB", "EUR", "1234.50", "€1,234.50", "123450", "1234.50"),
        ("de-DE", "EUR", "1234.50", "1.234,50\N{NO-BREAK SPACE}€", "123450", "1234.50"),
        ("pl", "PLN", "19.00", "19,00\N{NO-BREAK SPACE}zł", "1900", "19.00"),
        ("ja", "JPY", "800", "￥800", "800", "800"),
        ("en", "KWD", "1.500", "KWD\N{NO-BREAK SPACE}1.500", "1500", "1.500"),
    ],
)
def test_amounts_are_written_for_the_shops_locale_and_sent_in_minor_units(
    built, locale, currency, price, shown, minor, data
):
    text = SHOP.replace("locale: en-GB", f"locale: {locale}").replace("price: 49.00", f"price: {price}")
    text = text.replace("name: Course", f"name: Course\n    currency: {currency}")
    out = built(text)
    page = tree(out, "products/course")
    assert shown.replace("\N{NO-BREAK SPACE}", " ") in page.text()
    assert page.all("input", name="price")[0]["value"] == minor
    offer = page.scripts("application/ld+json")[0]["offers"]
    assert (offer["price"], offer["priceCurrency"]) == (data, currency)
    digits = page.scripts("application/json")[0]["currencies"][currency]
    assert digits[0] == len(data.partition(".")[2])


def test_a_script_from_right_to_left_is_announced(built):
    assert tree(built(SHOP.replace("en-GB", "ar")), "").all("html")[0]["dir"] == "rtl"


# For machines


def test_the_structured_data_says_what_is_sold_with_whole_addresses(out):
    data = tree(out, "products/course").scripts("application/ld+json")[0]
    assert data["description"] == "First part.\n\nSecond part."
    assert data["offers"]["url"] == f"{URL}/products/course/"
    assert data["offers"]["availability"] == "https://schema.org/InStock"
    assert all(one.startswith(f"{URL}/images/") for one in data["image"])
    sold_out = tree(out, "products/gone").scripts("application/ld+json")[0]["offers"]
    assert sold_out["availability"] == "https://schema.org/SoldOut"


def test_link_previews_get_a_title_an_address_and_a_picture(out):
    page = tree(out, "products/course")
    said = {one["property"]: one["content"] for one in page.all("meta") if "property" in one}
    assert said["og:title"] == "Course"
    assert said["og:url"] == f"{URL}/products/course/"
    assert (out / said["og:image"].removeprefix(f"{URL}/")).is_file()


def test_the_sitemap_lists_what_a_search_engine_should_show_and_nothing_else(out):
    places = [one.text for one in ElementTree.parse(out / "sitemap.xml").iter() if one.tag.endswith("loc")]
    names = ["", "products/course/", "products/shirt/", "products/gone/", "terms/", "privacy/"]
    assert places == [f"{URL}/{name}" for name in names]
    assert f"Sitemap: {URL}/sitemap.xml" in (out / "robots.txt").read_text()
    hidden = {path for path, page in pages(out) if page.all("meta", name="robots", content="noindex")}
    assert hidden == {"404.html", *(f"{one}/index.html" for one in ("cart", "order", "thank-you", "cancelled"))}


def test_a_long_listing_comes_in_pages_that_lead_to_each_other(built):
    more = "".join(f"  - {{sku: p{number}, name: P{number}, price: 5.00}}\n" for number in range(50))
    out = built(SHOP + more)
    shown = [len(tree(out, one).all("li", class_="card")) for one in ("", "page/2", "page/3")]
    assert shown == [24, 24, 5]
    assert tree(out, "page/2").all("a", rel="next")[0]["href"] == "../../page/3/"
    assert tree(out, "page/2").all("a", rel="prev")[0]["href"] == "../../"
    assert {tree(out, one).all("html")[0]["data-page"] for one in ("", "page/2")} == {"/"}


# Pictures


def test_pictures_have_their_size_and_come_in_the_widths_that_fit(out):
    first, second = tree(out, "products/course").all("img")[:2]
    assert (first["width"], first["height"], first["alt"]) == ("500", "300", "Course")
    assert second["alt"] == "Course, picture 2"
    assert ("loading" in first, second["loading"]) == (False, "lazy")
    widths = re.findall(r"-(\d+)\.webp (\d+)w", tree(out, "products/course").all("source")[0]["srcset"])
    assert widths == [("400", "400"), ("500", "500")]
