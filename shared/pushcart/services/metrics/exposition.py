"""The figures of `GET /metrics`, in Prometheus' text format: what order-store sees, and what the store says.

Names and units follow https://prometheus.io/docs/practices/naming/; no label holds an order, a buyer or an address, so
that the number of series stays small. Counters of this process begin at 0 when it starts, which Prometheus expects.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import prometheus_client
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from pushcart import __version__
from pushcart.clock import Clock, Instant, seconds_between, to_instant
from pushcart.config import Config
from pushcart.domain.catalogue import STEP_TYPES
from pushcart.errors import NotFound, PushcartError, Unauthorised
from pushcart.services.metrics import acktimes
from pushcart.services.metrics.figures import Figures, StoreFigures
from pushcart.services.work import Work

# The moment at which each series began: as many series again, which nobody here looks at.
prometheus_client.disable_created_metrics()

PATH = "/metrics"
SECRET = "metrics-token"

#: Upper bounds in seconds of what takes as long as a provider does.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

STEP_OUTCOMES = ("done", "failed", "busy", "dead", "lost")
EVENT_OUTCOMES = ("applied", "ignored", "put_off", "dead")
CALL_OUTCOMES = ("ok", "busy", "refused", "failed")
LEVELS = ("info", "warning", "critical")
PROVIDERS = ("Stripe", "Printful")


@dataclass(frozen=True)
class Metric:
    """One metric as Prometheus has it; `about` is its HELP and its row in the README."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()


METRICS = {
    metric.name: metric
    for metric in (
        Metric("pushcart_build_info", "gauge", "Which version of Pushcart answers; always 1.", ("version",)),
        Metric(
            "pushcart_store_up",
            "gauge",
            "1 when the store answered, else 0; then what only the store knows is left out.",
        ),
        Metric(
            "pushcart_orders_by_payment_status",
            "gauge",
            "Orders in the store by where their money is.",
            ("payment_status",),
        ),
        Metric(
            "pushcart_orders_by_fulfilment_status",
            "gauge",
            "Orders in the store by where their goods are.",
            ("fulfilment_status",),
        ),
        Metric(
            "pushcart_steps_total",
            "counter",
            "How attempts at steps ended: done, failed (tried again), busy (a rate limit; put off), dead (waits "
            "for you), lost (never answered; tried again).",
            ("kind", "outcome"),
        ),
        Metric("pushcart_step_duration_seconds", "histogram", "How long attempts at steps took.", ("kind",)),
        Metric("pushcart_inbox_events", "gauge", "Events in the inbox by what became of them.", ("status",)),
        Metric(
            "pushcart_inbox_oldest_pending_age_seconds",
            "gauge",
            "Since when the oldest event that is not applied yet has been waiting; 0 when none is.",
        ),
        Metric(
            "pushcart_events_total",
            "counter",
            "Attempts to apply an event by how they ended: applied, ignored (not this shop's), put_off (tried again), "
            "dead (waits for you).",
            ("outcome",),
        ),
        Metric("pushcart_queue_due", "gauge", "What is due and not done yet, counted up to 1,000.", ("queue",)),
        Metric("pushcart_jobs", "gauge", "Jobs that order-store has in hand, by pool.", ("pool", "state")),
        Metric("pushcart_incidents_open", "gauge", "Incidents that are not over yet, by level.", ("level",)),
        Metric(
            "pushcart_ack_duration_seconds",
            "histogram",
            "How long a webhook took until what it brought was safe in the store and it was answered.",
            ("function",),
        ),
        Metric(
            "pushcart_calls_total",
            "counter",
            "Calls of order-store to the steps' functions and to providers: ok, busy (a rate limit), refused (for "
            "good), failed (may work later).",
            ("target", "outcome"),
        ),
        Metric("pushcart_call_duration_seconds", "histogram", "How long these calls took.", ("target",)),
        Metric(
            "pushcart_catch_up_heartbeat_age_seconds",
            "gauge",
            "Since when catch-up last came to its end; missing when it never did.",
        ),
    )
}


