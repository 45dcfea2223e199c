"""Each call to a provider fails in each way that providers fail: the order is fulfilled all the same, or says why not.

All combinations run together in one shop, a buyer for each (see `support.fault_run`): the first attempt fails, then
the provider is well again, then the owner retries what died. The tests judge each buyer by the sandbox's record.
"""

from __future__ import annotations

import pytest

from local.sandbox.faults import DOES_ITS_WORK
from pushcart.clock import from_instant
from support.every_call import (
    ALERT_CALLS,
    CALLS,
    CATCH_UP_CALLS,
    CHECKOUT_CALLS,
    DOCTORS_CALLS,
    OLDER_CALLS,
    TROUBLES,
    ProviderCall,
    Trouble,
)
from support.fault_checkout import CheckoutRun
from support.fault_prints import prints
from support.fault_run import Case, FaultRun, Seen
from support.fault_shop import OWED, open_shop
from support.fault_watch import WatchRun, fails_at

# The first test of a run waits for all of it.
pytestmark = pytest.mark.timeout(600)

#: What can be chosen, in two shops: the fixture of each, and the calls that only its buyers cause.
RUNS = {"newer": CALLS, "older": OLDER_CALLS}
COMBINATIONS = [
    pytest.param(run, call, trouble, id=f"{call.name}: {trouble.name}")
    for run, calls in RUNS.items()
    for call in calls
    for trouble in call.ways_to_fail()
]
every_combination = pytest.mark.parametrize(("run", "call", "trouble"), COMBINATIONS)

#: Statuses by which a provider says that asking again is pointless; for SMTP those from 500 on.
REFUSALS = {400, 401, 404, 422, 550, 554}

#: Calls whose trouble does no harm: Stripe's SDK waits for every drop, SendGrid's answer has no body that could
#: break off, Discourse says 422 to a member who is in the group already, and 404 is what Printful says to a new order.
HARMLESS = {
    *((call.name, "slow drip") for call in CALLS if call.provider == "stripe"),
    ("SendGrid mail", "truncated"),
    ("Discourse group", "422"),
    ("Printful order", "404"),
}

#: What a paid order is when all of its steps are done; what is printed has still to be sent.
DONE = {"shirt": "in_progress"}

NAMES = {"stripe": "Stripe", "discourse": "Discourse", "thinkific": "Thinkific", "platform": "your platform"}
NAMES |= {"printful": "Printful"}
NAMES |= {"kit": "Kit", "sendgrid": "sendgrid", "smtp": "smtp"}


def run_all(folder, calls, kit, **environment):
    """Every case of a shop of its own, run to its end."""
    with open_shop(folder, kit=kit, **environment) as shop:
        run = FaultRun(shop, calls)
        run.run()
    return run


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    return run_all(tmp_path_factory.mktemp("newer"), CALLS, "v4")


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    return run_all(tmp_path_factory.mktemp("older"), OLDER_CALLS, "v3", mail_transport="smtp")


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory):
    with open_shop(tmp_path_factory.mktemp("checkouts"), kit="v4") as shop:
        run = CheckoutRun(shop, CHECKOUT_CALLS)
        run.run()
    return run


@pytest.fixture
def case(request, run, call, trouble):
    return request.getfixturevalue(run).cases[call.name, trouble.name]


def harmless(call: ProviderCall, trouble: Trouble) -> bool:
    return (call.name, trouble.name) in HARMLESS


def refused(call: ProviderCall, trouble: Trouble) -> bool:
    """Whether the provider said no for good."""
    return trouble.status in REFUSALS and not harmless(call, trouble)


def token_lost(case: Case) -> bool:
    """Whether Kit gave a new refresh token, which works once, and the answer with it never arrived."""
    return case.call.name == "Kit token" and case.fault.does_work


def hit(case: Case) -> set[str]:
    """The steps that cannot be done without the call."""
    if case.call.name == "Kit token":
        return {"list.purchase", "list.sequence"}
    return {case.call.step} if case.call.step else set()


@every_combination
def test_the_first_attempt_meets_the_fault_and_the_reason_is_kept(case, call, trouble):
    """In the step, or for a call that reads an event in the event: what is next, when, and what the provider said."""
    first = case.first
    assert case.fault.hits
    if harmless(call, trouble):
        assert first.order["fulfilment_status"] == DONE.get(call.sku, "fulfilled")
    elif call.step is None:
        assert first.event["status"] == "pending"
        assert bool(first.order["steps"]) == case.buyer.has_order
        assert not first.order.get("parcels")
        assert_told(first.event, case, since=first.event["received_at"])
    else:
        for step_id in hit(case):
            step = first.step(step_id)
            assert step["state"] == ("dead" if refused(call, trouble) else "failed")
            assert_told(step, case, since=step["started_at"] or first.event["received_at"])


