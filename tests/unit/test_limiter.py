"""Our own count of a provider's calls."""

from __future__ import annotations

import threading

import pytest

from pushcart.errors import ProviderBusy
from pushcart.providers.limiter import LONGEST_WAIT, Limiter


class Time:
    """Seconds that pass only when a test or a sleep lets them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(time: Time, per_minute: int) -> Limiter:
    return Limiter(per_minute, time.monotonic, time.sleep)


def test_calls_up_to_the_limit_pass_at_once(time: Time) -> None:
    limit = limiter(time, 3)
    for _ in range(3):
        limit.take("Kit")
    assert time.slept == []


def test_a_used_up_limit_says_when_the_next_slot_is_free(time: Time) -> None:
    limit = limiter(time, 2)
    limit.take("Kit")
    time.now += 20
    limit.take("Kit")
    with pytest.raises(ProviderBusy) as busy:
        limit.take("Kit")
    assert busy.value.retry_after == pytest.approx(40)
    assert busy.value.provider == "Kit"
    assert busy.value.to_response()["headers"] == {"Retry-After": "40"}
    assert time.slept == []


def test_a_slot_is_free_again_a_minute_after_it_was_taken(time: Time) -> None:
    limit = limiter(time, 1)
    limit.take("Kit")
    time.now += 60 - LONGEST_WAIT - 0.1
    with pytest.raises(ProviderBusy):
        limit.take("Kit")
    time.now += LONGEST_WAIT + 0.1
    limit.take("Kit")
    assert time.slept == []


def test_a_slot_that_is_free_within_a_second_is_waited_for(time: Time) -> None:
    limit = limiter(time, 1)
    limit.take("Kit")
    time.now += 59.5
    limit.take("Kit")
    assert time.slept == [pytest.approx(0.5)]


def test_refused_calls_do_not_count(time: Time) -> None:
    limit = limiter(time, 1)
    limit.take("Kit")
    for _ in range(5):
        with pytest.raises(ProviderBusy):
            limit.take("Kit")
    time.now += 60
    limit.take("Kit")


def test_no_window_of_sixty_seconds_holds_more_than_the_limit(time: Time) -> None:
    limit, taken = limiter(time, 10), []
    for _ in range(1000):
        try:
            limit.take("Kit")
            taken.append(time.now)
        except ProviderBusy:
            pass
        time.now += 1.7
    assert len(taken) > 100
    assert all(later - earlier >= 60 for earlier, later in zip(taken, taken[10:], strict=False))


def test_threads_together_take_no_more_than_the_limit() -> None:
    limit = Limiter(50, monotonic=lambda: 5.0, sleep=lambda _: None)
    passed: list[int] = []
    barrier = threading.Barrier(8)

    def take() -> None:
        barrier.wait()
        for number in range(20):
            try:
                limit.take("Kit")
                passed.append(number)
            except ProviderBusy:
                pass

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 50
