"""What a function writes: appended to its file, and its last lines kept in memory."""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TAIL = 2000


@dataclass(frozen=True)
class LogLine:
    """One line as OpenFaaS's /system/logs gives it; `timestamp` is UTC."""

    name: str
    instance: str
    timestamp: datetime
    text: str

    def to_json(self) -> dict[str, str]:
        return {
            "name": self.name,
            "instance": self.instance,
            "text": self.text,
            "timestamp": self.timestamp.isoformat().replace("+00:00", "Z"),
        }


class FunctionLog:
    """The log of one function across its processes; `console` copies each line to stderr."""

    def __init__(self, name: str, file: Path, console: bool = False) -> None:
        self._name, self._file, self._console = name, file, console
        self._lines: deque[LogLine] = deque(maxlen=TAIL)
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)

    def append(self, instance: str, text: str) -> None:
        line = LogLine(self._name, instance, datetime.now(UTC), text)
        with self._lock:
            self._lines.append(line)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        if self._console:
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def tail(self, count: int = TAIL) -> list[LogLine]:
        """The last `count` lines, oldest first."""
        with self._lock:
            lines = list(self._lines)
        return lines[-count:] if count > 0 else []
