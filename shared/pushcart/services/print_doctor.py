"""What the doctor asks Printful: the token and its store, and where its webhooks go. Nothing here changes anything."""

from __future__ import annotations

from urllib.parse import urlsplit

from pushcart.doctor import Check
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ProviderRefused
from pushcart.providers.printful import Printful
from pushcart.providers.printful_shapes import EVENT_TYPES, Webhook

#: What stands before the secret in the address that Printful's webhooks go to.
ENDPOINT = "/function/printful-webhook/"

#: The shortest secret that may stand there, in characters.
SHORTEST = 24

NAME = "printful webhook"


def webhook(printful: Printful, catalogue: Catalogue) -> list[Check]:
    """Whether the store's webhook comes here, with every type this shop acts on. No text holds the secret."""
    try:
        found = printful.webhook()
    except ProviderRefused as refusal:
        if refusal.status != 403:
            raise
        return [_warn("cannot be checked", "give the token the right to see webhooks, at Printful's developer portal")]
    ours = _address(catalogue)
    set_it = (
        f"set it to {ours}SECRET with POST /webhooks of Printful's API, SECRET being the first line of"
        f" printful-webhook-secret, for {', '.join(sorted(EVENT_TYPES))}"
    )
    if not found.url:
        return [_warn("Printful has none, so parcels are told to nobody until catch-up asks", set_it)]
    shown, wrong = _examined(found, ours)
    missing = sorted(EVENT_TYPES - set(found.types or ()))
    if wrong:
        return [_warn(f"{shown} {wrong}", set_it)]
    if missing:
        return [_warn(f"{shown} does not get {', '.join(missing)}", set_it)]
    return [Check(name=NAME, status="pass", text=f"{shown} gets every message this shop handles")]


def _address(catalogue: Catalogue) -> str:
    """Where the webhook should go, up to the secret; the shop's own checkout shows how the gateway is reached."""
    parts = urlsplit(catalogue.site.checkout or "")
    origin = f"{parts.scheme}://{parts.netloc}" if parts.hostname else "https://YOUR-GATEWAY"
    return origin + ENDPOINT


def _examined(found: Webhook, ours: str) -> tuple[str, str]:
    """The webhook's address without what may be a secret, and what is wrong with it, if anything."""
    try:
        parts, wanted = urlsplit(found.url or ""), urlsplit(ours)
    except ValueError:
        return "what stands there", "is no address"
    head, endpoint, secret = parts.path.partition(ENDPOINT)
    origin = f"{parts.scheme}://{parts.hostname}"
    if not endpoint:
        return f"{origin}/…", f"does not lead to {ENDPOINT}"
    shown = f"{origin}{head}{ENDPOINT}…"
    if len(secret.strip("/")) < SHORTEST:
        return shown, "does not end in the secret"
    # Printful itself reaches no machine by these names; only a stand-in posts there.
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if "." in (wanted.hostname or "") and parts.hostname != wanted.hostname and not local:
        return shown, f"leads to another machine than {wanted.hostname}"
    return shown, ""


def _warn(text: str, fix: str) -> Check:
    return Check(name=NAME, status="warn", text=text, fix=fix)
