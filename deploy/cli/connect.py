"""Where the shop is, and signed calls to its functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from pushcart.clock import Clock, offset_clock, system_clock
from pushcart.config import SECRETS, lines_of
from pushcart.errors import FunctionFailed
from pushcart.gateway import Gateway

ROOT = Path(__file__).parents[2]

#: Where the owner's secrets lie, and where `make run` keeps its own.
OWN_SECRETS = ROOT / ".secrets"
RUN = ROOT / ".pushcart" / "run"

#: Seconds a call may take; above any function's exec_timeout.
TIMEOUT = 70.0

#: The functions that the command asks: for orders and events, and for what the shop's pages have to do with.
ORDERS, CHECKOUT = "order-store", "checkout"

#: The most that the listings give at once.
PAGE = 200


class SaidNo(click.ClickException):
    """A function answered, and did not do it."""

    exit_code = 1


class Unreachable(click.ClickException):
    """There was no answer, or one that is not a function's."""

    exit_code = 3


@dataclass(frozen=True)
class Place:
    """One shop: its gateway, the file with its key, its clock, and whether it is `make run`'s on this machine."""

    url: str
    key_file: Path
    clock: Clock
    local: bool

    @classmethod
    def find(cls, gateway: str | None, key_file: Path | None, port: int) -> Place:
        """The shop behind `gateway`, or the one on this machine; `UsageError` for a gateway that is no address."""
        if not gateway:
            key_file = key_file or RUN / "secrets-all" / "internal-key"
            return cls(f"http://127.0.0.1:{port}", key_file, offset_clock(RUN / "clock"), local=True)
        if not gateway.startswith(("http://", "https://")):
            raise click.UsageError(f"{gateway!r} is no gateway; write it like https://gateway.example.com.")
        return cls(gateway.rstrip("/"), key_file or OWN_SECRETS / "internal-key", system_clock, local=False)

    def key(self) -> str:
        """The internal key, current one first. `Unreachable` when no shop was ever run here, else `UsageError`."""
        try:
            text = self.key_file.read_text()
        except OSError as error:
            if self.local and self.key_file.is_relative_to(RUN):
                raise Unreachable(
                    "No shop runs on this machine: start one with make run, or name your gateway with --gateway URL."
                ) from None
            raise click.UsageError(
                f"{self.key_file} cannot be read ({error.strerror}): make secrets makes one, --key-file names another."
            ) from None
        if not SECRETS["internal-key"].fits(text):
            raise click.UsageError(f"{self.key_file} should hold {SECRETS['internal-key'].expected}.")
        return lines_of(text)[0]

    def silence(self) -> str:
        """What to say when nothing answers."""
        if self.local:
            return f"Nothing answers at {self.url}: is make run still running there? --port names another port."
        return f"Nothing answers at {self.url}: is it the gateway, and may this machine reach it?"


class Shop:
    """The functions at one place. Opened at the first call, so that what needs no shop works without one."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @cached_property
    def gateway(self) -> Gateway:
        key = self.place.key()
        return Gateway(self.place.url, lambda: key, self.place.clock, timeout=TIMEOUT)

    def get(self, path: str, function: str = ORDERS, **query: str) -> Any:
        """What order-store, or another function, answers. Raises `SaidNo` and `Unreachable`."""
        return self._call("GET", path, function, query=query)

    def post(self, path: str, body: Any = None, function: str = ORDERS) -> Any:
        """Has order-store, or another function, do something. Raises `SaidNo` and `Unreachable`."""
        return self._call("POST", path, function, body=body)

    def pages(self, path: str, query: dict[str, str | None], limit: int = PAGE, *, everything: bool = True) -> Any:
        """`{"items": [...], "cursor": ...}`: one page, or with `everything` all of them as one."""
        given = {name: value for name, value in query.items() if value}
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=str(PAGE if everything else limit), **given, **cursor)
            items += page["items"]
            cursor = {"cursor": page["cursor"]}
            if not everything or not page["cursor"]:
                return {"items": items, **cursor}

    def _call(
        self, method: str, path: str, function: str = ORDERS, *, body: Any = None, query: dict[str, str] | None = None
    ) -> Any:
        try:
            return self.gateway.call(function, path, body, method=method, query=query)
        except FunctionFailed as error:
            if error.answered:
                raise SaidNo(error.message) from None
            raise Unreachable(self.place.silence() if error.status is None else not_answering(self, error)) from None

    def close(self) -> None:
        if "gateway" in self.__dict__:
            self.gateway.close()


def logs(place: Place, function: str) -> str:
    """The command that shows what a function wrote lately."""
    return f"tail {RUN / 'logs' / function}.log" if place.local else f"faas-cli logs {function}"


def not_answering(shop: Shop, error: FunctionFailed) -> str:
    return f"{error.message}; see why with: {logs(shop.place, error.function)}"
