"""The owner's side of the alerts: what is wrong, the answer to it, a test of the addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.domain.alerting import Level
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import StoreUnavailable
from pushcart.services.alerts import texts as alert_texts
from pushcart.services.alerts.channels import Channels
from pushcart.services.alerts.incidents import Incident, Incidents, State
from pushcart.services.alerts.watch import Watch
from pushcart.web import Request

#: The most incidents that one listing gives of each kind.
MOST = 200


class Answered(msgspec.Struct, forbid_unknown_fields=True):
    """What the owner says about an incident."""

    note: str = ""


class Trial(msgspec.Struct, forbid_unknown_fields=True):
    """How important a test message is."""

    level: Level = Level.WARNING


class AlertDesk:
    """The routes for `web.Router`; `test` marks the messages of a test installation."""

    def __init__(
        self, watch: Watch, incidents: Incidents, channels: Channels, catalogue: Callable[[], Catalogue], *, test: bool
    ) -> None:
        self._watch = watch
        self._incidents = incidents
        self._channels = channels
        self._catalogue = catalogue
        self._test = test

    def list(self, request: Request) -> Any:
        """What is wrong, newest first, with `all` in the query also what was.

        What only stands in memory comes first: the store that is away is one of them.
        """
        states = [State.OPEN, *([State.ENDING, State.OVER] if request.query.get("all") else [])]
        items = self._watch.away()
        try:
            for state in states:
                items += self._incidents.list(state, newest=True, limit=MOST)
        except StoreUnavailable:
            if not items:
                raise
        return {"items": [_shown(incident) for incident in items]}

    def answer(self, request: Request, id: str) -> Any:
        """The owner has it in hand."""
        return _shown(self._watch.answer(id, request.json(Answered).note))

    def trial(self, request: Request) -> Any:
        """Sends a test message wherever an alert of this level goes; what became of each."""
        level = request.json(Trial).level
        text = alert_texts.trial(self._catalogue().shop.name, level, test=self._test)
        return {"sent": self._channels.trial(text, level)}


def _shown(incident: Incident) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(incident)
    del shown["telling"]
    return shown
