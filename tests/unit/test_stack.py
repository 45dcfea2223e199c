"""stack.yml says what the code does: faas-cli ignores unknown keys in silence, so this is where mistakes show."""

from __future__ import annotations

import copy
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from pushcart.config import COMMON_VARIABLES, SECRETS, TEMPLATE_VARIABLES, VARIABLES

ROOT = Path(__file__).parents[2]

#: The fields of a function that faas-cli 0.18 knows.
FUNCTION_KEYS = set(
    "lang handler image fprocess environment environment_file secrets skip_build constraints labels annotations limits "
    "requests readonly_root_filesystem build_options build_args build_secrets platforms namespace".split()
)
TOP_KEYS = {"version", "provider", "functions", "configuration"}
CONFIGURATION_KEYS = {"copy", "templates"}

#: What of-watchdog itself reads.
WATCHDOG = {"exec_timeout", "read_timeout", "write_timeout", "healthcheck_interval", "max_inflight"}


def stack():
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "stack.yml").read_text())
    return yaml.safe_load(text)


def reads(name):
    """What the function's code says it reads; the handler is imported, not started."""
    path = ROOT / "functions" / name / "handler.py"
    spec = importlib.util.spec_from_file_location(f"lint_{name.replace('-', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.READS


def seconds(duration):
    match = re.fullmatch(r"(\d+)(s|m)", str(duration))
    assert match, f"{duration!r} is no duration like 50s"
    return int(match[1]) * (60 if match[2] == "m" else 1)


def problems(document):
    """Every mistake in a parsed stack.yml, as sentences."""
    found = [f"unknown key {key}" for key in document.keys() - TOP_KEYS]
    found += [
        f"unknown key configuration.{key}" for key in document.get("configuration", {}).keys() - CONFIGURATION_KEYS
    ]
    for name, function in document["functions"].items():
        found += [f"{name}: unknown key {key}" for key in function.keys() - FUNCTION_KEYS]
        code = reads(name)
        listed, read = set(function.get("secrets", [])), set(code.secrets)
        found += [f"{name}: no code reads the secret {secret}" for secret in listed - read]
        found += [f"{name}: the code reads the secret {secret}, which is not listed" for secret in read - listed]
        environment = function.get("environment", {})
        known = set(code.variables) | set(COMMON_VARIABLES) | TEMPLATE_VARIABLES.keys() | WATCHDOG
        found += [f"{name}: nothing reads the variable {variable}" for variable in environment.keys() - known]
        if environment.get("function_name") != name:
            found.append(f"{name}: function_name is not its name")
        times = {key: seconds(environment.get(key, "0s")) for key in ("exec_timeout", "write_timeout", "read_timeout")}
        if not 0 < times["exec_timeout"] < times["write_timeout"]:
            found.append(f"{name}: write_timeout is not above exec_timeout")
        if function["handler"] != f"./functions/{name}" or f"/{name}:" not in function["image"]:
            found.append(f"{name}: handler or image is another function's")
        if not (ROOT / "template" / function["lang"] / "template.yml").exists():
            found.append(f"{name}: there is no template {function['lang']}")
    return sorted(found)


def test_stack_yml_has_no_mistakes():
    assert problems(stack()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f.update(enviroment={}), "order-store: unknown key enviroment"),
        (lambda f: f["secrets"].append("smtp-password"), "order-store: no code reads the secret smtp-password"),
        (
            lambda f: f["secrets"].remove("stripe-api-key"),
            "order-store: the code reads the secret stripe-api-key, which is not listed",
        ),
        (
            lambda f: f["environment"].update(write_timeout="55s"),
            "order-store: write_timeout is not above exec_timeout",
        ),
        (lambda f: f["environment"].pop("exec_timeout"), "order-store: write_timeout is not above exec_timeout"),
        (lambda f: f["environment"].update(sweep_secs=5), "order-store: nothing reads the variable sweep_secs"),
        (lambda f: f["environment"].update(function_name="orders"), "order-store: function_name is not its name"),
        (lambda f: f.update(image="docker.io/x/other:1"), "order-store: handler or image is another function's"),
    ],
)
def test_a_mistake_is_found(change, complaint):
    document = copy.deepcopy(stack())
    change(document["functions"]["order-store"])
    assert problems(document) == [complaint]


def test_every_handler_is_in_the_stack_and_the_other_way_round():
    assert set(stack()["functions"]) == {path.parent.name for path in ROOT.glob("functions/*/handler.py")}


def test_the_stack_fits_the_community_edition():
    assert len(stack()["functions"]) <= 15


def test_catch_up_is_called_by_cron_connector_every_minute():
    annotations = stack()["functions"]["catch-up"]["annotations"]
    assert annotations == {"topic": "cron-function", "schedule": "* * * * *"}


def test_every_declared_secret_and_variable_is_read_by_some_function():
    read = [reads(name) for name in stack()["functions"]]
    assert {name for one in read for name in one.secrets} == set(SECRETS)
    assert {name for one in read for name in one.variables} | set(COMMON_VARIABLES) == set(VARIABLES)


def test_a_step_has_time_to_answer_before_its_caller_gives_up():
    functions = stack()["functions"]
    caller = functions["order-store"]["environment"]
    for name in ("invite-link", "mailing-list", "email-dispatch"):
        assert seconds(functions[name]["environment"]["exec_timeout"]) < int(caller["step_timeout"])
    assert int(caller["lease_seconds"]) >= 2 * int(caller["step_timeout"])
    assert int(caller["sweep_seconds"]) < seconds(caller["exec_timeout"])


def test_requirements_pin_what_the_lock_pins():
    locked = dict(re.findall(r"^([a-z0-9_.-]+)==([^ \\]+)", (ROOT / "requirements.txt").read_text(), re.M))
    files = [ROOT / "shared" / "constraints.txt", ROOT / "template/python3-http/requirements.txt"]
    files += sorted(ROOT.glob("functions/*/requirements.txt"))
    for path in files:
        for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", path.read_text(), re.M):
            assert locked.get(name.lower()) == version, f"{path.relative_to(ROOT)} pins {name}=={version}"


def test_what_every_function_installs_is_pinned_by_the_constraints():
    pinned = set(re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "shared" / "constraints.txt").read_text(), re.M))
    for path in [ROOT / "shared" / "common-requirements.txt", *ROOT.glob("functions/*/requirements.txt")]:
        lines = [re.split(r"==|\[", line)[0].strip().lower() for line in path.read_text().splitlines()]
        assert {line for line in lines if line and not line.startswith("#")} <= pinned
