"""One contestant of a measurement: rounds flat out over 16 connections, and rounds at a steady rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from bench import load


@dataclass(frozen=True)
class Effort:
    """Requests of a round flat out, how long and how fast a steady one is, and what comes before the first."""

    requests: int
    per_second: float
    seconds: float
    warm_up: int


class Series:
    """`take` gives so many fresh bodies for the function at `port`, `plan` what else a `load.Plan` is to hold.

    Latencies are in ms, `rates` in requests a second. Begins with the warm-up.
    """

    def __init__(self, port: int, take: Callable[[int], list[str]], effort: Effort, **plan: Any) -> None:
        self._port, self._take, self._effort, self._plan = port, take, effort, plan
        self.rates: list[float] = []
        self.p50: list[float] = []
        self.p99: list[float] = []
        self.sent = 0
        self._send(effort.warm_up)

    def flat_out(self) -> None:
        self.rates.append(self._send(self._effort.requests).rate)

    def steadily(self) -> None:
        effort = self._effort
        sent = self._send(round(effort.per_second * effort.seconds), rate=effort.per_second)
        cuts = quantiles(sent.latencies, n=100)
        self.p50.append(cuts[49])
        self.p99.append(cuts[98])

    def _send(self, number: int, rate: float | None = None) -> load.Result:
        self.sent += number
        return load.run(load.Plan(self._port, self._take(number), rate=rate, **self._plan))
