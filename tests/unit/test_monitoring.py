"""deploy/monitoring: the alerts and the dashboard ask for what `/metrics` shows, and name commands that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cli import root
from pushcart.clock import system_clock
from pushcart.config import SECRETS
from pushcart.services.metrics import exposition as metrics
from support.scrapes import Scrape, lived_in

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"]}
CONFIG = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
[JOB] = CONFIG["scrape_configs"]
DASHBOARD = json.loads((FOLDER / "grafana" / "pushcart.json").read_text())
PANELS = DASHBOARD["panels"]
QUERIES = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
EXPRESSIONS = {**{name: rule["expr"] for name, rule in ALERTS.items()}, **QUERIES}

#: What PromQL knows by itself, as far as it is used here.
WORDS = set("sum rate increase delta histogram_quantile by on and or unless".split())
#: What Prometheus adds to every scrape.
OF_PROMETHEUS = {"up", "job", "instance"}

PROMTOOL = shutil.which("promtool")


@pytest.fixture
def text(store):
    return lived_in(store, system_clock).text()


@pytest.fixture
def scrape(text):
    return Scrape(text.decode())


def mistakes(expression: str, scrape: Scrape) -> list[str]:
    """What is asked for in a query and would never be found, and what is no PromQL."""
    found = [
        f"{one} is not closed" for one in ("()", "{}", "[]") if expression.count(one[0]) != expression.count(one[1])
    ]
    for name, matchers in re.findall(r"(\w+)(?:\{([^}]*)\})?", expression):
        for label, sign, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            shown = {str(sample.labels.get(label)) for sample in scrape.matching(name)} if name != "up" else {value}
            wanted = set(value.split("|")) if sign in ("=~", "!~") else {value}
            found += [f"{name} has no {label} {one}" for one in sorted(wanted - shown)]
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expression)
    known = WORDS | OF_PROMETHEUS | {sample.name for sample in scrape.samples}
    known |= {label for sample in scrape.samples for label in sample.labels}
    found += [f"{word} is unknown" for word in re.findall(r"[a-zA-Z_]\w*", bare) if word not in known]
    return found


def test_every_metric_and_label_that_an_alert_or_a_panel_asks_for_is_in_a_scrape(scrape):
    assert {name: wrong for name, one in EXPRESSIONS.items() if (wrong := mistakes(one, scrape))} == {}


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("pushcart_order_by_payment_status > 0", "pushcart_order_by_payment_status is unknown"),
        ('pushcart_inbox_events{status="died"} > 0', "pushcart_inbox_events has no status died"),
        ('sum(pushcart_inbox_events{state="dead"})', "pushcart_inbox_events has no state dead"),
        ("sum by (levels) (pushcart_incidents_open)", "levels is unknown"),
        ("sums(pushcart_store_up)", "sums is unknown"),
        ("sum(rate(pushcart_events_total[5m])", "() is not closed"),
    ],
)
def test_a_mistake_in_a_query_would_be_noticed(scrape, expression, mistake):
    assert mistakes(expression, scrape) == [mistake]


def test_every_metric_but_the_version_is_looked_at_by_some_alert_or_panel():
    everything = " ".join(EXPRESSIONS.values())
    assert {name for name in metrics.METRICS if name not in everything} == {"pushcart_build_info"}


def test_every_alert_says_what_happened_what_to_run_and_how_bad_it_is():
    assert len(ALERTS) == sum(len(group["rules"]) for group in RULES)
    for name, rule in ALERTS.items():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, name
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m")), name
        assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"}), name
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert re.search(r"`pushcart [a-z]+", rule["annotations"]["description"]), name


@pytest.mark.parametrize(
    "what",
    [
        'up{job="pushcart"}',
        "pushcart_store_up",
        "pushcart_catch_up_heartbeat_age_seconds",
        "pushcart_inbox_oldest_pending_age_seconds",
        'pushcart_inbox_events{status="dead"}',
        'pushcart_steps_total{outcome="dead"}',
        "pushcart_ack_duration_seconds_bucket",
        'pushcart_calls_total{outcome="failed"}',
        'pushcart_incidents_open{level="critical"}',
    ],
)
def test_each_kind_of_trouble_has_an_alert(what):
    assert any(what in rule["expr"] for rule in ALERTS.values())


def test_every_command_that_is_named_exists_with_its_options():
    told = " ".join(rule["annotations"]["description"] for rule in ALERTS.values())
    commands = re.findall(r"`pushcart ([^`]+)`", told + " ".join(f"`{panel.get('description')}`" for panel in PANELS))
    assert len(set(commands)) > 5
    for words in map(str.split, commands):
        command = root.pushcart
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        options = {name for option in command.params for name in option.opts}
        assert not hasattr(command, "commands"), f"pushcart {' '.join(words)}"
        assert not words or words[0] in options, words


def test_prometheus_asks_order_store_with_the_token_and_reads_these_rules():
    assert JOB["metrics_path"] == f"/function/order-store{metrics.PATH}"
    assert Path(JOB["authorization"]["credentials_file"]).name == metrics.SECRET
    assert metrics.SECRET in SECRETS
    assert f'up{{job="{JOB["job_name"]}"}}' in ALERTS["PushcartDown"]["expr"]
    assert [Path(path).name for path in CONFIG["rule_files"]] == ["pushcart-rules.yml"]


def test_the_readme_names_files_that_are_there():
    named = set(re.findall(r"`((?:grafana/)?[a-z]+\.(?:yml|json))`", (FOLDER / "README.md").read_text()))
    assert named == {"prometheus.yml", "rules.yml", "grafana/pushcart.json"}
    assert all((FOLDER / name).exists() for name in named)


def test_the_dashboard_can_be_imported_anywhere():
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["id"] is None
    [source] = DASHBOARD["__inputs"]
    assert (source["type"], source["pluginId"]) == ("datasource", "prometheus")
    wanted = {"type": "prometheus", "uid": f"${{{source['name']}}}"}
    assert all(one["datasource"] == wanted for one in PANELS)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert {panel["type"] for panel in PANELS} == {
        one["id"] for one in DASHBOARD["__requires"] if one["type"] == "panel"
    }


def test_no_panel_lies_on_another():
    taken = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on the PATH; what it checks is parsed above")
def test_promtool_finds_nothing_wrong(tmp_path, text):
    (tmp_path / "metrics-token").write_text("t" * 32)
    here = (FOLDER / "prometheus.yml").read_text().replace("/etc/prometheus", str(tmp_path))
    (tmp_path / "prometheus.yml").write_text(here)
    shutil.copy(FOLDER / "rules.yml", tmp_path / "pushcart-rules.yml")
    for command, given in ((["check", "config", str(tmp_path / "prometheus.yml")], b""), (["check", "metrics"], text)):
        done = subprocess.run([PROMTOOL, *command], input=given, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
