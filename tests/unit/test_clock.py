"""Instants are UTC text that sorts as time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushcart import clock

moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(moments, moments)
def test_instants_sort_as_text_the_way_they_follow_in_time(one, other):
    first, second = sorted([clock.to_instant(one), clock.to_instant(other)])
    assert clock.from_instant(first) <= clock.from_instant(second)
    assert len(first) == len(second) == 24


def test_an_instant_is_utc_whatever_zone_the_time_was_in():
    warsaw = datetime(2026, 11, 21, 9, 30, tzinfo=timezone(timedelta(hours=1)))
    assert clock.to_instant(warsaw) == "2026-11-21T08:30:00.000Z"


def test_a_time_without_a_zone_is_refused_in_both_directions():
    with pytest.raises(ValueError, match="zone"):
        clock.to_instant(datetime(2026, 11, 21))
    with pytest.raises(ValueError, match="zone"):
        clock.from_instant("2026-11-21T08:30:00")


def test_the_local_gateways_clock_runs_ahead_by_the_seconds_in_its_file(tmp_path):
    file = tmp_path / "clock"
    now = clock.offset_clock(file)
    assert abs(now() - datetime.now(UTC)) < timedelta(seconds=5)
    file.write_text("86400")
    assert timedelta(hours=23) < now() - datetime.now(UTC) < timedelta(hours=25)


def test_seconds_pass_as_fast_as_the_local_gateways_clock_says(tmp_path, monkeypatch):
    """So that a limit of calls a minute lets them through after a simulated minute."""
    file = tmp_path / "clock"
    monkeypatch.setenv("clock_file", str(file))
    before = clock.passing()
    assert 0 <= clock.passing() - before < 5
    file.write_text("60")
    assert 60 <= clock.passing() - before < 65
    monkeypatch.delenv("clock_file")
    assert abs(clock.passing() - before) < 5
