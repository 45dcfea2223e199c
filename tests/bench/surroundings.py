"""Where the measurements run: a folder on the project's disk, and functions as processes without a gateway."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.gateway.stack import read_stack
from local.gateway.supervisor import START_SECONDS, Supervisor

ROOT = Path(__file__).parents[2]
STACK = ROOT / "stack.yml"
YARDSTICK = Path(__file__).parent / "stack.yml"

#: The shop's functions, as stack.yml names them.
FUNCTIONS = tuple(read_stack(STACK).functions)

WEBHOOK_SECRET = "whsec_bench0123456789"
#: What stripe-webhook is given; `store-url` comes with the folder.
SECRETS = {"internal-key": "k" * 64, "stripe-webhook-secret": WEBHOOK_SECRET}


@contextmanager
def scratch() -> Iterator[Path]:
    """A fresh folder on the disk the project lies on (a /tmp in memory would make commits look free)."""
    parent = ROOT / ".pushcart"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def functions(
    folder: Path, stack: Path, gateway_url: str, secrets: Mapping[str, str], **variables: str
) -> Iterator[Supervisor]:
    """The stack's functions, laid out and started as the local gateway does it; see `port`.

    `variables` win over stack.yml.
    """
    secrets_dir = folder / "secrets-all"
    secrets_dir.mkdir(parents=True)
    for name, text in secrets.items():
        (secrets_dir / name).write_text(text)
    supervisor = Supervisor(read_stack(stack, ROOT / "template"), folder, secrets_dir, variables, {}, log_console=False)
    supervisor.gateway_url = gateway_url
    try:
        yield supervisor
    finally:
        supervisor.stop(drain=10)


def port(supervisor: Supervisor, name: str) -> int:
    """The port of a function's own process, started if need be."""
    found = supervisor.ensure(name).wait_until_listening(START_SECONDS).port
    assert found is not None
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mib(pid: int) -> float:
    """A process's share of memory: what it alone has, and its part of what it shares with others."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
