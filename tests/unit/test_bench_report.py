"""What make bench makes of its figures: goals, what got worse, what is kept, and the README's table."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from bench import report

GOOD = {
    "measured_at": "2026-11-21T12:00:00.000Z",
    "machine": "a small VPS",
    "ack_rate_vs_constant": 0.6,
    "ack_p99_vs_constant": 5.0,
    "ack_per_s": 812.4,
    "chain_p50_ms": 300,
    "burst_lost": 0,
    "burst_orders_per_s": 20,
    "pss_mib": {"order-store": 55.0, "invite-link": 30.0},
    "pss_mib_by_store": {
        "sqlite": {"order-store": 55.0, "invite-link": 30.0},
        "mongodb": {"order-store": 52.3, "invite-link": 30.0},
    },
    "pss_mib_max": 55.0,
    "pss_mib_max_any_store": 55.0,
    "cold_start_s": {"order-store": 1.0, "invite-link": 0.4},
    "cold_start_s_max": 1.0,
    "imports_mib": {"order-store": {"sqlalchemy": 11.04, "stripe": 2.2}, "invite-link": {}},
    "sweep_ratio_sqlite": 1.5,
    "sweep_ratio_mongo": 1.0,
    "checkout_per_s": 150.0,
    "page_kb_max": 60.0,
    "script_kb_max": 12.0,
    "fcp_ms": {"listing": 700.0, "product": 750.0},
    "lcp_ms": {"listing": 900.0, "product": 800.0},
    "cls": {"listing": 0.0, "product": 0.0012},
    "blocked_ms": {"listing": 0.0, "product": 20.0},
    "sent_kb": {"listing": 81.1, "product": 76.0},
}

MARKS = "<!-- bench -->\n<!-- end -->\n"


def keys(figures):
    return {figure.key for figure in figures}


def test_a_run_that_just_reaches_every_goal_misses_none():
    assert report.missed(GOOD) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ack_rate_vs_constant", 0.59),
        ("ack_p99_vs_constant", 5.1),
        ("chain_p50_ms", 301),
        ("burst_lost", 1),
        ("burst_orders_per_s", 19.9),
        ("pss_mib_max", 55.1),
        ("pss_mib_max_any_store", 55.1),
        ("cold_start_s_max", 1.01),
        ("sweep_ratio_sqlite", 1.51),
        ("sweep_ratio_mongo", 1.51),
        ("page_kb_max", 60.1),
        ("script_kb_max", 12.1),
    ],
)
def test_each_goal_is_missed_on_its_own_side(key, value):
    assert keys(report.missed({**GOOD, key: value})) == {key}


def test_a_part_is_judged_by_its_own_figures_alone():
    assert keys(report.missed({"machine": "x", "chain_p50_ms": 400})) == {"chain_p50_ms"}


def test_what_could_not_be_measured_is_said_and_neither_met_nor_missed():
    record = {**GOOD, "sweep_ratio_mongo": None}
    assert report.missed(record) == []
    assert ("The same on MongoDB", "not measured", "at most 1.5 times", "") in report.rows(record)
    assert "| The same on MongoDB | not measured | at most 1.5 times |" in report.fill(MARKS, record)
    assert report.worse(record, [GOOD, GOOD]) == []


def test_what_is_a_fifth_worse_than_usual_is_named_and_what_is_better_is_not():
    runs = [{**GOOD, "ack_per_s": rate} for rate in (700, 800, 1200)]
    assert report.worse({**GOOD, "ack_per_s": 641}, runs) == []
    [change] = report.worse({**GOOD, "ack_per_s": 639, "chain_p50_ms": 100}, runs)
    assert (change.now, change.usual) == ("639 /s", "800 /s")


def test_one_function_that_grew_is_named():
    [change] = report.worse({**GOOD, "pss_mib": {"order-store": 55.0, "invite-link": 36.5}}, [GOOD, GOOD])
    assert "invite-link" in change.label
    assert (change.now, change.usual) == ("36.5 MiB", "30 MiB")


def test_one_page_that_grew_slow_is_named():
    [change] = report.worse({**GOOD, "lcp_ms": {"listing": 900.0, "product": 1000.0}}, [GOOD, GOOD])
    assert (change.label, change.now, change.usual) == ("Largest paint, product", "1,000 ms", "800 ms")


def test_a_first_lost_order_is_worse_than_none():
    assert [change.now for change in report.worse({**GOOD, "burst_lost": 1}, [GOOD, GOOD])] == ["1"]


def test_runs_on_other_machines_and_a_single_earlier_run_say_nothing():
    slow = {**GOOD, "ack_per_s": 1}
    assert report.worse(slow, [{**GOOD, "machine": "another"}] * 5) == []
    assert report.worse(slow, [GOOD]) == []


def test_the_latest_run_is_kept_whole_and_the_last_twenty_in_order(tmp_path):
    for number in range(report.KEPT_RUNS + 3):
        report.keep(tmp_path, {**GOOD, "ack_per_s": number})
    assert json.loads((tmp_path / "latest.json").read_text()) == {**GOOD, "ack_per_s": report.KEPT_RUNS + 2}
    kept = [run["ack_per_s"] for run in report.history(tmp_path)]
    assert kept == list(range(3, report.KEPT_RUNS + 3))


def test_without_earlier_runs_there_is_no_history(tmp_path):
    assert report.history(tmp_path) == []


def test_the_readme_gets_the_date_the_machine_every_figure_page_and_function():
    text = report.fill("before\n<!-- bench -->\nstale\n<!-- end -->\nafter\n", {**GOOD, "burst_lost": 3})
    assert text.startswith("before\n<!-- bench -->\nMeasured on 2026-11-21 with `make bench` on a small VPS.\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "stale" not in text
    assert "| Webhook to fulfilled, p50 | 300 ms | at most 300 ms |" in text
    assert "| Orders lost or not exactly once, of a burst of 1,000 | 3 **(missed)** | 0 |" in text
    assert "| `order-store` | 55 | 52.3 | 1 | sqlalchemy 11, stripe 2.2 |" in text
    assert "| product | 750 ms | 800 ms | 0.0012 | 20 ms | 76 KB |" in text


def test_filling_the_readme_again_changes_nothing_but_its_block():
    readme = "a\n<!-- bench -->\n<!-- end -->\nb\n<!-- reference: secrets -->\nkept\n<!-- end -->\n"
    once = report.fill(readme, GOOD)
    assert report.fill(once, GOOD) == once
    assert once.endswith("b\n<!-- reference: secrets -->\nkept\n<!-- end -->\n")


def test_a_readme_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="<!-- bench -->"):
        report.fill("nothing here", GOOD)


def test_the_terminal_shows_which_goal_is_missed_and_what_got_worse():
    written = io.StringIO()
    changes = [report.Change("Webhook to fulfilled, p50", "400 ms", "200 ms")]
    report.show(Console(file=written, width=160), {**GOOD, "chain_p50_ms": 400}, changes)
    lines = written.getvalue().splitlines()
    assert any("Webhook to fulfilled, p50" in line and "missed" in line for line in lines)
    assert any("against a constant answer " in line and "met" in line for line in lines)
    assert "worse Webhook to fulfilled, p50: 400 ms, usually 200 ms" in lines


def test_the_terminal_shows_a_part_alone():
    written = io.StringIO()
    part = {"measured_at": "now", "machine": "x", **{key: GOOD[key] for key in report.BY_PAGE}}
    report.show(Console(file=written, width=160), part, [])
    assert any("listing" in line and "900 ms" in line for line in written.getvalue().splitlines())


def test_this_machine_is_named_with_what_decides_on_the_figures():
    assert "cores" in report.machine()
    assert "Python 3." in report.machine()


def test_the_record_in_the_repository_has_what_is_promised_of_it():
    promised = {
        *("ack_rate_vs_constant", "ack_p99_vs_constant", "ack_per_s", "chain_p50_ms", "chain_p95_ms", "burst_lost"),
        *("burst_orders_per_s", "pss_mib", "pss_mib_max", "cold_start_s", "cold_start_s_max", "sweep_ratio_sqlite"),
        *("sweep_ratio_mongo", "checkout_per_s", "checkout_p50_ms", "checkout_p99_ms", "checkout_link_per_s"),
        *("links_signed_per_s", "site_s_1000", "page_kb_max", "script_kb_max", "lcp_ms", "measured_at", "machine"),
    }
    latest = json.loads((report.FOLDER / "latest.json").read_text())
    assert promised <= latest.keys()
    readme = (report.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert report.fill(readme, latest) == readme, "README.md and latest.json are of the same run"