def assert_told(what: dict, case: Case, since: str) -> None:
    """The error names the provider and its status, and the next attempt waits as long as the provider asked."""
    trouble = case.trouble
    assert NAMES[case.call.provider] in what["error"]
    if trouble.status not in (None, 429) and case.call.provider != "stripe":
        assert str(trouble.status) in what["error"]
    assert case.buyer.email not in what["error"]
    if what.get("state") != "dead":
        # A second for the moment at which a provider counts in whole ones.
        wait = (from_instant(what["due_at"]) - from_instant(since)).total_seconds()
        assert wait >= max(trouble.waits - 1, 2 if trouble.status == 429 else 8)


@every_combination
def test_what_can_be_done_is_done_once_and_the_rest_is_dead_with_the_owner_told(case, call, trouble):
    """After the provider is well again, and before anybody did anything."""
    drained = case.drained
    dead = hit(case) if refused(call, trouble) or token_lost(case) else set()
    waiting = {step["id"] for step in drained.order["steps"] if dead & set(step["needs"])}
    states = {step["id"]: step["state"] for step in drained.order["steps"]}
    assert {id for id, state in states.items() if state == "dead"} == dead
    assert {id for id, state in states.items() if state == "waiting"} == waiting
    assert set(states.values()) <= {"done", "dead", "waiting"}
    assert drained.order["fulfilment_status"] == ("needs_attention" if dead else "fulfilled")
    for step_id in dead:
        assert drained.step(step_id)["error"]
        assert sum(step_id in text for text in drained.alarms) == 1
    refused_event = call.step is None and refused(call, trouble)
    assert len(drained.alarms) == len(dead) + refused_event
    assert_effects(case, drained, without=dead)
    assert_mails(case, drained)


@every_combination
def test_what_died_is_finished_by_the_owners_retry_with_each_effect_once(case, call, trouble):
    """Also where nothing died, a retry of others has repeated nothing."""
    ended = case.ended
    assert ended.order["fulfilment_status"] == "fulfilled"
    assert {step["state"] for step in ended.order["steps"]} == {"done"}
    assert_effects(case, ended)
    assert_mails(case, ended)
    assert ended.alarms == case.drained.alarms


def assert_effects(case: Case, seen: Seen, without: set[str] = frozenset()) -> None:
    """Each thing that is owed was done once, by the sandbox's record; what is dead was not done."""
    undone = {step.removeprefix("list.") for step in without}
    if any(step.endswith(".invite") for step in without):
        undone |= {"invitation", "enrolment", "platform"}
    done = dict(seen.effects)
    if (case.call.name, case.trouble.name) == ("Discourse group", "422"):
        undone = {"invitation"}  # Discourse said that they are in the group already
    assert done == dict.fromkeys(OWED[case.call.sku] - undone, 1)


def assert_mails(case: Case, seen: Seen) -> None:
    """One mail for each mail step that is done; a second one only where the provider took it and did not say so."""
    sent = {step["id"] for step in seen.order["steps"] if step["kind"] == "email" and step["phase"] != "attention"}
    done = {id for id in sent if seen.step(id)["state"] == "done"}
    assert len(seen.mails) == len(done)
    twice = case.call.step == "receipt" and case.fault.does_work and not harmless(case.call, case.trouble)
    assert sorted(seen.mails.values()) == sorted([1] * (len(done) - twice) + [2] * twice)


every_checkout = pytest.mark.parametrize(
    ("name", "trouble"),
    [pytest.param(call.name, one, id=f"{call.name}: {one.name}") for call in CHECKOUT_CALLS for one in TROUBLES],
)


@every_checkout
def test_a_buyer_whose_checkout_fails_is_told_what_to_do_and_nothing_of_the_inside(checkouts, name, trouble):
    """And how long to wait, where the provider said so."""
    case = checkouts.cases[name, trouble.name]
    assert case.fault.hits
    first = case.first
    if trouble.name == "slow drip":
        assert first.status_code == 200
        return
    refused = trouble.status in REFUSALS
    error = first.json()["error"]
    assert (first.status_code, error["code"]) == ((502, "checkout_broken") if refused else (503, "payment_unavailable"))
    assert error["message"].endswith("its owner has been told." if refused else "try again in a minute.")
    assert "stripe" not in first.text.lower()
    wait = trouble.waits or (2 if trouble.status == 429 else 10)
    assert first.headers.get("Retry-After") == (None if refused else str(wait))


