"""Kit's OAuth tokens: access tokens run out within hours, refresh tokens work once.

https://developers.kit.com/api-reference/oauth-refresh-token-flow. The current pair lives in the store, because
losing the refresh token means that the owner has to authorise the app again. The secret `kit-refresh-token`
is only the seed: the first refresh uses it, and a changed one starts anew.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import Clock, later, to_instant
from pushcart.crash import Point, point
from pushcart.errors import ProviderBusy, ProviderRefused
from pushcart.providers.http import Http
from pushcart.repositories import Locks
from pushcart.store import Store

log = logging.getLogger(__name__)

#: Seconds before its end from which a token counts as run out, so that it does not end on the way.
MARGIN = 120

#: Seconds the lock holds; longer than the one call it covers can take.
LOCK_SECONDS = 120

#: How often, and after how many seconds each, to look whether another process has finished its refresh.
_LOOKS, _BETWEEN_LOOKS = 20, 0.25

_ID = "kit"


class _Answer(msgspec.Struct):
    access_token: str
    refresh_token: str
    expires_in: int


class KitTokens:
    """The tokens of one Kit OAuth app. `client_secret` and `seed` are read at each use."""

    def __init__(
        self,
        http: Http,
        store: Store,
        locks: Locks,
        clock: Clock,
        *,
        client_id: str,
        client_secret: Callable[[], str],
        seed: Callable[[], str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._store = store
        self._locks = locks
        self._clock = clock
        self._client_id = client_id
        self._client_secret = client_secret
        self._seed = seed
        self._sleep = sleep
        self._threads = threading.Lock()
        self._unsaved: dict[str, Any] | None = None

    def access(self) -> str:
        """An access token that is good for at least `MARGIN` seconds; refreshed first if there is none.

        Raises `ProviderRefused` when Kit does not take the refresh token, else `ProviderUnavailable` or
        `StoreUnavailable`.
        """
        return self._usable(not_this=None) or self._refresh(not_this=None)

    def renew(self, refused: str) -> str:
        """Another access token than the one Kit has just refused."""
        return self._refresh(not_this=refused)

    def _usable(self, not_this: str | None) -> str | None:
        """The stored access token, if it fits the seed, has time left and is not `not_this`."""
        held = self._store.get("tokens", _ID)
        if held is None or held["seed"] != self._seed_hash() or held["access_token"] == not_this:
            return None
        soon = later(to_instant(self._clock()), MARGIN)
        return str(held["access_token"]) if held["expires_at"] > soon else None

    def _refresh(self, not_this: str | None) -> str:
        with self._threads:
            self._save_unsaved()
            for _ in range(_LOOKS):
                if token := self._usable(not_this):
                    return token
                if lock := self._locks.acquire("kit-token", LOCK_SECONDS):
                    try:
                        # Another process may have refreshed between our look and our lock.
                        return self._usable(not_this) or self._exchange()
                    finally:
                        self._locks.release("kit-token", lock)
                self._sleep(_BETWEEN_LOOKS)
        raise ProviderBusy(self._http.provider, "another process is getting a new access token", retry_after=10)

    def _exchange(self) -> str:
        """Uses up the refresh token and keeps the new pair. The caller holds the lock."""
        seed, held = self._seed(), self._store.get("tokens", _ID)
        ours = held is not None and held["seed"] == self._seed_hash()
        asked_at = to_instant(self._clock())
        request = {
            "client_id": self._client_id,
            "client_secret": self._client_secret(),
            "grant_type": "refresh_token",
            "refresh_token": held["refresh_token"] if held is not None and ours else seed,
        }
        try:
            answer = self._http.call("POST", "/v4/oauth/token", _Answer, json=request)
        except ProviderRefused as refusal:
            raise ProviderRefused(
                self._http.provider,
                "no new access token; authorise the app again and put its refresh token into the secret"
                f" kit-refresh-token (said {refusal.message})",
                status=refusal.status,
            ) from refusal
        point(Point.TOKEN_REFRESHED)
        self._unsaved = {
            "id": _ID,
            "seed": self._seed_hash(),
            "access_token": answer.access_token,
            "refresh_token": answer.refresh_token,
            "expires_at": later(asked_at, answer.expires_in),
        }
        self._save_unsaved()
        log.info("Kit has given a new access token for %s seconds", answer.expires_in)
        return answer.access_token

    def _save_unsaved(self) -> None:
        """Writes a new pair to the store, whatever is there: it is the only one that Kit takes from now on.

        When the store is down, the pair stays in memory and is written at the next use, unless the owner has
        started anew with another seed meanwhile.
        """
        while self._unsaved is not None and self._unsaved["seed"] == self._seed_hash():
            held = self._store.get("tokens", _ID)
            version = held["version"] if held else 0
            document = {**self._unsaved, "version": version + 1}
            if self._store.replace("tokens", document, version) if held else self._store.insert("tokens", document):
                self._unsaved = None

    def _seed_hash(self) -> str:
        return hashlib.sha256(self._seed().encode()).hexdigest()