class NoToken(Unauthorised):
    """Whoever asks for the figures did not show the token."""

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Metrics:
    """Counts what it hears (a `watching.Watcher`), and writes all figures out."""

    def __init__(self, figures: StoreFigures, clock: Clock) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._steps = self._counter("pushcart_steps_total")
        self._step_seconds = self._histogram("pushcart_step_duration_seconds")
        self._events = self._counter("pushcart_events_total")
        self._calls = self._counter("pushcart_calls_total")
        self._call_seconds = self._histogram("pushcart_call_duration_seconds")
        # Series that begin at their first event have no increase that Prometheus could see.
        functions = {kind: spec.function for kind, spec in STEP_TYPES.items() if spec.function}
        for kind in functions:
            self._begin(self._steps, kind, STEP_OUTCOMES)
        for target in sorted({*PROVIDERS, *functions.values()}):
            self._begin(self._calls, target, CALL_OUTCOMES)
        for outcome in EVENT_OUTCOMES:
            self._events.labels(outcome)
        self._state = _State(figures, clock)
        self._registry.register(self._state)

    def watch(self, work: Work) -> None:
        """Shows the jobs of this pool as well."""
        self._state.work = work

    def called(self, name: str, error: PushcartError | None, seconds: float) -> None:
        self._calls.labels(name, _call_outcome(error)).inc()
        self._call_seconds.labels(name).observe(seconds)

    def step_ended(self, kind: str, outcome: str, seconds: float) -> None:
        self._steps.labels(kind, outcome).inc()
        self._step_seconds.labels(kind).observe(seconds)

    def event_ended(self, outcome: str) -> None:
        self._events.labels(outcome).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
        return prometheus_client.generate_latest(self._registry)

    def answer(self, event: Any, config: Config) -> dict[str, Any]:
        """The route `GET /metrics`, for whoever shows the token: `Authorization: Bearer TOKEN`.

        `NotFound` where the secret is unused, `NoToken` without the token.
        """
        if not config.secret_text(SECRET):
            raise NotFound(f"This shop shows no figures; the secret {SECRET} opens them.")
        _require_token(event.headers.get("Authorization"), config.secret_lines(SECRET))
        headers = {"Content-Type": prometheus_client.CONTENT_TYPE_PLAIN_0_0_4}
        return {"statusCode": 200, "body": self.text(), "headers": headers}

    def _counter(self, name: str) -> prometheus_client.Counter:
        metric = METRICS[name]
        return prometheus_client.Counter(name, metric.about, metric.labels, registry=self._registry)

    def _histogram(self, name: str) -> prometheus_client.Histogram:
        metric = METRICS[name]
        return prometheus_client.Histogram(name, metric.about, metric.labels, registry=self._registry, buckets=BOUNDS)

    @staticmethod
    def _begin(counter: prometheus_client.Counter, first: str, outcomes: Sequence[str]) -> None:
        for outcome in outcomes:
            counter.labels(first, outcome)


class _State:
    """The figures that are as they are at a scrape. `work` is the pool, once there is one."""

    def __init__(self, figures: StoreFigures, clock: Clock) -> None:
        self._figures = figures
        self._clock = clock
        self.work: Work | None = None

    def collect(self) -> Iterator[Family]:
        """Called by the registry at each scrape."""
        yield _gauge("pushcart_build_info", [((__version__,), 1)])
        if self.work is not None:
            yield _gauge("pushcart_jobs", [(labels, number) for labels, number in self.work.in_hand().items()])
        found = self._figures.read()
        yield _gauge("pushcart_store_up", [((), 0 if found is None else 1)])
        if found is not None:
            yield from self._of_store(found, to_instant(self._clock()))

    def _of_store(self, found: Figures, now: Instant) -> Iterator[Family]:
        yield _by_label("pushcart_orders_by_payment_status", found.payment)
        yield _by_label("pushcart_orders_by_fulfilment_status", found.fulfilment)
        yield _by_label("pushcart_inbox_events", found.events)
        waiting = _age(found.pending_since, now) if found.pending_since else 0
        yield _gauge("pushcart_inbox_oldest_pending_age_seconds", [((), waiting)])
        yield _by_label("pushcart_queue_due", found.due)
        yield _by_label("pushcart_incidents_open", {**dict.fromkeys(LEVELS, 0), **found.incidents})
        name = "pushcart_ack_duration_seconds"
        acks = HistogramMetricFamily(name, METRICS[name].about, labels=METRICS[name].labels)
        for function, times in found.acks.items():
            bounds = [*map(str, acktimes.BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(times.counts), strict=True))
            acks.add_metric([function], buckets, sum_value=times.seconds)
        yield acks
        if found.heartbeat is not None:
            yield _gauge("pushcart_catch_up_heartbeat_age_seconds", [((), _age(found.heartbeat, now))])


def _gauge(name: str, values: Iterable[tuple[Sequence[str], float]]) -> Family:
    family = GaugeMetricFamily(name, METRICS[name].about, labels=METRICS[name].labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _by_label(name: str, numbers: dict[str, int]) -> Family:
    return _gauge(name, [((label,), number) for label, number in numbers.items()])


def _age(since: Instant, now: Instant) -> float:
    return max(0.0, seconds_between(since, now))


def _call_outcome(error: PushcartError | None) -> str:
    if error is None:
        return "ok"
    # Both what a provider and what a function of ours said: 429 is a rate limit, `permanent` and 422 a refusal.
    if error.code == "provider_busy" or getattr(error, "busy", False):
        return "busy"
    return "refused" if error.code == "provider_refused" or getattr(error, "permanent", False) else "failed"


def _require_token(header: str | None, tokens: Sequence[str]) -> None:
    """https://datatracker.ietf.org/doc/html/rfc6750#section-2.1; every token is compared, and takes the same time."""
    scheme, _, given = (header or "").partition(" ")
    digest = hashlib.sha256(given.strip().encode()).digest()
    fits = [hmac.compare_digest(hashlib.sha256(token.encode()).digest(), digest) for token in tokens]
    if scheme.lower() != "bearer" or not any(fits):
        raise NoToken(f"These figures take the token of the secret {SECRET}: Authorization: Bearer TOKEN.")
