"""`pushcart traffic` and `pushcart stock`, against a gateway that says what it is told."""

from __future__ import annotations

import pytest

from support.command import gateway_at, pushcart
from support.wire import Wire

LONG_PAGE = "/products/a-mug-with-two-handles-and-a-very-long-name/"
REPORT = {
    "views": 4432,
    "days": [
        {"day": f"2026-11-{15 + number}", "views": views} for number, views in enumerate([0, 1, 20, 400, 3999, 12, 0])
    ],
    "pages": [["/", 4000], [LONG_PAGE, 420], *([f"/p{number}/", 1] for number in range(12))],
    "referrers": [["www.google.com", 30], ["other", 2]],
}
EMPTY = {"views": 0, "days": [{"day": "2026-11-21", "views": 0}], "pages": [], "referrers": []}


def count(choice="", stock=None, left=None, **changes):
    common = {"sku": "studio-apron", "name": "Studio Apron", "sold": 7, "held": 3}
    return {**common, "choice": choice, "stock": stock, "left": left, **changes}


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def at(wire, tmp_path):
    return gateway_at(wire.url, tmp_path)


def row_of(done, start):
    [line] = [line for line in done.out.splitlines() if line.strip().startswith(start)]
    return line.split()


def test_traffic_asks_checkout_signed_and_for_30_days_unless_told(wire, at):
    wire.say(200, REPORT)
    pushcart("traffic", at=at)
    pushcart("traffic", "--days", "7", at=at)
    first, second = wire.seen
    assert (first.method, first.path) == ("GET", "/function/checkout/traffic")
    assert (first.query, second.query) == ({"days": "30"}, {"days": "7"})
    assert "X-Pushcart-Signature" in first.headers


def test_every_day_has_a_bar_as_long_as_its_share_and_a_day_without_views_has_none(wire, at):
    wire.say(200, REPORT)
    done = pushcart("traffic", "--days", "7", at=at)
    assert (done.code, done.err) == (0, "")
    assert "4432 views in the last 7 days (UTC)" in done.out
    assert row_of(done, "2026-11-15") == ["2026-11-15", "0"]
    assert row_of(done, "2026-11-16") == ["2026-11-16", "1", "▏"]
    assert row_of(done, "2026-11-18") == ["2026-11-18", "400", "█" * 8]
    assert row_of(done, "2026-11-19") == ["2026-11-19", "3999", "█" * 80]
    assert "\x1b" not in done.out


def test_the_busiest_pages_and_sites_follow_and_the_rest_is_counted(wire, at):
    wire.say(200, REPORT)
    done = pushcart("traffic", at=at)
    assert row_of(done, LONG_PAGE) == [LONG_PAGE, "420"]
    assert row_of(done, "www.google.com") == ["www.google.com", "30"]
    assert "/p7/" in done.out
    assert "/p8/" not in done.out
    assert "4 more; --json has them all." in done.out


@pytest.mark.parametrize("columns", [24, 60])
def test_the_chart_fits_the_terminal(wire, at, columns):
    wire.say(200, {**REPORT, "pages": REPORT["pages"][:2]})
    done = pushcart("traffic", at={**at, "COLUMNS": str(columns)})
    assert max(len(line) for line in done.out.splitlines() if line.startswith(" ")) <= columns
    assert row_of(done, "2026-11-19")[2].strip("█") == ""
    assert row_of(done, "2026-11-16")[2] == "▏"


def test_a_terminal_without_blocks_gets_plain_letters(wire, at):
    wire.say(200, REPORT)
    done = pushcart("traffic", at={**at, "PYTHONIOENCODING": "latin-1", "COLUMNS": "60"})
    assert (done.code, done.err) == (0, "")
    assert done.out.isascii()
    assert "|2026-11-18 |   400 | ###  " in done.out


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        ("30", "No view of a page was counted in the last 30 days.\n"),
        ("1", "No view of a page was counted today.\n"),
    ],
)
def test_without_a_view_there_is_one_sentence(wire, at, days, sentence):
    wire.say(200, EMPTY)
    done = pushcart("traffic", "--days", days, at=at)
    assert (done.code, done.out) == (0, sentence)


def test_one_view_without_a_referrer_is_a_whole_report_too(wire, at):
    wire.say(200, {"views": 1, "days": [{"day": "2026-11-21", "views": 1}], "pages": [["/", 1]], "referrers": []})
    done = pushcart("traffic", "--days", "1", at=at)
    assert done.out.startswith("1 view today (UTC)\n")
    assert "Where readers come from" not in done.out


def test_what_a_page_is_called_is_shown_and_not_obeyed_by_the_terminal(wire, at):
    wire.say(200, {**REPORT, "pages": [["/[red]\x1b[2J/", 1]]})
    assert "/[red]\N{REPLACEMENT CHARACTER}[2J/" in pushcart("traffic", at=at).out


@pytest.mark.parametrize(("command", "answer"), [("traffic", REPORT), ("stock", [count("S", 10, 0)])])
def test_json_is_what_the_function_says_and_nothing_else(wire, at, command, answer):
    wire.say(200, answer)
    assert pushcart(command, "--json", at=at).json == answer


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_days_without_a_sense_are_exit_2_and_ask_nobody(wire, at, days):
    done = pushcart("traffic", "--days", days, at=at)
    assert done.code == 2
    assert "--days" in done.err
    assert wire.seen == []


@pytest.mark.parametrize("command", ["traffic", "stock"])
def test_a_function_that_says_no_is_exit_1_and_one_that_is_away_exit_3_with_its_name(wire, at, command):
    wire.say(503, {"error": {"code": "store_unavailable", "message": "The store is down."}})
    wire.say(502, b"<html>Bad Gateway</html>")
    done = pushcart(command, at=at)
    assert (done.code, done.out, done.err) == (1, "", "Error: The store is down.\n")
    done = pushcart(command, at=at)
    assert done.code == 3
    assert "checkout is not answering (502); see why with: faas-cli logs checkout" in done.err


def test_stock_shows_what_is_left_of_each_choice(wire, at):
    no_limit = count(sku="studio-plans", name="Studio Plans")
    wire.say(200, [count("S / Blue", 10, 0), count("M / Blue", 12, 2), no_limit])
    done = pushcart("stock", at=at)
    assert (done.code, done.err) == (0, "")
    [call] = wire.seen
    assert (call.method, call.path, call.query) == ("GET", "/function/checkout/stock", {})
    head, *rows = [" ".join(line.split()) for line in done.out.splitlines() if line.strip() and "─" not in line]
    assert head == "Product Name Choice Stock Sold Held Left"
    assert rows == [
        "studio-apron Studio Apron S / Blue 10 7 3 0",
        "studio-apron Studio Apron M / Blue 12 7 3 2",
        "studio-plans Studio Plans no end 7 3 no end",
    ]


def test_stock_marks_in_colour_what_is_gone_and_what_is_nearly_gone(wire, at):
    wire.say(200, [count("S", 10, -1), count("M", 10, 5), count("L", 10, 6)])
    done = pushcart("stock", at={**at, "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"})
    small, medium, large = (line for line in done.out.splitlines() if "studio-apron" in line)
    assert "\x1b[1;31m" in small
    assert "\x1b[33m" in medium
    assert "\x1b" not in large


def test_a_shop_that_counts_nothing_says_so(wire, at):
    wire.say(200, [])
    done = pushcart("stock", at=at)
    assert (done.code, len(done.out.splitlines())) == (0, 1)
