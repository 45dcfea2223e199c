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


#: How often a provider's rate limit may put something off before that counts as a failure.
MAX_DEFERRALS = 500

#: Seconds to wait for a rate limit that does not say how long.
BUSY_WAIT = 60


def next_attempt(
    attempts: int, now: Instant, random_source: random.Random, retry_after: float | None = None
) -> Instant | None:
    """When to try again after `attempts` failed attempts, or None when that was the last one.

    `retry_after` (seconds, from the provider) can make the wait longer, never shorter: a provider that is down
    for an hour and asks for 30 seconds each time must not use up every attempt.
    """
    if attempts >= ATTEMPTS:
        return None
    wait = SCHEDULE[max(attempts, 1) - 1] * (1 + random_source.uniform(-JITTER, JITTER))
    return later(now, max(wait, min(retry_after or 0, LONGEST_WAIT)))


def put_off(now: Instant, retry_after: float | None) -> Instant:
    """When to try again after a rate limit, which counts as no attempt."""
    return later(now, min(max(BUSY_WAIT if retry_after is None else retry_after, 1), LONGEST_WAIT))
