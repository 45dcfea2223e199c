"""Proof that a call comes from one of our own functions or from the owner's command.

The gateway's `/function/*` is public, so every internal function checks an HMAC made with a shared key:

    X-Pushcart-Signature: t=<unix seconds>,v1=<hex hmac-sha256>

over time, function, method, path, query and the body's hash. A captured signature therefore fits no other
function, path or body, and expires after `TOLERANCE` seconds. The secret may hold two keys, one a line:
the first signs, both are accepted, so that a rotation needs no pause.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from pushcart.errors import Unauthorised

HEADER = "X-Pushcart-Signature"

#: Seconds a signature stays good, in both directions; the functions of one VPS share one clock.
TOLERANCE = 300


_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def _mac(key: str, message: bytes) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def _canonical(timestamp: int, function: str, method: str, path: str, query: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join([str(timestamp), function, method.upper(), path or "/", query, digest]).encode()


def sign(key: str, now: datetime, function: str, method: str, path: str, query: str, body: bytes) -> str:
    """The header's value for a call to `function` at `path` (decoded, starting with `/`)."""
    timestamp = int(now.timestamp())
    return f"t={timestamp},v1={_mac(key, _canonical(timestamp, function, method, path, query, body))}"


def verify(
    header: str | None,
    keys: Sequence[str],
    now: datetime,
    function: str,
    method: str,
    path: str,
    query: str,
    body: bytes,
) -> None:
    """Returns when one of `keys` made the signature for exactly this call; else raises `Unauthorised`."""
    match = _FORM.fullmatch(header or "")
    if not match:
        raise Unauthorised(f"This function takes signed calls only: send {HEADER} (t=..., v1=...).")
    timestamp, given = int(match[1]), match[2]
    if abs(now.timestamp() - timestamp) > TOLERANCE:
        raise Unauthorised("The signature is too old or from the future; check both clocks.")
    message = _canonical(timestamp, function, method, path, query, body)
    if not any(hmac.compare_digest(_mac(key, message), given) for key in keys if key):
        raise Unauthorised("The signature does not match; the caller needs the same internal-key.")


def sign_body(key: str, now: datetime, body: bytes) -> str:
    """The header's value for a call to a platform of the owner's choice: HMAC over `<t>.<body>`."""
    timestamp = int(now.timestamp())
    return f"t={timestamp},v1={_mac(key, b'%d.' % timestamp + body)}"
