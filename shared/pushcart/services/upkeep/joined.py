"""The parts of catch-up, joined: what a run does beside the sweep, and a slice of a recovery for whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.domain.catalogue import Catalogue
from pushcart.gateway import Gateway
from pushcart.providers import printful, stripe_payments
from pushcart.providers.stripe_listing import StripeListing
from pushcart.repositories import Counters, Cursors, Inbox, Orders
from pushcart.services.alerts.incidents import Incidents
from pushcart.services.catchup.payments import StripeCatchUp
from pushcart.services.catchup.prints import PrintCatchUp
from pushcart.services.recovery.payments import PaymentsPhase
from pushcart.services.recovery.prints import PrintsPhase
from pushcart.services.recovery.repairs import Repairs, alarm
from pushcart.services.recovery.slices import Phase, Recovery
from pushcart.services.recovery.startup import StartUp
from pushcart.services.stripe_inbox import StripeInbox
from pushcart.services.upkeep.doctors import Doctors
from pushcart.services.upkeep.run import CatchUp, kick
from pushcart.store import Store

VARIABLES = ("stripe_mode", "stripe_url", "shop_file", *printful.VARIABLES)

#: Seconds for one function's doctor.
DOCTOR = 25

#: Seconds that one slice of a recovery takes that somebody waits for.
SLICE = 20

#: This function's share of the calls that Printful allows in a minute, 120 in all.
CALLS_A_MINUTE = 30


class Joined:
    """`gateway` reaches order-store, `gateway_for` makes one that waits so many seconds."""

    def __init__(
        self,
        config: Config,
        catalogue: Callable[[], Catalogue],
        store: Store,
        clock: Clock,
        gateway: Gateway,
        gateway_for: Callable[[float], Gateway],
    ) -> None:
        self._config, self._catalogue, self._store, self._clock = config, catalogue, store, clock
        self._gateway = gateway
        self._livemode = config["stripe_mode"] == "live"
        self._incidents, self._inbox = Incidents(store, clock), Inbox(store)
        orders, cursors = Orders(store), Cursors(store)
        self._payments = stripe_payments.connect(config)
        self._listing = StripeListing(self._payments)
        self._printer = printful.connect(config, clock, CALLS_A_MINUTE)
        events = StripeInbox(self._inbox, Counters(store, clock), clock, livemode=self._livemode)
        stripe = StripeCatchUp(self._listing, events, self._inbox, orders, cursors, clock, livemode=self._livemode)
        prints = PrintCatchUp(self._printer, self._inbox, orders, cursors, self._incidents, clock, stripe.taken_until)
        repairs = Repairs(self._inbox, clock)
        self._start_up = StartUp(lambda: self._recovery(repairs), cursors, self._incidents, clock)
        doctors = Doctors(gateway_for(DOCTOR), cursors, self._incidents, clock)
        parts = (stripe, prints, self._printing, doctors, self._start_up, repairs)
        self._catch_up = CatchUp(*parts, self._incidents, gateway)

    def run(self, go_on: Callable[[], bool]) -> dict[str, Any]:
        """See `CatchUp.run`."""
        return self._catch_up.run(go_on)

    def recover(self, cursor: str | None, *, apply: bool) -> Any:
        """One slice of a comparison of everything: `slices.Slice` as plain values. Raises as `Recovery.slice`."""
        repairs = Repairs(self._inbox, self._clock)
        try:
            part = self._recovery(repairs).slice(cursor, SLICE, apply=apply)
        finally:
            kick(self._gateway, repairs.take_kicked())
        if apply:
            alarm(part.findings, self._incidents)
        return msgspec.to_builtins(part)

    def last_recovery(self) -> dict[str, Any] | None:
        """See `StartUp.last`."""
        return self._start_up.last()

    def _recovery(self, repairs: Repairs) -> Recovery:
        store, clock = self._store, self._clock
        payments = PaymentsPhase(
            self._listing, self._payments, store, repairs, self._catalogue, clock, livemode=self._livemode
        )
        phases: dict[str, Phase] = {"payments": payments}
        if self._printing():
            phases["prints"] = PrintsPhase(self._printer, store, repairs, clock)
        return Recovery(store, phases, clock)

    def _printing(self) -> bool:
        """Whether there is a key to ask with: what was printed has to arrive, even if the shop sells it no more."""
        return bool(self._config.secret_text(printful.SECRET))
