"""`pushcart alerts`, against a gateway that says what it is told."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from cli.alerts import alerts
from cli.connect import Place, Shop
from pushcart import commands
from pushcart.clock import system_clock
from support.step_calls import INTERNAL_KEY
from support.wire import Wire

OPEN = {
    "id": "dead_step.invite",
    "state": "open",
    "level": "critical",
    "what": "12 steps of the kind invite could not be done",
    "command": "pushcart dead",
    "opened_at": "2026-11-21T11:00:00.000Z",
    "answered_at": None,
}


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def run(wire, tmp_path):
    key = tmp_path / "key"
    key.write_text(INTERNAL_KEY)

    def run(*words):
        shop = Shop(Place(wire.url, key, system_clock, local=False))
        return CliRunner().invoke(alerts, words, obj=shop)

    return run


def test_what_is_wrong_is_listed_with_what_to_do(wire, run):
    wire.say(200, {"items": [OPEN, {**OPEN, "id": "store", "answered_at": "2026-11-21T11:05:00.000Z"}]})
    done = run("list")
    assert done.exit_code == 0
    [call] = wire.seen
    assert (call.method, call.path, call.query) == ("GET", "/function/alert/incidents", {})
    for words in ("dead_step.invite", "critical", "2026-11-21 11:00:00", "12 steps", "pushcart dead", "in hand"):
        assert words in done.output
    assert commands.answer_alert("ID") in done.output


def test_what_is_over_is_listed_on_demand(wire, run):
    wire.say(200, {"items": [{**OPEN, "state": "over"}]})
    done = run("list", "--all")
    assert wire.seen[0].query == {"all": "1"}
    assert "over" in done.output
    assert "pushcart dead" not in done.output


def test_nothing_wrong_is_one_sentence_and_json_is_what_the_function_says(wire, run):
    wire.say(200, {"items": []})
    assert run("list").output == "Nothing is wrong.\n"
    wire.say(200, {"items": [OPEN]}).say(200, {"items": [OPEN]})
    run("list")
    assert json.loads(run("list", "--json").output) == [OPEN]


def test_an_answer_says_who_has_it_in_hand(wire, run):
    wire.say(200, {**OPEN, "note": "rotating the key"})
    done = run("answer", "dead_step.invite", "--note", "rotating the key")
    assert (done.exit_code, "you have it in hand" in done.output) == (0, True)
    [call] = wire.seen
    assert (call.method, call.path) == ("POST", "/function/alert/incidents/dead_step.invite/answer")
    assert call.json == {"note": "rotating the key"}


def test_an_answer_that_is_refused_is_exit_1_in_its_words(wire, run):
    wire.say(409, {"error": {"code": "conflict", "message": "The alert store is over; there is nothing to answer."}})
    done = run("answer", "store")
    assert (done.exit_code, done.output) == (1, "Error: The alert store is over; there is nothing to answer.\n")


@pytest.mark.parametrize("id", ["a/b", "ä", ""])
def test_what_cannot_be_an_id_is_exit_2_and_asks_nobody(wire, run, id):
    assert run("answer", id).exit_code == 2
    assert wire.seen == []


def test_a_test_tells_what_became_of_each_address_and_is_exit_1_when_one_failed(wire, run):
    well = {"to": "ntfy", "for": "warning", "ok": True, "error": None}
    wire.say(200, {"sent": [well]}).say(
        200, {"sent": [well, {**well, "to": "twilio", "ok": False, "error": "code 20003"}]}
    )
    done = run("test", "--level", "warning")
    assert (done.exit_code, "ntfy" in done.output) == (0, True)
    assert wire.seen[0].json == {"level": "warning"}
    done = run("test")
    assert (done.exit_code, "code 20003" in done.output) == (1, True)
    assert wire.seen[1].json == {"level": "critical"}


@pytest.mark.parametrize("text", [commands.list_alerts(), commands.answer_alert("dead_step.invite")])
def test_the_commands_that_alerts_name_are_written_as_they_are_taken(text):
    name, group, *words = text.split(" ")
    assert (name, group) == ("pushcart", "alerts")
    command: click.Command = alerts.commands[words.pop(0)]
    assert command.make_context(command.name, words).params.get("alert_id", "dead_step.invite") == "dead_step.invite"
