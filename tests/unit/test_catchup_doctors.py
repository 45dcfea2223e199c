"""What a function sees wrong is asked for once an hour, and reaches the owner."""

from __future__ import annotations

import pytest

from pushcart.errors import FunctionFailed
from pushcart.repositories import Cursors
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.upkeep.doctors import EVERY, INTERNAL, LASTS, Doctors
from pushcart.store import connect
from support.processes import Clock

WELL = {"name": "store", "status": "pass", "text": "can be read and written"}


class Functions:
    """Every function's doctor: `ill` has what one says instead of being well."""

    def __init__(self):
        self.ill, self.asked = {}, []

    def call(self, function, path, *, method, query):
        assert (path, method, set(query)) == ("/doctor", "GET", {"now"})
        self.asked.append(function)
        said = self.ill.get(function, {"checks": [WELL]})
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture
def shop(tmp_path):
    class Shop:
        store, clock, functions = connect(f"sqlite:///{tmp_path}/shop.db"), Clock(), Functions()
        incidents = Incidents(store, clock)
        doctors = Doctors(functions, Cursors(store), incidents, clock)

        def run(self, advance=0, go_on=lambda: True):
            self.clock.advance(advance)
            return self.doctors.run(go_on)

    one = Shop()
    one.run()
    yield one
    one.store.close()


def check(name, text, status="fail"):
    return {"checks": [WELL, {"name": name, "status": status, "text": text, "fix": "mend it"}]}


def test_each_function_is_asked_once_an_hour_and_not_at_the_first_run(shop):
    assert shop.run(EVERY - 1) == []
    assert shop.run(1) == list(INTERNAL)
    assert shop.run(60) == []
    assert shop.run(EVERY) == list(INTERNAL)


def test_a_failed_check_is_told_and_a_warning_is_not(shop):
    shop.functions.ill = {"order-store": check("store", "no answer"), "checkout": check("clock", "late", "warn")}
    shop.run(EVERY)
    (alarm,) = shop.incidents.open()
    assert (alarm.id, str(alarm.level), alarm.lasts) == ("doctor.order-store.store", "warning", LASTS)
    assert (alarm.what, alarm.means) == ("order-store, store: no answer.", "mend it")


def test_an_endpoint_that_stripe_has_switched_off_is_critical(shop):
    text = "https://x/function/stripe-webhook is registered, but not enabled for live payments"
    shop.functions.ill = {"order-store": check("webhook endpoint", text)}
    shop.run(EVERY)
    (alarm,) = shop.incidents.open()
    assert (alarm.id, str(alarm.level)) == ("doctor.order-store.webhook-endpoint", "critical")


@pytest.mark.parametrize(
    "said", [FunctionFailed("alert", "alert is not answering (502)"), {"checks": 5}, [], {}, None], ids=repr
)
def test_a_function_that_does_not_answer_as_a_doctor_is_told_and_keeps_no_other(shop, said):
    shop.functions.ill = {"checkout": said}
    shop.run(EVERY)
    assert shop.functions.asked == list(INTERNAL)
    assert [alarm.id for alarm in shop.incidents.open()] == ["doctor.checkout.answers"]


def test_when_time_is_up_the_next_run_asks_the_others(shop):
    turns = iter([True, True, False])
    assert shop.run(EVERY, lambda: next(turns)) == list(INTERNAL[:2])
    assert shop.run(60) == list(INTERNAL[2:])
