"""`pushcart shop`: the owner's one file, before it is deployed; the shop's pages, and buttons for others."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.connect import ROOT, SaidNo, Shop
from cli.output import as_json_option, heading, print_json, say

if TYPE_CHECKING:
    from pushcart.domain.catalogue import Catalogue
    from storefront import Built

SHOP_FILE = ROOT / "deploy" / "shop" / "shop.yml"
SITE = ROOT / "deploy" / "site"

#: Where the pages for looking at lie; build/site is for uploading.
PREVIEW = ROOT / ".pushcart" / "preview"

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def mistakes(path: Path, transport: str = "sendgrid") -> list[str]:
    """Every mistake in the shop.yml at `path` and in the mails beside it, without asking anybody."""
    # Only here: the mails' libraries take a while to import.
    from pushcart import shopfile
    from pushcart.domain import attention
    from pushcart.errors import ConfigurationError
    from pushcart.mail.dispatch import shop_problems
    from pushcart.mail.render import Renderer

    found: list[str] = []
    try:
        found += shop_problems(shopfile.read(path), transport)
    except ConfigurationError as error:
        found += error.problems
    return found + Renderer(path.parent / shopfile.MAILS).problems(attention.TEMPLATE)


@click.group()
def shop() -> None:
    """What the shop sells."""


@shop.command("check")
@click.argument("file", type=_FILE, default=SHOP_FILE)
@as_json_option
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """List every mistake in shop.yml and its mails.

    FILE is deploy/shop/shop.yml unless you name another. Nobody is asked; pushcart doctor compares with Stripe.
    """
    found = mistakes(file)
    if as_json:
        print_json({"file": str(file), "mistakes": found})
    elif found:
        for mistake in found:
            say(mistake)
    else:
        say(f"{file} has no mistake, and neither have its mails.")
    context.exit(int(bool(found)))


@shop.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0 takes any.")
@click.option("--shop", "file", type=_FILE, default=SHOP_FILE, help="Another shop.yml.")
@click.option(
    "--site",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=SITE,
    help="Another folder with images/, pages/ and theme.css.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=PREVIEW, hidden=True)
@as_json_option
@click.pass_obj
def serve(place: Shop, port: int, file: Path, site: Path, out: Path, as_json: bool) -> None:
    """Look at the shop's pages here, built anew after each change.

    It watches shop.yml, deploy/site and the templates until Ctrl-C. Orders go to the checkout that make run has
    started, or to that of --gateway. With --json it prints an object for each build.
    """
    from storefront.serve import StaticSite
    from storefront.watching import Rebuilder

    server = StaticSite(out, port)
    try:
        url = server.start()
    except OSError as error:
        raise SaidNo(f"Port {port}: {error.strerror or error}. Choose another with --port.") from None
    try:
        rebuilder = Rebuilder(
            file,
            site,
            out,
            built=lambda done: _tell(done, url, as_json=as_json),
            mistaken=lambda found: print_json({"mistakes": found}) if as_json else _list_mistakes(found),
            url=url,
            checkout=f"{place.place.url}/function/checkout",
        )
        rebuilder.run(threading.Event())
    finally:
        server.stop()


def _tell(done: Built, url: str, *, as_json: bool) -> None:
    if as_json:
        return print_json({"url": f"{url}/", **asdict(done), "out": str(done.out)})
    say(f"{done.pages} pages and {done.images} images built in {done.seconds:.1f} s: {url}/")


def _list_mistakes(found: list[str]) -> None:
    for mistake in found:
        say(mistake)
    say("Not built; mend it and save." if len(found) == 1 else f"Not built: {len(found)} mistakes. Mend them and save.")


@shop.command("links")
@click.argument("skus", nargs=-1, metavar="[SKU]...")
@click.option("--shop", "file", type=_FILE, default=SHOP_FILE, help="Another shop.yml.")
@as_json_option
def links(skus: tuple[str, ...], file: Path, as_json: bool) -> None:
    """Print buttons for your other pages, such as a Carrd site.

    For each product, or those you name: a link to its payment link, and a form that goes through the checkout.
    """
    from storefront.snippets import snippets

    catalogue = _catalogue(file)
    unknown = [sku for sku in skus if catalogue.product(sku) is None]
    if unknown:
        known = ", ".join(product.sku for product in catalogue.products)
        raise click.UsageError(f"There is no product {', '.join(unknown)}; there is {known}.")
    made = snippets(catalogue, [product for product in catalogue.products if not skus or product.sku in skus])
    if as_json:
        return print_json([asdict(one) for one in made])
    for one in made:
        heading(f"{one.name}, {one.price}")
        for snippet in (one.link, one.form):
            if snippet:
                click.echo(f"\n{snippet}")
        if one.missing:
            say(f"Nothing sells it yet. Add to shop.yml {'; '.join(one.missing)}.")
    if any(one.form for one in made):
        say("\nA form works from another site once its address, such as https://you.carrd.co, is under site.origins.")


def _catalogue(file: Path) -> Catalogue:
    """The shop.yml; `SaidNo` with every mistake."""
    from pushcart import shopfile
    from pushcart.errors import ConfigurationError

    try:
        return shopfile.read(file)
    except ConfigurationError as error:
        raise SaidNo("\n".join(error.problems)) from None
