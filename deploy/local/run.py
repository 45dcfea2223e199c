"""`make run`: the shop on this machine, one purchase to watch, then open for business until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from local.gateway import GatewayError
from local.shop import CATCH_UP_EVERY, OUTSIDE, ROOT, InUse, LocalShop
from local.watch import Timelines
from pushcart.clock import seconds_between
from pushcart.errors import ConfigurationError, FunctionFailed

#: Seconds the first order may take; starting every function for the first time is most of it.
PATIENCE = 60

#: Seconds ONCE waits for a person to pay at the real Stripe.
REAL_PATIENCE = 900

console = Console(highlight=False)


def main() -> int:
    """0 when the order was fulfilled (or the shop served until Ctrl-C), 1 when not, 2 when it could not start."""
    options = _options()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        shop = LocalShop(
            ROOT / ".pushcart" / "run",
            port=options.port,
            sandbox_port=options.sandbox_port,
            site_port=options.site_port,
            own_secrets=ROOT / ".secrets",
            store=options.store or None,
            shop_file=Path(options.shop),
        )
        shop.start()
    except ConfigurationError as error:
        return _cannot("\n  ".join(["", *error.problems]))
    except (GatewayError, InUse) as error:
        return _cannot(f" {error}")
    except OSError as error:
        return _cannot(
            f" port {options.sandbox_port} of the sandbox or port {options.site_port} of the shop's pages: "
            f"{error.strerror or error}. Stop what uses it, or choose others: make run SANDBOX_PORT=4020 SITE_PORT=4021"
        )
    try:
        return _serve(shop, options.once, stopping)
    except (FunctionFailed, ConfigurationError) as error:
        return _cannot(f" {error} The functions' logs: {shop.state_dir}/logs/")
    finally:
        console.print("Stopping.", style="dim")
        shop.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=_port, default=8080, help="the gateway's port")
    parser.add_argument("--sandbox-port", type=_port, default=4010, help="the sandbox's port")
    parser.add_argument("--site-port", type=_port, default=4000, help="the port of the shop's pages")
    parser.add_argument("--once", action="store_true", help="end after the first order: 0 when it is fulfilled")
    parser.add_argument("--store", default="", help="another database than the file in .pushcart/")
    parser.add_argument("--shop", default=str(ROOT / "deploy" / "shop" / "shop.yml"), help="the shop.yml to use")
    return parser.parse_args()


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text} is no port; choose one from 0 to 65535")
    return int(text)


def _cannot(reason: str) -> int:
    console.print(f"[bold red]Pushcart cannot start:[/]{escape(reason)}", soft_wrap=True)
    return 2


def _serve(shop: LocalShop, once: bool, stopping: threading.Event) -> int:
    if shop.real:
        real = ", ".join(sorted(shop.real))
        console.print(f"[bold]Real accounts:[/] {real}. The sandbox plays the others.")
    with console.status("Building the shop's pages ..."):
        shop.build_site()
    timelines = Timelines(shop, console)
    if shop.remembers:
        timelines.skip_earlier()
    fulfilled = True
    if "Stripe" not in shop.real:
        _buy(shop)
        fulfilled = _watch_one_order(shop, timelines, stopping, PATIENCE)
    else:
        webhook = f"{shop.gateway.url}/function/stripe-webhook"
        console.print(f"Send Stripe's events here:  stripe listen --forward-to {webhook}", soft_wrap=True)
        if once:
            fulfilled = _watch_one_order(shop, timelines, stopping, REAL_PATIENCE)
    if once or stopping.is_set():
        return 0 if fulfilled else 1
    _print_addresses(shop)
    while not stopping.wait(0.5):
        with contextlib.suppress(FunctionFailed):  # order-store may be the function that somebody kills just now
            timelines.show_if_lively()
    return 0 if fulfilled else 1


def _buy(shop: LocalShop) -> None:
    product = next((product for product in shop.catalogue.products if product.sku in shop.links), None)
    if product is None:
        place = "products[].stripe: a price, a product or a payment_link"
        raise ConfigurationError([f"no product in shop.yml says what sells it at Stripe; add {place}"])
    # With a real mail or course account, what is sent goes to the owner and not to a stranger.
    who = {"email": shop.catalogue.shop.admins[0]} if shop.real else {}
    console.print(f"Jenny buys “{escape(product.name)}” with the sandbox's payment link.")
    shop.sandbox.stripe.buy(shop.links[product.sku], **who)


def _watch_one_order(shop: LocalShop, timelines: Timelines, stopping: threading.Event, patience: float) -> bool:
    started = time.monotonic()
    order = None
    while time.monotonic() - started < patience and not stopping.wait(0.1):
        orders = timelines.show()
        order = orders[0] if orders else None
        if order and order["fulfilment_status"] in ("fulfilled", "needs_attention"):
            break
    if stopping.is_set():
        return False
    if order and order["fulfilment_status"] == "fulfilled":
        history = shop.order(order["id"])["history"]
        took = seconds_between(history[0]["at"], history[-1]["at"])
        console.print(
            f"\n[bold green]Fulfilled[/] {took:.1f} s after the webhook, most of it to start each function for the "
            "first time; the next order takes a fraction of that.",
            soft_wrap=True,
        )
        return True
    _explain(shop, shop.order(order["id"]) if order else None)
    return False


def _explain(shop: LocalShop, order: dict[str, Any] | None) -> None:
    if order is None:
        console.print(f"\n[bold red]No order after {PATIENCE} s.[/] The functions' logs: {shop.state_dir}/logs/")
        return
    console.print(f"\n[bold red]Order {order['id']} is {order['fulfilment_status']}.[/]")
    for step in order["steps"]:
        if step["state"] not in ("done", "waiting"):
            console.print(f"  {step['id']}: {step['state']} {step['error'] or ''}")
    console.print(f"The functions' logs: {shop.state_dir}/logs/")


def _print_addresses(shop: LocalShop) -> None:
    sandbox = shop.sandbox.url
    assert shop.site is not None
    addresses = [
        ("The shop", f"{shop.site.url}/"),
        ("The mails that were sent", f"{sandbox}/mails"),
        ("The sandbox: calls, faults, time travel", f"{sandbox}/"),
        ("The gateway", shop.gateway.url),
        ("The functions' logs", os.path.relpath(shop.state_dir / "logs")),
    ]
    console.print("\n[bold]Open:[/]")
    for name, address in addresses:
        # Addresses are copied and clicked, so a narrow terminal or a pipe must not cut them.
        console.print(f"  {name:<40} {address}", soft_wrap=True)
    played = ", ".join(name for name in OUTSIDE if name not in shop.real)
    console.print(
        f"\nThe sandbox plays {played}. catch-up runs every {CATCH_UP_EVERY} s (a minute on OpenFaaS). "
        "Ctrl-C stops everything.",
        style="dim",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
