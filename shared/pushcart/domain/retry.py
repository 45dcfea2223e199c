"""When to try again: the one schedule for steps and for events."""

from __future__ import annotations

import random

from pushcart.clock import Instant, later

#: Seconds before each further attempt: 10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h, 24 h.
SCHEDULE = (10, 60, 300, 1800, 7200, 21_600, 43_200, 86_400)

#: Attempts in all, the first included.
ATTEMPTS = len(SCHEDULE) + 1

#: The schedule is spread by this share in both directions, so that orders that failed together do not return together.
JITTER = 0.1

#: No provider's Retry-After is followed beyond this many seconds.
LONGEST_WAIT = 86_400


def next_attempt(
    attempts: int, now: Instant, random_source: random.Random, retry_after: float | None = None
) -> Instant | None:
    """When to try again after `attempts` failed attempts, or None when that was the last one.

    `retry_after` (seconds, from the provider) takes the schedule's place.
    """
    if attempts >= ATTEMPTS:
        return None
    if retry_after is not None:
        return later(now, min(max(retry_after, 1), LONGEST_WAIT))
    wait = SCHEDULE[max(attempts, 1) - 1]
    return later(now, wait * (1 + random_source.uniform(-JITTER, JITTER)))
