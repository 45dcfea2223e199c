"""What a function finds around it: environment, secrets, library, logs, and what /system tells."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
import requests

ENVIRONMENT = "import os\ndef handle(event, context):\n    return {'body': dict(os.environ)}\n"
SECRETS = """
import os
def handle(event, context):
    folder = os.environ["secret_mount_path"]
    return {"body": {name: open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))}}
"""


def test_the_environment_is_stack_ymls_with_the_overrides_and_nothing_of_the_callers(project, monkeypatch):
    monkeypatch.setenv("PRIVATE_OF_THE_SHELL", "secret")
    monkeypatch.setenv("OWNER", "shop")
    (project.folder / "more.yml").write_text("environment:\n  from_file: file\n  both: file\n")
    project.add(
        "env",
        ENVIRONMENT,
        environment_file=["more.yml"],
        environment={
            "function_name": "env",
            "both": "stack",
            "owner": "${OWNER}",
            "fallback": "${NOBODY:-default}",
            "flag": True,
            "number": 5,
            "over": "stack",
            "own": "stack",
        },
    )
    gateway = project.gateway(environment={"over": "all", "own": "all"}, function_environment={"env": {"own": "mine"}})
    seen = requests.get(f"{gateway.url}/function/env", timeout=20).json()
    expected = {
        "from_file": "file",
        "both": "file",
        "owner": "shop",
        "fallback": "default",
        "flag": "true",
        "number": "5",
        "over": "all",
        "own": "mine",
        "HOSTNAME": "env",
        "function_name": "env",
    }
    assert {name: seen.get(name) for name in expected} == expected
    given = {"PATH", "LANG", "HOME", "PYTHONUNBUFFERED", "MALLOC_ARENA_MAX", "secret_mount_path", "port"}
    assert set(seen) - set(expected) == given


def test_a_function_sees_its_own_secrets_only_and_updates_at_once(project):
    for name in ("own-key", "other-key"):
        (project.secrets / name).write_text(f"value of {name}")
    project.add("reader", SECRETS, secrets=["own-key", "missing-key"])
    gateway = project.gateway()
    url = f"{gateway.url}/function/reader"
    assert requests.get(url, timeout=20).json() == {"own-key": "value of own-key"}
    (project.secrets / "own-key").write_text("rotated")
    assert requests.get(url, timeout=20).json() == {"own-key": "rotated"}


def test_folders_that_stack_yml_copies_are_found_where_faas_cli_puts_them(project):
    library = project.folder / "shared" / "pushcart"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("NAME = 'the library'\n")
    (project.folder / "deploy" / "shop").mkdir(parents=True)
    (project.folder / "deploy" / "shop" / "shop.yml").write_text("name: shop")
    project.document["configuration"] = {"copy": ["./shared", "./deploy/shop"]}
    project.add(
        "user",
        "import pathlib, pushcart\n"
        "def handle(event, context):\n"
        "    shop = pathlib.Path(__file__).parent / 'deploy/shop/shop.yml'\n"
        "    return {'body': [pushcart.NAME, shop.read_text()]}\n",
    )
    gateway = project.gateway()
    assert requests.get(f"{gateway.url}/function/user", timeout=20).json() == ["the library", "name: shop"]


def wait_for_line(gateway, name, text):
    deadline = time.monotonic() + 5
    while not any(text in line for line in gateway.logs(name)):
        assert time.monotonic() < deadline, gateway.logs(name)
        time.sleep(0.01)


def test_what_a_function_writes_is_kept_in_its_file_in_memory_and_across_restarts(project):
    project.add(
        "writer",
        "import sys\ndef handle(event, context):\n    print('to stdout'); print('to stderr', file=sys.stderr)\n",
    )
    gateway = project.gateway()
    requests.get(f"{gateway.url}/function/writer", timeout=20)
    gateway.restart("writer")
    requests.get(f"{gateway.url}/function/writer", timeout=20)
    gateway.stop()
    lines = gateway.logs("writer")
    assert [line for line in lines if line.startswith("to ")] == ["to stdout", "to stderr"] * 2
    assert (project.state / "logs" / "writer.log").read_text().splitlines() == lines


def test_memory_keeps_the_last_two_thousand_lines(project):
    project.add("chatty", "def handle(event, context):\n    for n in range(3000):\n        print('line', n)\n")
    gateway = project.gateway()
    requests.get(f"{gateway.url}/function/chatty", timeout=20)
    gateway.stop()
    lines = gateway.logs("chatty")
    assert len(lines) == 2000
    assert "line 2999" in lines
    assert "line 10" not in lines


def test_the_console_shows_each_line_with_its_functions_name(project, capfd):
    project.add("writer", "def handle(event, context):\n    print('hello')\n")
    gateway = project.gateway(log_console=True)
    requests.get(f"{gateway.url}/function/writer", timeout=20)
    gateway.stop()
    assert "writer: hello\n" in capfd.readouterr().err


def test_system_logs_are_openfaas_lines_with_a_tail(project):
    project.add("writer", "def handle(event, context):\n    print('hello', event.path)\n")
    gateway = project.gateway()
    requests.get(f"{gateway.url}/function/writer/1", timeout=20)
    requests.get(f"{gateway.url}/function/writer/2", timeout=20)
    wait_for_line(gateway, "writer", '"path": "/2"')
    whole = requests.get(f"{gateway.url}/system/logs?name=writer", timeout=5)
    tail = requests.get(f"{gateway.url}/system/logs?name=writer&tail=2&follow=false", timeout=5)
    assert whole.headers["Content-Type"] == "application/x-ndjson"
    assert len(whole.text.splitlines()) == 5
    first, second = map(json.loads, tail.text.splitlines())
    assert (first["name"], first["text"]) == ("writer", "hello /2")
    assert first["instance"] == f"writer-{gateway.pid('writer')}"
    assert datetime.fromisoformat(second["timestamp"]).utcoffset().total_seconds() == 0
    assert requests.get(f"{gateway.url}/system/logs?name=nobody", timeout=5).status_code == 404


def test_system_functions_describe_each_function(project):
    project.add("env", ENVIRONMENT, secrets=["a-key"], labels={"part": "shop"}, annotations={"note": "x"})
    project.add("cold", ENVIRONMENT)
    gateway = project.gateway()
    for _ in range(3):
        requests.get(f"{gateway.url}/function/env", timeout=20)
    warm, cold = requests.get(f"{gateway.url}/system/functions", timeout=5).json()
    assert warm == {
        "name": "env",
        "namespace": "openfaas-fn",
        "image": "shop/env:latest",
        "replicas": 1,
        "availableReplicas": 1,
        "invocationCount": 3,
        "labels": {"part": "shop"},
        "annotations": {"note": "x"},
        "secrets": ["a-key"],
        "envVars": {"function_name": "env"},
    }
    assert (cold["name"], cold["availableReplicas"], cold["invocationCount"]) == ("cold", 0, 0)
    assert requests.get(f"{gateway.url}/system/function/env", timeout=5).json() == warm
    assert requests.get(f"{gateway.url}/system/function/nobody", timeout=5).status_code == 404


def test_healthz_answers_without_any_function(project):
    project.add("env", ENVIRONMENT)
    assert requests.get(f"{project.gateway().url}/healthz", timeout=5).status_code == 200


@pytest.mark.parametrize("name", ["pid", "logs", "kill", "restart"])
def test_an_unknown_name_is_a_typed_error(project, name):
    project.add("env", ENVIRONMENT)
    gateway = project.gateway()
    with pytest.raises(Exception, match="no function 'nobody'") as caught:
        getattr(gateway, name)("nobody")
    assert type(caught.value).__name__ == "UnknownFunction"
