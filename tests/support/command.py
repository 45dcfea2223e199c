"""The owner's command as a process of its own, as somebody types it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.shop import LocalShop
from support.step_calls import INTERNAL_KEY

ROOT = Path(__file__).parents[2]

#: What this machine's own settings would change.
OURS = {"OPENFAAS_URL", "PUSHCART_KEY_FILE", "STRIPE_MODE", "MAIL_TRANSPORT", "KIT_CLIENT_ID", "COLUMNS", "FORCE_COLOR"}


@dataclass(frozen=True)
class Done:
    """What the command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """What it printed, as one line with single spaces."""
        return re.sub(r"\s+", " ", self.out)


def typed(*args: str, at: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
    """The command and its environment, with the variables `at`."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    return [sys.executable, "-m", "cli", *args], environment | {
        "PYTHONPATH": f"{ROOT}/shared:{ROOT}/deploy",
        **(at or {}),
    }


def pushcart(*args: str, at: Mapping[str, str] | None = None, answer: str | None = None) -> Done:
    """Runs the command with the variables `at`; with an `answer` it has a terminal to ask at."""
    command, environment = typed(*args, at=at)
    if answer is None:
        return run(command, environment)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        return run(command, environment, terminal)
    finally:
        os.close(keyboard)
        os.close(terminal)


def run(command: list[str], environment: Mapping[str, str], stdin: int = subprocess.DEVNULL) -> Done:
    done = subprocess.run(
        command, cwd="/", env=environment, stdin=stdin, capture_output=True, text=True, timeout=100, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def shop_of(shop: LocalShop) -> dict[str, str]:
    """The variables that lead to a local shop as to a server."""
    return {"OPENFAAS_URL": shop.gateway.url, "PUSHCART_KEY_FILE": str(shop.state_dir / "secrets-all" / "internal-key")}


def gateway_at(url: str, folder: Path) -> dict[str, str]:
    """The variables that lead to a gateway of the test's own."""
    (folder / "key").write_text(INTERNAL_KEY)
    return {"OPENFAAS_URL": url, "PUSHCART_KEY_FILE": str(folder / "key")}
