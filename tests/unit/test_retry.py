"""One schedule for everything that is tried again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pushcart.clock import seconds_between
from pushcart.domain.retry import ATTEMPTS, JITTER, LONGEST_WAIT, SCHEDULE, next_attempt

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


def test_a_providers_retry_after_takes_the_schedules_place_within_bounds():
    source = random.Random(0)
    assert seconds_between(NOW, next_attempt(1, NOW, source, retry_after=300)) == 300
    assert seconds_between(NOW, next_attempt(1, NOW, source, retry_after=0)) == 1
    assert seconds_between(NOW, next_attempt(1, NOW, source, retry_after=10**9)) == LONGEST_WAIT
