"""Incidents: what is wrong just now, each thing once, and how far the owner was told of it.

A `Condition` is something somebody saw. `Incidents.see` makes it an incident, or refreshes the one there is, and the
function `alert` tells of it (`teller`). A condition that nobody sees any more is over by itself after its `lasts`.
Every write is conditional on the version that was read, so any number of processes may see, tell and answer at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

import msgspec

from pushcart.clock import Clock, Instant, later, seconds_between, to_instant
from pushcart.domain.alerting import Level
from pushcart.domain.order import derived_id
from pushcart.errors import Conflict, NotFound
from pushcart.store import Document, Store

__all__ = ["Condition", "Incident", "Incidents", "Level", "State", "Telling", "scrub"]

#: Order ids that an incident names; the others are counted.
MOST_ORDERS = 5

#: What one look takes of the incidents, at most.
MOST = 1_000

#: Seconds within which something that comes back counts as the same trouble flapping.
CALM = 3_600

#: Seconds that the news of its end waits for something that flaps, doubled each time, and the most of it.
FLAP_HOLD, LONGEST_HOLD = 900, 21_600

_ADDRESS = re.compile(r"[^\s@<>(),;:\"']+@[^\s@<>(),;:\"']+")
#: Long words but for the ids of Stripe's objects, and words that begin as keys do.
_SECRET = re.compile(
    r"\b(?:sk|rk|pk|whsec|SG|ghp|xox[a-z])[_.-]\S+|\bBearer\s+\S+|(?<=://)[^\s/@]+@"
    r"|\b(?!(?:cs|pi|ch|py|evt|re|dp|du|li|plink|price|prod)_)[A-Za-z0-9+/_=-]{40,}"
)


#: An answered incident is told again when there is so many times as much of it.
MUCH_MORE = 5


class State(StrEnum):
    """`ending` is over, but the owner has still to hear so."""

    OPEN = "open"
    ENDING = "ending"
    OVER = "over"


class Condition(msgspec.Struct, kw_only=True):
    """Something that is wrong. `id` makes it the same thing again: `dead_step.invite`, `strange_print.1136`.

    `what` says in one sentence what happened, `means` what that means and for which orders, `command` what to run.
    `orders` are ids of orders it is about, `count` how many there are of it. After `lasts` seconds it counts as over
    unless it was seen again; None: when the owner answers.
    """

    id: str
    level: Level
    what: str
    means: str
    command: str
    orders: list[str] = []
    count: int = 1
    lasts: float | None = None


class Telling(msgspec.Struct, kw_only=True):
    """A message that is being sent. `sent` are the addresses that have it, by their fingerprints.

    `token` is who sends it just now, until `claimed_until`; `due_at` is the next attempt.
    """

    kind: str
    attempts: int = 0
    due_at: Instant = ""
    token: str = ""
    claimed_until: Instant = ""
    sent: list[str] = []


class Incident(msgspec.Struct, kw_only=True):
    """A condition since it was first seen (`opened_at`), for the `times`-th time.

    `told_level` is the highest level the owner heard of since then, `alarmed_at` when that was, `told_at` when they
    heard of it last. `flaps` counts how often it came back soon after its end.
    """

    id: str
    version: int = 0
    state: State = State.OPEN
    level: Level
    what: str
    means: str
    command: str
    orders: list[str] = []
    count: int = 1
    lasts: float | None = None
    times: int = 1
    flaps: int = 0
    opened_at: Instant
    seen_at: Instant
    ends_at: Instant | None = None
    ended_at: Instant | None = None
    answered_at: Instant | None = None
    answered_count: int = 1
    note: str = ""
    told_level: Level | None = None
    told_at: Instant | None = None
    alarmed_at: Instant | None = None
    escalated_at: Instant | None = None
    telling: Telling | None = None

    @property
    def hold(self) -> float:
        """Seconds that the news of its end waits, so that what flaps makes no flood."""
        return min(FLAP_HOLD * 2 ** min(self.flaps - 1, 10), LONGEST_HOLD) if self.flaps else 0


class Incidents:
    """The incidents in a store. Every verb raises `StoreUnavailable`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def see(self, condition: Condition) -> None:
        """Opens an incident or refreshes it. One without an end of its own that the owner answered stays answered."""
        seen = _clean(condition)
        while True:
            now = to_instant(self._clock())
            incident = self.get(seen.id)
            if incident is None:
                if self._store.insert("incidents", _document(_opened(seen, now))):
                    return
            elif not _refresh(incident, seen, now) or self.save(incident):
                return

    def end(self, id: str) -> None:
        """What it was about is no more; nothing when it is not open."""
        incident = self.get(_id(id))
        while incident is not None and incident.state is State.OPEN:
            _end(incident, to_instant(self._clock()))
            if self.save(incident):
                return
            incident = self.get(incident.id)

    def expire(self, spared: tuple[str, ...] = ()) -> None:
        """Ends what nobody has seen for as long as it lasts. To be called after everything was looked at.

        `spared` are the ids' beginnings of what could not be looked at.
        """
        now = to_instant(self._clock())
        for incident in self.open():
            if incident.ends_at is not None and incident.ends_at <= now and not incident.id.startswith(spared):
                _end(incident, now)
                self.save(incident)  # one that was seen meanwhile is not over

    def answer(self, id: str, note: str = "") -> Incident:
        """The owner has it in hand: nobody is reminded, and one without an end of its own is over.

        Raises `NotFound`, and `Conflict` for one that is over.
        """

        def take(incident: Incident) -> None:
            if incident.state is not State.OPEN:
                raise Conflict(f"The alert {id} is over; there is nothing to answer.")
            incident.answered_at, incident.note, incident.telling = to_instant(self._clock()), note, None
            incident.answered_count = incident.count
            if incident.lasts is None:
                incident.state, incident.ended_at = State.OVER, incident.answered_at

        return self.change(id, take)

    def get(self, id: str) -> Incident | None:
        document = self._store.get("incidents", id)
        return None if document is None else msgspec.convert(document, Incident)

    def open(self) -> list[Incident]:
        """What is wrong just now, the oldest first."""
        return self.list(State.OPEN)

    def list(self, state: State, *, newest: bool = False, limit: int = MOST) -> list[Incident]:
        """Those in this state by the time they were opened."""
        equal = {"state": str(state)}
        found = self._store.find("incidents", equal=equal, order_by="opened_at", descending=newest, limit=limit)
        return [msgspec.convert(document, Incident) for document in found]

    def save(self, incident: Incident) -> bool:
        """Stores the change if nobody else changed the incident since it was read; else False."""
        read, incident.version = incident.version, incident.version + 1
        saved = self._store.replace("incidents", _document(incident), read)
        if not saved:
            incident.version = read
        return saved

    def change(self, id: str, change: Callable[[Incident], None]) -> Incident:
        """Applies `change` to the incident as it is now, as often as it takes. `NotFound` when there is none."""
        while True:
            incident = self.get(id)
            if incident is None:
                raise NotFound(f"There is no alert {id}; pushcart alerts list shows them.")
            change(incident)
            if self.save(incident):
                return incident


