"""An incident is one thing that is wrong, from when it was first seen until nobody sees it or the owner answers."""

from __future__ import annotations

from functools import partial

import pytest

from pushcart.domain.alerting import Level
from pushcart.errors import Conflict, NotFound
from pushcart.services.alerts.incidents import Incidents, State, scrub
from pushcart.services.alerts.memory import Memory
from support.alerts import SetClock, condition
from support.races import at_once


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture(params=["file", "memory"])
def incidents(request, clock):
    """In the store, and in the memory that stands in for it."""
    return Incidents(Memory() if request.param == "memory" else request.getfixturevalue("store"), clock)


def test_what_is_seen_again_is_the_same_incident_with_the_latest_count(incidents, clock):
    incidents.see(condition(count=1))
    clock.pass_(60)
    incidents.see(condition(count=500, orders=[f"o-{number}" for number in range(9)]))
    [found] = incidents.open()
    assert (found.count, len(found.orders), found.opened_at) == (500, 5, "2026-11-21T11:00:00.000Z")


def test_the_same_seen_again_a_minute_later_costs_no_write(incidents, clock):
    incidents.see(condition())
    clock.pass_(60)
    incidents.see(condition())
    assert incidents.get("failing.Kit").version == 1
    clock.pass_(60)
    incidents.see(condition())
    assert incidents.get("failing.Kit").version == 2


def test_what_nobody_sees_any_more_is_over_and_what_is_seen_is_not(incidents, clock):
    incidents.see(condition("a"))
    incidents.see(condition("b"))
    for _ in range(6):
        clock.pass_(60)
        incidents.see(condition("a"))
        incidents.expire()
    assert [incident.id for incident in incidents.open()] == ["a"]
    assert incidents.get("b").state is State.ENDING


def test_one_without_an_end_stands_until_the_owner_answers_and_is_not_opened_again(incidents, clock):
    strange = condition("strange_print.1136", Level.CRITICAL, lasts=None)
    incidents.see(strange)
    clock.pass_(90 * 86_400)
    incidents.expire()
    assert [incident.id for incident in incidents.open()] == ["strange_print.1136"]
    assert incidents.answer("strange_print.1136", "it was me").note == "it was me"
    incidents.see(strange)
    assert incidents.open() == []
    with pytest.raises(Conflict):
        incidents.answer("strange_print.1136")


def test_one_that_was_ended_is_opened_anew_when_it_is_seen_again(incidents, clock):
    incidents.see(condition(lasts=None))
    incidents.end("failing.Kit")
    incidents.end("failing.Kit")
    incidents.end("never.was")
    assert incidents.open() == []
    incidents.see(condition(lasts=None))
    assert [incident.flaps for incident in incidents.open()] == [1]


def test_an_answer_counts_until_it_gets_worse(incidents):
    incidents.see(condition())
    assert incidents.answer("failing.Kit").state is State.OPEN
    incidents.see(condition(count=2))
    assert incidents.get("failing.Kit").answered_at
    incidents.see(condition(level=Level.CRITICAL))
    assert incidents.get("failing.Kit").answered_at is None


def test_an_incident_that_does_not_exist_cannot_be_answered(incidents):
    with pytest.raises(NotFound, match="pushcart alerts list"):
        incidents.answer("nothing.here")


def test_what_comes_back_at_once_has_to_stay_away_longer_each_time_and_calm_forgives(incidents, clock):
    holds = []
    for _ in range(5):
        incidents.see(condition())
        holds.append(incidents.get("failing.Kit").hold)
        incidents.end("failing.Kit")
        clock.pass_(360)
    assert holds == [0, 900, 1800, 3600, 7200]
    finished = incidents.get("failing.Kit")
    finished.state = State.OVER
    assert incidents.save(finished)
    clock.pass_(86_400)
    incidents.see(condition())
    again = incidents.get("failing.Kit")
    assert (again.hold, again.times) == (0, 2)


def test_many_that_see_the_same_at_once_make_one_incident(incidents):
    at_once([partial(incidents.see, condition(count=number)) for number in range(1, 9)])
    [found] = incidents.open()
    assert found.state is State.OPEN


def test_ids_fit_an_address_and_a_command(incidents):
    incidents.see(condition("doctor.order-store.stripe endpoint/1"))
    incidents.see(condition("doctor." + "x" * 300))
    first, second = sorted(incident.id for incident in incidents.open())
    assert first == "doctor.order-store.stripe-endpoint-1"
    assert len(second) <= 80


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Kit refused ada.l+x@example.co.uk today", "Kit refused (address) today"),
        ("no such key sk_test_51Habc", "no such key (secret)"),
        ("Bearer abc.def was refused", "(secret) was refused"),
        ("at postgresql://shop:hunter2@db/shop", "at postgresql://(secret)db/shop"),
        ("token 0123456789abcdef0123456789abcdef01234567", "token (secret)"),
        ("line\none  two", "line one two"),
        ("order o-krt7mdc2ybv2t7sajf77xem6f3 of cs_test_" + "a1" * 30, None),
    ],
)
def test_messages_hold_no_address_and_no_key_but_the_ids_people_need(text, kept):
    assert scrub(text) == (kept or text)


def test_what_was_answered_is_told_again_when_there_is_more_than_five_times_as_much_of_it(incidents):
    incidents.see(condition(count=2))
    incidents.answer("failing.Kit")
    incidents.see(condition(count=10))
    assert incidents.get("failing.Kit").answered_at is not None
    incidents.see(condition(count=11))
    found = incidents.get("failing.Kit")
    assert (found.answered_at, found.told_level) == (None, None)
