"""Starts the template as a real process in a folder laid out like a built function."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[3] / "template" / "python3-http"


class TemplateProcess:
    """One `python index.py` around the given handler source; its log lines are collected as they come."""

    def __init__(
        self,
        folder: Path,
        handler: str | None,
        environment: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
    ) -> None:
        for entry in ("index.py", "runtime"):
            (folder / entry).symlink_to(TEMPLATE / entry)
        (folder / "function").mkdir()
        for path, text in {"handler.py": handler, **(files or {})}.items():
            if text is not None:
                (folder / "function" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "function" / path).write_text(text)
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "index.py"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "port": "0",
                "function_name": "sample",
                "PYTHONUNBUFFERED": "1",
                **(environment or {}),
            },
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def records(self, msg: str | None = None) -> list[dict]:
        """The log lines as dicts, all of them or those with this msg; every line must be one JSON object."""
        records = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [record for record in records if msg in (None, record["msg"])]

    def wait_for(self, msg: str, count: int = 1, call_id: str | None = None, seconds: float = 10) -> dict:
        """The `count`-th log line with this msg (of this call), waiting until it is there."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                ended = not self._reader.is_alive()
                found = [r for r in self.records(msg) if call_id in (None, r.get("call_id"))]
                if len(found) >= count:
                    return found[count - 1]
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"no {count}. line {msg!r} in: {self.lines}")
                self._changed.wait(0.1)

    def records_of(self, call_id: str) -> list[dict]:
        """All lines of one call, once its request line is there."""
        self.wait_for("request", call_id=call_id)
        return [record for record in self.records() if record.get("call_id") == call_id]

    @property
    def port(self) -> int:
        return self.wait_for("listening")["port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 10) -> int:
        """The exit status, once the process ended and all it wrote was read."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stdout.close()
