"""Chaos between the senders and the shop: webhooks that get lost for good, that come twice, and that come late."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from enum import Enum
from typing import Any

#: Seconds by which a late message is held back, at least and at most. Short delays are as likely as long ones: between
#: 5 and 10 minutes there are as many as between 12 and 24 hours.
SOONEST, LATEST = 300, 86_400


class Fate(Enum):
    """What becomes of one message that is sent."""

    ARRIVES = "arrives"
    LOST = "lost"
    DOUBLED = "doubled"
    LATE = "late"


class Chaos:
    """The share `lost` (0 to 1) of all messages is dropped although their sender believes they were taken, so it
    never sends them again and only a catch-up finds what they were about; the share `doubled` is delivered twice; the
    share `late` is held back for minutes or hours of the sandbox's clock, so that what is sent later comes before it.

    A message's fate and its delay hang on the seed, its id and how often it was sent before, so that a run can be
    repeated whatever the threads do. Messages that a test delivers itself always arrive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stop()

    def stop(self) -> None:
        """Switches it off and forgets the counts. What is held back already comes all the same."""
        self.set(0, 0, 0, "")
        with self._lock:
            self._counts: Counter[tuple[str, Fate]] = Counter()
            self._sent: Counter[str] = Counter()

    def set(self, lost: float, doubled: float, late: float, seed: Any) -> None:
        """For all messages from now on. Raises ValueError for shares that are none."""
        shares = {Fate.LOST: float(lost), Fate.DOUBLED: float(doubled), Fate.LATE: float(late)}
        if not all(0 <= share <= 1 for share in shares.values()) or math.fsum(shares.values()) > 1:
            raise ValueError(
                "lost, doubled and late are shares of all webhooks: between 0 and 1, and together at most 1"
            )
        with self._lock:
            self._shares = shares
            self.seed = seed

    def fate(self, sender: str, message_id: str) -> tuple[Fate, int]:
        """Decides what becomes of a message that is about to be sent, and counts it. With it, the seconds by which
        the message is held back: 0 unless it is late."""
        with self._lock:
            if not any(self._shares.values()):
                return Fate.ARRIVES, 0
            self._sent[message_id] += 1
            source = random.Random(f"{self.seed}.{message_id}.{self._sent[message_id]}")
            fate = _pick(source.random(), self._shares)
            self._counts[sender, fate] += 1
            return fate, round(SOONEST * (LATEST / SOONEST) ** source.random()) if fate is Fate.LATE else 0

    def as_json(self) -> dict[str, Any]:
        """The shares, and what it did so far: by sender how many messages were `lost`, `doubled` and `late`, which
        are counted when they are held back."""
        with self._lock:
            senders = sorted({sender for sender, _ in self._counts})
            return {
                **{fate.value: share for fate, share in self._shares.items()},
                "dropped": sum(n for (_, fate), n in self._counts.items() if fate is Fate.LOST),
                "by_sender": {sender: {fate.value: self._counts[sender, fate] for fate in Fate} for sender in senders},
            }


def _pick(drawn: float, shares: dict[Fate, float]) -> Fate:
    """The fate in whose share the number falls."""
    for fate, share in shares.items():
        if drawn < share:
            return fate
        drawn -= share
    return Fate.ARRIVES
