"""Building the static shop: every mistake at once, the old site stays when it fails, and nothing stale remains."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pushcart.errors import ConfigurationError
from storefront import build
from storefront.building import ROOT
from support.storefront import SHOP, catalogue, owners_folder, tree


@pytest.fixture
def site(tmp_path):
    return owners_folder(tmp_path / "owner")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "build" / "site"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mistakes(site: Path, out: Path, text: str = SHOP) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        build(catalogue(text), out, site=site)
    return error.value.problems


# Mistakes


def test_every_mistake_is_said_at_once_with_its_file_and_the_next_step(site, out):
    (site / "images" / "a.png").unlink()
    (site / "images" / "b.png").write_bytes(b"no picture")
    (site / "pages" / "privacy.md").unlink()
    (site / "pages" / "terms.md").write_text("No title\n")
    (site / "pages" / "cart.md").write_text("# Mine\n")
    (site / "pages" / "Über uns.md").write_text("# Us\n")
    (site / "templates").mkdir()
    (site / "templates" / "404.html").write_text("line one\n{% if %}\n")
    found = "\n".join(mistakes(site, out, SHOP.replace("en-GB", "xx-nowhere")))
    for complaint in (
        f"products[0].images: {site}/images/a.png is missing; put the picture there",
        f"{site}/images/b.png cannot be used as a picture (it is of no kind that is known here)",
        f"{site}/pages/privacy.md is missing; say there what you keep about buyers",
        f"{site}/pages/terms.md: should begin with its title, such as: # Terms of sale",
        f"{site}/pages/cart.md: /cart/ is a page of the shop already",
        "Über uns.md: name it with lower case letters",
        f"the template {site}/templates/404.html line 2",
        "shop.locale: 'xx-nowhere' is no locale",
    ):
        assert complaint in found, complaint


def test_a_picture_that_breaks_off_is_a_mistake(site, out):
    picture = site / "images" / "a.png"
    picture.write_bytes(picture.read_bytes()[:-200])
    assert "a.png cannot be used as a picture" in mistakes(site, out)[0]


def test_a_picture_outside_its_folder_is_a_mistake(site, out):
    found = mistakes(site, out, SHOP.replace("a.png", "../../../etc/passwd"))
    assert "../../../etc/passwd is outside" in found[0]


def test_a_template_that_asks_for_what_is_not_there_is_named_with_its_line(site, out):
    (site / "templates").mkdir()
    (site / "templates" / "cancelled.html").write_text("fine\n{{ shop.nmae }}\n")
    found = mistakes(site, out)
    assert len(found) == 1
    assert "templates/cancelled.html line 2" in found[0]
    assert "nmae" in found[0]


def test_a_folder_that_holds_something_else_is_not_replaced(site, out):
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("years of work")
    assert "holds something else than a built site" in mistakes(site, out)[0]
    assert files(out) == {"thesis.txt": b"years of work"}


def test_a_file_of_the_owner_may_not_replace_a_page(site, out):
    (site / "files" / "cart").mkdir(parents=True)
    (site / "files" / "cart" / "index.html").write_text("mine")
    assert "would replace a file of the shop" in mistakes(site, out)[0]


# The old site and the new one


def test_a_build_that_fails_leaves_the_old_site_and_nothing_else(site, out):
    build(catalogue(), out, site=site)
    before = files(out)
    (site / "pages" / "terms.md").unlink()
    mistakes(site, out)
    assert files(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_a_rebuild_leaves_no_stale_file_and_changes_nothing_that_is_the_same(site, out):
    build(catalogue(), out, site=site)
    before = files(out)
    build(
        catalogue(SHOP.replace("sku: gone", "sku: back").replace("images: [a.png, b.png]", "images: [a.png]")),
        out,
        site=site,
    )
    after = files(out)
    assert {name for name in before if name not in after} >= {"products/gone/index.html"}
    assert not [name for name in after if "/b-" in name or "gone" in name]
    kept = {name for name in before if name.startswith(("images/a-", "assets/", "terms/"))}
    assert kept
    assert all(after[name] == before[name] for name in kept)
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_the_same_input_builds_the_same_files(site, out, tmp_path):
    build(catalogue(), out, site=site)
    build(catalogue(), tmp_path / "other", site=site)
    assert files(out) == files(tmp_path / "other")


def test_a_picture_that_did_not_change_is_not_made_again(site, out):
    build(catalogue(), out, site=site)
    made = next((out / "images").glob("a-*.webp"))
    made.write_bytes(b"as it was")
    build(catalogue(), out, site=site)
    assert made.read_bytes() == b"as it was"
    Image.new("RGB", (500, 300), "navy").save(site / "images" / "a.png")
    build(catalogue(), out, site=site)
    assert not made.exists()


def test_pictures_stand_upright_and_lose_what_the_camera_wrote_into_them(site, out):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Secret Camera"  # turned by 90 degrees; the maker
    (site / "images" / "a.png").unlink()
    Image.new("RGB", (500, 300), "teal").save(site / "images" / "a.jpg", exif=exif)
    build(catalogue(SHOP.replace("a.png", "a.jpg")), out, site=site)
    shown = tree(out, "products/course").all("img")[0]
    assert (shown["width"], shown["height"]) == ("300", "500")
    for file in (out / "images").glob("a-*"):
        assert b"Secret Camera" not in file.read_bytes()
        with Image.open(file) as picture:
            assert picture.size == (300, 500)


def test_a_clear_picture_stays_clear_and_its_jpeg_is_on_white(site, out):
    Image.new("RGBA", (60, 60), (0, 0, 0, 0)).save(site / "images" / "b.png")
    build(catalogue(), out, site=site)
    with (
        Image.open(next((out / "images").glob("b-*.webp"))) as webp,
        Image.open(next((out / "images").glob("b-*.jpg"))) as jpeg,
    ):
        assert webp.getpixel((5, 5))[3] == 0
        assert min(jpeg.getpixel((5, 5))) > 250


# The owner's own


def test_the_owners_theme_templates_pages_and_files_win_over_ours(site, out):
    (site / "theme.css").write_text(":root { --accent: #123456; /* mine */ }")
    (site / "templates").mkdir()
    (site / "templates" / "cancelled.html").write_text(
        "{% extends '_layout.html' %}{% block main %}<h1>Oh</h1>{% endblock %}"
    )
    (site / "pages" / "about-us.md").write_text("# About *us*\n\nHello.\n")
    (site / "files").mkdir()
    (site / "files" / "CNAME").write_text("shop.test\n")
    (site / "files" / "favicon.svg").write_text("<svg/>")
    build(catalogue(), out, site=site)
    assert (out / "assets" / "shop.css").read_text().endswith(":root{--accent:#123456}")
    assert tree(out, "cancelled").text("h1") == "Oh"
    assert tree(out, "").all("a", href="./about-us/")
    assert "About us" in tree(out, "about-us").text("title")
    assert ((out / "CNAME").read_text(), (out / "favicon.svg").read_text()) == ("shop.test\n", "<svg/>")


def test_the_theme_names_every_variable_of_the_style_sheet_and_no_other():
    def named(file: str) -> set[str]:
        return set(re.findall(r"^\s*(--[a-z-]+):", (ROOT / "deploy" / file).read_text(), re.M))

    sheet = (ROOT / "deploy" / "storefront" / "static" / "shop.css").read_text()
    assert (
        named("site/theme.css") == named("storefront/static/shop.css") == set(re.findall(r"var\((--[a-z-]+)\)", sheet))
    )
    rules = " ".join(re.findall(r"{([^{}]*)}", sheet[sheet.index("*, ::before") :]))
    assert not re.search(r"#[0-9a-f]{3}|rgba?\(|hsla?\(|font-family: [^v]", rules)


# The command


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = {"PYTHONPATH": f"{ROOT}/shared:{ROOT}/deploy"}
    return subprocess.run(
        [sys.executable, "-m", "storefront", *arguments], capture_output=True, text=True, env=paths, check=False
    )


def test_the_command_says_what_it_built_in_one_line(site, out, tmp_path):
    (tmp_path / "shop.yml").write_text(SHOP)
    done = command("--shop", str(tmp_path / "shop.yml"), "--site", str(site), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert f"{out}: 11 pages, 2 images in " in done.stdout
    assert "largest page /" in done.stdout
    assert (out / "index.html").is_file()


def test_the_command_lists_mistakes_and_ends_with_1(site, out, tmp_path):
    (tmp_path / "shop.yml").write_text(SHOP)
    (site / "pages" / "terms.md").unlink()
    (site / "images" / "a.png").unlink()
    done = command("--shop", str(tmp_path / "shop.yml"), "--site", str(site), "--out", str(out))
    assert done.returncode == 1
    assert "terms.md is missing" in done.stdout
    assert "Nothing was built. Mistakes: 3." in done.stdout
    assert not out.exists()


def test_progress_counts_up_to_everything_there_is(site, out):
    told = []
    build(catalogue(), out, site=site, progress=lambda done, total, what: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][0] == told[-1][1]
