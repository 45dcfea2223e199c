"""What the owner is told when: one message for each incident, held back at night, sent again until it arrives.

How far an incident was told stands in its document, and who sends claims it first by a conditional write. So two
processes tell once; one that dies in the middle leaves a claim that runs out, and then the addresses that have not
taken the message get it. Only a process that dies between an address's answer and the note of it repeats a message.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pushcart import commands
from pushcart.clock import Clock, Instant, later, seconds_between, to_instant
from pushcart.domain.alerting import AlertSettings, is_quiet
from pushcart.domain.catalogue import Catalogue, delay_seconds
from pushcart.errors import StoreUnavailable
from pushcart.services.alerts.channels import MAIL, Address, Channels, Letter
from pushcart.services.alerts.incidents import Incident, Incidents, Level, State, Telling
from pushcart.services.alerts.texts import ENDS, Kind, compose

log = logging.getLogger(__name__)

#: Seconds before each further attempt at what did not arrive; the last one for ever.
PAUSES = (60, 120, 300, 600, 1_800, 3_600)

#: Attempts at an address that fails while another one, or a mail, has the message.
ENOUGH = 8

#: Incidents of the same kind above which one message tells of all, and how many that may be.
FEW, BATCH = 3, 200

#: Messages about incidents of the same kind within an hour, after which they gather for so many seconds.
OFTEN, GATHER = 5, 900

#: Incidents of which every order, or every event, has sent the owner a mail of its own.
MAILED = frozenset({"dead_step", "dead_event", "dispute", "attention"})

#: Seconds one round may take; what is left waits for the next.
ROUND = 20.0


class Waits(NamedTuple):
    """Seconds until something critical is escalated, and until anything is told again."""

    escalate: float
    remind: float

    @classmethod
    def of(cls, settings: AlertSettings) -> Waits:
        return cls(delay_seconds(settings.escalate_after), delay_seconds(settings.remind_every))


def loudest(incident: Incident) -> Level:
    """The higher one of what it is and what the owner was told."""
    levels = (incident.level, incident.told_level or incident.level)
    return max(levels, key=lambda level: level.rank)


def next_kind(incident: Incident, now: Instant, waits: Waits, *, quiet: bool) -> Kind | None:
    """What the owner has to be told about it now, or None."""
    kind = _wanted(incident, now, waits)
    if kind is None and incident.telling is not None and incident.telling.sent:
        kind = Kind(incident.telling.kind)  # some address has not taken it yet
    held = quiet and (loudest(incident) is not Level.CRITICAL or kind is Kind.REMINDER)
    return None if held else kind


def _wanted(incident: Incident, now: Instant, waits: Waits) -> Kind | None:
    if incident.state is State.OVER:
        return None
    if incident.state is State.ENDING:
        held = seconds_between(incident.ended_at or now, now) < incident.hold
        return None if held else Kind.PAST if incident.told_level is None else Kind.OVER
    if incident.told_level is None:
        return Kind.NEW
    if incident.level.rank > incident.told_level.rank:
        return Kind.WORSE
    if incident.answered_at is not None or incident.level is Level.INFO:
        return None
    if (
        incident.level is Level.CRITICAL
        and incident.escalated_at is None
        and seconds_between(incident.alarmed_at or now, now) >= waits.escalate
    ):
        return Kind.ESCALATION
    return Kind.REMINDER if seconds_between(incident.told_at or now, now) >= waits.remind else None


class Teller:
    """Tells of incidents. `token` gives a fresh one for each message, `test` marks those of a test installation."""

    def __init__(
        self,
        channels: Channels,
        catalogue: Callable[[], Catalogue],
        settings: Callable[[], AlertSettings],
        clock: Clock,
        token: Callable[[], str],
        *,
        test: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels = channels
        self._catalogue = catalogue
        self._settings = settings
        self._clock = clock
        self._token = token
        self._test = test
        self._monotonic = monotonic
        self._lately: dict[str, deque[Instant]] = defaultdict(lambda: deque(maxlen=OFTEN))
        #: Addresses that took a message of which the store has no note yet.
        self._taken: dict[tuple[str, int, str], set[str]] = {}

    def tell(self, incidents: Incidents) -> int:
        """Sends what is due; how many messages reached somebody. Raises `StoreUnavailable`."""
        end = self._monotonic() + ROUND
        settings = self._settings()
        now, waits = to_instant(self._clock()), Waits.of(settings)
        quiet = is_quiet(settings.quiet, self._clock(), self._zone())
        groups: dict[tuple[str, ...], list[Incident]] = defaultdict(list)
        for incident in [*incidents.list(State.OPEN), *incidents.list(State.ENDING)]:
            kind = next_kind(incident, now, waits, quiet=quiet)
            if kind is not None and _may_try(incident, kind, now):
                sent = incident.telling.sent if incident.telling and incident.telling.kind == kind else []
                prefix = incident.id.partition(".")[0]
                groups[str(9 - loudest(incident).rank), prefix, str(kind), *sorted(sent)].append(incident)
        told = 0
        for (_, prefix, kind, *_), group in sorted(groups.items(), key=lambda item: item[0]):
            if self._too_often(prefix, Kind(kind), now):
                continue
            batches = [group] if len(group) > FEW else [[incident] for incident in group]
            for batch in batches:
                if self._monotonic() >= end:
                    return told
                if self._send(incidents, batch[:BATCH], Kind(kind)):
                    told += 1
                    self._lately[prefix].append(now)
        return told

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._catalogue().shop.timezone)

    def _too_often(self, prefix: str, kind: Kind, now: Instant) -> bool:
        lately = self._lately[prefix]
        if kind is Kind.ESCALATION or len(lately) < OFTEN or seconds_between(lately[0], now) >= 3_600:
            return False
        return seconds_between(lately[-1], now) < GATHER

    def _send(self, incidents: Incidents, batch: Sequence[Incident], kind: Kind) -> bool:
        """Claims, sends and notes one message; True when it reached somebody it had not reached before."""
        token = self._token()
        level = max((loudest(incident) for incident in batch), key=lambda one: one.rank)
        escalated = kind is Kind.ESCALATION or any(incident.escalated_at for incident in batch)
        targets = self._channels.chosen(level, escalated=escalated)
        seconds = 60 + 15 * len(targets)
        claimed = [one for one in batch if self._claim(incidents, one, kind, token, seconds)]
        if not claimed:
            return False
        text = compose(claimed, kind, self._catalogue().shop.name, self._zone(), test=self._test)
        telling = claimed[0].telling
        assert telling is not None
        had, sent = set(telling.sent), set(telling.sent)

        def reached(key: str) -> None:
            sent.add(key)
            for incident in claimed:
                self._note_sent(incidents, incident, kind, token, key)

        missing: list[Address] = []
        for address in targets:
            if address.key in sent:
                continue
            if self._channels.push(address, text, level):
                reached(address.key)
            else:
                missing.append(address)
        if not sent:
            letter = Letter(
                key=f"alert.{claimed[0].id}.{claimed[0].times}.{kind}.{claimed[0].told_at or ''}",
                code=str(Kind.OVER) if kind in ENDS else claimed[0].id.partition(".")[0],
                since=claimed[0].opened_at,
                command=commands.list_alerts() if kind in ENDS or len(claimed) > 1 else claimed[0].command,
            )
            if _mailed_already(claimed, kind, targets) or self._channels.mail(text, letter):
                reached(MAIL)
        finished = bool(sent) and (not missing or telling.attempts >= ENOUGH)
        for incident in claimed:
            self._note_end(incidents, incident, kind, token, reached=bool(sent), finished=finished)
        return sent > had

    def _note_end(
        self, incidents: Incidents, told: Incident, kind: Kind, token: str, *, reached: bool, finished: bool
    ) -> None:
        """Writes down what came of it, in the incident as it is now: it may have changed while the message went out."""
        now = to_instant(self._clock())

        def change(incident: Incident) -> None:
            telling = incident.telling
            ours = telling is not None and telling.token == token
            if reached:
                _told(incident, told, kind, now)
            if not ours:
                return
            if finished or (reached and kind in ENDS):
                incident.telling = None
            elif telling is not None:
                telling.token = telling.claimed_until = ""
                telling.due_at = later(now, PAUSES[min(telling.attempts, len(PAUSES)) - 1])

        incidents.change(told.id, change)
        self._taken.pop((told.id, told.times, kind), None)

    def _claim(self, incidents: Incidents, incident: Incident, kind: Kind, token: str, seconds: float) -> bool:
        """Takes the message on; False when somebody else did, or the incident changed since it was read."""
        telling = incident.telling
        if telling is None or telling.kind != kind:
            telling = Telling(kind=str(kind))
        taken = self._taken.get((incident.id, incident.times, kind), set())
        telling.sent = sorted({*telling.sent, *taken})
        telling.attempts += 1
        telling.token, telling.claimed_until = token, later(to_instant(self._clock()), seconds)
        incident.telling = telling
        return incidents.save(incident)

    def _note_sent(self, incidents: Incidents, told: Incident, kind: Kind, token: str, key: str) -> None:
        """Remembers that an address has the message, in the store and, should that be away, here."""
        self._taken.setdefault((told.id, told.times, kind), set()).add(key)

        def change(incident: Incident) -> None:
            if incident.telling is not None and incident.telling.token == token and key not in incident.telling.sent:
                incident.telling.sent.append(key)

        try:
            incidents.change(told.id, change)
        except StoreUnavailable as error:
            log.warning("what was told of %s is noted later: %s", told.id, error.message)


def _mailed_already(batch: Sequence[Incident], kind: Kind, targets: Sequence[Address]) -> bool:
    """Whether the owner has a mail about each, and there is nowhere else to tell it."""
    by_themselves = all(incident.id.partition(".")[0] in MAILED for incident in batch)
    return by_themselves and not targets and kind is Kind.NEW


def _told(incident: Incident, told: Incident, kind: Kind, now: Instant) -> None:
    """The owner has heard what `told` said."""
    if incident.times != told.times or incident.state is State.OVER:
        return
    if kind in ENDS:
        if incident.state is State.ENDING:
            incident.state = State.OVER
        else:
            incident.told_level = None  # it came back while the owner was told that it is over
        return
    incident.told_at = now
    if kind in (Kind.NEW, Kind.WORSE):
        incident.told_level = told.level
        incident.alarmed_at = incident.alarmed_at if told.told_level is told.level else now
    elif kind is Kind.ESCALATION:
        incident.escalated_at = incident.escalated_at or now


def _may_try(incident: Incident, kind: Kind, now: Instant) -> bool:
    telling = incident.telling
    if telling is None or (telling.token and telling.claimed_until > now):
        return telling is None
    return telling.kind != kind or telling.due_at <= now
