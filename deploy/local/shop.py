"""The whole shop on this machine: the pages, the gateway with its functions, the sandbox for what has no key.

`make run` and the tests that span functions use the same `LocalShop`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import storefront
from local.gateway import Gateway
from local.sandbox import Sandbox
from pushcart import shopfile
from pushcart.clock import offset_clock
from pushcart.config import SECRETS, UNUSED, lines_of
from pushcart.domain import attention
from pushcart.domain.catalogue import Catalogue, PrintStep, Product
from pushcart.errors import ConfigurationError
from pushcart.gateway import Gateway as Client
from pushcart.mail.render import Renderer
from storefront import Built
from storefront.serve import StaticSite

ROOT = Path(__file__).parents[2]

#: Seconds between two runs of catch-up; by cron-connector it is a minute.
CATCH_UP_EVERY = 5


@dataclass(frozen=True)
class Outside:
    """A provider: the variable with its address, the path below the sandbox, the secrets that mean a real account."""

    variable: str
    path: str
    secrets: tuple[str, ...]


OUTSIDE = {
    "Stripe": Outside("stripe_url", "/stripe", ("stripe-api-key",)),
    "SendGrid": Outside("sendgrid_url", "/sendgrid", ("sendgrid-api-key",)),
    "Kit": Outside("kit_url", "/kit", ("kit-refresh-token", "kit-api-secret")),
    "Discourse": Outside("discourse_url", "/discourse", ("discourse-api-key",)),
    "Thinkific": Outside("thinkific_url", "/thinkific", ("thinkific-api-key",)),
    "Autopay": Outside("autopay_url", "/autopay", ("autopay-key",)),
    "Printful": Outside("printful_url", "/printful", ("printful-api-key",)),
    "Twilio": Outside("twilio_url", "/twilio", ("alert-urls",)),
    "your platform": Outside("platform_url", "/platform/hook", ("platform-key",)),
}


class InUse(Exception):
    """Another process runs a shop in the same folder."""


class LocalShop:
    """Gateway and sandbox, joined. `state_dir` takes the database, the logs and the secrets of the sandbox.

    `store` is the URL of another database than the file in `state_dir`; what it holds already stays there.
    `own_secrets` is the folder with the owner's secrets (`.secrets/`), if any: a provider whose key is there is
    the real one. `catch_up` runs it by itself every few seconds. Ports of 0 take free ones; without a `site_port`
    there are no pages. Raises the gateway's `PortInUse`, `InUse`, `ConfigurationError`, and OSError when the port of
    the sandbox or the pages is taken.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int = 0,
        sandbox_port: int = 0,
        site_port: int | None = None,
        own_secrets: Path | None = None,
        environment: Mapping[str, str] | None = None,
        shop_file: Path = ROOT / "deploy" / "shop" / "shop.yml",
        store: str | None = None,
        seed: int | None = None,
        catch_up: bool = True,
        autosend: bool = True,
        cold_calls: Any = "wait",
    ) -> None:
        self.state_dir = state_dir.resolve()
        self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.own = _own_secrets(own_secrets)
        self.real = {name for name, outside in OUTSIDE.items() if self.own.keys() & set(outside.secrets)}
        if os.environ.get("SMTP_HOST"):
            self.real.add("SMTP")
        self._store = store or f"sqlite:///{self.state_dir}/shop.db"
        #: Whether the store may hold orders of earlier runs.
        self.remembers = store is not None or "Stripe" in self.real
        if not SECRETS["store-url"].fits(self._store):
            raise ConfigurationError([f"the store should be {SECRETS['store-url'].expected}"])
        self.clock_file = self.state_dir / "clock"
        self.catalogue: Catalogue = shopfile.read(shop_file)
        problems = Renderer(shop_file.parent / shopfile.MAILS).problems(attention.TEMPLATE)
        if problems:
            raise ConfigurationError(problems)
        self._webhook_secret = f"whsec_{secrets.token_hex(16)}"
        self.sandbox = Sandbox(
            port=sandbox_port,
            webhook_secret=self._webhook_secret,
            clock_file=self.clock_file,
            seed=secrets.randbits(32) if seed is None else seed,
            autosend=autosend,
        )
        self.site: StaticSite | None = None
        if site_port is not None:
            self.site = StaticSite(self.state_dir / "site", site_port)
        self._secrets_dir = self.state_dir / "secrets-all"
        self.crash_file = self.state_dir / "crash"
        common = {"clock_file": str(self.clock_file), "crash_file": str(self.crash_file), "shop_file": str(shop_file)}
        self._environment = {**common, **(environment or {})}
        # Shorter than on a server, so that a killed function's step is not waited for so long.
        self._order_store = {"step_timeout": "20", "lease_seconds": "40", **(environment or {})}
        self._gateway_options: dict[str, Any] = {
            "port": port,
            "cold_calls": cold_calls,
            "cron": catch_up,
            "cron_every": CATCH_UP_EVERY if catch_up else None,
        }
        self.gateway: Gateway

    def start(self) -> None:
        """Opens the ports; the functions start at their first call."""
        self._lock = _lock(self.state_dir / "lock")
        self.clock_file.unlink(missing_ok=True)
        if "Stripe" not in self.real:
            self._forget()
        try:
            self.sandbox.start()
            site = {"site_url": self.site.start()} if self.site else {}
            self._write_secrets()
            self.gateway = Gateway(
                ROOT / "stack.yml",
                state_dir=self.state_dir,
                secrets_dir=self._secrets_dir,
                environment={**self._addresses(), **site, **self._environment},
                function_environment={"order-store": self._order_store},
                **self._gateway_options,
            )
            self.gateway.start()
        except Exception:
            self._close()
            raise
        self.sandbox.stripe.webhook_url = f"{self.gateway.url}/function/stripe-webhook"
        self.sandbox.printful.token = self._secret("printful-api-key")
        address = f"{self.gateway.url}/function/printful-webhook"
        self.sandbox.printful.webhook_url = f"{address}/{self._secret('printful-webhook-secret')}"
        self.sandbox.autopay.itn_url = f"{self.gateway.url}/function/autopay-webhook"
        self.sandbox.autopay.return_url = f"{site.get('site_url', self.catalogue.shop.url)}/thank-you/"
        self._put_products_on_sale()
        key = self._secret("internal-key")
        self.client = Client(self.gateway.url, lambda: key, offset_clock(self.clock_file), timeout=70)

    def stop(self) -> None:
        self.client.close()
        self.gateway.stop()
        self._close()

    def _close(self) -> None:
        if self.site:
            self.site.stop()
        self.sandbox.stop()
        self._lock.close()

    def build_site(self, progress: Callable[[int, int, str], None] | None = None) -> Built:
        """Builds the pages, so that they lead to this gateway and to the sandbox's pay pages."""
        assert self.site is not None
        links = {sku: f"{self.sandbox.url}/stripe/pay/{link}" for sku, link in self.links.items()}
        return storefront.build(
            self.catalogue,
            self.state_dir / "site",
            site=storefront.SITE,
            checkout=f"{self.gateway.url}/function/checkout",
            url=self.site.url,
            links={} if "Stripe" in self.real else links,
            progress=progress,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ask(self, path: str, body: Any = None, *, method: str = "POST", **query: str) -> Any:
        """A signed call to order-store, as the owner's command makes it. Raises `FunctionFailed`."""
        return self.client.call("order-store", path, body, method=method, query=query)

    def orders(self, **query: str) -> list[dict[str, Any]]:
        """The orders as order-store lists them, newest first."""
        return list(self.ask("/orders", method="GET", **query)["items"])

    def order(self, order_id: str) -> dict[str, Any]:
        """One order with its timeline."""
        return dict(self.ask(f"/orders/{order_id}", method="GET"))

    def catch_up(self) -> Any:
        """Runs catch-up as cron does, but signed, so that it tells what it did."""
        return self.client.call("catch-up", "/")

    def advance(self, seconds: int) -> None:
        """Lets time pass for every function and the sandbox."""
        self.sandbox.advance(seconds)

    def _addresses(self) -> dict[str, str]:
        """Where the functions find the providers that the sandbox plays."""
        url = self.sandbox.url
        played = [outside for name, outside in OUTSIDE.items() if name not in self.real]
        found = {outside.variable: url + outside.path for outside in played}
        if "Kit" not in self.real:
            found["kit_client_id"] = "sandbox"
        if "Autopay" not in self.real:
            found["autopay_service_id"] = self.sandbox.autopay.service_id
        if "SMTP" not in self.real:
            found |= {"smtp_host": "127.0.0.1", "smtp_port": str(self.sandbox.smtp_port), "smtp_security": "none"}
        return found

    def _forget(self) -> None:
        """With a sandbox for Stripe every run starts with an empty shop: its sessions end with the sandbox."""
        for path in self.state_dir.glob("shop.db*"):
            path.unlink()
        shutil.rmtree(self.state_dir / "logs", ignore_errors=True)

    def _write_secrets(self) -> None:
        self._secrets_dir.mkdir(exist_ok=True, mode=0o700)
        made = {
            "internal-key": secrets.token_hex(32),
            "store-url": self._store,
            "stripe-api-key": "sk_test_sandbox",
            "stripe-webhook-secret": self._webhook_secret,
            "sendgrid-api-key": "SG.sandbox.key",
            "smtp-password": UNUSED,
            "discourse-api-key": "sandbox-discourse",
            "thinkific-api-key": "sandbox-thinkific",
            "platform-key": secrets.token_hex(16),
            "kit-api-secret": "sandbox-kit-secret",
            "kit-client-secret": "sandbox-kit-client",
            "kit-refresh-token": self.sandbox.kit.refresh_token,
            "autopay-key": self.sandbox.autopay.key,
            "printful-api-key": "sandbox-printful-token",
            "printful-webhook-secret": secrets.token_urlsafe(24),
            "alert-urls": self._alert_urls(),
            "metrics-token": secrets.token_hex(16),
            "shop": UNUSED,
        }
        assert made.keys() == SECRETS.keys()
        for name, text in {**made, **self.own}.items():
            (self._secrets_dir / name).write_text(text)
            (self._secrets_dir / name).chmod(0o600)
        self.sandbox.platform.secret = (self._secrets_dir / "platform-key").read_text()

    def _secret(self, name: str) -> str:
        """The first line of a secret, as the functions have it."""
        return lines_of((self._secrets_dir / name).read_text())[0]

    def _alert_urls(self) -> str:
        """A text message for what cannot wait, a push message for the rest, both to the sandbox."""
        host = self.sandbox.url.partition("://")[2]
        return f"critical twilio://AC{'0' * 32}:{'0' * 32}@48500100200/48500300400\nwarning ntfy://{host}/shop\n"

    def _put_products_on_sale(self) -> None:
        """A payment link for every product, also for those that shop.yml names a price for; Kit's custom fields."""
        self.links: dict[str, str] = {}
        thanks = f"{self.site.url}/thank-you/?session_id={{CHECKOUT_SESSION_ID}}" if self.site else None
        for product in self.catalogue.products:
            item = {
                "sku": product.sku,
                "name": product.name,
                "unit_amount": self.catalogue.price_of(product),
                "currency": self.catalogue.currency_of(product).lower(),
                "price_id": product.stripe.price,
                "product_id": product.stripe.product,
            }
            if any((product.stripe.price, product.stripe.product, product.stripe.payment_link)):
                shipping = self.catalogue.checkout.shipping
                link = self.sandbox.stripe.add_payment_link(
                    [item],
                    link_id=product.stripe.payment_link,
                    shipping_countries=shipping.countries if shipping and product.ships else None,
                    success_url=thanks,
                )
                self.links[product.sku] = link["id"]
            for step in product.fulfilment:
                if isinstance(step, PrintStep):
                    self._print_variants(product, step)
        for _, step in self.catalogue.steps():
            for field in getattr(step, "fields", ()):
                self.sandbox.kit.add_custom_field(field)

    def _print_variants(self, product: Product, step: PrintStep) -> None:
        """Has the sandbox's Printful know what shop.yml calls its variants; half the price is what it asks."""
        cost = f"{product.price / 2:.2f}"
        named = step.variants or {"": step.variant or 0}
        for choice, number in named.items():
            self.sandbox.printful.add_variant(number, f"{product.name} {choice}".strip(), cost)


def _own_secrets(folder: Path | None) -> dict[str, str]:
    """The owner's secrets that hold something, by name. `ConfigurationError` names every one that cannot be right."""
    if folder is None or not folder.is_dir():
        return {}
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    problems = [
        f".secrets/{path.name} is none of the secrets Pushcart knows: {', '.join(SECRETS)}"
        for path in files
        if path.name not in SECRETS
    ]
    texts = {path.name: path.read_text() for path in files if path.name in SECRETS}
    found = {name: text for name, text in texts.items() if text.strip() not in ("", UNUSED)}
    problems += [
        f".secrets/{name} should be {SECRETS[name].expected}"
        for name, text in found.items()
        if not SECRETS[name].fits(text)
    ]
    if "_live_" in found.get("stripe-api-key", ""):
        problems.append(".secrets/stripe-api-key is a live key; make run is for test mode, so that nobody is charged")
    if "stripe-api-key" in found and "stripe-webhook-secret" not in found:
        problems.append(".secrets/stripe-webhook-secret is missing: run stripe listen and write its whsec_... there")
    if problems:
        raise ConfigurationError(problems)
    return found


def _lock(path: Path) -> TextIO:
    """Holds the folder for this process; `InUse` while another one does. Ends with the process at the latest."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise InUse(f"another make run is using {path.parent}; end that one first") from None
    return file
