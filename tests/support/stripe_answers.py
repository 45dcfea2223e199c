"""Stripe's answers about one payment, told by a server of a test's own: as the sandbox gives them, or changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import requests

from local.sandbox import Sandbox
from pushcart.providers.stripe_payments import EXPAND
from support.mutations import INSTEAD, dotted, mutated, places
from support.wire import Wire

KEY = "sk_test_sandbox"


class Answers:
    """A server that gives one session, its line items and its disputes, as it is told to say them."""

    def __init__(self, wire: Wire, sandbox: Sandbox, session_id: str) -> None:
        self.session_id = session_id
        read = f"{sandbox.url}/stripe/v1"
        given = {"headers": {"Authorization": f"Bearer {KEY}"}, "timeout": 10}
        expand = [("expand[]", name) for name in EXPAND]
        one = f"{read}/checkout/sessions/{session_id}"
        self.truth = {"session": requests.get(one, params=expand, **given).json()}
        charge = self.truth["session"]["payment_intent"]["latest_charge"]["id"]
        self.truth["disputes"] = requests.get(f"{read}/disputes", params={"charge": charge}, **given).json()
        expand = [("expand[]", "data.price.product")]
        self.truth["line_items"] = requests.get(f"{one}/line_items", params=expand, **given).json()
        self.now = dict(self.truth)
        wire.do(self._answer)

    def mutations(self, wanted: Callable[[str, str], object]) -> Iterator[tuple[str, str]]:
        """Sets one mutation after the other and tells (place, name) of it, of those that are `wanted`."""
        for part in ("session", "disputes"):
            for place in places(self.truth[part]):
                where = dotted(place if part == "session" else (part, *place))
                for name, value in INSTEAD.items():
                    if wanted(where, name):
                        self.now = {**self.truth, part: mutated(self.truth[part], place, value)}
                        yield where, name

    def _answer(self, handler: Any) -> None:
        path = handler.path.partition("?")[0]
        part = {"disputes": "disputes", "line_items": "line_items"}.get(path.rpartition("/")[2], "session")
        handler.answer(200, json.dumps(self.now[part]).encode(), {"Content-Type": "application/json"})
