"""Builds the whole site into a folder beside the old one and swaps the two."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError, problems_of
from storefront import machines, pictures, texts
from storefront.assets import Assets
from storefront.pages import Page, all_pages, environment, explain, syntax_mistakes
from storefront.progress import Progress, Work
from storefront.views import Views, formats_of

ROOT = Path(__file__).parents[2]
SHOP_FILE = ROOT / "deploy" / "shop" / "shop.yml"
SITE = ROOT / "deploy" / "site"
OUT = ROOT / "build" / "site"

#: What a page may weigh without its images, in bytes.
HEAVY = 60_000

#: The owner's folder of files that go to the site's root as they are, such as a CNAME or a favicon.ico.
FILES = "files"


@dataclass(frozen=True)
class Built:
    """What was built: the number of pages and of pictures, and the page that weighs most without its images.

    `largest_bytes` counts the page's HTML and the style sheet and script it loads.
    """

    out: Path
    pages: int
    images: int
    seconds: float
    largest: str
    largest_bytes: int

    @property
    def heavy(self) -> bool:
        """Whether the largest page is more than a slow phone should be asked to load."""
        return self.largest_bytes > HEAVY


def build(
    catalogue: Catalogue,
    out: Path,
    *,
    site: Path = SITE,
    checkout: str | None = None,
    url: str | None = None,
    links: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Built:
    """Builds the site into `out`, whose old content is gone after that and stays whole when the build fails.

    `site` is the owner's folder (images, pages, theme.css, templates, files). `checkout`, `url` and `links` (payment
    links by sku) go before what shop.yml says. `progress` is told the number done, the number in all, and what.
    Raises `ConfigurationError` with every mistake: a missing picture or page, a broken template, a folder that holds
    something else.
    """
    started = time.perf_counter()
    address = (url or catalogue.shop.url).rstrip("/")
    public = (checkout or catalogue.site.checkout or "").rstrip("/") or None
    sources = pictures.sources(catalogue, site / "images")
    written = texts.read(site / "pages")
    assets = Assets.load(site / "theme.css")
    jinja = environment(site / "templates", assets)
    mistakes = [
        *problems_of(lambda: formats_of(catalogue)),
        *syntax_mistakes(jinja),
        *_folder_mistakes(out, site),
        *sources.mistakes,
        *written.mistakes,
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        work = Work(progress or (lambda done, total, what: None))
        made, spoilt = pictures.make(sources.paths, fresh / "images", out / "images", work)
        mistakes += spoilt
        if mistakes:
            raise ConfigurationError(mistakes)
        views = Views(catalogue, made, links or {}, public)
        pages = all_pages(catalogue, views, written.pages, address, public, assets)
        work.expect(len(pages))
        weights = {}
        for page in pages:
            mistakes += _write(page, jinja, fresh)
            loaded = len(assets.css) + (len(assets.script) if page.script else 0)
            weights[page.place] = (fresh / page.file).stat().st_size + loaded if not mistakes else 0
            work.done(page.place)
        if mistakes:
            raise ConfigurationError(list(dict.fromkeys(mistakes)))
        assets.write(fresh)
        machines.write(fresh, [page.place for page in pages if page.listed], address)
        _copy_files(site / FILES, fresh)
        if not (fresh / "favicon.svg").exists():
            mark = jinja.get_template("favicon.svg").render(shop=catalogue.shop)
            (fresh / "favicon.svg").write_text(mark, encoding="utf-8")
        fresh.chmod(0o755)
        _swap(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    largest = max(weights, key=lambda place: weights[place])
    return Built(out, len(pages), len(made), time.perf_counter() - started, largest, weights[largest])


def _folder_mistakes(out: Path, site: Path) -> list[str]:
    mistakes = []
    if not site.is_dir():
        mistakes.append(f"{site} is missing; it holds the shop's images/ and pages/")
    # Whatever is in the folder is replaced: so it has to be a site that was built before.
    if out.exists() and not (out.is_dir() and (machines.is_site(out) or not any(out.iterdir()))):
        mistakes.append(f"{out} holds something else than a built site; choose a new folder or empty this one")
    return mistakes


def _write(page: Page, jinja: jinja2.Environment, folder: Path) -> list[str]:
    try:
        html = jinja.get_template(page.template).render(page=page, **page.context)
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [explain(error, page.template)]
    file = folder / page.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html, encoding="utf-8")
    return []


def _copy_files(source: Path, folder: Path) -> None:
    """The owner's own files; one that has the name of a page of ours is a mistake."""
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else []
    taken = [path for path in files if (folder / path.relative_to(source)).exists()]
    if taken:
        raise ConfigurationError([f"{path} would replace a file of the shop; give it another name" for path in taken])
    for path in files:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _swap(fresh: Path, out: Path) -> None:
    """Puts the new folder in the place of the old one, which comes back if that fails."""
    old = fresh.with_name(f"{fresh.name}-old")
    if out.exists():
        os.rename(out, old)
    try:
        os.rename(fresh, out)
    except OSError:
        if old.exists():
            os.rename(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
