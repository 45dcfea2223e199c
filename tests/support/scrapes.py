"""What Prometheus makes of the figures: a scrape taken apart, and a shop in which there is something to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pushcart.clock import Clock, later, to_instant
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import FunctionFailed, ProviderBusy, ProviderRefused, ProviderUnavailable, StoreUnavailable
from pushcart.repositories import Heartbeats, Inbox, Orders
from pushcart.services.alerts.incidents import Condition, Incidents, Level
from pushcart.services.metrics import acktimes
from pushcart.services.metrics.exposition import METRICS, STEP_OUTCOMES, Metrics
from pushcart.services.metrics.figures import StoreFigures
from pushcart.store import Store


class Moves:
    """A clock that a test moves."""

    def __init__(self):
        self.now = datetime(2026, 11, 21, 8, tzinfo=UTC)

    def __call__(self):
        return self.now

    def seconds(self):
        return self.now.timestamp()

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)


class Troubled:
    """A store that can be down; counts how often it is asked."""

    def __init__(self, inner):
        self._inner = inner
        self.down = False
        self.asked = 0

    def __getattr__(self, verb):
        def ask(*given, **named):
            self.asked += 1
            if self.down:
                raise StoreUnavailable("The store is down.")
            return getattr(self._inner, verb)(*given, **named)

        return ask


class Scrape:
    """One answer of `/metrics`. Raises ValueError for what Prometheus could not read."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The number of the one series with this name and these labels, or None."""
        found = self.matching(name, **labels)
        assert len(found) <= 1, found
        return found[0].value if found else None

    def matching(self, name: str, **labels: str) -> list[Any]:
        """The samples with this name that have these labels, and maybe others."""
        return [one for one in self.samples if one.name == name and labels.items() <= one.labels.items()]


def lived_in(store: Store, clock: Clock) -> Metrics:
    """A shop that has something to show under every metric."""
    now = to_instant(clock())
    assert Orders(store).add(Order(id="o-1", created_at=now, updated_at=now, due_at=now))
    about = {"source": "stripe", "event_id": "1", "type": "t", "body": "{}"}
    assert Inbox(store).add(InboxEvent(id="stripe:1", received_at=later(now, -60), due_at=now, **about))
    Incidents(store, clock).see(
        Condition(
            id="dead_step.email", level=Level.CRITICAL, what="It broke.", means="No mail.", command="pushcart dead"
        )
    )
    Heartbeats(store, clock).beat("catch-up", {})
    for function in acktimes.WEBHOOKS:
        times = acktimes.AckTimes(store, function)
        times.seen(0.003)
        times.close()
    metrics = Metrics(StoreFigures(store, clock), clock)
    for outcome in STEP_OUTCOMES:
        metrics.step_ended("email", outcome, 0.2)
    metrics.event_ended("applied")
    metrics.called("email-dispatch", None, 0.2)
    metrics.called("email-dispatch", FunctionFailed("email-dispatch", "no", status=422, permanent=True), 0.2)
    metrics.called("Stripe", ProviderBusy("Stripe", "its rate limit"), 0.1)
    metrics.called("Stripe", ProviderUnavailable("Stripe", "could not be reached"), 15)
    metrics.called("Stripe", ProviderRefused("Stripe", "no such session", status=404), 0.1)
    metrics.watch(_Idle())  # type: ignore[arg-type]
    return metrics


class _Idle:
    """A pool with nothing to do."""

    def in_hand(self) -> dict[tuple[str, str], int]:
        return {(pool, state): 0 for pool in ("events", "orders", "looks") for state in ("running", "waiting")}


def names() -> set[str]:
    """Every name that a query may use."""
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {metric.name + part for metric in METRICS.values() for part in parts.get(metric.kind, ("",))}
