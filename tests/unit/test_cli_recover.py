"""`pushcart recover`: slice by slice to the end, a dry run unless it is told otherwise, and what it says of it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess

import pytest

from support.command import Done, gateway_at, pushcart, typed
from support.wire import Wire

ID = "o-ysh6plocek75brmmcp4a6grbcc"


def finding(code="refund_differs", repair="will", **more):
    shown = {"code": code, "text": "5.00 EUR refunded at Stripe, 0.00 EUR here", "order": ID, "object": "cs_1"}
    return {**shown, "repair": repair, "command": f"pushcart orders show {ID}", **more}


def part(*findings, cursor=None, **more):
    checked = {"sessions": 1000, "orders": 900}
    at = {"upto": "2026-11-21T08:00:00.000Z", "at": "2026-11-01T08:00:00.000Z"}
    return {
        "findings": list(findings),
        "cursor": cursor,
        "checked": checked,
        "orders": None,
        "wait": None,
        **at,
        **more,
    }


def on_a_terminal(*args, at):
    """Runs the command as `pushcart` does, but its error output is a terminal, as it is for whoever redirects the
    result into a file."""
    command, environment = typed(*args, at={"TERM": "xterm", "COLUMNS": "120", **at})
    screen, terminal = pty.openpty()
    shown = b""
    with subprocess.Popen(
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as running:
        os.close(terminal)
        # Linux ends a terminal that nobody has open any more with an error.
        with contextlib.suppress(OSError):
            while more := os.read(screen, 65_536):
                shown += more
        os.close(screen)
        out, _ = running.communicate(timeout=100)
    return Done(running.returncode, out.decode(), shown.decode())


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def at(wire, tmp_path):
    return gateway_at(wire.url, tmp_path)


def test_slices_are_asked_for_until_the_end_and_nothing_is_changed(wire, at):
    wire.say(200, part(finding(), cursor="c1", orders=1800, wait=0.01)).say(200, part())
    done = pushcart("recover", at=at)
    assert (done.code, done.err) == (0, "")
    assert [(call.path, call.json) for call in wire.seen] == [
        ("/function/catch-up/recover", {"cursor": None, "apply": False}),
        ("/function/catch-up/recover", {"cursor": "c1", "apply": False}),
    ]
    assert "Another refund: 1" in done.words
    assert "2,000 payments, 1,800 orders compared." in done.words
    assert "Nothing was changed. 1 can be repaired: pushcart recover --apply" in done.words


def test_on_a_terminal_it_shows_how_far_it_is_and_leaves_nothing_of_it(wire, at):
    wire.say(200, part(finding(), cursor="c1", orders=1800, wait=0.5)).say(200, part())
    done = on_a_terminal("recover", at=at)
    assert done.code == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", done.err)  # without the colours
    half = f"{'━' * 20}╺{'━' * 19} 1,000 payments, 900 orders, back to 2026-11-01 "
    whole = f"{'━' * 40} 2,000 payments, 1,800 orders "
    assert 0 < shown.find(half) < shown.find(whole)
    assert done.err.endswith("\x1b[1A\x1b[2K")
    assert "Another refund: 1" in done.words
    assert "back to" not in done.out


def test_into_a_pipe_and_as_json_it_shows_no_progress(wire, at):
    for _ in range(2):
        wire.say(200, part(cursor="c1", orders=1800, wait=0.5)).say(200, part())
    piped = pushcart("recover", at=at)
    assert (piped.code, piped.err) == (0, "")
    assert "back to" not in piped.out
    as_json = on_a_terminal("recover", "--json", at=at)
    assert (as_json.code, as_json.err) == (0, "")
    assert as_json.json["checked"] == {"sessions": 2000, "orders": 1800}


def test_with_apply_it_repairs(wire, at):
    wire.say(200, part(finding(repair="done")))
    done = pushcart("recover", "--apply", at=at)
    assert wire.seen[0].json["apply"] is True
    assert (done.code, "1 are read again and repaired now" in done.words) == (0, True)


def test_what_needs_a_human_is_exit_code_1(wire, at):
    wire.say(200, part(finding("order_unknown_to_stripe", "no")))
    done = pushcart("recover", at=at)
    assert done.code == 1
    assert "Paid orders that Stripe does not know: 1" in done.words
    assert "1 need you" in done.words


def test_when_everything_agrees_it_says_so(wire, at):
    wire.say(200, part())
    done = pushcart("recover", at=at)
    assert (done.code, "Everything agrees." in done.words) == (0, True)


def test_a_report_keeps_every_finding_and_the_table_the_first_of_each_kind(wire, at, tmp_path):
    wire.say(200, part(*(finding(order=f"o-{number}") for number in range(30))))
    done = pushcart("recover", "--report", str(tmp_path / "found.jsonl"), at=at)
    kept = [json.loads(text) for text in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [one["order"] for one in kept] == [f"o-{number}" for number in range(30)]
    assert "10 more; --report FILE keeps them all." in done.words


def test_as_json_it_is_one_object_with_everything(wire, at):
    wire.say(200, part(finding(), cursor="c1")).say(200, part(finding("wrong_mode", "no")))
    done = pushcart("recover", "--json", at=at)
    assert done.code == 1
    assert [one["code"] for one in done.json["findings"]] == ["refund_differs", "wrong_mode"]
    assert done.json["counts"] == {"refund_differs": 1, "wrong_mode": 1}


def test_a_provider_that_fails_in_between_leaves_what_was_found_until_then(wire, at):
    down = {"error": {"code": "provider_unavailable", "message": "Stripe: could not be reached"}}
    wire.say(200, part(finding(), cursor="c1")).say(503, down)
    done = pushcart("recover", at=at)
    assert (done.code, "Another refund: 1" in done.words) == (1, True)
    assert "Stripe: could not be reached" in done.err


def test_the_recovery_of_the_last_start_is_shown(wire, at):
    report = {
        "started_at": "2026-11-21T08:00:00.000Z",
        "finished_at": "2026-11-21T08:05:00.000Z",
        "checked": {"sessions": 12},
        "counts": {"wrong_mode": 3},
        "findings": [finding("wrong_mode", "no")],
        "by_hand": [finding("wrong_mode", "no")],
    }
    wire.say(200, {"last": report}).say(200, {"last": None})
    done = pushcart("recover", "--last", at=at)
    assert (wire.seen[0].method, done.code) == ("GET", 1)
    assert "ended 2026-11-21 08:05:00 (UTC)" in done.words
    assert "Paid in Stripe's other mode: 3" in done.words
    assert "No recovery was begun yet" in pushcart("recover", "--last", at=at).words


def test_looking_at_the_last_one_repairs_nothing(at):
    assert pushcart("recover", "--last", "--apply", at=at).code == 2
