"""Failed signatures at a webhook's door: one now and then is nothing, many are an alarm."""

from __future__ import annotations

import threading

from pushcart.services.alerts.incidents import State
from pushcart.services.alerts.signatures import Rate, SignatureAlarm
from support.alerts import CHAT, Desk


def test_failed_signatures_raise_the_alarm_only_above_a_rate_and_not_each_time():
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert [rate.failed() for _ in range(20)] == [None] * 20
    assert rate.failed() == 21
    assert [rate.failed() for _ in range(500)] == [None] * 500
    now[0] += 301
    assert rate.failed() == 522
    now[0] += 601
    assert [rate.failed() for _ in range(20)] == [None] * 20


def test_the_alarm_about_signatures_is_an_incident_and_wakes_the_watch(store):
    desk, hints = Desk(store), []
    hinted = threading.Event()

    class Hinted:
        def hint(self, *call):
            hints.append(call)
            hinted.set()

    alarm = SignatureAlarm(desk.incidents, Hinted(), "stripe-webhook", "stripe-webhook-secret")
    for _ in range(50):
        alarm.failed()
    assert hinted.wait(10)
    assert hints == [("alert", "/watch", {})]
    desk.minutes(10)
    [title] = desk.addresses.titles(CHAT)
    assert "stripe-webhook refused 21 calls within 10 minutes" in title
    desk.clock.pass_(1_800)
    desk.minutes(2)
    assert desk.incidents.get("signatures.stripe-webhook").state is State.OVER
