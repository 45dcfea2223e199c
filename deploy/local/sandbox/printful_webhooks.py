"""Printful's webhooks: unsigned JSON, posted until the answer is a 2xx."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import requests

from local.sandbox.courier import Courier, Posting
from local.sandbox.printful_objects import STORE_ID, PrintfulError
from local.sandbox.world import World

Json = dict[str, Any]
TYPES = (
    "package_shipped",
    "package_returned",
    "order_created",
    "order_updated",
    "order_failed",
    "order_canceled",
    "order_put_hold",
    "order_put_hold_approval",
    "order_remove_hold",
    "order_refunded",
)
_TIMEOUT = 20


@dataclass(frozen=True)
class PrintEvent:
    """One message about an order (its number), the same at each try but for `retries` in its body."""

    id: str
    type: str
    order: int
    body: Json

    def as_json(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class PrintDelivery:
    """One attempt to post one event; `status` is None when no answer came. `at` is real time in Unix seconds."""

    event_id: str
    type: str
    order: int
    attempt: int
    status: int | None
    error: str | None
    at: float
    #: Dropped by the sandbox's chaos, although Printful believes it was taken.
    lost: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.lost or (self.status is not None and 200 <= self.status < 300)

    def as_json(self) -> Json:
        return asdict(self)


class Webhooks(Posting):
    """`webhook_url` takes the events of `types` (None: nowhere); the secret in its path is all that protects it.

    `autosend` posts them in the background, and again after 1, 2, 4, … s, eight times in all (Printful: after 1, 4,
    16, … 1024 minutes); without it they wait for `deliver`. `lose` drops every delivery.
    """

    name: str
    lock: threading.RLock

    def __init__(self, world: World, autosend: bool) -> None:
        self.world = world
        self.webhook_url: str | None = None
        self.types: tuple[str, ...] = TYPES
        self.autosend, self.lose = autosend, False
        self._courier = Courier(self)

    def forget_events(self) -> None:
        self._courier.drop()
        self.lose = False
        self._events: dict[str, PrintEvent] = {}
        self._tries: Counter[str] = Counter()
        self._taken: set[str] = set()
        self.deliveries: list[PrintDelivery] = []

    def tell(self, kind: str, order: Json, **data: Any) -> None:
        """Adds an event with a snapshot of the order and sends it, if it is subscribed to."""
        body = {
            "type": kind,
            "created": self.world.timestamp(),
            "retries": 0,
            "store": STORE_ID,
            "data": copy.deepcopy(data | {"order": order}),
        }
        event = PrintEvent(f"pfe_{self.world.ids.serial()}", kind, order["id"], body)
        self._events[event.id] = event
        if self.autosend and self.webhook_url and kind in self.types:
            self._courier.send(event.id, self.webhook_url)

    def events(self, kind: str | None = None, about: int | None = None) -> list[PrintEvent]:
        """The events, oldest first, of one type or about one order (its number)."""
        with self.lock:
            return [e for e in self._events.values() if kind in (None, e.type) and about in (None, e.order)]

    def deliver(self, event: str | PrintEvent | None = None, times: int = 1) -> int | None:
        """Posts an event now, `times` times, or in their order all that were not acknowledged yet.

        Returns the last answer's status, None for no answer. Raises ValueError when there is nowhere to post to.
        """
        if not self.webhook_url:
            raise ValueError("no address for webhooks: set webhook_url first")
        wanted = event.id if isinstance(event, PrintEvent) else event
        with self.lock:
            if wanted is None:
                chosen = [e for e in self._events.values() if e.id not in self._taken and e.type in self.types]
            elif wanted in self._events:
                chosen = [self._events[wanted]]
            else:
                raise PrintfulError(f"no event {wanted}", 404)
        status = None
        for made in chosen * times:
            status = self._post(made, self.webhook_url).status
        return status

    def attempt(self, message_id: str, endpoint_id: str, *, lost: bool = False, again: bool = False) -> bool:
        with self.lock:
            made = self._events.get(message_id)
            if made is None or (message_id in self._taken and not again):
                return True
        return self._post(made, endpoint_id, lost).acknowledged

    def _post(self, made: PrintEvent, url: str, lost: bool = False) -> PrintDelivery:
        with self.lock:
            tried = self._tries[made.id]
            self._tries[made.id] += 1
        status, error = None, None
        if lost or self.lose:
            error = "lost for good" if lost else "lost on the way"
        else:
            try:
                status = requests.post(
                    url,
                    data=json.dumps(made.body | {"retries": tried}),
                    headers={"Content-Type": "application/json", "User-Agent": "Printful"},
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                ).status_code
            except requests.RequestException as failure:
                error = type(failure).__name__
        delivery = PrintDelivery(made.id, made.type, made.order, tried + 1, status, error, time.time(), lost)
        with self.lock:
            self.deliveries.append(delivery)
            if delivery.acknowledged:
                self._taken.add(made.id)
        return delivery
