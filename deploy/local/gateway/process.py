"""One running process of one function, and the HTTP connections to it."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import urllib3

from local.gateway.errors import StartFailed
from local.gateway.logs import FunctionLog

log = logging.getLogger("local.gateway")

POOL = 128
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawner() -> ThreadPoolExecutor:
    """The one thread that may start processes: Linux ends a child when the *thread* that forked it ends."""
    return ThreadPoolExecutor(1, thread_name_prefix="spawner")


class FunctionProcess:
    """Starts `python index.py` in `folder` at once; use `wait_until_listening` before calling it.

    On Linux the process dies with the gateway, even when that is killed.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        environment: Mapping[str, str],
        function_log: FunctionLog,
        spawn: ThreadPoolExecutor,
    ) -> None:
        self.name = name
        self._log = function_log
        self._listening: Future[urllib3.HTTPConnectionPool] = Future()
        self._process = spawn.submit(self._spawn, folder, environment).result()
        self._reader = threading.Thread(target=self._read, name=f"log-{name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def listening(self) -> bool:
        return self.running and self._listening.done() and self._listening.exception() is None

    def wait_until_listening(self, seconds: float) -> urllib3.HTTPConnectionPool:
        """The connections to the process; raises StartFailed when it ended or is not there in time."""
        try:
            return self._listening.result(seconds)
        except FutureTimeout:
            raise StartFailed(f"{self.name} did not listen within {seconds:g} s; see its log") from None

    def send(self, number: int) -> None:
        """Send a signal; a process that is gone already is fine."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait until the process ended and its last line was read; False when it runs after `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join()
        return True

    def stop(self, seconds: float) -> None:
        """SIGTERM, wait for an orderly end, then SIGKILL."""
        self.send(signal.SIGTERM)
        if not self.wait(seconds):
            log.warning("%s did not stop within %g s and is killed", self.name, seconds)
            self.send(signal.SIGKILL)
            self.wait(seconds + 5)

    def _spawn(self, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen:
        gateway = os.getpid()

        def die_with_the_gateway() -> None:
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != gateway:
                    os._exit(1)

        # A session of its own: Ctrl-C in a terminal reaches the gateway alone, which stops them in order.
        return subprocess.Popen(
            [sys.executable, str(folder / "index.py")],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_the_gateway,
        )

    def _read(self) -> None:
        last = "it wrote nothing"
        with self._process.stdout as stream:
            for raw in stream:
                last = raw.decode("utf-8", "replace").rstrip("\n")
                self._log.append(f"{self.name}-{self.pid}", last)
                if not self._listening.done() and (port := _listening_port(last)):
                    self._listening.set_result(
                        urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=POOL, retries=False)
                    )
        status = self._process.wait()
        if not self._listening.done():
            failure = StartFailed(f"{self.name} did not start (exit status {status}): {last}")
            log.error("%s", failure)
            self._listening.set_exception(failure)
        else:
            self._listening.result().close()


def _listening_port(line: str) -> int | None:
    """The port from the template's "listening" line, None for any other line."""
    if '"listening"' not in line:
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("port") if isinstance(record, dict) and record.get("msg") == "listening" else None
