"""`make secrets`: a file in .secrets/ for every secret that stack.yml lists, so that a deployment finds them all."""

from __future__ import annotations

import secrets
import sys

from local.gateway.stack import read_stack
from local.shop import ROOT
from pushcart.config import SECRETS, UNUSED

#: What nobody else gives out.
MADE = frozenset({"internal-key", "printful-webhook-secret", "metrics-token"})


def main() -> int:
    """Never touches a file that is there; prints what is left to fill in."""
    folder = ROOT / ".secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    listed = {name for function in read_stack(ROOT / "stack.yml").functions.values() for name in function.secrets}
    for name in sorted(listed):
        path = folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32) if name in MADE else UNUSED)
        if path.read_text().strip() == UNUSED:
            print(f".secrets/{name} is {UNUSED}: {SECRETS[name].about}")
    print("\nThen:  for name in .secrets/*; do faas-cli secret create $(basename $name) --from-file $name; done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
