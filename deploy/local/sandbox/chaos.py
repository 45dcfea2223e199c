"""Chaos between the senders and the shop: webhooks that get lost for good, and webhooks that come twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from enum import Enum
from typing import Any


class Fate(Enum):
    """What becomes of one message that is sent."""

    ARRIVES = "arrives"
    LOST = "lost"
    DOUBLED = "doubled"


class Chaos:
    """The share `lost` (0 to 1) of all messages is dropped although their sender believes they were taken, so it
    never sends them again and only a catch-up finds what they were about; the share `doubled` is delivered twice.

    A message's fate hangs on the seed, its id and how often it was sent before, so that a run can be repeated
    whatever the threads do. Messages that a test delivers itself always arrive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stop()

    def stop(self) -> None:
        """Switches it off and forgets the counts."""
        self.set(0, 0, "")
        with self._lock:
            self._counts: Counter[tuple[str, Fate]] = Counter()
            self._sent: Counter[str] = Counter()

    def set(self, lost: float, doubled: float, seed: Any) -> None:
        """For all messages from now on. Raises ValueError for shares that are none."""
        shares = (float(lost), float(doubled))
        if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise ValueError("lost and doubled are shares of all webhooks: between 0 and 1, and together at most 1")
        with self._lock:
            self.lost, self.doubled = shares
            self.seed = seed

    def fate(self, sender: str, message_id: str) -> Fate:
        """Decides what becomes of a message that is about to be sent, and counts it."""
        with self._lock:
            if not self.lost and not self.doubled:
                return Fate.ARRIVES
            self._sent[message_id] += 1
            drawn = random.Random(f"{self.seed}.{message_id}.{self._sent[message_id]}").random()
            fate = (
                Fate.LOST if drawn < self.lost else Fate.DOUBLED if drawn < self.lost + self.doubled else Fate.ARRIVES
            )
            self._counts[sender, fate] += 1
            return fate

    def as_json(self) -> dict[str, Any]:
        """The shares, and what it did so far: by sender how many messages were `lost` and `doubled`."""
        with self._lock:
            senders = sorted({sender for sender, _ in self._counts})
            return {
                "lost": self.lost,
                "doubled": self.doubled,
                "dropped": sum(n for (_, fate), n in self._counts.items() if fate is Fate.LOST),
                "by_sender": {sender: {fate.value: self._counts[sender, fate] for fate in Fate} for sender in senders},
            }
