"""The start of a function that knows the shop: every problem of its configuration and of shop.yml at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from pushcart import shopfile
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError


class Needs(NamedTuple):
    """The secrets and variables a function cannot do without, given what the shop sells."""

    secrets: Iterable[str] = ()
    variables: Iterable[str] = ()


def load(
    reads: Reads,
    needs: Callable[[Catalogue], Needs] = lambda catalogue: Needs(),
    checks: Iterable[Callable[[Config], None]] = (),
) -> tuple[Config, Catalogue]:
    """The checked configuration and catalogue; one `ConfigurationError` holds all that is wrong with either.

    `checks` are a function's own further checks, each raising `ConfigurationError`; they may count on well-formed
    values.
    """
    config = Config(reads)
    problems: list[str] = []
    catalogue, needed = None, Needs()
    try:
        catalogue = shopfile.load(config)
        needed = needs(catalogue)
    except ConfigurationError as error:
        problems += error.problems
    try:
        config.check(needed.secrets, needed.variables)
    except ConfigurationError as error:
        problems += error.problems
    else:
        for check in checks:
            problems += _problems(partial(check, config))
    if catalogue is None or problems:
        raise ConfigurationError(problems)
    return config, catalogue


def _problems(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except ConfigurationError as error:
        return error.problems
    return []
