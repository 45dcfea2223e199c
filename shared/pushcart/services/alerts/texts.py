"""The words of an alert: what happened, what it means for which orders, which command to run."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import tzinfo
from enum import StrEnum

from pushcart import commands
from pushcart.clock import Instant, from_instant
from pushcart.domain.alerting import Level, Text
from pushcart.services.alerts.incidents import Incident

#: The most that a text message holds: two parts of 153 letters, as phones join them.
SHORT = 300

#: Incidents of the same kind that one message names; the others it counts.
NAMED = 5

_TITLE = 120


class Kind(StrEnum):
    """Why the owner is told: it is new or got worse, nobody answered, it still stands, it is over, or it was."""

    NEW = "new"
    WORSE = "worse"
    ESCALATION = "escalation"
    REMINDER = "reminder"
    OVER = "over"
    PAST = "past"


#: Kinds that end an incident.
ENDS = frozenset({Kind.OVER, Kind.PAST})


def compose(incidents: Sequence[Incident], kind: Kind, shop: str, zone: tzinfo, *, test: bool) -> Text:
    """The message about one incident, or about several of the same kind; the times in it are `zone`'s."""
    first = max(incidents, key=lambda incident: incident.count)
    more = len(incidents) - 1
    what = f"{_what(first)}, and {more} more like it" if more else _what(first)
    command = commands.list_alerts() if more else first.command
    word = _word(first, kind)
    heading = f"{word}: {what}"
    lines = [f"{what}."]
    if kind in ENDS:
        lines.append(f"It is over since {_moment(first.ended_at or first.seen_at, zone)}; nothing needs to be done.")
        lines.append(f"It began {_moment(first.opened_at, zone)}.")
    else:
        lines.append(f"What it means: {first.means}.")
        lines += [f"Orders: {_orders(first)}."] if first.orders and not more else []
        lines += [f"And: {_what(incident)}." for incident in incidents if incident is not first][: NAMED - 1]
        lines.append(f"Since {_moment(first.opened_at, zone)}.")
        lines.append(f"Run: {command}")
        answer = commands.list_alerts() if more else commands.answer_alert(first.id)
        lines.append(f"When you have it in hand: {answer}")
    name = f"{shop} TEST" if test else shop
    title = f"[{name}] {_cut(heading, _TITLE)}"
    return Text(title, "\n".join(lines), _short(name, heading, first, kind, command, several=more > 0))


def trial(shop: str, level: Level, *, test: bool) -> Text:
    """The message of `pushcart alerts test`."""
    name = f"{shop} TEST" if test else shop
    what = f"This is only a test: what is {level} reaches you here."
    return Text(f"[{name}] A test of the alerts", what, plain(f"{name}: {what}"))


def plain(text: str) -> str:
    """`text` in the letters of plain text messages: one foreign letter would halve what a message holds."""
    swapped = text.translate(str.maketrans({"“": '"', "”": '"', "’": "'", "–": "-", "—": "-", "…": "...", "ł": "l"}))
    return unicodedata.normalize("NFKD", swapped).encode("ascii", "ignore").decode()


def _short(name: str, heading: str, incident: Incident, kind: Kind, command: str, *, several: bool) -> str:
    """The command and the answer stay whole; the sentence is cut."""
    name, answer = plain(name)[:40], commands.answer_alert(incident.id)
    end = "" if kind in ENDS else f" -> {command}"
    if not (kind in ENDS or several) and len(name) + len(end) + len(answer) < SHORT - 100:
        end += f" | {answer}"
    end = plain(end)
    return f"{name} {_cut(plain(heading), SHORT - len(name) - len(end) - 1)}{end}"[:SHORT]


def _word(incident: Incident, kind: Kind) -> str:
    if kind is Kind.ESCALATION:
        return "NOBODY ANSWERED"
    if kind is Kind.REMINDER:
        return "Still"
    if kind in ENDS:
        return "Over"
    return {Level.CRITICAL: "CRITICAL", Level.WARNING: "Warning", Level.INFO: "Note"}[incident.level]


def _what(incident: Incident) -> str:
    what = incident.what.rstrip(". ")
    return what if incident.count == 1 or str(incident.count) in what else f"{what} ({incident.count} times)"


def _orders(incident: Incident) -> str:
    more = max(incident.count - len(incident.orders), 0)
    return ", ".join(incident.orders) + (f" and {more} more" if more else "")


def _moment(instant: Instant, zone: tzinfo) -> str:
    return f"{from_instant(instant).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 3, 0)].rstrip() + "..."
