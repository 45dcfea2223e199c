"""Faults a test or the owner can ask for: which calls go wrong, how, and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass
from typing import Any

PROVIDERS = ("stripe", "sendgrid", "smtp", "kit", "discourse", "thinkific", "platform")
HTTP_KINDS = ("status", "timeout", "refused", "lost_answer", "slow", "truncated", "html", "garbage")
SMTP_KINDS = ("status", "timeout", "refused", "lost_answer")
DEFAULT_DELAY = {"timeout": 30.0, "slow": 5.0}


@dataclass
class Fault:
    """One rule. `times` counts down and None means for ever; `path` is a regular expression searched in the
    path below the provider's prefix; `delay` and `retry_after` are seconds. For SMTP, `method` is the command
    that fails (MAIL, RCPT or DATA, which is the default) and `path` is searched in the address."""

    id: int
    provider: str
    kind: str
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    status: int | None = None
    retry_after: int | None = None
    body: str | None = None
    delay: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def wait(self) -> float:
        return DEFAULT_DELAY.get(self.kind, 0.0) if self.delay is None else self.delay

    def matches(self, provider: str, method: str, path: str) -> bool:
        return (
            self.provider == provider
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )


class Faults:
    """The faults that are set; the first that matches a call is applied and counted down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._count = 0

    def add(self, provider: str, kind: str, **rule: Any) -> Fault:
        """Raises ValueError for an unknown provider or kind or a bad value, TypeError for an unknown field."""
        kinds = SMTP_KINDS if provider == "smtp" else HTTP_KINDS
        if provider not in PROVIDERS:
            raise ValueError(f"unknown provider {provider!r}: one of {', '.join(PROVIDERS)}")
        if kind not in kinds:
            raise ValueError(f"unknown fault {kind!r} for {provider}: one of {', '.join(kinds)}")
        if kind == "status" and not rule.get("status"):
            raise ValueError("a fault of kind status needs a status, such as 503")
        if rule.get("times", 1) is not None and int(rule.get("times", 1)) < 1:
            raise ValueError("times must be 1 or more, or null for ever")
        try:
            re.compile(rule.get("path") or "")
        except re.error as error:
            raise ValueError(f"path {rule['path']!r} is no regular expression: {error}") from error
        with self._lock:
            self._count += 1
            fault = Fault(self._count, provider, kind, **rule)
            self._rules.append(fault)
            return fault

    def take(self, provider: str, method: str, path: str) -> Fault | None:
        """The fault to apply to this call, counted down; None when the call goes well."""
        with self._lock:
            fault = next((f for f in self._rules if f.matches(provider, method, path)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self._rules.remove(fault)
            return fault

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._rules)

    def clear(self, fault_id: int | None = None) -> None:
        """Forgets one fault, or all of them."""
        with self._lock:
            self._rules = [f for f in self._rules if fault_id not in (None, f.id)]
