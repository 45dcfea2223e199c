"""What order-store's settings must agree on, and what its doctor looks at besides: the store, and all of Stripe."""

from __future__ import annotations

from collections.abc import Callable

from pushcart import doctor
from pushcart.config import Config
from pushcart.doctor import Check, Probe, Probes
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError
from pushcart.providers.stripe_payments import SECRET, StripePayments
from pushcart.store import Store


def check_mode(config: Config) -> None:
    """Raises `ConfigurationError` when the key is one of the other mode."""
    mode = config["stripe_mode"]
    if f"_{mode}_" not in config.secret(SECRET):
        raise ConfigurationError([f"stripe_mode is {mode}, but the secret {SECRET} is a key of the other mode"])


def check_lease(config: Config) -> None:
    """Raises `ConfigurationError` when a step's lease may end while its call is under way."""
    # The gateway client waits for a cold function besides; a lease that ends first would start a second attempt.
    if config.number("lease_seconds") < 2 * config.number("step_timeout"):
        raise ConfigurationError(["lease_seconds should be at least twice step_timeout"])


def probes(config: Config, store: Store, payments: StripePayments, catalogue: Callable[[], Catalogue]) -> Probes:
    """The probes by name."""
    livemode = config["stripe_mode"] == "live"

    def stripe() -> list[Check]:
        from pushcart.services.stripe_doctor import StripeDoctor  # only a doctor's call needs it

        return StripeDoctor(payments, catalogue(), livemode=livemode).examine()

    def mode() -> str:
        check_mode(config)
        return f"stripe_mode and the key are both {config['stripe_mode']}"

    return {
        "mode": Probe(mode, "set STRIPE_MODE and the secret stripe-api-key to the same mode, then faas-cli up"),
        "store": doctor.store(store, "order-store"),
        "stripe": Probe(stripe, "look at stripe_url and the secret stripe-api-key"),
    }
