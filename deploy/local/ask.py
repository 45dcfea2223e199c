"""`make ask CALL="GET /orders"`: one signed call to order-store, printed as JSON.

Without OPENFAAS_URL it asks the shop that `make run` has started; with it, that gateway, signed with
.secrets/internal-key or the key in the file that ASK_KEY_FILE names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from local.shop import ROOT
from pushcart.clock import offset_clock, system_clock
from pushcart.errors import FunctionFailed
from pushcart.gateway import Gateway

RUN = ROOT / ".pushcart" / "run"


def main() -> int:
    """0 when the function did it, 1 when it said no, 2 when the call could not be made."""
    parser = argparse.ArgumentParser(prog="make ask", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="the port of make run")
    given = parser.parse_args()
    # From the environment: a shell would take the & between two filters, and an apostrophe in a note, for itself.
    method, _, path = os.environ.get("CALL", "").strip().partition(" ")
    if method not in ("GET", "POST") or not path.startswith("/"):
        parser.exit(2, 'Write CALL="GET /orders?email=jenny.rosen@example.com" or CALL="POST /orders/ID/retry".\n')
    try:
        body = json.loads(os.environ.get("BODY") or "null")
    except json.JSONDecodeError as error:
        parser.exit(2, f"BODY is not JSON: {error}\n")
    url = os.environ.get("OPENFAAS_URL", "")
    found = ROOT / ".secrets" / "internal-key" if url else RUN / "secrets-all" / "internal-key"
    key_file = Path(os.environ.get("ASK_KEY_FILE") or found)
    if not key_file.exists():
        parser.exit(2, f"{key_file} is not there: start make run, or set OPENFAAS_URL and make secrets.\n")
    key = key_file.read_text().split()[0]
    clock = system_clock if url else offset_clock(RUN / "clock")
    gateway = Gateway(url or f"http://127.0.0.1:{given.port}", lambda: key, clock, timeout=70)
    parts = urlsplit(path)
    try:
        answer = gateway.call("order-store", parts.path, body, method=method, query=dict(parse_qsl(parts.query)))
    except FunctionFailed as error:
        print(f"{error.message}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
