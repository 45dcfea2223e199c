"""Alerts: how much something matters, what a message holds, and what shop.yml says about when to disturb."""

from __future__ import annotations

from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import Meta

from pushcart.domain.fields import Day, Name, Struct

_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"

Hours = Annotated[str, Meta(pattern=rf"^{_TIME}-{_TIME}\Z", description="hours such as 22:00-07:00")]
Wait = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,3} (minute|hour|day|week)s?\Z", description="a time such as 30 minutes")
]


class Level(StrEnum):
    """How much it matters: `critical` may wake somebody."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Text(NamedTuple):
    """One message: in full as `title` and `body`, and as one line for a phone."""

    title: str
    body: str
    short: str


class AlertSettings(Struct):
    """How the owner wants to be alerted.

    During `quiet`, in the shop's time zone, only what is critical is told; None is never. Something critical that
    nobody answered is escalated after `escalate_after`, and whatever nobody answered is told again `remind_every`.
    `keys` are the days on which keys run out, by the secret's name or any other: no provider tells.
    """

    quiet: Hours | None = "22:00-07:00"
    escalate_after: Wait = "30 minutes"
    remind_every: Wait = "1 day"
    keys: dict[Name, Day] = {}


def is_quiet(hours: str | None, moment: datetime, zone: tzinfo) -> bool:
    """Whether `moment` lies in `hours` (`22:00-07:00`, the end not included) by the clock on the wall in `zone`.

    In the night the clocks change that night is an hour longer or shorter, as it is for whoever sleeps.
    """
    if hours is None:
        return False
    start, _, end = hours.partition("-")
    time = f"{moment.astimezone(zone):%H:%M}"
    return start <= time < end if start <= end else time >= start or time < end