def _document(incident: Incident) -> Document:
    document: Document = msgspec.to_builtins(incident)
    return document


def _id(text: str) -> str:
    """An id that fits a path and a command; one too long for people ends in a fingerprint."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "unnamed"
    return clean if len(clean) <= 80 else f"{clean[:60]}-{derived_id(clean)[2:12]}"


def scrub(text: str) -> str:
    """`text` on one line without mail addresses, and without what looks like a key: messages go through strangers."""
    return " ".join(_ADDRESS.sub("(address)", _SECRET.sub("(secret)", text)).split())


def _clean(condition: Condition) -> Condition:
    return msgspec.structs.replace(
        condition,
        id=_id(condition.id),
        what=scrub(condition.what),
        means=scrub(condition.means),
        orders=condition.orders[:MOST_ORDERS],
    )


def _opened(seen: Condition, now: Instant) -> Incident:
    fields = {name: getattr(seen, name) for name in Condition.__struct_fields__}
    return Incident(**fields, version=1, opened_at=now, seen_at=now, ends_at=_ends(seen, now))


def _ends(seen: Condition, now: Instant) -> Instant | None:
    return None if seen.lasts is None else later(now, seen.lasts)


def _end(incident: Incident, now: Instant) -> None:
    incident.state, incident.ended_at, incident.telling = State.ENDING, now, None


def _refresh(incident: Incident, seen: Condition, now: Instant) -> bool:
    """Brings the incident up to date; False when there is nothing to write."""
    if incident.state is State.OVER and incident.lasts is None and seen.lasts is None and incident.answered_at:
        return False
    before = msgspec.structs.asdict(incident)
    if incident.state is State.OVER:
        assert incident.ended_at is not None
        again = _opened(seen, now)
        soon = seconds_between(incident.ended_at, now) <= CALM + incident.hold
        again.flaps, again.times = (incident.flaps + 1 if soon else 0), incident.times + 1
        again.version = incident.version
        for name in Incident.__struct_fields__:
            setattr(incident, name, getattr(again, name))
        return True
    if incident.state is State.ENDING:
        incident.state, incident.ended_at, incident.telling = State.OPEN, None, None
        incident.flaps += 1
    if seen.level.rank > incident.level.rank:
        incident.answered_at, incident.escalated_at = None, None
    if incident.answered_at and seen.count > MUCH_MORE * incident.answered_count:
        # What the owner had in hand was something smaller.
        incident.answered_at, incident.escalated_at, incident.told_level = None, None, None
    for name in ("level", "what", "means", "command", "orders", "count", "lasts"):
        setattr(incident, name, getattr(seen, name))
    changed = msgspec.structs.asdict(incident) != before
    ends = _ends(seen, now)
    # The same seen again a minute later is no reason to write.
    if changed or (incident.ends_at is None) != (ends is None) or (ends and _runs_out(incident, seen, now)):
        incident.seen_at, incident.ends_at = now, ends
        return True
    return False


def _runs_out(incident: Incident, seen: Condition, now: Instant) -> bool:
    assert incident.ends_at is not None
    assert seen.lasts is not None
    return seconds_between(now, incident.ends_at) < seen.lasts * 2 / 3
