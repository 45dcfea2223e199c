"""The command's root: where the shop is, and the commands."""

from __future__ import annotations

from pathlib import Path

import click

from cli.alerts import alerts
from cli.connect import Place, Shop
from cli.dead import dead
from cli.doctor import doctor
from cli.events import events
from cli.orders import orders
from cli.recover import recover
from cli.shopfile import shop
from cli.stock import stock
from cli.traffic import traffic

EXIT_CODES = """\b
Exit codes:
  0  done, or all is well
  1  the shop said no, or something needs a human
  2  the command was not written as it should be
  3  the gateway or the function could not be reached
"""


@click.group(epilog=EXIT_CODES)
@click.option("--gateway", metavar="URL", envvar="OPENFAAS_URL", help="The gateway of your server; also OPENFAAS_URL.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PUSHCART_KEY_FILE",
    help="The file with the internal key; also PUSHCART_KEY_FILE. [default: .secrets/internal-key]",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The port of make run.")
@click.pass_context
def pushcart(context: click.Context, gateway: str | None, key_file: Path | None, port: int) -> None:
    """Look after your shop: orders, events, what needs you, what is left and who looks in.

    Without --gateway it is about the shop that make run has started on this machine.
    """
    context.obj = Shop(Place.find(gateway, key_file, port))
    context.call_on_close(context.obj.close)


for command in (orders, events, dead, alerts, recover, stock, traffic, doctor, shop):
    pushcart.add_command(command)
