"""Faults a test or the owner can ask for: which calls go wrong, how, and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

PROVIDERS = (
    "stripe",
    "autopay",
    "printful",
    "sendgrid",
    "smtp",
    "kit",
    "discourse",
    "thinkific",
    "platform",
    "twilio",
    "ntfy",
    "push",
)
HTTP_KINDS = ("status", "timeout", "refused", "lost_answer", "slow", "truncated", "html", "garbage")
SMTP_KINDS = ("status", "timeout", "refused", "lost_answer")
DEFAULT_DELAY = {"timeout": 30.0, "slow": 5.0}
#: Kinds where only the answer goes wrong: the provider has done its work.
DOES_ITS_WORK = frozenset({"lost_answer", "slow", "truncated"})


@dataclass
class Fault:
    """One rule. `times` counts down and None means for ever; `path` is a regular expression searched in the
    path below the provider's prefix; `text` has to occur, as it stands, in the call's path, query or body;
    `delay` and `retry_after` are seconds. `after_work` lets the provider do what it was asked before the call
    goes wrong, as the kinds in DOES_ITS_WORK always do. `hits` counts the calls it was applied to. For SMTP,
    `method` is the command that fails (MAIL, RCPT or DATA, which is the default), `path` and `text` are searched
    in the address, and `after_work` changes nothing."""

    id: int
    provider: str
    kind: str
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    text: str | None = None
    status: int | None = None
    retry_after: int | None = None
    body: str | None = None
    delay: float | None = None
    after_work: bool = False
    hits: int = field(default=0, init=False)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def wait(self) -> float:
        return DEFAULT_DELAY.get(self.kind, 0.0) if self.delay is None else self.delay

    @property
    def does_work(self) -> bool:
        """Whether the provider does what it was asked although the call goes wrong."""
        if self.provider == "smtp":
            return self.kind == "lost_answer" and (self.method or "DATA").upper() == "DATA"
        return self.after_work or self.kind in DOES_ITS_WORK

    def matches(self, provider: str, method: str, path: str, said: str) -> bool:
        return (
            self.provider == provider
            and (self.method is None or self.method.upper() == method)
            and (self.text is None or self.text in path or self.text in said)
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

    def take(self, provider: str, method: str, path: str, said: str = "") -> Fault | None:
        """The fault to apply to this call, counted; None when the call goes well. `said` is its query and body."""
        with self._lock:
            fault = next((f for f in self._rules if f.matches(provider, method, path, said)), None)
            if fault is None:
                return None
            fault.hits += 1
            if fault.times is not None:
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
