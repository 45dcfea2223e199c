"""The doctor's mechanism: every probe ends as a check, whatever it does; clocks; what a shop needs."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from pushcart import doctor, needs
from pushcart.doctor import Check, Probe
from pushcart.errors import (
    BadRequest,
    ConfigurationError,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
    StoreUnavailable,
)
from support.shop import SHOP, catalogue
from support.step_calls import NOW, ROOT, load_handler


def raising(error: Exception) -> Probe:
    def run() -> str:
        raise error

    return Probe(run, "do this")


def only(probe: Probe) -> Check:
    (check,) = doctor.run({"it": probe})
    return check


def test_a_sentence_is_a_check_that_passed_and_checks_are_kept_as_they_are():
    several = [Check(name="a", status="warn", text="look"), Check(name="b", status="pass", text="fine")]
    found = doctor.run({"one": Probe(lambda: "answers"), "more": Probe(lambda: several)})
    assert found == [Check(name="one", status="pass", text="answers"), *several]
    assert not doctor.failed(found)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigurationError(["a is wrong", "b is missing"]), "a is wrong; b is missing"),
        (ProviderRefused("Kit", "no"), "Kit: no"),
        (ProviderUnavailable("Kit", "gone"), "Kit: gone"),
        (StoreUnavailable("the store is down"), "the store is down"),
    ],
)
def test_our_errors_are_failed_checks_with_what_to_do(error, text):
    assert only(raising(error)) == Check(name="it", status="fail", text=text, fix="do this")
    assert doctor.failed([only(raising(error))])


def test_a_used_up_rate_limit_is_no_failure():
    assert only(raising(ProviderBusy("Kit", "429"))).status == "warn"


def test_a_mistake_of_ours_is_a_failed_check_and_the_others_are_told():
    first, second = doctor.run({"broken": raising(ZeroDivisionError()), "whole": Probe(lambda: "fine")})
    assert (first.status, second.status) == ("fail", "pass")
    assert "ZeroDivisionError" in first.text


def test_a_probe_that_hangs_fails_and_holds_up_nobody():
    go_on = threading.Event()

    def hangs() -> str:
        go_on.wait(20)
        return "late"

    try:
        found = doctor.run({"slow": Probe(hangs, "do this"), "quick": Probe(lambda: "fine")}, seconds=0.2)
    finally:
        go_on.set()
    assert found[0] == Check(name="slow", status="fail", text="no answer within 0.2 s", fix="do this")
    assert found[1].status == "pass"


def test_probes_run_at_the_same_time():
    """Each of two waits for the other: one after the other they would never end."""
    meeting = threading.Barrier(2, timeout=10)

    def meets() -> str:
        meeting.wait()
        return "met"

    assert [check.status for check in doctor.run({"a": Probe(meets), "b": Probe(meets)})] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "pass"), (30, "pass"), (-30, "pass"), (31, "warn"), (-240, "warn"), (241, "fail")]
)
def test_clocks_may_differ_a_little(seconds, status):
    theirs = (NOW + timedelta(seconds=seconds)).isoformat()
    check = doctor.compare_clocks("clock", theirs, lambda: NOW)
    assert check.status == status
    assert (status == "pass") == (not check.fix)


def test_a_clock_that_was_not_sent_is_not_compared_and_one_that_is_none_is_a_bad_request():
    assert doctor.compare_clocks("clock", None, lambda: NOW).status == "skip"
    with pytest.raises(BadRequest, match="send it like 2026-11-21"):
        doctor.compare_clocks("clock", "noon", lambda: NOW)


def test_what_every_shop_needs_is_what_the_handlers_cannot_start_without():
    handlers = [load_handler(path.parent.name) for path in ROOT.glob("functions/*/handler.py")]
    assert set(needs.ALWAYS) == {name for handler in handlers for name in handler.READS.needs}


def test_a_shop_needs_the_secrets_of_what_it_uses_and_no_others():
    assert needs.for_invites(catalogue()).secrets == ["discourse-api-key"]
    assert needs.for_mailing_list(catalogue()).variables == ["kit_client_id"]
    assert needs.for_mailing_list(catalogue(SHOP.replace("kit: {}", "kit: {api: v3}"))).secrets == ["kit-api-secret"]
    without = SHOP.replace("- {step: purchase}", "- {step: email, template: thanks}")
    assert needs.for_mailing_list(catalogue(without)) == ((), ())
