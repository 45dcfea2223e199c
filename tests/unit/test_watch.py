"""The watch: what is wrong, from the store and the machine, each cause once; and a store that is away."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from pushcart.clock import later
from pushcart.domain import steps
from pushcart.domain.alerting import AlertSettings, Level
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Attention, Dispute, FulfilmentStatus, StepState
from pushcart.errors import StoreUnavailable
from pushcart.repositories import Heartbeats, Inbox, Orders
from pushcart.services.alerts.conditions import DiskUsage
from pushcart.services.alerts.health import Health
from pushcart.services.alerts.watch import Timer, Watch
from support.alerts import BOSS, CHAT, NOON, PHONE, Desk
from support.shop import bought, run_all

GIB = 1 << 30
PLENTY = DiskUsage(100 * GIB, 50 * GIB, 50 * GIB)


class Switch:
    """A store that can be switched off."""

    def __init__(self, store):
        self.store = store
        self.away = False

    def __getattr__(self, name):
        if self.away:
            raise StoreUnavailable("the store is down")
        return getattr(self.store, name)


class Post:
    """A watch at its desk, minute by minute; catch-up runs each minute unless it is told not to."""

    def __init__(self, store):
        self.store = Switch(store)
        self.desk = Desk(self.store)
        self.desk.settings = AlertSettings(escalate_after="1 week")
        self.disks = {"/": PLENTY}
        self.cron = True
        self.watch = self.another()

    def another(self):
        desk = self.desk
        return Watch(
            self.store,
            desk.another(),
            lambda: desk.shop,
            lambda: desk.settings,
            desk.clock,
            folders={"root": "/", "store": "/data"},
            disk_usage=lambda folder: self.disks.get(folder, PLENTY),
        )

    def minutes(self, count=1):
        for _ in range(count):
            if self.cron and not self.store.away:
                Heartbeats(self.store, self.desk.clock).beat("catch-up", {})
            self.watch.run()
            self.desk.clock.pass_(60)

    @property
    def told(self):
        return [text for _, text, _ in self.desk.addresses.sent]

    def open(self):
        return {incident.id: incident for incident in self.desk.incidents.open()}


@pytest.fixture
def post(store):
    return Post(store)


def put_dead(store, number, step="course.invite"):
    """An order of which one step is dead, as order-store leaves it."""
    order = bought(NOON)
    order.id, order.session_id = f"o-{number:04}", f"cs_{number}"
    run_all(order, NOON, failing={step: {"permanent": True}})
    assert steps.require(order, step).state is StepState.DEAD
    assert Orders(store).add(order)
    return order


def put_attention(store, id, code, **payment):
    order = bought(NOON)
    order.id, order.session_id = id, f"cs_{id}"
    order.fulfilment_status = FulfilmentStatus.NEEDS_ATTENTION
    order.attention.append(Attention(code=code, subject="x", text="the buyer ada@example.com is cross", since=NOON))
    for name, value in payment.items():
        setattr(order.payment, name, value)
    assert Orders(store).add(order)


def put_event(store, number, *, waited=0.0, now=NOON, **more):
    event = InboxEvent(
        id=f"stripe:evt_{number}",
        source="stripe",
        event_id=f"evt_{number}",
        type="checkout.session.completed",
        received_at=later(now, -waited),
        body="{}",
        **more,
    )
    assert Inbox(store).add(event)


def test_a_shop_where_all_is_well_disturbs_nobody(post):
    bought_well = bought(NOON)
    run_all(bought_well, NOON)
    assert Orders(post.store).add(bought_well)
    put_event(post.store, 1, waited=60)
    post.minutes(3)
    assert post.told == []
    assert post.watch.run() == {"wrong": 0, "told": 0, "store": True}


def test_five_hundred_dead_steps_make_one_message_with_their_number(post):
    for number in range(500):
        put_dead(post.store, number)
    post.minutes(4)
    assert len(post.desk.addresses.titles(PHONE)) == len(post.desk.addresses.titles(CHAT)) == 1
    text = post.told[0]
    assert "500 steps of the kind invite could not be done" in text.title
    assert "o-0499, o-0498, o-0497, o-0496, o-0495 and 495 more" in text.body
    assert "Run: pushcart dead" in text.body


def test_a_dead_step_is_over_once_when_it_was_mended(post):
    order = put_dead(post.store, 1)
    post.minutes(2)
    assert "Run: pushcart orders show o-0001" in post.told[0].body
    held = Orders(post.store).require(order.id)
    steps.retry(held, "course.invite", NOON)
    assert Orders(post.store).save(held)
    post.minutes(10)
    assert [text.title.partition("] ")[2].partition(":")[0] for text in post.told] == ["Warning", "Over"]


def test_what_the_owner_handled_is_over_though_the_step_stays_undone(post):
    order = put_dead(post.store, 1)
    post.minutes(1)
    held = Orders(post.store).require(order.id)
    steps.handled(held, NOON, "sent by hand")
    assert Orders(post.store).save(held)
    post.minutes(8)
    assert post.open() == {}


def test_attention_is_grouped_by_its_kind_and_quotes_nobody(post):
    for number in range(3):
        put_attention(post.store, f"o-{number}", "wrong_amount")
    put_attention(post.store, "o-9", "checkout_refused")
    put_attention(post.store, "o-10", "something_new")
    post.minutes(1)
    assert post.open()["attention.wrong_amount"].count == 3
    assert post.open()["attention.checkout_refused"].level is Level.CRITICAL
    assert "something new" in post.open()["attention.something_new"].what
    assert not any("@" in text.body for text in post.told)


@pytest.mark.parametrize(
    ("days", "status", "level"),
    [(9, "needs_response", Level.WARNING), (2, "needs_response", Level.CRITICAL), (2, "under_review", None)],
)
def test_a_dispute_is_told_with_its_deadline_until_it_is_answered(post, days, status, level):
    due = later(NOON, days * 86_400)
    put_attention(post.store, "o-1", "dispute", dispute=Dispute(id="dp_1", status=status, evidence_due=due))
    post.minutes(1)
    found = post.open().get("dispute.o-1")
    assert (found and found.level) == level
    if found:
        assert f"answer it by {due[:10]} 12:00 CET" in found.what
        assert found.orders == ["o-1"]


def test_events_that_wait_too_long_and_dead_ones_are_told_by_who_sent_them(post):
    put_event(post.store, 1, waited=800)
    put_event(post.store, 2, status=EventStatus.DEAD)
    post.minutes(1)
    assert list(post.open()) == ["dead_event.stripe"]
    post.minutes(2)
    assert post.open()["unapplied.stripe"].level is Level.WARNING
    put_event(post.store, 3, waited=3_700)
    post.minutes(1)
    assert post.open()["unapplied.stripe"].level is Level.CRITICAL
    assert post.open()["unapplied.stripe"].count == 2


def test_a_provider_that_fails_for_long_is_told_and_one_that_failed_a_moment_is_not(post):
    health = Health(post.store, post.desk.clock)
    health.failed("Stripe", "it could not be reached")
    health.failed("invite-link", "Discourse: 500")
    post.minutes(15)
    health.well("invite-link")
    assert post.open() == {}
    post.minutes(2)
    assert list(post.open()) == ["failing.Stripe"]
    assert "Stripe has been failing since 2026-11-21 11:00 UTC: it could not be reached" in post.told[0].body
    post.minutes(50)
    assert post.open()["failing.Stripe"].level is Level.CRITICAL
    health.well("Stripe")
    post.minutes(8)
    assert post.open() == {}


def test_a_cron_that_does_not_run_is_critical_after_three_minutes_and_over_when_it_runs(post):
    post.minutes(2)
    post.cron = False
    post.minutes(3)
    assert post.told == []
    post.minutes(2)
    assert "CRITICAL: catch-up has not finished a run since 2026-11-21 11:01 UTC" in post.told[0].title
    post.cron = True
    post.minutes(8)
    assert post.open() == {}


def test_a_cron_that_never_ran_is_missed_only_once_the_watch_has_waited_for_it(post):
    post.cron = False
    post.minutes(4)
    assert post.told == []
    post.minutes(1)
    assert "catch-up has not finished a run ever" in post.told[0].title


def test_a_watch_that_was_started_anew_does_not_say_that_a_missed_cron_is_over(post):
    post.minutes(4)
    post.cron = False
    post.minutes(8)
    for _ in range(6):  # redeploys, each with some minutes in between
        post.watch = post.another()
        post.minutes(3)
    assert len(post.desk.addresses.titles(PHONE)) == 1


def test_what_only_catch_up_sees_is_not_over_while_catch_up_does_not_run(post):
    post.minutes(4)
    post.desk.see("catch-up.stripe-events")
    post.minutes(1)
    post.cron = False
    post.minutes(60)
    assert not [title for title in post.desk.addresses.titles(CHAT) if "Over: Kit" in title]
    assert post.desk.incidents.get("catch-up.stripe-events").state == "open"


@pytest.mark.parametrize(
    ("usage", "level"),
    [
        (DiskUsage(100 * GIB, 0, 11 * GIB), None),
        (DiskUsage(100 * GIB, 0, 9 * GIB), Level.WARNING),
        (DiskUsage(5 * GIB, 0, GIB - 1), Level.WARNING),
        (DiskUsage(100 * GIB, 0, 2 * GIB), Level.CRITICAL),
        (DiskUsage(GIB, 0, 190 << 20), Level.CRITICAL),
    ],
)
def test_a_disk_that_fills_up_is_told_before_it_is_full_and_one_disk_once(post, usage, level):
    post.disks = {"/": usage, "/data": usage}
    post.minutes(1)
    assert [incident.level for incident in post.open().values()] == ([level] if level else [])


@pytest.mark.parametrize(
    ("day", "level"),
    [
        ("2026-12-06", None),
        ("2026-12-05", Level.WARNING),
        ("2026-11-24", Level.WARNING),
        ("2026-11-23", Level.CRITICAL),
        ("2026-11-01", Level.CRITICAL),
        ("2026-02-31", None),
    ],
)
def test_a_key_is_told_two_weeks_before_it_runs_out(post, day, level):
    post.desk.settings = AlertSettings(keys={"printful-api-key": day})
    post.minutes(1)
    found = post.open().get("key.printful-api-key")
    assert (found and found.level) == level
    if found:
        assert found.command == "faas-cli secret update printful-api-key --from-file .secrets/printful-api-key"


def test_a_look_that_fails_ends_nothing_and_hides_nothing_else(post):
    put_dead(post.store, 1)
    post.minutes(1)
    post.store.store.insert("orders", {**msgspec.to_builtins(bought(NOON)), "id": "o-odd", "version": 1,
                                       "fulfilment_status": "needs_attention", "steps": 7})  # fmt: skip
    post.desk.settings = AlertSettings(keys={"domain": "2026-11-22"})
    post.minutes(10)
    assert set(post.open()) == {"dead_step.invite", "key.domain"}


# The store


def test_a_store_that_is_away_is_told_from_memory_after_two_minutes_and_over_when_it_answers(post):
    put_dead(post.store, 1)
    post.minutes(1)
    post.store.away = True
    post.minutes(2)
    assert len(post.told) == 1
    post.disks["/data"] = DiskUsage(100 * GIB, 0, 0)
    post.minutes(30)
    [title] = post.desk.addresses.titles(PHONE)
    assert "CRITICAL: the store has not answered since 2026-11-21 11:01 UTC (the disk of /data is nearly full" in title
    assert [incident.id for incident in post.watch.away()] == ["store"]
    post.store.away, post.disks["/data"] = False, PLENTY
    post.minutes(10)
    assert len(post.desk.addresses.titles(PHONE)) == 2
    assert "Over: the store" in post.desk.addresses.titles(PHONE)[1]
    assert set(post.open()) == {"dead_step.invite"}, "what nobody could see meanwhile is not over"


def test_a_store_that_hiccups_disturbs_nobody(post):
    for _ in range(10):
        post.store.away = not post.store.away
        post.minutes(1)
    assert post.told == []


def test_what_stands_in_memory_can_be_answered_and_is_escalated_when_nobody_does(post):
    post.desk.settings = AlertSettings(escalate_after="5 minutes")
    post.store.away = True
    post.minutes(5)
    assert post.watch.answer("store", "rebooting").answered_at
    post.minutes(20)
    assert post.desk.addresses.titles(BOSS) == []
    post.store.away = False
    post.minutes(1)
    post.store.away = True
    post.minutes(20)
    assert len(post.desk.addresses.titles(BOSS)) == 1


# Running


def test_two_watches_of_two_processes_tell_once(post):
    put_dead(post.store, 1)
    for watch in (post.watch, post.another(), post.another()):
        watch.run()
    assert len(post.told) == 1


def test_a_watch_that_is_asked_for_while_one_runs_follows_at_once(post):
    entered, go_on = threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert go_on.wait(10)

    put_dead(post.store, 1)
    post.desk.addresses.before = wait
    first = threading.Thread(target=post.watch.run)
    first.start()
    assert entered.wait(10)
    put_dead(post.store, 2, "course.purchase")
    assert post.watch.run() == {"running": True}
    go_on.set()
    first.join()
    assert set(post.open()) == {"dead_step.invite", "dead_step.purchase"}
    assert len(post.told) == 2


def test_the_timer_watches_by_itself_survives_a_mistake_and_ends_at_once(post):
    runs = threading.Semaphore(0)

    class Failing:
        def run(self):
            runs.release()
            raise ZeroDivisionError

    timer = Timer(Failing(), seconds=0.01)
    timer.start()
    assert runs.acquire(timeout=10)
    assert runs.acquire(timeout=10)
    began = time.monotonic()
    timer.stop()
    assert time.monotonic() - began < 2
    idle = Timer(Failing(), seconds=3_600)
    idle.start()
    idle.stop()
    assert time.monotonic() - began < 4
