"""Starts a function once in a fresh process to see what it imports, in the environment that stack.yml gives it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.surroundings import ROOT, SECRETS, STACK
from local.gateway.layout import lay_out, link_secrets
from local.gateway.stack import read_stack
from support import step_calls

PROBE = Path(__file__).parent / "probe.py"
ALL_SECRETS = {
    **step_calls.SECRETS,
    **SECRETS,
    "stripe-api-key": "sk_test_bench",
    "sendgrid-api-key": "SG.bench.key",
    "kit-refresh-token": "refresh-token-1",
    "autopay-key": "autopay-key-1",
    "printful-api-key": "printful-key-1",
    "printful-webhook-secret": "p" * 32,
    "alert-urls": "unused",
    "metrics-token": "m" * 32,
}
#: What stack.yml leaves to the owner.
VARIABLES = {"kit_client_id": "client-1", "autopay_service_id": "123456", "port": "0"}


class NotStarted(Exception):
    """The function did not get as far as listening; its words are in the message."""


def probe(
    folder: Path, function: str, store_url: str = "", stack_file: Path = STACK, **variables: str
) -> dict[str, Any]:
    """See `bench.probe`. `store_url` is a SQLite file in `folder` by default; `variables` win over stack.yml."""
    stack = read_stack(stack_file, ROOT / "template")
    spec = stack.functions[function]
    secrets_dir = folder / "secrets-all"
    secrets_dir.mkdir(parents=True, exist_ok=True)
    for name, text in {**ALL_SECRETS, "store-url": store_url or f"sqlite:///{folder}/probe.db"}.items():
        (secrets_dir / name).write_text(text)
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        **spec.environment,
        **VARIABLES,
        "secret_mount_path": str(link_secrets(spec, secrets_dir, folder)),
        **variables,
    }
    command = [sys.executable, str(PROBE), str(lay_out(stack, spec, folder))]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if made.returncode:
        raise NotStarted(f"{function} did not start: {made.stdout}{made.stderr}")
    report: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return report
