"""`pushcart shop`: the owner's one file, before it is deployed."""

from __future__ import annotations

from pathlib import Path

import click

from cli.connect import ROOT
from cli.output import as_json_option, print_json, say

SHOP_FILE = ROOT / "deploy" / "shop" / "shop.yml"


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
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=SHOP_FILE)
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
