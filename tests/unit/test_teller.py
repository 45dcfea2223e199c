"""What the owner is told when: once, at a time they want, again until it arrives, and when it is over."""

from __future__ import annotations

import pytest

from pushcart.domain.alerting import AlertSettings, Level
from pushcart.errors import StoreUnavailable
from pushcart.services.alerts.incidents import Incidents, State
from pushcart.services.alerts.memory import Memory
from pushcart.services.alerts.teller import Teller
from support.alerts import BOSS, CHAT, PHONE, Desk, condition
from support.races import at_once

NIGHT, MORNING = "2026-11-21T22:30:00.000Z", "2026-11-22T06:00:00.000Z"  # 23:30 and 07:00 in Warsaw


@pytest.fixture
def desk(store):
    return Desk(store)


# One message for each incident


def test_an_incident_is_told_once_however_often_it_is_seen(desk):
    desk.minutes(60, lambda minute: desk.see(count=minute + 1))
    assert len(desk.addresses.sent) == 1
    assert desk.mailer.mails == []


def test_what_is_critical_goes_to_every_address_and_a_warning_only_where_warnings_go(desk):
    desk.see("a.warning")
    desk.see("b.critical", Level.CRITICAL)
    desk.tell()
    assert len(desk.addresses.titles(CHAT)) == 2
    assert len(desk.addresses.titles(PHONE)) == 1
    assert desk.addresses.titles(BOSS) == []


def test_it_is_over_is_told_once_and_to_whom_it_was_told(desk):
    desk.see(level=Level.CRITICAL)
    desk.tell()
    desk.clock.pass_(301)
    desk.minutes(10)
    first, last = desk.addresses.titles(PHONE)
    assert "CRITICAL: Kit has been failing" in first
    assert "Over: Kit has been failing" in last
    assert len(desk.addresses.titles(CHAT)) == 2
    assert desk.incidents.get("failing.Kit").state is State.OVER


def test_what_gets_worse_is_told_again_once(desk):
    desk.see()
    desk.minutes(3, lambda minute: desk.see(level=Level.CRITICAL if minute else Level.WARNING))
    desk.minutes(3, lambda minute: desk.see(level=Level.WARNING))
    desk.minutes(3, lambda minute: desk.see(level=Level.CRITICAL))
    assert len(desk.addresses.titles(CHAT)) == 2
    assert len(desk.addresses.titles(PHONE)) == 1


