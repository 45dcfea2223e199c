"""Functions as processes: started by a call, started again after a crash, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from local.gateway import Gateway, PortInUse, StackError, StartFailed

ROOT = Path(__file__).resolve().parents[3]
PID = "import os\ndef handle(event, context):\n    return {'body': os.getpid()}\n"
SLOW = """
import time
def handle(event, context):
    print("call began", flush=True)
    time.sleep(0.8)
    return {"body": "whole answer"}
def stop():
    print("stopped in order", flush=True)
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_first_call_starts_the_function_and_the_next_finds_it_running(project):
    project.add("pid", PID)
    gateway = project.gateway()
    assert gateway.pid("pid") is None
    first = requests.get(f"{gateway.url}/function/pid", timeout=20).json()
    assert requests.get(f"{gateway.url}/function/pid", timeout=20).json() == first == gateway.pid("pid")


def test_first_calls_that_come_together_start_one_process(project):
    project.add("pid", PID)
    gateway = project.gateway()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(requests.get, f"{gateway.url}/function/pid", timeout=20) for _ in range(16)]
        pids = {call.result().json() for call in calls}
    assert len(pids) == 1


def test_a_killed_function_is_started_again_by_its_next_call(project):
    project.add("pid", PID)
    gateway = project.gateway()
    before = requests.get(f"{gateway.url}/function/pid", timeout=20).json()
    gateway.kill("pid")
    assert gateway.pid("pid") is None
    after = requests.get(f"{gateway.url}/function/pid", timeout=20).json()
    assert after != before


def test_a_call_whose_function_crashes_is_a_500_and_the_next_one_is_served(project):
    project.add(
        "crash",
        "import os\ndef handle(event, context):\n"
        "    if event.path == '/crash':\n        os._exit(3)\n    return {'body': 'up'}\n",
    )
    gateway = project.gateway()
    for _ in range(3):
        crashed = requests.get(f"{gateway.url}/function/crash/crash", timeout=20)
        assert (crashed.status_code, crashed.headers["X-OpenFaaS-Internal"]) == (500, "proxy")
        assert requests.get(f"{gateway.url}/function/crash", timeout=20).text == "up"


def test_a_function_that_cannot_start_says_why_and_each_call_tries_again(project):
    project.add(
        "needy",
        "import os\n"
        "class ConfigurationError(Exception): pass\n"
        "def start():\n"
        "    if not os.path.exists(os.environ['marker']):\n"
        "        raise ConfigurationError('the marker is missing')\n"
        "def handle(event, context):\n    return {'body': 'up'}\n",
    )
    gateway = project.gateway(environment={"marker": str(project.folder / "marker")})
    failed = requests.get(f"{gateway.url}/function/needy", timeout=20)
    assert failed.status_code == 503
    assert failed.headers["X-OpenFaaS-Internal"] == "proxy"
    assert "the marker is missing" in failed.text
    assert "the marker is missing" in gateway.logs("needy")[-1]
    (project.folder / "marker").touch()
    assert requests.get(f"{gateway.url}/function/needy", timeout=20).text == "up"


def test_with_cold_calls_failing_callers_get_500_until_the_function_listens(project):
    project.add("pid", PID)
    gateway = project.gateway(cold_calls="fail")
    cold = requests.get(f"{gateway.url}/function/pid", timeout=20)
    assert (cold.status_code, cold.headers["X-OpenFaaS-Internal"]) == (500, "proxy")
    wait_until(lambda: requests.get(f"{gateway.url}/function/pid", timeout=20).status_code == 200)


def test_stop_lets_calls_at_hand_finish_and_then_refuses(project):
    project.add("slow", SLOW)
    gateway = project.gateway()
    url = gateway.url
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(requests.get, f"{url}/function/slow", timeout=20)
        wait_until(lambda: "call began" in gateway.logs("slow"))
        pid = gateway.pid("slow")
        gateway.stop()
        assert (call.result().status_code, call.result().text) == (200, "whole answer")
    assert not alive(pid)
    assert "stopped in order" in gateway.logs("slow")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_stop_kills_a_function_that_does_not_stop_in_time(project):
    project.add(
        "stubborn",
        "import time\ndef handle(event, context):\n    return {'body': 'up'}\ndef stop():\n    time.sleep(60)\n",
    )
    gateway = project.gateway()
    assert requests.get(f"{gateway.url}/function/stubborn", timeout=20).text == "up"
    pid = gateway.pid("stubborn")
    before = time.monotonic()
    gateway.stop(drain=0.5)
    assert time.monotonic() - before < 10
    assert not alive(pid)


