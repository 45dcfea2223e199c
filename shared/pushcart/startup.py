"""The start of a function that knows the shop: every problem of its configuration and of shop.yml at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from pushcart import shopfile
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError, problems_of


class Needs(NamedTuple):
    """The secrets and variables a function cannot do without, given what the shop sells."""

    secrets: Iterable[str] = ()
    variables: Iterable[str] = ()


def load(
    reads: Reads,
    needs: Callable[[Catalogue], Needs] = lambda catalogue: Needs(),
    checks: Iterable[Callable[[Config], None]] = (),
) -> tuple[Config, shopfile.Reloading]:
    """The checked configuration and the catalogue; one `ConfigurationError` holds all that is wrong with either.

    `checks` are a function's own further checks, each raising `ConfigurationError`; they may count on well-formed
    values.
    """
    config = Config(reads)
    problems: list[str] = []
    shop, needed = None, Needs()
    try:
        shop = shopfile.Reloading(config)
        needed = needs(shop())
    except ConfigurationError as error:
        problems += error.problems
    malformed = problems_of(partial(config.check, needed.secrets, needed.variables))
    problems += malformed or problems_of(*(partial(check, config) for check in checks))
    if shop is None or problems:
        raise ConfigurationError(problems)
    return config, shop
