"""The gateway as others use it: start, stop, and a hand on each function's process."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from local.gateway.app import create_app
from local.gateway.cron import CronConnector
from local.gateway.proxy import UPSTREAM_SECONDS, Call, Proxy
from local.gateway.queue import AsyncQueue
from local.gateway.server import HOST, HttpServer
from local.gateway.stack import read_stack
from local.gateway.supervisor import Supervisor

DRAIN_SECONDS = 25.0


class Gateway:
    """Runs the functions of `stack` and answers like OpenFaaS's gateway on 127.0.0.1.

    `state_dir` takes builds and logs, `secrets_dir` holds a file per secret. `environment` (for every
    function) and `function_environment` (by name) win over stack.yml. `port` 0 takes any free one. A call to
    a function that does not listen yet waits for it with cold_calls="wait" and fails with "fail", as on
    faasd. `cron` calls functions by their schedule annotation, `cron_every` (seconds) in that rhythm instead.
    `log_console` copies the functions' lines to stderr. `http://gateway:8080` in a function's environment
    becomes this gateway's URL. Raises StackError.
    """

    def __init__(
        self,
        stack: Path | str = "stack.yml",
        *,
        state_dir: Path,
        secrets_dir: Path,
        environment: Mapping[str, str] | None = None,
        function_environment: Mapping[str, Mapping[str, str]] | None = None,
        port: int = 0,
        cold_calls: Literal["wait", "fail"] = "wait",
        cron: bool = False,
        cron_every: float | None = None,
        log_console: bool = False,
        template_dir: Path | None = None,
        upstream_seconds: float = UPSTREAM_SECONDS,
    ) -> None:
        self.environment = dict(environment or {})
        self.function_environment = {name: dict(own) for name, own in (function_environment or {}).items()}
        self._port = port
        self._stack = read_stack(stack, template_dir)
        self._supervisor = Supervisor(
            self._stack,
            Path(state_dir).resolve(),
            Path(secrets_dir).resolve(),
            self.environment,
            self.function_environment,
            log_console,
        )
        self._proxy = Proxy(self._supervisor, cold_calls == "wait", upstream_seconds)
        self._queue = AsyncQueue(self._proxy)
        self._server: HttpServer | None = None
        schedules = {name: spec.schedule for name, spec in self._stack.functions.items() if spec.schedule}
        self._cron = CronConnector(schedules if cron else {}, self._post_empty, cron_every)

    def start(self) -> str:
        """Listen and return the URL; raises PortInUse. A gateway starts once."""
        self._server = HttpServer(create_app(self._supervisor, self._proxy, self._queue), self._port)
        self._supervisor.gateway_url = self.url
        self._server.start()
        self._queue.start()
        self._cron.start()
        return self.url

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        if self._server is None:
            raise RuntimeError("the gateway has no URL before start()")
        return f"http://{HOST}:{self._server.port}"

    def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Finish the calls at hand, stop every function in order; each part takes at most `drain` seconds."""
        if self._server is None:
            return
        self._cron.stop()
        # The listener stays open meanwhile: the calls at hand may have to call further functions.
        self._server.wait_until_idle(drain)
        self._queue.stop(drain)
        self._server.refuse_new()
        self._supervisor.stop(drain)
        self._server.wait_until_idle(1)
        self._server.close()
        self._server = None

    def pid(self, name: str) -> int | None:
        """The function's process id, None when it does not run. Raises UnknownFunction, as all of these."""
        process = self._supervisor.running(name)
        return process.pid if process else None

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send the function a signal; after SIGKILL, returns when it is gone."""
        if process := self._supervisor.running(name):
            process.send(number)
            if number == signal.SIGKILL:
                process.wait(5)

    def restart(self, name: str, drain: float = DRAIN_SECONDS) -> None:
        """Stop the function in order and start it again; returns when it listens, raises StartFailed."""
        self._supervisor.restart(name, drain)

    def logs(self, name: str) -> list[str]:
        """The last 2,000 lines the function wrote, oldest first."""
        return [line.text for line in self._supervisor.log(name).tail()]

    def _post_empty(self, name: str) -> None:
        self._proxy.deliver(Call(name, "POST"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
