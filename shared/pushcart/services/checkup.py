"""What order-store's doctor looks at besides its settings: the store, and all that Stripe can tell."""

from __future__ import annotations

from collections.abc import Callable

from pushcart import doctor
from pushcart.config import Config
from pushcart.doctor import Check, Probe, Probes
from pushcart.domain.catalogue import Catalogue
from pushcart.providers.stripe_payments import StripePayments
from pushcart.store import Store


def probes(
    config: Config,
    store: Store,
    payments: StripePayments,
    catalogue: Callable[[], Catalogue],
    checks: Callable[[], object],
) -> Probes:
    """The probes by name; `checks` raises `ConfigurationError` for settings that do not fit together."""
    livemode = config["stripe_mode"] == "live"

    def stripe() -> list[Check]:
        from pushcart.services.stripe_doctor import StripeDoctor  # only a doctor's call needs it

        return StripeDoctor(payments, catalogue(), livemode=livemode).examine()

    def mode() -> str:
        checks()
        return f"stripe_mode and the key are both {config['stripe_mode']}"

    return {
        "mode": Probe(mode, "set STRIPE_MODE and the secret stripe-api-key to the same mode, then faas-cli up"),
        "store": doctor.store(store, "order-store"),
        "stripe": Probe(stripe, "look at stripe_url and the secret stripe-api-key"),
    }
