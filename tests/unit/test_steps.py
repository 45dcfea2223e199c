"""Steps are leased, retried, then dead; one that fails holds up only what needs it."""

from __future__ import annotations

import random

import pytest

from pushcart.clock import later
from pushcart.domain import steps
from pushcart.domain.order import FulfilmentStatus, StepState
from pushcart.domain.retry import ATTEMPTS
from pushcart.errors import Conflict, NotFound
from support.shop import DAY, NOW, bought, run_all, states

SOURCE = random.Random(0)


def test_a_sale_runs_every_step_once_and_is_fulfilled_before_its_delayed_mail():
    order = bought()
    assert run_all(order) == ["course.invite", "course.purchase", "course.access", "receipt"]
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED
    assert states(order)["course.later"] == "waiting"
    assert order.due_at == later(NOW, 3 * DAY)


def test_the_delayed_mail_is_due_by_its_time_alone():
    order = bought()
    run_all(order)
    assert run_all(order, later(NOW, 3 * DAY - 1)) == []
    assert run_all(order, later(NOW, 3 * DAY)) == ["course.later"]
    assert order.due_at is None


def test_a_failing_step_holds_up_only_the_steps_that_need_it():
    order = bought()
    ran = run_all(order, failing={"course.invite": {}})
    assert ran == ["course.invite", "course.purchase", "receipt"]
    assert states(order) == {
        "course.invite": "failed",
        "course.purchase": "done",
        "course.access": "waiting",
        "course.later": "waiting",
        "receipt": "done",
    }
    assert order.fulfilment_status is FulfilmentStatus.IN_PROGRESS


def test_a_failed_step_runs_again_by_the_schedule_and_frees_those_that_wait():
    order = bought()
    run_all(order, failing={"course.invite": {}})
    assert run_all(order, later(NOW, 8)) == []
    assert run_all(order, later(NOW, 12)) == ["course.invite", "course.access"]
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_permanent_error_is_dead_at_once_and_the_owner_is_told_once():
    order = bought()
    ran = run_all(order, failing={"course.invite": {"permanent": True}})
    assert states(order)["course.invite"] == "dead"
    assert order.fulfilment_status is FulfilmentStatus.NEEDS_ATTENTION
    assert [item.code for item in order.open_attention()] == ["dead_step"]
    assert [step for step in ran if step.startswith("attention.")] == ["attention.dead-step-course-invite-1"]


def test_a_step_that_keeps_failing_is_dead_after_its_last_attempt():
    order = bought()
    now = NOW
    for _ in range(ATTEMPTS):
        assert states(order)["course.invite"] != "dead"
        run_all(order, now, failing={"course.invite": {}})
        now = later(now, 2 * DAY)
    assert states(order)["course.invite"] == "dead"


def test_a_dead_mail_about_a_problem_does_not_cause_another_mail():
    order = bought()
    dead = {"course.invite": {"permanent": True}, "attention.dead-step-course-invite-1": {"permanent": True}}
    run_all(order, failing=dead)
    assert sum(step.id.startswith("attention.") for step in order.steps) == 1


def test_a_rate_limit_puts_a_step_off_without_counting_an_attempt():
    order = bought()
    run_all(order, failing={"course.purchase": {"busy": True, "retry_after": 30}})
    step = order.step("course.purchase")
    assert (step.state, step.attempts, step.due_at) == (StepState.FAILED, 0, later(NOW, 30))


def test_a_retry_after_is_honoured():
    order = bought()
    run_all(order, failing={"course.purchase": {"retry_after": 777}})
    assert order.step("course.purchase").due_at == later(NOW, 777)


def test_a_step_whose_process_died_is_taken_over_when_its_lease_runs_out_not_before():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "first", NOW, 60)
    steps.settle(order, later(NOW, 59))
    assert steps.runnable(order, later(NOW, 59)).id != step.id
    assert steps.settle(order, later(NOW, 60))
    assert steps.runnable(order, later(NOW, 60)).id == step.id
    steps.lease(order, step, "second", later(NOW, 60), 60)
    assert step.attempts == 2
    assert any("was lost on the way" in entry.what for entry in order.history)


def test_an_error_of_an_attempt_that_lost_its_lease_changes_nothing():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "first", NOW, 60)
    steps.lease(order, step, "second", later(NOW, 60), 60)
    steps.fail(order, step.id, "first", "too late", later(NOW, 61), SOURCE, permanent=True)
    assert (step.state, step.lease) == (StepState.RUNNING, "second")


def test_a_result_of_an_attempt_that_lost_its_lease_still_counts():
    order = bought()
    step = steps.runnable(order, NOW)
    steps.lease(order, step, "first", NOW, 60)
    steps.lease(order, step, "second", later(NOW, 60), 60)
    steps.succeed(order, step.id, {"link": "https://one.example"}, "", later(NOW, 61))
    steps.succeed(order, step.id, {"link": "https://two.example"}, "", later(NOW, 62))
    assert step.result == {"link": "https://one.example"}


def test_a_step_whose_function_never_answers_is_dead_in_the_end():
    order = bought()
    step = order.step("course.invite")
    now = NOW
    for number in range(ATTEMPTS):
        steps.settle(order, now)
        assert step.state is not StepState.DEAD
        steps.lease(order, step, str(number), now, 60)
        now = later(now, 60)
    steps.settle(order, now)
    assert step.state is StepState.DEAD
    assert [item.code for item in order.open_attention()] == ["dead_step"]


def test_the_owners_retry_runs_a_dead_step_again_and_ends_the_alarm():
    order = bought()
    run_all(order, failing={"course.invite": {"permanent": True}})
    steps.retry(order, "course.invite", NOW)
    assert run_all(order) == ["course.invite", "course.access"]
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_step_that_dies_again_after_a_retry_is_told_again():
    order = bought()
    run_all(order, failing={"course.invite": {"permanent": True}})
    steps.retry(order, "course.invite", NOW)
    ran = run_all(order, failing={"course.invite": {"permanent": True}})
    assert ran == ["course.invite", "attention.dead-step-course-invite-2"]


def test_only_a_dead_or_failed_step_can_be_retried():
    order = bought()
    run_all(order)
    with pytest.raises(Conflict, match="is done"):
        steps.retry(order, "course.invite", NOW)
    with pytest.raises(NotFound, match="has no step"):
        steps.retry(order, "nothing", NOW)


def test_a_mail_can_be_sent_again_under_a_key_of_its_own():
    order = bought()
    run_all(order)
    assert steps.resend(order, "receipt", NOW) == "receipt.again-1"
    assert steps.resend(order, "receipt", NOW) == "receipt.again-2"
    assert run_all(order) == ["receipt.again-1", "receipt.again-2"]
    assert len({step.key for step in order.steps}) == len(order.steps)


def test_what_is_no_mail_or_is_still_to_be_sent_cannot_be_sent_again():
    order = bought()
    with pytest.raises(Conflict, match="will still be sent"):
        steps.resend(order, "receipt", NOW)
    with pytest.raises(Conflict, match="is no mail"):
        steps.resend(order, "course.invite", NOW)


def test_what_the_owner_handled_is_let_go_with_all_that_waits_for_it():
    order = bought()
    run_all(order, failing={"course.invite": {"permanent": True}})
    steps.handled(order, NOW, "invited by hand")
    assert (
        states(order)["course.invite"] == states(order)["course.access"] == states(order)["course.later"] == "cancelled"
    )
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED
    assert order.due_at is None
    with pytest.raises(Conflict, match="Nothing"):
        steps.handled(order, NOW, "")
