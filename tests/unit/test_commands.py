"""The commands that mails and errors name are commands of `pushcart`, written as it takes them."""

from __future__ import annotations

import click
import pytest

from cli.root import pushcart
from pushcart import commands

NAMED = [
    commands.show_order("o-krt7mdc2ybv2t7sajf77xem6f3"),
    commands.retry_order("o-krt7mdc2ybv2t7sajf77xem6f3"),
    commands.release_order("o-krt7mdc2ybv2t7sajf77xem6f3"),
    commands.handled_order("o-krt7mdc2ybv2t7sajf77xem6f3"),
    commands.show_event("stripe:evt_1PushcartAbc"),
    commands.replay_event("stripe:evt_1PushcartAbc"),
    commands.answer_alert("dead_step.invite"),
]


def parsed(text: str) -> click.Context:
    """The innermost command's context; `UsageError` when it would not be taken."""
    _, *words = text.split(" ")
    command: click.Command = pushcart
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    # --yes stands for the terminal that a test run may not have.
    flags = ["--yes"] if any(option.name == "yes" for option in command.params) else []
    return command.make_context(command.name, [*words, *flags])


@pytest.mark.parametrize("text", NAMED)
def test_a_command_that_is_named_can_be_run_as_it_stands(text):
    values = parsed(text).params.values()
    assert any(text.endswith(str(value[0] if isinstance(value, tuple) else value)) for value in values if value)


def test_a_command_that_does_not_exist_would_be_noticed():
    with pytest.raises(KeyError):
        parsed("pushcart orders undo o-1")
    with pytest.raises(click.UsageError):
        parsed("pushcart events show evt_1")