def test_flapping_makes_no_flood():
    """Ten minutes there, ten minutes gone, for a whole day without quiet hours."""
    desk = Desk(Memory())
    desk.settings = AlertSettings(quiet=None)
    desk.minutes(24 * 60, lambda minute: desk.see() if minute // 10 % 2 == 0 else None)
    assert 2 <= len(desk.addresses.sent) <= 5
    desk.minutes(12 * 60)
    assert "Over" in desk.addresses.titles(CHAT)[-1]


def test_many_incidents_of_one_kind_make_one_message_with_their_number(desk):
    for number in range(40):
        desk.see(f"strange_print.{number}", Level.CRITICAL, what=f"Printful has order {number}", lasts=None)
    desk.minutes(5)
    assert len(desk.addresses.titles(PHONE)) == 1
    assert "and 39 more like it" in desk.addresses.titles(PHONE)[0]


def test_one_more_of_a_kind_each_minute_gathers_instead_of_ringing_each_minute(desk):
    def another(minute):
        desk.see(f"strange_print.{minute}", Level.CRITICAL, lasts=None)

    desk.settings = AlertSettings(escalate_after="1 week")
    desk.minutes(60, another)
    assert 5 < len(desk.addresses.titles(PHONE)) <= 9
    told = {incident.id for incident in desk.incidents.open() if incident.told_level}
    desk.minutes(16)
    assert len(told) < len([incident for incident in desk.incidents.open() if incident.told_level]) == 60


def test_what_comes_back_in_the_middle_of_the_news_of_its_end_is_told_anew(desk):
    desk.see()
    desk.tell()
    desk.incidents.end("failing.Kit")
    desk.addresses.before = desk.see
    desk.tell()
    desk.addresses.before = lambda: None
    desk.tell()
    assert [title.partition("] ")[2].partition(":")[0] for title in desk.addresses.titles(CHAT)] == [
        "Warning",
        "Over",
        "Warning",
    ]


# Quiet hours


def test_a_warning_waits_for_the_morning_and_what_is_critical_does_not(desk):
    desk.clock.set(NIGHT)
    desk.see("a.warning", lasts=None)
    desk.see("b.critical", Level.CRITICAL, lasts=None)
    desk.tell()
    assert len(desk.addresses.sent) == 2  # the critical one, at both addresses
    assert all(level is Level.CRITICAL for _, _, level in desk.addresses.sent)
    desk.incidents.end("b.critical")
    desk.tell()
    desk.clock.set(MORNING)
    desk.tell()
    assert [title for title in desk.addresses.titles(CHAT) if "Warning" in title]


def test_what_came_and_went_in_the_night_is_told_once_in_the_morning(desk):
    desk.clock.set(NIGHT)
    desk.minutes(10, lambda minute: desk.see() if minute < 2 else None)
    assert desk.addresses.sent == []
    desk.clock.set(MORNING)
    desk.minutes(3)
    [title] = desk.addresses.titles(CHAT)
    assert "Over: Kit has been failing" in title


# When nobody answers


def test_what_nobody_answers_is_escalated_once():
    desk = Desk(Memory())
    desk.minutes(24 * 60 - 2, lambda minute: desk.see(level=Level.CRITICAL))
    [title] = desk.addresses.titles(BOSS)
    assert "NOBODY ANSWERED" in title
    desk.clock.pass_(600)
    desk.minutes(2)
    assert "Over" in desk.addresses.titles(BOSS)[-1]


def test_what_is_answered_and_what_is_only_a_warning_is_not_escalated(desk):
    desk.see("a.warning", lasts=None)
    desk.see("b.critical", Level.CRITICAL)
    desk.tell()
    desk.incidents.answer("b.critical")
    desk.minutes(120, lambda minute: desk.see("b.critical", Level.CRITICAL))
    assert desk.addresses.titles(BOSS) == []


def test_without_an_address_for_it_an_escalation_goes_where_the_alert_went(desk):
    desk.lines = [f"critical {PHONE}"]
    desk.minutes(60, lambda minute: desk.see(level=Level.CRITICAL))
    assert ["NOBODY ANSWERED" in title for title in desk.addresses.titles(PHONE)] == [False, True]


def test_what_still_stands_is_told_again_each_day_but_not_at_night_and_not_when_answered(desk):
    desk.clock.set("2026-11-21T20:30:00.000Z")
    desk.minutes(1, lambda minute: desk.see(lasts=None))
    desk.clock.set("2026-11-22T21:30:00.000Z")
    desk.tell()
    assert len(desk.addresses.sent) == 1
    desk.clock.set("2026-11-23T06:00:00.000Z")
    desk.tell()
    desk.tell()
    assert "Still: Kit" in desk.addresses.titles(CHAT)[1]
    desk.see("b.other", lasts=900_000.0)
    desk.incidents.answer("b.other")
    desk.tell()
    told = len(desk.addresses.sent)
    desk.clock.set("2026-11-24T08:00:00.000Z")
    desk.tell()
    assert ["failing" in text.title for _, text, _ in desk.addresses.sent[told:]] == [True]


# Two at once


class NoVersions:
    """A store whose conditional writes are none: the control."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def replace(self, collection, document, version):
        held = self._store.get(collection, document["id"])
        return self._store.replace(collection, {**document, "version": held["version"] + 1}, held["version"])


def told_by_two(desk, store):
    """How many messages go out when a second process looks while the first one is about to claim."""
    other = desk.another()

    class Meanwhile(Incidents):
        """Lets the other one tell after this one has read and before it claims."""

        waiting = True

        def save(self, incident):
            if self.waiting:
                self.waiting = False
                other.tell(Incidents(store, desk.clock))
            return super().save(incident)

    desk.teller.tell(Meanwhile(store, desk.clock))
    return len(desk.addresses.titles(CHAT))


def test_two_watches_at_once_tell_once(desk, store):
    desk.see()
    assert told_by_two(desk, store) == 1


def test_without_the_conditional_write_they_would_tell_twice(desk, store):
    desk.see()
    assert told_by_two(desk, NoVersions(store)) == 2


def test_many_processes_on_threads_tell_once(desk):
    desk.see(level=Level.CRITICAL)
    tellers: list[Teller] = [desk.another() for _ in range(6)]
    at_once([lambda teller=teller: teller.tell(desk.incidents) for teller in tellers])
    assert sorted(desk.addresses.tried) == sorted([PHONE, CHAT])


def test_a_process_that_died_in_the_middle_leaves_it_to_the_next_one_which_skips_who_has_it(desk):
    class Died(BaseException):
        """SIGKILL between two addresses."""

    def dies():
        if len(desk.addresses.sent) == 1:
            raise Died

    desk.see(level=Level.CRITICAL)
    desk.addresses.before = dies
    with pytest.raises(Died):
        desk.tell()
    desk.addresses.before = lambda: None
    other = desk.another()
    other.tell(desk.incidents)
    assert len(desk.addresses.sent) == 1, "the claim still stands"
    desk.clock.pass_(120)
    other.tell(desk.incidents)
    assert sorted(url for url, _, _ in desk.addresses.sent) == sorted([PHONE, CHAT])


# Sending fails


def test_when_no_address_works_it_goes_by_mail_once_and_the_addresses_are_tried_again(desk):
    desk.addresses.broken = {PHONE, CHAT}
    desk.settings = AlertSettings(escalate_after="1 week")
    desk.minutes(20, lambda minute: desk.see(level=Level.CRITICAL))
    [mail] = desk.mailer.mails
    assert mail.problem.command == "pushcart doctor"
    assert "Kit has been failing" in mail.problem.text
    assert 2 < desk.addresses.tried.count(PHONE) < 8, "with growing pauses"
    desk.addresses.broken = set()
    desk.minutes(30, lambda minute: desk.see(level=Level.CRITICAL))
    assert [len(desk.addresses.titles(url)) for url in (PHONE, CHAT)] == [1, 1]
    assert len(desk.mailer.mails) == 1


def test_an_address_that_works_is_not_told_twice_because_another_does_not(desk):
    desk.settings = AlertSettings(escalate_after="1 week")
    desk.addresses.broken = {PHONE}
    desk.minutes(20, lambda minute: desk.see(level=Level.CRITICAL))
    assert len(desk.addresses.titles(CHAT)) == 1
    assert desk.mailer.mails == []
    desk.addresses.broken = set()
    desk.minutes(30, lambda minute: desk.see(level=Level.CRITICAL))
    assert [len(desk.addresses.titles(url)) for url in (PHONE, CHAT)] == [1, 1]


def test_what_could_be_told_to_nobody_is_told_when_something_works_even_if_it_is_over_by_then(desk):
    desk.addresses.broken, desk.mailer.down = {PHONE, CHAT}, True
    desk.minutes(30, lambda minute: desk.see(level=Level.CRITICAL) if minute < 5 else None)
    assert desk.addresses.sent == []
    desk.addresses.broken, desk.mailer.down = set(), False
    desk.minutes(60)
    [title] = desk.addresses.titles(PHONE)
    assert "Over: Kit has been failing" in title


def test_a_store_that_is_away_when_the_message_is_out_makes_no_second_one(desk, store):
    class Leaves:
        """Goes away as soon as an address has the message."""

        gone = False

        def __getattr__(self, name):
            if self.gone:
                raise StoreUnavailable("gone")
            return getattr(store, name)

    leaving = Leaves()
    incidents = Incidents(leaving, desk.clock)
    incidents.see(condition())

    def leave():
        leaving.gone = True

    desk.addresses.before = leave
    with pytest.raises(StoreUnavailable):
        desk.teller.tell(incidents)
    leaving.gone = False
    desk.addresses.before = lambda: None
    desk.clock.pass_(200)
    desk.teller.tell(incidents)
    assert desk.addresses.tried == [CHAT]
    assert incidents.get("failing.Kit").told_level is Level.WARNING


def test_without_addresses_everything_goes_by_mail(desk):
    desk.lines = []
    desk.see()
    desk.minutes(3)
    [mail] = desk.mailer.mails
    assert (mail.kind, mail.config) == ("email", {"template": "something-needs-you", "to": "admins"})
    assert mail.problem.code == "failing"
    assert mail.problem.since == "2026-11-21T11:00:00.000Z"
    assert mail.problem.text.startswith("Warning: Kit has been failing since noon. What it means: purchases wait")
    assert "pushcart alerts answer failing.Kit" in mail.problem.text


@pytest.mark.parametrize("id", ["dead_step.invite", "dispute.o-1", "attention.oversold", "dead_event.stripe"])
def test_without_addresses_what_every_order_has_mailed_by_itself_is_not_mailed_again(desk, id):
    desk.lines = []
    desk.see(id)
    desk.minutes(3)
    assert desk.mailer.mails == []
    assert desk.incidents.get(id).told_level is Level.WARNING
    desk.minutes(1441, lambda minute: desk.see(id))
    assert len(desk.mailer.mails) == 1  # a day without an answer


def test_a_level_without_an_address_of_its_own_goes_by_mail(desk):
    desk.lines = [f"critical {PHONE}"]
    desk.see()
    desk.tell()
    assert desk.addresses.sent == []
    assert len(desk.mailer.mails) == 1


# Words


def test_a_message_says_what_happened_what_it_means_for_which_orders_and_what_to_run(desk):
    desk.see(
        "dead_step.invite",
        what="7 steps of the kind invite could not be done",
        means="7 buyers are not in the course",
        command="pushcart dead",
        orders=[f"o-{number}" for number in range(7)],
        count=7,
    )
    desk.tell()
    [(_, text, _)] = desk.addresses.sent
    assert text.title == "[Test Shop] Warning: 7 steps of the kind invite could not be done"
    assert text.body.splitlines() == [
        "7 steps of the kind invite could not be done.",
        "What it means: 7 buyers are not in the course.",
        "Orders: o-0, o-1, o-2, o-3, o-4 and 2 more.",
        "Since 2026-11-21 12:00 CET.",
        "Run: pushcart dead",
        "When you have it in hand: pushcart alerts answer dead_step.invite",
    ]
    assert text.short == (
        "Test Shop Warning: 7 steps of the kind invite could not be done -> pushcart dead "
        "| pushcart alerts answer dead_step.invite"
    )


def test_a_text_message_is_short_and_plain_and_keeps_its_command_whatever_happened(desk):
    desk.shop.shop.name = "Łąka – Töpferei " * 20
    desk.see(what="“Kaffee”—" + "ein sehr langer Satz " * 60, command="pushcart orders show o-" + "a" * 26)
    desk.tell()
    [(_, text, _)] = desk.addresses.sent
    assert len(text.short) <= 300
    assert text.short.isascii()
    assert "pushcart orders show o-" + "a" * 26 in text.short
    assert len(text.title) < 500
