"""Kit's OAuth tokens: access tokens that expire, refresh tokens that work once."""

from __future__ import annotations

import hashlib
import hmac
import re

from local.sandbox.world import World

_KEY = b"pushcart-sandbox-kit"
_TOKEN = re.compile(r"kit_(access|refresh)_(\d+)_(\d+)_(\d+)_([0-9a-f]{24})")


class Tokens:
    """A token carries when it was issued, its number, its life in seconds and a proof. So a shop that keeps a
    token over a restart of the sandbox is still let in. The first pair, numbered 1 and issued at 0, lives from
    the sandbox's start and never changes: it can be written into a secret file once."""

    def __init__(self, world: World, expires_in: int) -> None:
        self._world = world
        self._born = world.timestamp()
        self._spent: set[str] = set()
        self._expired_up_to = self._revoked_up_to = 0
        self._number = 1
        self.access, self.refresh = self._pair(0, expires_in)

    def accepts(self, token: str) -> bool:
        """Whether this access token opens the door now."""
        parts = self._parse(token, "access")
        if parts is None:
            return False
        issued, number, life = parts
        return number > self._expired_up_to and self._world.timestamp() < (issued or self._born) + life

    def rotate(self, refresh: str, expires_in: int) -> bool:
        """Spends a refresh token for a new pair; false when it is unknown, spent or revoked."""
        parts = self._parse(refresh, "refresh")
        if parts is None or refresh in self._spent or parts[1] <= self._revoked_up_to:
            return False
        self._spent.add(refresh)
        self._number = max(self._number, parts[1]) + 1
        self.access, self.refresh = self._pair(self._world.timestamp(), expires_in)
        return True

    def expire(self) -> None:
        self._expired_up_to = self._number

    def revoke(self) -> None:
        self._revoked_up_to = self._number

    def _pair(self, issued: int, life: int) -> tuple[str, str]:
        stem = f"{issued}_{self._number}_{life}"
        return (f"kit_access_{stem}_{_proof('access', stem)}", f"kit_refresh_{stem}_{_proof('refresh', stem)}")

    @staticmethod
    def _parse(token: str, kind: str) -> tuple[int, int, int] | None:
        match = _TOKEN.fullmatch(token)
        if not match or match[1] != kind:
            return None
        stem = "_".join(match.group(2, 3, 4))
        if not hmac.compare_digest(match[5], _proof(kind, stem)):
            return None
        return int(match[2]), int(match[3]), int(match[4])


def _proof(kind: str, stem: str) -> str:
    return hmac.new(_KEY, f"{kind}_{stem}".encode(), hashlib.sha256).hexdigest()[:24]
