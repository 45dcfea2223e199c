"""Looking at the static shop on this machine: the small server, building after a change, buttons for other pages."""

from __future__ import annotations

import http.client
import json
import queue
import threading
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from cli.root import pushcart
from pushcart import shopfile
from storefront.serve import StaticSite
from storefront.snippets import snippets
from storefront.watching import Rebuilder
from support.storefront import CHECKOUT, SHOP, Tree, catalogue, owners_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<h1>Home</h1>")
    (folder / "404.html").write_text("<h1>Not here</h1>")
    (folder / "cart").mkdir()
    (folder / "cart" / "index.html").write_text("<h1>Cart</h1>")
    (folder / "images").mkdir()
    for name in ("a.webp", "a.js", "a.css", "a.svg", "a.xml", "a.unknown"):
        (folder / "images" / name).write_bytes(b"x")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def running(folder):
    with StaticSite(folder) as site:
        yield site


def ask(site: StaticSite, path: str, method: str = "GET", **headers: str):
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


# The server


def test_a_folder_shows_its_page(running):
    assert ask(running, "/")[1] == b"<h1>Home</h1>"
    assert ask(running, "/cart/?a=1")[1] == b"<h1>Cart</h1>"
    assert ask(running, "/cart")[0].headers["Location"].endswith("/cart/")


@pytest.mark.parametrize("path", ["/nope", "/images/", "/../secret.txt", "/%2e%2e/secret.txt", "/cart/%00"])
def test_what_is_not_there_and_what_has_no_page_is_404_with_the_shops_page(running, path):
    answer, body = ask(running, path)
    assert (answer.status, body) == (404, b"<h1>Not here</h1>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.webp", "image/webp"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "application/xml; charset=utf-8"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_files_have_their_types(running, name, kind):
    assert ask(running, f"/images/{name}")[0].headers["Content-Type"] == kind


def test_nothing_is_cached_and_everything_is_sent_again(running):
    answer, _ = ask(running, "/", **{"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"})
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_head_has_no_body_and_other_methods_are_refused(running):
    assert ask(running, "/", "HEAD")[1] == b""
    assert ask(running, "/nope", "HEAD")[1] == b""
    assert ask(running, "/", "POST")[0].status == 501


def test_a_port_that_is_taken_is_an_error_and_a_stopped_one_is_free_again(running, folder):
    port = urlsplit(running.url).port
    with pytest.raises(OSError):
        StaticSite(folder, port).start()
    first = StaticSite(folder)
    again = urlsplit(first.start()).port
    first.stop()
    with StaticSite(folder, again) as second:
        assert ask(second, "/")[0].status == 200


# Building after a change


def test_a_change_builds_again_and_a_mistake_is_told_without_ending(tmp_path):
    site = owners_folder(tmp_path / "owner")
    shop_file = tmp_path / "shop" / "shop.yml"
    shop_file.parent.mkdir()
    shop_file.write_text(SHOP)
    told: queue.Queue[object] = queue.Queue()
    rebuilder = Rebuilder(
        shop_file, site, tmp_path / "out", built=told.put, mistaken=told.put, url="http://127.0.0.1:1"
    )
    stop = threading.Event()
    thread = threading.Thread(target=rebuilder.run, args=(stop,))
    thread.start()
    try:
        assert told.get(timeout=20).pages == 11
        shop_file.write_text(SHOP.replace("price: 49.00", "price: soon"))
        assert "products[0].price" in told.get(timeout=20)[0]
        (site / "pages" / "about.md").write_text("# About\n")
        assert "products[0].price" in told.get(timeout=20)[0], "the mistake is still there"
        shop_file.write_text(SHOP)
        assert told.get(timeout=20).pages == 12
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


# Buttons for other pages


def test_a_product_has_a_link_and_a_form_and_what_is_in_them_is_escaped():
    text = SHOP.replace("name: Course", "name: '<b>\"Course'")
    course, shirt, _ = snippets(catalogue(text), catalogue(text).products)
    assert Tree(course.link).all("a") == [{"href": "https://buy.stripe.test/a?b=1&c=2"}]
    assert Tree(course.link).text() == 'Buy <b>"Course'
    assert shirt.link is None
    form = Tree(shirt.form)
    assert form.all("form") == [{"method": "post", "action": CHECKOUT}]
    assert [one["name"] for one in form.all("select")] == ["option.Size", "option.Colour"]
    assert form.all("input", name="sku")[0]["value"] == "shirt"
    assert (form.mistakes, form.open) == ([], [])


def test_a_product_that_nothing_sells_says_what_to_add():
    shop = catalogue(SHOP.replace(f"  checkout: {CHECKOUT}\n", ""))
    course, shirt, _ = snippets(shop, shop.products)
    assert (course.form, course.missing) == (None, [])
    assert "stripe.url of shirt" in shirt.missing[0]
    assert "site.checkout" in shirt.missing[1]


@pytest.fixture
def shop_file(tmp_path):
    (tmp_path / "shop.yml").write_text(SHOP)
    return str(tmp_path / "shop.yml")


def test_the_command_prints_snippets_to_copy_and_as_json(shop_file):
    done = CliRunner().invoke(pushcart, ["shop", "links", "course", "--shop", shop_file])
    assert done.exit_code == 0
    assert '\n<a href="https://buy.stripe.test/a?b=1&amp;c=2">Buy Course</a>\n' in done.output
    assert "Shirt" not in done.output
    done = CliRunner().invoke(pushcart, ["shop", "links", "--json", "--shop", shop_file])
    assert [one["sku"] for one in json.loads(done.output)] == ["course", "shirt", "gone"]
    assert json.loads(done.output)[0]["price"] == "€49.00"


def test_the_command_refuses_a_product_it_does_not_know(shop_file):
    done = CliRunner().invoke(pushcart, ["shop", "links", "mug", "--shop", shop_file])
    assert done.exit_code == 2
    assert "There is no product mug; there is course, shirt, gone." in done.output


def test_serving_at_a_port_that_is_taken_says_so(running, tmp_path):
    port = str(urlsplit(running.url).port)
    done = CliRunner().invoke(pushcart, ["shop", "serve", "--port", port, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert f"Port {port}:" in done.output


def test_the_shipped_shop_has_a_button_for_every_product():
    from storefront import SHOP_FILE

    shop = shopfile.read(SHOP_FILE)
    assert all(one.link or one.form for one in snippets(shop, shop.products))
