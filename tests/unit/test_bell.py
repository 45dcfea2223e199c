"""The bell: a dead step is told at once, many dead steps ring once, and a gateway that is away costs nothing."""

from __future__ import annotations

import pytest

from pushcart.errors import FunctionFailed
from pushcart.services.alerts.bell import PAUSE, Bell


class Line:
    """The gateway as far as a bell needs it."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, str]] = []
        self.down = False

    def hint(self, function: str, path: str, body: object) -> None:
        self.rung.append((function, path))
        if self.down:
            raise FunctionFailed(function, "no answer through the gateway")


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def bell(line, clock):
    return Bell(line, lambda: clock[0])


@pytest.mark.parametrize("outcome", ["done", "failed", "busy", "lost"])
def test_a_step_that_goes_on_by_itself_wakes_nobody(bell, line, outcome):
    bell.step_ended("invite", outcome, 1.0)
    assert line.rung == []


def test_five_hundred_dead_steps_ring_once_and_again_after_the_pause(bell, line, clock):
    for _ in range(500):
        bell.step_ended("invite", "dead", 1.0)
    assert line.rung == [("alert", "/watch")]
    clock[0] += PAUSE
    bell.event_ended("dead")
    assert len(line.rung) == 2


def test_a_gateway_that_does_not_answer_costs_the_step_nothing(bell, line):
    line.down = True
    bell.step_ended("invite", "dead", 1.0)
    assert len(line.rung) == 1
