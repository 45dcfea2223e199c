"""Keeps at most one process per function: started by the first call, and by the next one after a crash."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path

import urllib3

from local.gateway.errors import StartFailed, Starting, UnknownFunction
from local.gateway.layout import lay_out, link_secrets
from local.gateway.logs import FunctionLog
from local.gateway.process import FunctionProcess, spawner
from local.gateway.stack import FunctionSpec, Stack

START_SECONDS = 15.0
# What stack.yml calls the gateway inside faasd's network; here it is this gateway's own address.
GATEWAY_NAME = "http://gateway:8080"


class Supervisor:
    """The functions' processes. `environment` holds for every function, `function_environment` by name; both
    win over stack.yml and are read at each start."""

    def __init__(
        self,
        stack: Stack,
        state_dir: Path,
        secrets_dir: Path,
        environment: dict[str, str],
        function_environment: dict[str, dict[str, str]],
        log_console: bool,
    ) -> None:
        self.stack = stack
        self.gateway_url = ""
        self.invocations: Counter[str] = Counter()
        self._state_dir, self._secrets_dir = state_dir, secrets_dir
        self._environment, self._function_environment = environment, function_environment
        self._processes: dict[str, FunctionProcess] = {}
        self._locks = {name: threading.Lock() for name in stack.functions}
        self._logs = {
            name: FunctionLog(name, state_dir / "logs" / f"{name}.log", log_console) for name in stack.functions
        }
        self._spawn = spawner()
        self._stopping = False

    def spec(self, name: str) -> FunctionSpec:
        """Raises UnknownFunction."""
        if name not in self.stack.functions:
            raise UnknownFunction(f"there is no function {name!r} in stack.yml")
        return self.stack.functions[name]

    def log(self, name: str) -> FunctionLog:
        return self._logs[self.spec(name).name]

    def running(self, name: str) -> FunctionProcess | None:
        """The function's process, None when it has none that runs."""
        process = self._processes.get(self.spec(name).name)
        return process if process and process.running else None

    def ensure(self, name: str) -> FunctionProcess:
        """The function's running process, started now when there is none; it may not listen yet."""
        with self._locks[self.spec(name).name]:
            if process := self.running(name):
                return process
            if self._stopping:
                raise StartFailed(f"{name} is not started: the gateway is stopping")
            spec = self.spec(name)
            process = FunctionProcess(
                name,
                lay_out(self.stack, spec, self._state_dir),
                self._process_environment(spec),
                self._logs[name],
                self._spawn,
            )
            self._processes[name] = process
            return process

    def connections(self, name: str, wait: bool) -> urllib3.HTTPConnectionPool:
        """Connections to the function, which is started when needed.

        Raises StartFailed, UnknownFunction, or Starting when it does not listen yet and `wait` is False.
        """
        process = self.ensure(name)
        if not wait and not process.listening:
            raise Starting(f"{name} is starting")
        return process.wait_until_listening(START_SECONDS)

    def restart(self, name: str, drain: float) -> None:
        """Stop the function in order and start it; returns when it listens, raises StartFailed."""
        if process := self.running(name):
            process.stop(drain)
        self.connections(name, wait=True)

    def stop(self, drain: float) -> None:
        """SIGTERM to all at once; whatever runs after `drain` seconds is killed."""
        self._stopping = True
        for lock in self._locks.values():
            # A start that is under way is let through, so that its process is stopped as well.
            with lock:
                pass
        stoppers = [
            threading.Thread(target=process.stop, args=(drain,))
            for process in self._processes.values()
            if process.running
        ]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
        self._spawn.shutdown()

    def _process_environment(self, spec: FunctionSpec) -> dict[str, str]:
        """Only what an image would have, never the environment of whoever started the gateway."""
        stacked = {**spec.environment, **self._environment, **self._function_environment.get(spec.name, {})}
        return {
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self._state_dir / "build" / spec.name),
            "HOSTNAME": spec.name,
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",
            **{name: value.replace(GATEWAY_NAME, self.gateway_url) for name, value in stacked.items()},
            "secret_mount_path": str(link_secrets(spec, self._secrets_dir, self._state_dir)),
            "port": "0",
        }
