"""Which secrets and variables a shop needs, given what it sells: for the functions at their start, and the doctor."""

from __future__ import annotations

from pushcart.config import VARIABLES
from pushcart.domain.catalogue import Catalogue, InviteStep, PrintStep, PurchaseStep, SequenceStep
from pushcart.providers import paylinks
from pushcart.startup import Needs

#: What every shop needs, whatever it sells.
ALWAYS = ("internal-key", "store-url", "stripe-api-key", "stripe-webhook-secret")

#: The secret each course platform needs.
PLATFORM_SECRETS = {"discourse": "discourse-api-key", "thinkific": "thinkific-api-key", "http": "platform-key"}


def platforms(catalogue: Catalogue) -> list[str]:
    """The course platforms that some step invites to, in alphabetical order."""
    return sorted({step.platform for _, step in catalogue.steps() if isinstance(step, InviteStep)})


def for_checkout(catalogue: Catalogue) -> Needs:
    """What checkout cannot do without: the keys of the ways to pay."""
    secrets, variables = [], []
    for name in catalogue.checkout.pay_with:
        if name == "stripe":
            secrets.append("stripe-api-key")
        else:
            provider = paylinks.provider(name)
            secrets += provider.secrets
            variables += [variable for variable in provider.variables if not VARIABLES[variable].default]
    return Needs(secrets, variables)


def for_invites(catalogue: Catalogue) -> Needs:
    """What invite-link cannot do without."""
    return Needs(secrets=[PLATFORM_SECRETS[platform] for platform in platforms(catalogue)])


def for_mailing_list(catalogue: Catalogue) -> Needs:
    """What mailing-list cannot do without; nothing when no step uses it."""
    used = any(isinstance(step, PurchaseStep | SequenceStep) for _, step in catalogue.steps())
    if not used or catalogue.mailing_list is None:
        return Needs()
    if catalogue.mailing_list.kit.api == "v3":
        return Needs(["kit-api-secret"])
    return Needs(["store-url", "kit-client-secret", "kit-refresh-token"], ["kit_client_id"])


def prints(catalogue: Catalogue) -> bool:
    """Whether some step has Printful make something."""
    return any(isinstance(step, PrintStep) for _, step in catalogue.steps())


def for_prints(catalogue: Catalogue) -> Needs:
    """What whatever asks Printful cannot do without; nothing when no step prints."""
    return Needs(["printful-api-key"] if prints(catalogue) else [])
