"""Start-up errors, the orderly stop, and how quickly a function starts."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

TRIVIAL = "def handle(event, context):\n    return {'body': 'ok'}\n"

SLOW = """
import threading, time
started = threading.Event()

def handle(event, context):
    if event.path == "/slow":
        print("slow began", flush=True)
        time.sleep(float(event.query["seconds"]))
        return {"body": b"x" * 3_000_000}
    return {"body": "quick"}

def stop():
    print("handler stopped", flush=True)
"""


def began(function, count=1):
    deadline = time.monotonic() + 5
    while sum(line == "slow began" for line in function.lines) < count:
        assert time.monotonic() < deadline, function.lines
        time.sleep(0.005)


def test_a_call_in_flight_at_sigterm_gets_its_whole_answer_and_new_connections_are_refused(run_function):
    function = run_function(SLOW)
    port = function.port
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{function.url}/slow?seconds=0.8", timeout=5)
        began(function)
        function.terminate()
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                time.sleep(0.01)
            except (ConnectionRefusedError, ConnectionResetError):
                break  # reset: it was still in the queue when the listener closed
        else:
            pytest.fail("new connections are still accepted while the function stops")
        answer = slow.result()
    assert (answer.status_code, len(answer.content)) == (200, 3_000_000)
    assert answer.headers["Connection"] == "close"
    assert function.wait() == 0
    assert function.lines.index("handler stopped") > next(
        i for i, line in enumerate(function.lines) if '"msg": "request"' in line
    )
    assert function.records()[-1]["msg"] == "stopped"


def test_the_handler_hears_of_the_stop_before_the_calls_in_flight_are_done(run_function):
    function = run_function(SLOW + "\ndef stopping():\n    print('handler stopping', flush=True)\n")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{function.url}/slow?seconds=0.8", timeout=5)
        began(function)
        function.terminate()
        deadline = time.monotonic() + 0.5
        while "handler stopping" not in function.lines:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert not slow.done()
        assert slow.result().status_code == 200
    assert function.wait() == 0
    assert function.lines.index("handler stopping") < function.lines.index("handler stopped")


def test_calls_that_wait_for_a_thread_are_answered_before_the_stop(run_function):
    function = run_function(SLOW, {"threads": "1"})
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(requests.get, f"{function.url}/slow?seconds=0.3", timeout=5) for _ in range(3)]
        began(function)
        time.sleep(0.1)
        function.terminate()
        assert [call.result().status_code for call in calls] == [200, 200, 200]
    assert function.wait() == 0


def test_an_idle_keep_alive_connection_does_not_hold_up_the_stop(run_function):
    function = run_function(SLOW)
    connection = http.client.HTTPConnection("127.0.0.1", function.port, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"quick"
    before = time.monotonic()
    function.terminate()
    assert function.wait() == 0
    assert time.monotonic() - before < 2
    connection.close()


def test_the_stop_waits_no_longer_than_drain_seconds(run_function):
    function = run_function(SLOW, {"drain_seconds": "1"})

    def call():
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{function.url}/slow?seconds=30", timeout=40)

    caller = threading.Thread(target=call)
    caller.start()
    began(function)
    before = time.monotonic()
    function.terminate()
    assert function.wait() == 0
    assert 0.9 < time.monotonic() - before < 3
    caller.join()
    assert function.records("stopped with calls unfinished")[0]["unfinished"] == 1
    assert "handler stopped" in function.lines


def test_sigint_and_repeated_signals_stop_it_in_order_too(run_function):
    function = run_function(SLOW)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{function.url}/slow?seconds=0.6", timeout=5)
        began(function)
        function.process.send_signal(signal.SIGINT)
        function.process.send_signal(signal.SIGTERM)
        function.process.send_signal(signal.SIGTERM)
        assert len(slow.result().content) == 3_000_000
    assert function.wait() == 0


def test_a_left_over_thread_does_not_keep_a_stopped_function_alive(run_function):
    function = run_function(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n" + TRIVIAL
    )
    assert function.port
    function.terminate()
    assert function.wait(5) == 0


def test_a_failing_stop_is_logged_and_exits_non_zero(run_function):
    function = run_function(TRIVIAL + "def stop():\n    raise RuntimeError('pool stuck')\n")
    assert function.port
    function.terminate()
    assert function.wait() == 1
    assert "pool stuck" in function.records("the handler's stop() failed")[0]["traceback"]


def test_all_wrong_settings_are_listed_in_one_line_and_the_exit_is_non_zero(run_function):
    function = run_function(TRIVIAL, {"threads": "many", "max_body_bytes": "-1", "port": "70000"})
    assert function.wait() == 1
    (record,) = function.records()
    for part in ("threads", "'many'", "max_body_bytes", "'-1'", "port", "'70000'"):
        assert part in record["msg"]
    assert "traceback" not in record


@pytest.mark.parametrize(
    ("handler", "says", "traceback"),
    [
        (None, "there is no handler.py", False),
        ("x = 1\n", "defines no handle", False),
        ("import no_such_package\n", "no_such_package", True),
        ("def handle(:\n", "invalid syntax", True),
        ("import sys\nsys.exit(0)\n", "cannot start", True),
        (TRIVIAL + "def start():\n    raise OSError('store refused')\n", "store refused", True),
        (
            TRIVIAL + "class ConfigurationError(Exception): pass\n"
            "def start():\n    raise ConfigurationError('the secret stripe-key is missing')\n",
            "the secret stripe-key is missing",
            False,
        ),
    ],
)
def test_a_failed_start_is_one_json_line_and_a_non_zero_exit(run_function, handler, says, traceback):
    function = run_function(handler)
    assert function.wait() == 1
    assert len(function.lines) == 1
    (record,) = function.records()
    assert record["level"] == "error"
    assert record["msg"].startswith("cannot start: ")
    assert says in record["msg"] or says in record["traceback"]
    assert ("traceback" in record) is traceback


def test_a_taken_port_is_a_clear_start_up_error(run_function):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        function = run_function(TRIVIAL, {"port": str(port)})
        assert function.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in function.records()[0]["msg"]


def test_start_is_called_once_before_serving(run_function):
    function = run_function(
        "started = []\ndef start():\n    started.append(1)\ndef handle(event, context):\n    return {'body': started}\n"
    )
    assert requests.get(function.url, timeout=5).json() == [1]
    assert requests.get(function.url, timeout=5).json() == [1]


def test_the_library_copied_to_function_shared_can_be_imported(run_function):
    function = run_function(
        "import pushcart\ndef handle(event, context):\n    return {'body': pushcart.NAME}\n",
        files={"shared/pushcart/__init__.py": "NAME = 'the library'\n"},
    )
    assert requests.get(function.url, timeout=5).text == "the library"


def test_eight_calls_run_at_once_by_default(run_function):
    function = run_function(
        "import threading\nbarrier = threading.Barrier(8)\ndef handle(event, context):\n    barrier.wait(5)\n"
    )
    url = function.url
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(url, timeout=10).status_code, range(8)))
    assert answers == [200] * 8


def test_it_listens_within_a_second_of_being_started(run_function):
    run_function(TRIVIAL).wait_for("listening")
    before = time.monotonic()
    run_function(TRIVIAL).wait_for("listening")
    # Half of this on a quiet machine; the margin is for a busy one.
    assert time.monotonic() - before < 1.0
