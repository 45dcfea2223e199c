"""What never arrived from Stripe is found: by its list of events and its list of sessions, each time once."""

from __future__ import annotations

from collections import Counter

import pytest

from pushcart.domain.event import EventStatus
from pushcart.domain.order import PaymentStatus
from pushcart.errors import ProviderBusy, ProviderRefused
from pushcart.providers.stripe_listing import Listed, ListedEvent
from pushcart.repositories import Counters, Cursors, Inbox, Orders
from pushcart.services.catchup.payments import EVERY, OVERLAP, Found, StripeCatchUp
from pushcart.services.stripe_inbox import StripeInbox
from pushcart.store import connect
from support.listings import NOW_UNIX, Sold, Stripe
from support.processes import WRITES, Clock, Died, Moments, Process, _Watched, die

DAY = 86_400


class Shop:
    """One installation on a store of its own; `again` is what the next process does."""

    def __init__(self, url, stripe):
        self.store, self.stripe, self.clock, self.moments = connect(url), stripe, Clock(), Moments()
        watched = _Watched(self.store, self.moments, WRITES)
        stripe.limit.moment = self.moments
        self.inbox, self.orders, self.cursors = Inbox(watched), Orders(watched), Cursors(watched)
        self.counters = Counters(self.store, self.clock)
        events = StripeInbox(self.inbox, self.counters, self.clock, livemode=False)
        self.catch_up = StripeCatchUp(stripe, events, self.inbox, self.orders, self.cursors, self.clock, livemode=False)

    def events(self, pages=None):
        """One run; with `pages`, of so many."""
        left = iter(range((pages or 10_000) - 1))
        return self.catch_up.events(Found(), lambda: next(left, None) is not None)

    def sessions(self):
        return self.catch_up.sessions(Found(), lambda: True)

    def held(self):
        found, cursor = [], None
        while True:
            page = self.inbox.list(cursor=cursor, limit=500)
            found += [event.id for event in page.items]
            cursor = page.cursor
            if cursor is None:
                return found


@pytest.fixture
def shop(tmp_path):
    made = []

    def make(stripe):
        made.append(Shop(f"sqlite:///{tmp_path}/{len(made)}.db", stripe))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def ids(count):
    return sorted(f"stripe:evt_{number}_completed" for number in range(count))


# Events


def test_a_first_run_takes_in_the_last_three_days(shop):
    stripe = Stripe(*(Sold(number, ago=number * DAY // 2 + 600) for number in range(10)))
    one = shop(stripe)
    assert sorted(one.events().events) == ids(6)


def test_a_listed_event_lies_in_the_inbox_as_its_webhook_would(shop):
    one = shop(Stripe(Sold(1)))
    one.events()
    event = one.inbox.require("stripe:evt_1_completed")
    assert (event.object_id, event.payment_intent, event.status) == ("cs_1", "pi_1", EventStatus.PENDING)


def test_what_the_webhook_brought_is_not_taken_in_again_and_counts_as_no_duplicate(shop):
    one = shop(Stripe(Sold(1), Sold(2)))
    taken = StripeInbox(one.inbox, one.counters, one.clock, livemode=False).take(Sold(1).told()[2])
    assert taken == "stripe:evt_1_completed"
    assert one.events().events == ["stripe:evt_2_completed"]
    assert one.store.get("counters", f"{one.clock():%Y-%m-%d}.stripe.duplicate") is None


def test_later_runs_list_only_what_is_new_and_a_few_minutes_before(shop):
    stripe = Stripe(*(Sold(number, ago=4000 + number) for number in range(500)), size=100)
    one = shop(stripe)
    one.events()
    assert stripe.limit.calls == 5
    one.clock.advance(60)
    stripe.add(Sold(900, ago=OVERLAP - 10))
    assert one.events().events == ["stripe:evt_900_completed"]
    assert stripe.limit.calls == 6


def test_an_event_that_shows_late_is_still_found(shop):
    stripe = Stripe()
    one = shop(stripe)
    one.events()
    stripe.add(Sold(1, ago=OVERLAP - 1))
    assert one.events().events == ["stripe:evt_1_completed"]


def test_three_days_of_three_thousand_events_are_all_taken_in(shop):
    stripe = Stripe(*(Sold(number, ago=60 + number * 80) for number in range(3000)))
    one = shop(stripe)
    runs = [one.events(pages=12) for _ in range(3)]
    assert [run.finished for run in runs] == [False, False, True]
    assert sorted(id for run in runs for id in run.events) == ids(3000)
    assert stripe.limit.calls == 30


def test_a_run_that_dies_anywhere_loses_nothing_and_does_nothing_twice(shop):
    """Killed before and after every page, every event and every time it notes where it is."""
    number, survived = 0, False
    while not survived:
        stripe = Stripe(*(Sold(one, ago=60 + one) for one in range(12)), size=4)
        here = shop(stripe)
        here.moments.at(number, die)
        try:
            here.events()
            survived = True
        except Died:
            pass
        here.moments.at(0, None)
        while not here.events().finished:
            pass
        assert sorted(here.held()) == ids(12)
        assert here.catch_up.taken_until() == NOW_UNIX
        number += 1
    assert number > 30


def test_a_rate_limit_ends_the_run_and_the_next_goes_on_where_it_was(shop):
    stripe = Stripe(*(Sold(number, ago=60 + number) for number in range(40)), size=10)
    one = shop(stripe)
    stripe.limit.allowed = 2
    found = Found()
    with pytest.raises(ProviderBusy):
        one.catch_up.events(found, lambda: True)
    assert len(found.events) == 20
    stripe.limit.allowed = 2
    assert len(one.events().events) == 20
    assert sorted(one.held()) == ids(40)


def test_two_runs_at_once_take_each_event_in_once(shop):
    stripe = Stripe(*(Sold(number, ago=60 + number) for number in range(20)), size=10)
    one = shop(stripe)
    other = StripeCatchUp(
        stripe, StripeInbox(one.inbox, one.counters, one.clock, livemode=False),
        one.inbox, one.orders, one.cursors, one.clock, livemode=False,
    )  # fmt: skip
    found = Found()
    one.moments.at(1, lambda: other.events(found, lambda: True))
    mine = one.events()
    assert Counter(found.events + mine.events) == Counter(ids(20))
    assert not mine.finished


def test_a_gap_longer_than_stripe_keeps_events_is_noted_and_asks_for_a_recovery(shop):
    stripe = Stripe()
    one = shop(stripe)
    assert not one.events().gap
    one.clock.advance(31 * DAY)
    stripe.add(Sold(1, ago=-31 * DAY + 60))
    found = one.events()
    assert (found.gap, found.events) == (True, ["stripe:evt_1_completed"])
    assert not one.events().gap


def test_a_place_that_stripe_has_forgotten_is_begun_anew(shop):
    stripe = Stripe(*(Sold(number, ago=60 + number) for number in range(30)), size=10)
    one = shop(stripe)
    one.events(pages=1)
    forgotten = stripe.events

    def events(types, since, until, after=None):
        if after:
            stripe.events = forgotten
            raise ProviderRefused("Stripe", "No such event", status=400, reason="resource_missing")
        return forgotten(types, since, until, after)

    stripe.events = events
    assert one.events().finished
    assert sorted(one.held()) == ids(30)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "evt_9", "type": "checkout.session.completed", "livemode": true, "data": {"object": {}}}',
        b'{"id": "evt_9", "type": "checkout.session.completed", "livemode": false, "data": {"object": {"id": 5}}}',
        b'{"id": "evt_9"}',
    ],
    ids=["of the other mode", "about nothing", "no event"],
)
def test_an_odd_event_is_counted_and_keeps_no_other(shop, body):
    stripe = Stripe(Sold(1))
    stripe.told.append((NOW_UNIX - 30, "evt_9", body))
    found = shop(stripe).events()
    assert (found.events, found.skipped, found.finished) == (["stripe:evt_1_completed"], 1, True)


