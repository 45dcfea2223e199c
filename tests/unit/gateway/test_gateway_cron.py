"""Schedules as cron has them, and the connector that posts by them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.gateway.cron import Schedule
from local.gateway.errors import ScheduleError


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("@every 1m", "2026-03-01T10:00:12", "2026-03-01T10:01:12"),
        ("@every 1h30m", "2026-03-01T10:00:00", "2026-03-01T11:30:00"),
        ("* * * * *", "2026-03-01T10:00:12", "2026-03-01T10:01:00"),
        ("* * * * *", "2026-03-01T10:01:00", "2026-03-01T10:02:00"),
        ("*/5 * * * *", "2026-03-01T10:58:00", "2026-03-01T11:00:00"),
        ("30 6 * * *", "2026-03-01T10:00:00", "2026-03-02T06:30:00"),
        ("0,30 8-10 * * *", "2026-03-01T10:30:00", "2026-03-02T08:00:00"),
        ("10-40/15 * * * *", "2026-03-01T10:26:00", "2026-03-01T10:40:00"),
        ("50/5 * * * *", "2026-03-01T10:51:00", "2026-03-01T10:55:00"),
        ("0 0 * * 1", "2026-03-04T00:00:00", "2026-03-09T00:00:00"),
        ("0 0 * * 0", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 31 * *", "2026-04-01T00:00:00", "2026-05-31T00:00:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-03-01T00:00:00", "2026-03-06T00:00:00"),
        ("59 23 31 12 *", "2026-12-31T23:59:30", "2027-12-31T23:59:00"),
    ],
)
def test_the_next_time_is_the_one_cron_would_choose(schedule, after, expected):
    assert Schedule(schedule).next_after(utc(after)) == utc(expected)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(1, 59))
def test_a_step_comes_at_its_multiples_and_always_later(moment, step):
    moment = moment.replace(tzinfo=UTC)
    following = Schedule(f"*/{step} * * * *").next_after(moment)
    assert following > moment
    assert following.minute % step == 0
    assert (following - moment).total_seconds() <= 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "@every",
        "@every 5",
        "@every 0s",
        "@every -1m",
        "@daily",
        "1,,2 * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ScheduleError):
        Schedule(text)


def test_a_day_that_never_comes_is_an_error():
    with pytest.raises(ScheduleError, match="never comes"):
        Schedule("0 0 31 2 *").next_after(utc("2026-01-01T00:00:00"))


HANDLER = """
import json, sys
def handle(event, context):
    sys.stdout.write(json.dumps({"fired": event.method, "size": len(event.body)}) + "\\n")
"""


def fired(gateway, name: str) -> list[dict]:
    return [json.loads(line) for line in gateway.logs(name) if '"fired"' in line]


def wait_for(gateway, name: str, count: int) -> list[dict]:
    deadline = time.monotonic() + 10
    while len(found := fired(gateway, name)) < count:
        assert time.monotonic() < deadline, gateway.logs(name)
        time.sleep(0.02)
    return found


def test_scheduled_functions_are_posted_an_empty_body_in_the_given_rhythm_and_others_are_not(project):
    project.add("job", HANDLER, annotations={"topic": "cron-function", "schedule": "0 0 1 1 *"})
    project.add("other", HANDLER, annotations={"schedule": "* * * * *"})
    gateway = project.gateway(cron=True, cron_every=0.05)
    assert wait_for(gateway, "job", 3)[0] == {"fired": "POST", "size": 0}
    assert gateway.pid("other") is None
    gateway.stop()


def test_a_schedule_annotation_is_followed(project):
    project.add("job", HANDLER, annotations={"topic": "cron-function", "schedule": "@every 1s"})
    gateway = project.gateway(cron=True)
    before = time.monotonic()
    wait_for(gateway, "job", 1)
    assert time.monotonic() - before > 0.5


def test_without_cron_nothing_is_fired(project):
    project.add("job", HANDLER, annotations={"topic": "cron-function", "schedule": "@every 1s"})
    gateway = project.gateway(cron_every=0.01)
    time.sleep(0.2)
    assert gateway.pid("job") is None
