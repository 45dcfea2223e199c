"""The template's own settings, read from the environment once at start-up."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024


class ConfigurationError(Exception):
    """The function cannot start as it is configured; the message says what to change."""


@dataclass(frozen=True)
class Settings:
    """`max_body_bytes` is the largest request body in bytes; `drain_seconds` bounds the wait at a stop."""

    function_name: str
    host: str
    port: int
    threads: int
    max_body_bytes: int
    drain_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings; raises ConfigurationError that names every wrong value at once."""
        problems: list[str] = []

        def number(name: str, default: int, low: int, high: int) -> int:
            text = environment.get(name, "").strip() or str(default)
            if text.isascii() and text.isdigit() and low <= int(text) <= high:
                return int(text)
            problems.append(f"{name} must be a whole number from {low} to {high}, not {text!r}")
            return default

        settings = cls(
            function_name=function_name(environment),
            host=environment.get("host") or "127.0.0.1",
            port=number("port", 5000, 0, 65535),
            threads=number("threads", 8, 1, 256),
            max_body_bytes=number("max_body_bytes", MIB, 1, 1024 * MIB),
            drain_seconds=number("drain_seconds", 25, 0, 3600),
        )
        if problems:
            raise ConfigurationError("the environment is wrong: " + "; ".join(problems))
        return settings


def function_name(environment: Mapping[str, str]) -> str:
    """The name for the log lines: `function_name`, else the host's name."""
    return environment.get("function_name") or environment.get("HOSTNAME") or socket.gethostname()
