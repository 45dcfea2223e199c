"""The doctor's look at the owner's own machine: the secrets, the settings of stack.yml, shop.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.connect import OWN_SECRETS, ROOT
from cli.shopfile import SHOP_FILE, mistakes
from pushcart import needs, shopfile
from pushcart.config import SECRETS, UNUSED, VARIABLES, Config, Reads
from pushcart.doctor import Check
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import CatalogueError
from pushcart.mail import transports

APPLY = "write it to .secrets/{name}, then: faas-cli secret update {name} --from-file .secrets/{name}"


def examine(stack: Any, *, local: bool, folder: Path = OWN_SECRETS) -> list[Check]:
    """What is wrong on this machine. `stack` is stack.yml as read; a `local` shop plays what has no key."""
    settings = settings_of(stack)
    config = Config(Reads(tuple(VARIABLES), may_need=tuple(SECRETS)), {**settings, "secret_mount_path": str(folder)})
    checks = [_shop(config["mail_transport"])]
    if local and not folder.is_dir():
        return [*checks, Check(name="secrets", status="skip", text="there is no .secrets/: make run plays everybody")]
    catalogue = _catalogue(config)
    listed = {name for function in stack.functions.values() for name in function.secrets}
    needed = set() if local else _needed_secrets(catalogue, config)
    wrong = _strangers(folder) + _secrets(config, needed)
    wrong += [] if local else _missing(folder, listed) + _variables(catalogue, config)
    if not wrong:
        text = "each one that is there is well formed" if local else f"all {len(listed)} are there and well formed"
        checks.append(Check(name="secrets", status="pass", text=text))
    return [*checks, *wrong, *_mode(config)]


def settings_of(stack: Any) -> dict[str, str]:
    """The variables that stack.yml sets for any function, filled from this machine's environment."""
    return {name: value for function in stack.functions.values() for name, value in function.environment.items()}


def _shop(transport: str) -> Check:
    found = mistakes(SHOP_FILE, transport)
    if found:
        text = "; ".join(found)
        return Check(name="shop.yml", status="fail", text=text, fix="correct it; pushcart shop check looks again")
    return Check(name="shop.yml", status="pass", text=f"{SHOP_FILE.relative_to(ROOT)} and its mails have no mistake")


def _catalogue(config: Config) -> Catalogue | None:
    """What the shop sells, or None while shop.yml has mistakes, which are told elsewhere."""
    try:
        return shopfile.load(config)
    except CatalogueError:
        return None


def _needed_secrets(catalogue: Catalogue | None, config: Config) -> set[str]:
    needed = {*needs.ALWAYS, *transports.needed_secrets(config)}
    if catalogue is not None:
        for needs_of in (needs.for_invites, needs.for_mailing_list, needs.for_checkout, needs.for_prints):
            needed.update(needs_of(catalogue).secrets)
    return needed


def _strangers(folder: Path) -> list[Check]:
    names = [path.name for path in sorted(folder.glob("*")) if path.name not in SECRETS]
    return [
        Check(
            name=f"secret {name}",
            status="warn",
            text="is none of the secrets Pushcart knows",
            fix=f"rename or remove .secrets/{name}; known are {', '.join(SECRETS)}",
        )
        for name in names
    ]


def _missing(folder: Path, listed: set[str]) -> list[Check]:
    """A deployment fails for a secret that does not exist, even for one this shop does not use."""
    names = [name for name in SECRETS if name in listed and not (folder / name).is_file()]
    text = f"stack.yml asks for {', '.join(names)}, and .secrets/ has no such file"
    return [Check(name="secrets", status="fail", text=text, fix="make secrets, then fill them in")] if names else []


def _secrets(config: Config, needed: set[str]) -> list[Check]:
    """A check for each secret that is not as it should be."""
    found: list[Check] = []
    for name, secret in SECRETS.items():
        text = config.secret_text(name)
        if name in needed and not text.strip():
            what = f"is {UNUSED} or empty, but this shop needs it: {secret.about}"
        elif text.strip() and not secret.fits(text):
            what = f"should be {secret.expected}"
        elif name == "shop" and text.strip():
            what = _mistakes_in_the_secret(text)
        else:
            continue
        if what:
            fix = APPLY.format(name=name)
            found.append(Check(name=f"secret {name}", status="fail", text=what, fix=fix))
    return found


def _mistakes_in_the_secret(text: str) -> str:
    try:
        shopfile.parse(text, "the secret shop", SHOP_FILE.parent / shopfile.MAILS)
    except CatalogueError as error:
        return "; ".join(error.problems)
    return ""


def _variables(catalogue: Catalogue | None, config: Config) -> list[Check]:
    names = [*transports.needed_variables(config)]
    for needs_of in (needs.for_mailing_list, needs.for_checkout) if catalogue else ():
        names += needs_of(catalogue).variables
    return [
        Check(
            name=name,
            status="fail",
            text=f"is not set here: {VARIABLES[name].about}",
            fix=f"export {name.upper()}=... before faas-cli up",
        )
        for name in names
        if not config[name]
    ]


def _mode(config: Config) -> list[Check]:
    """The key's mode against STRIPE_MODE, as `faas-cli up` would take both from this machine."""
    key, mode = config.secret_text("stripe-api-key"), config["stripe_mode"]
    if not SECRETS["stripe-api-key"].fits(key):
        return []
    if f"_{mode}_" in key:
        return [Check(name="stripe mode", status="pass", text=f"STRIPE_MODE and the key are both {mode}")]
    text = f"STRIPE_MODE is {mode}, but .secrets/stripe-api-key is a key of the other mode"
    fix = "export STRIPE_MODE=live or use a test key; faas-cli up takes both from here"
    return [Check(name="stripe mode", status="fail", text=text, fix=fix)]
