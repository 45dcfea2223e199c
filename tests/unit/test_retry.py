"""One schedule for everything that is tried again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pushcart.clock import seconds_between
from pushcart.domain.retry import ATTEMPTS, BUSY_WAIT, JITTER, LONGEST_WAIT, SCHEDULE, next_attempt, put_off

NOW = "2026-11-21T08:00:00.000Z"


@given(st.integers(1, ATTEMPTS - 1), st.integers())
def test_a_wait_is_the_schedules_within_its_jitter(attempts, seed):
    wait = seconds_between(NOW, next_attempt(attempts, NOW, random.Random(seed)))
    planned = SCHEDULE[attempts - 1]
    assert planned * (1 - JITTER) - 0.001 <= wait <= planned * (1 + JITTER) + 0.001


def test_waits_differ_so_that_orders_that_failed_together_do_not_return_together():
    source = random.Random(1)
    assert len({next_attempt(4, NOW, source) for _ in range(20)}) == 20


def test_after_the_last_attempt_there_is_no_other():
    assert next_attempt(ATTEMPTS, NOW, random.Random(0)) is None


def test_a_providers_retry_after_makes_the_wait_longer_and_never_shorter():
    source = random.Random(0)
    assert seconds_between(NOW, next_attempt(1, NOW, source, retry_after=300)) == 300
    assert seconds_between(NOW, next_attempt(1, NOW, source, retry_after=10**9)) == LONGEST_WAIT
    assert seconds_between(NOW, next_attempt(4, NOW, source, retry_after=2)) >= SCHEDULE[3] * (1 - JITTER)


def test_a_provider_that_asks_for_seconds_each_time_still_gets_two_days():
    now, source = NOW, random.Random(0)
    for attempt in range(1, ATTEMPTS):
        now = next_attempt(attempt, now, source, retry_after=2)
    assert seconds_between(NOW, now) > 40 * 3600


def test_a_rate_limit_is_waited_for_as_long_as_it_says_within_bounds():
    assert seconds_between(NOW, put_off(NOW, 30)) == 30
    assert seconds_between(NOW, put_off(NOW, None)) == BUSY_WAIT
    assert seconds_between(NOW, put_off(NOW, 0)) == 1
    assert seconds_between(NOW, put_off(NOW, 10**9)) == LONGEST_WAIT
