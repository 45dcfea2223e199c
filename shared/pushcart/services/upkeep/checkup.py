"""What catch-up's doctor looks at besides its settings: whether cron has it run."""

from __future__ import annotations

from pushcart import commands
from pushcart.clock import Clock, seconds_between, to_instant
from pushcart.doctor import Check, Probe, Probes
from pushcart.repositories import CATCH_UP, HEARTBEAT_AGE, Heartbeats


def probes(heartbeats: Heartbeats, clock: Clock) -> Probes:
    """The probes by name."""

    def heartbeat() -> list[Check]:
        last = heartbeats.last(CATCH_UP)
        age = None if last is None else seconds_between(last["at"], to_instant(clock()))
        text = "cron has never had a run finish" if age is None else f"the last run ended {age:.0f} s ago"
        if age is not None and age <= HEARTBEAT_AGE:
            return [Check(name="heartbeat", status="pass", text=text)]
        fix = f"is cron-connector running, and Prometheus, which it needs? {commands.logs(CATCH_UP)}"
        return [Check(name="heartbeat", status="fail", text=text, fix=fix)]

    return {"heartbeat": Probe(heartbeat, "look at the secret store-url")}