@every_checkout
def test_the_same_cart_sent_again_is_one_order_and_one_session_at_the_shops_price(checkouts, name, trouble):
    case = checkouts.cases[name, trouble.name]
    assert case.again.status_code == 200, case.again.text
    begun = case.again.json()
    assert [one["id"] for one in case.orders] == [begun["order"]]
    [session], [coupon] = [one for one in case.sessions if one["url"] == begun["url"]], case.coupons
    # Stripe repeats an error of its own under the same key. Nobody was told of the session that it made all the same.
    failed_after = trouble.kind == "status" and trouble.status and trouble.status >= 500
    assert len(case.sessions) == 1 or failed_after
    assert session["metadata"] == {"pushcart_order": begun["order"]}
    assert (session["url"], session["amount_total"]) == (begun["url"], 1350)
    assert (coupon["id"], coupon["amount_off"], coupon["max_redemptions"]) == (begun["order"], 150, 1)


def test_of_all_that_stripe_refused_on_one_day_the_owner_was_told_once(checkouts):
    told = [text for case in checkouts.cases.values() for order in case.orders for text in order["attention"]]
    assert len(told) == 1
    assert told[0].startswith("its buyer could not pay, and others may not either: Stripe")


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    with open_shop(tmp_path_factory.mktemp("watch"), kit="v4") as shop:
        run = WatchRun(shop)
        run.run()
    return run


def every_failing(*calls):
    pairs = [(call, one) for call in calls for one in TROUBLES if fails_at(call, one)]
    return pytest.mark.parametrize(
        ("call", "trouble"), [pytest.param(*pair, id=f"{pair[0].name}: {pair[1].name}") for pair in pairs]
    )


@every_failing(*CATCH_UP_CALLS)
def test_a_listing_that_fails_is_said_and_ends_no_other_part_of_catch_up(watch, call, trouble):
    """The sweep was made, the other lists were tried; why this one was not is in the run's answer."""
    one = watch.rounds[trouble.name]
    assert one.hits[call.name]
    assert "more" in one.first["swept"]
    assert set(one.first["found"]["errors"]) == {other.part for other in CATCH_UP_CALLS if fails_at(other, trouble)}
    assert NAMES[call.provider] in one.first["found"]["errors"][call.part]


@every_failing(*CATCH_UP_CALLS)
def test_what_nobody_told_of_is_there_in_the_end_and_everybody_got_it_once(watch, call, trouble):
    one = watch.rounds[trouble.name]
    stripe, printful = (one.told, one.untold), (one.printed,)
    for buyer in stripe if call.provider == "stripe" else printful:
        [order] = [found for found in watch.orders if found["id"] == buyer.order_id]
        assert order["fulfilment_status"] == "fulfilled"
        steps = [mail.custom_args["step"] for mail in watch.shop.sandbox.mails(buyer.email)]
        assert len(steps) == len(set(steps)) == 2
    assert len(prints(one.printed)) == 1
    assert sum(step.startswith("parcel-") for step in steps) == (call.provider == "printful")


@every_failing(*ALERT_CALLS)
def test_an_alert_that_reaches_nobody_goes_by_mail_and_there_in_the_end(watch, call, trouble):
    """Once, but where the receiver took it and did not say so: it cannot be told that it has it."""
    one = watch.rounds[trouble.name]
    assert one.hits[call.name]
    assert one.mails == 1
    assert one.messages[call.name] == (2 if trouble.after_work or trouble.kind in DOES_ITS_WORK else 1)


TABLES = {**RUNS, "checkouts": CHECKOUT_CALLS, "watch": (*CATCH_UP_CALLS, *ALERT_CALLS)}


@pytest.mark.parametrize("run", TABLES)
def test_the_table_knows_every_call_that_was_made_and_every_call_of_the_table_was_made(request, run):
    """A new call to a provider has to be added to the table before it is believed to survive anything."""
    made = request.getfixturevalue(run).shop.sandbox.calls()
    table = (*CALLS, *OLDER_CALLS, *CHECKOUT_CALLS, *CATCH_UP_CALLS, *ALERT_CALLS, *DOCTORS_CALLS)
    unknown = {f"{call.provider} {call.method} {call.path}" for call in made if not any(r.is_one(call) for r in table)}
    assert not unknown
    never = [row.name for row in TABLES[run] if not any(row.is_one(c) for c in made)]
    assert not never