def test_a_clock_that_was_set_back_loses_nothing(shop):
    stripe = Stripe()
    one = shop(stripe)
    one.clock.advance(7200)
    one.events()
    one.clock.advance(-7200)
    stripe.add(Sold(1, ago=10))
    assert one.events().events == ["stripe:evt_1_completed"]


# Sessions


def test_a_paid_session_that_no_event_told_of_makes_its_order(shop):
    stripe = Stripe()
    stripe.add(Sold(1), told=False)
    one = shop(stripe)
    assert one.sessions().events == ["stripe:seen.cs_1.paid"]
    shop_process = Process(one.store, stripe, None, one.clock)
    assert shop_process.intake.apply("stripe:seen.cs_1.paid") == "o-cs_1"
    assert one.orders.require("o-cs_1").payment_status is PaymentStatus.PAID
    one.clock.advance(EVERY)
    assert one.sessions().events == []


def test_sessions_are_listed_every_ten_minutes_and_a_day_back(shop):
    stripe = Stripe()
    one = shop(stripe)
    one.sessions()
    one.clock.advance(EVERY - 1)
    stripe.add(Sold(1, ago=24 * 3600), told=False)
    assert one.sessions().events == []
    assert stripe.limit.calls == 1
    one.clock.advance(1)
    assert one.sessions().events == ["stripe:seen.cs_1.paid"]


def test_a_session_that_waits_for_its_money_is_taken_in_only_while_nobody_knows_it(shop):
    stripe = Stripe()
    stripe.add(Sold(1), told=False).money = "unpaid"
    one = shop(stripe)
    assert one.sessions().events == ["stripe:seen.cs_1.unpaid"]
    Process(one.store, stripe, None, one.clock).intake.apply("stripe:seen.cs_1.unpaid")
    stripe.purchases["cs_1"].money = "paid"
    one.clock.advance(EVERY)
    assert one.sessions().events == ["stripe:seen.cs_1.paid"]


def test_a_second_session_that_paid_for_the_same_order_is_taken_in(shop):
    stripe = Stripe()
    stripe.add(Sold(1, noted="o-mine"), told=False)
    one = shop(stripe)
    process = Process(one.store, stripe, None, one.clock)
    process.intake.apply(one.sessions().events[0])
    stripe.add(Sold(2, noted="o-mine"), told=False)
    one.clock.advance(EVERY)
    (again,) = one.sessions().events
    process.intake.apply(again)
    assert [item.code for item in one.orders.require("o-mine").attention] == ["paid_twice"]
    one.clock.advance(EVERY)
    assert one.sessions().events == []


def test_sessions_of_the_other_mode_and_those_that_take_no_payment_are_passed_over(shop):
    stripe = Stripe()
    stripe.add(Sold(1), told=False).livemode = True
    stripe.add(Sold(2), told=False).mode = "setup"
    found = shop(stripe).sessions()
    assert (found.events, found.skipped) == ([], 2)


def test_what_cannot_be_read_on_a_page_is_counted(shop):
    stripe = Stripe()
    stripe.events = lambda *asked: Listed([ListedEvent("evt_1", Sold(1).told()[2])], None, odd=3)
    assert shop(stripe).events().skipped == 3