def test_no_function_outlives_a_killed_gateway(project):
    project.add("pid", PID)
    project.write()
    script = (
        "import time, urllib.request\nfrom pathlib import Path\nfrom local.gateway import Gateway\n"
        f"gateway = Gateway({str(project.stack)!r}, state_dir=Path({str(project.state)!r}),\n"
        f"    secrets_dir=Path({str(project.secrets)!r}),\n"
        f"    template_dir=Path({str(ROOT / 'template')!r}))\n"
        "print(urllib.request.urlopen(gateway.start() + '/function/pid').read().decode(), flush=True)\n"
        "time.sleep(60)\n"
    )
    gateway = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "deploy")},
    )
    pid = int(gateway.stdout.readline())
    try:
        # Threads of the gateway come and go; the function stays as long as the gateway does.
        time.sleep(0.3)
        assert alive(pid)
    finally:
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(5)
        gateway.stdout.close()
    wait_until(lambda: not alive(pid))


def test_a_function_survives_the_thread_whose_call_started_it(project):
    project.add("pid", PID)
    gateway = project.gateway()
    caller = threading.Thread(target=gateway.restart, args=("pid",))
    caller.start()
    caller.join()
    pid = gateway.pid("pid")
    time.sleep(0.2)
    assert gateway.pid("pid") == pid


def test_restart_replaces_the_process_and_picks_up_new_code_and_environment(project):
    project.add("version", "import os\ndef handle(event, context):\n    return {'body': os.environ['colour']}\n")
    gateway = project.gateway(function_environment={"version": {"colour": "red"}})
    assert requests.get(f"{gateway.url}/function/version", timeout=20).text == "red"
    pid = gateway.pid("version")
    gateway.function_environment["version"]["colour"] = "blue"
    gateway.restart("version")
    assert requests.get(f"{gateway.url}/function/version", timeout=20).text == "blue"
    assert not alive(pid)


def test_restart_raises_when_the_new_process_does_not_start(project):
    project.add("broken", "raise RuntimeError('no luck')\n")
    gateway = project.gateway()
    with pytest.raises(StartFailed, match="no luck"):
        gateway.restart("broken")


def test_a_port_in_use_is_a_typed_error_that_says_what_to_do(project):
    project.add("pid", PID)
    first = project.gateway()
    port = int(first.url.rpartition(":")[2])
    second = Gateway(
        project.stack, state_dir=project.state, secrets_dir=project.secrets, template_dir=ROOT / "template", port=port
    )
    with pytest.raises(PortInUse, match=rf"port {port} on 127.0.0.1 is in use.*choose another port"):
        second.start()


def test_a_gateway_can_take_the_port_of_one_that_just_stopped(project):
    project.add("pid", PID)
    first = project.gateway()
    port = int(first.url.rpartition(":")[2])
    requests.get(f"{first.url}/function/pid", timeout=20)
    first.stop()
    second = project.gateway(port=port)
    assert requests.get(f"{second.url}/function/pid", timeout=20).status_code == 200


def test_a_wrong_stack_lists_every_mistake(project):
    project.add("good", PID)
    project.add("no-lang", PID, lang="python9")
    project.add("no-cron", PID, annotations={"topic": "cron-function", "schedule": "sometimes"})
    project.document["functions"]["no-handler"] = {"lang": "python3-http", "handler": "./functions/nowhere"}
    project.document["configuration"] = {"copy": ["./missing"]}
    with pytest.raises(StackError) as caught:
        project.gateway()
    for part in ("no-lang", "no-cron", "sometimes", "no-handler", "missing"):
        assert part in str(caught.value)
