"""Once an hour every internal function is asked what it sees wrong, and the owner is told of what failed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart import commands, doctor
from pushcart.clock import Clock, to_instant
from pushcart.doctor import Check
from pushcart.errors import FunctionFailed
from pushcart.gateway import Gateway
from pushcart.repositories import Cursors
from pushcart.services.alerts.incidents import Condition, Incidents, Level

log = logging.getLogger(__name__)

#: The functions that have a doctor; catch-up is the one who asks.
INTERNAL = ("order-store", "checkout", "invite-link", "mailing-list", "printful-order", "email-dispatch", "alert")

DOCTORS = "doctors"

#: Seconds between two examinations of one function, and after which a finding that is not seen again is over.
EVERY, LASTS = 3600, 7200


class Doctors:
    """Asks through `gateway`, whose timeout bounds one examination."""

    def __init__(self, gateway: Gateway, cursors: Cursors, incidents: Incidents, clock: Clock) -> None:
        self._gateway = gateway
        self._cursors = cursors
        self._incidents = incidents
        self._clock = clock

    def run(self, go_on: Callable[[], bool]) -> list[str]:
        """Examines every function whose hour is over, as long as `go_on` says so; which ones it did.

        The first hour begins with the first run: an installation is examined by `pushcart doctor`.
        """
        now = int(self._clock().timestamp())
        kept: dict[str, Any] = self._cursors.read(DOCTORS) or {"at": {}, "version": 0}
        asked = {name: kept["at"].get(name, now) for name in INTERNAL}
        due = [name for name, at in asked.items() if not 0 <= now - at < EVERY]
        done = []
        for name in due:
            if not go_on():
                break
            for check in self._ask(name):
                if check.status == "fail":
                    self._incidents.see(_condition(name, check))
            asked[name] = now
            done.append(name)
        if asked != kept["at"]:
            self._cursors.write(DOCTORS, {"at": asked}, kept["version"])
        return done

    def _ask(self, name: str) -> list[Check]:
        try:
            query = {"now": to_instant(self._clock())}
            answer = self._gateway.call(name, doctor.PATH, method="GET", query=query)
            return msgspec.convert(answer["checks"], list[Check])
        except FunctionFailed as error:
            return [Check(name="answers", status="fail", text=error.message, fix=commands.logs(name))]
        except (msgspec.ValidationError, KeyError, TypeError):
            text = "an answer that is no doctor's; another version of Pushcart may be deployed"
            return [Check(name="answers", status="fail", text=text, fix=commands.logs(name))]


def _condition(function: str, check: Check) -> Condition:
    """An endpoint that Stripe has switched off is urgent: no payment is told of any more."""
    off = check.name == "webhook endpoint" and "not enabled" in check.text
    return Condition(
        id=f"doctor.{function}.{re.sub(r'[^a-z0-9]+', '-', check.name.lower()).strip('-')}",
        level=Level.CRITICAL if off else Level.WARNING,
        what=f"{function}, {check.name}: {check.text}.",
        means=check.fix or "Something is not as it should be; orders may wait for it.",
        command="pushcart doctor",
        lasts=LASTS,
    )
