"""What catch-up does beside the sweep: asks the providers for what never arrived, within the time there is.

Each part is by itself: a provider that is busy or silent ends its own part, and the next run goes on where it was.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from pushcart.errors import FunctionFailed, ProviderRefused, PushcartError, StoreUnavailable
from pushcart.gateway import MOST_EVENTS, Gateway
from pushcart.services.alerts.incidents import Condition, Incidents, Level
from pushcart.services.catchup.payments import Found, StripeCatchUp
from pushcart.services.catchup.prints import PrintCatchUp
from pushcart.services.recovery.repairs import Repairs
from pushcart.services.recovery.startup import StartUp
from pushcart.services.upkeep.doctors import Doctors

log = logging.getLogger(__name__)

#: Seconds that one slice of a recovery may take.
SLICE = 10.0

#: Runs in a row that a part may fail, busy or silent, until the owner hears of it.
PATIENCE = 60

#: Seconds after which a refusal that is not seen again is over; Printful is asked every ten minutes.
LASTS = 1800


class CatchUp:
    """`printing` says whether Printful is used. `repairs` are the recovery's, with the events it has made."""

    def __init__(
        self,
        stripe: StripeCatchUp,
        prints: PrintCatchUp,
        printing: Callable[[], bool],
        doctors: Doctors,
        start_up: StartUp,
        repairs: Repairs,
        incidents: Incidents,
        gateway: Gateway,
    ) -> None:
        self._stripe = stripe
        self._prints = prints
        self._printing = printing
        self._doctors = doctors
        self._start_up = start_up
        self._repairs = repairs
        self._incidents = incidents
        self._gateway = gateway
        self._asked = False
        self._failed_in_a_row: Counter[str] = Counter()

    def run(self, go_on: Callable[[], bool]) -> dict[str, Any]:
        """Everything that is due, as long as `go_on` says so; Stripe's events are looked at in any case.

        `{"events": how many are new, "skipped", "errors": {part: why}}`. Raises `StoreUnavailable`.
        """
        brought: dict[str, Any] = {"events": 0, "skipped": 0, "errors": {}}
        if not self._asked:
            self._start_up.ask()
            self._asked = True
        self._part("stripe events", brought, lambda found: self._events(found, go_on))
        if go_on():
            self._part("stripe sessions", brought, lambda found: self._stripe.sessions(found, go_on))
        if go_on() and self._printing():
            self._part("printful orders", brought, lambda found: self._prints.run(found, go_on))
        if go_on():
            self._part("doctors", brought, lambda found: self._doctors.run(go_on))
        if go_on():
            self._part("recovery", brought, lambda found: self._recover(found, go_on))
        return brought

    def _events(self, found: Found, go_on: Callable[[], bool]) -> None:
        self._stripe.events(found, go_on)
        if found.gap:
            self._start_up.ask(whole=True)

    def _recover(self, found: Found, go_on: Callable[[], bool]) -> None:
        try:
            self._start_up.work(SLICE, go_on)
        finally:
            found.events += self._repairs.take_kicked()

    def _part(self, name: str, brought: dict[str, Any], work: Callable[[Found], object]) -> None:
        """Does one part; what it has found until it failed is kicked all the same."""
        found = Found()
        try:
            work(found)
        except StoreUnavailable:
            raise
        except PushcartError as error:
            log.warning("%s: %s", name, error.message)
            brought["errors"][name] = error.message
            self._failed_in_a_row[name] += 1
            if isinstance(error, ProviderRefused) or self._failed_in_a_row[name] >= PATIENCE:
                self._incidents.see(_refused(name, error.message))
        except Exception as error:
            log.exception("%s: a mistake of ours", name)
            brought["errors"][name] = why = f"a mistake in Pushcart ({type(error).__name__}); see catch-up's log"
            self._incidents.see(_refused(name, why))
        else:
            self._failed_in_a_row.pop(name, None)
        finally:
            kick(self._gateway, found.events)
        brought["events"] += len(found.events)
        brought["skipped"] += found.skipped


def _refused(part: str, why: str) -> Condition:
    """What no later run will cure by itself, or has not for an hour."""
    return Condition(
        id=f"catch-up.{part.replace(' ', '-')}",
        level=Level.WARNING,
        what=f"Catch-up cannot look at {part}: {why}",
        means="What a lost webhook should have told is not found until this is put right.",
        command="pushcart doctor",
        lasts=LASTS,
    )


def kick(gateway: Gateway, events: list[str]) -> None:
    """Tells order-store of new events in the inbox; a hint that is lost costs a minute."""
    for start in range(0, len(events), MOST_EVENTS):
        try:
            gateway.hint("order-store", "/kick", {"events": events[start : start + MOST_EVENTS]})
        except FunctionFailed as error:
            log.warning("hint lost, the next sweep does the work: %s", error.message)
            return
