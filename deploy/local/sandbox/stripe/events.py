"""Events: made, listed, signed and delivered to the webhook as Stripe does it."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import requests

from local.sandbox.courier import Courier, Posting
from local.sandbox.stripe import payment_objects as shape
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.state import State
from local.sandbox.world import World
from pushcart.services.stripe_inbox import EVENT_TYPES

# What the shop's webhook endpoint is subscribed to. The API lists all events, as Stripe does.
SHOP_EVENTS = tuple(sorted(EVENT_TYPES))
_TIMEOUT = 20


@dataclass(frozen=True)
class Delivery:
    """One attempt to post one event; `status` is None when no answer came. `at` is real time."""

    event_id: str
    url: str
    attempt: int
    status: int | None
    error: str | None
    at: float
    #: Dropped by the sandbox's chaos, although Stripe believes it was taken.
    lost: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.lost or (self.status is not None and 200 <= self.status < 300)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Events(State, Posting):
    """`autosend` posts each event in the background and tries again after 1, 2, 4, … s, eight times in all;
    without it events wait for `deliver`. `lose` drops every delivery, as if the network ate it."""

    _url: str | None = None

    def __init__(self, world: World, webhook_url: str | None, secret: str, autosend: bool) -> None:
        super().__init__(world)
        self.autosend = autosend
        self.lose = False
        self.secret = secret
        self.enabled_events: tuple[str, ...] = SHOP_EVENTS
        self._endpoint_id = world.ids.stripe("we_")
        self._courier = Courier(self)
        self.webhook_url = webhook_url

    def clear(self) -> None:
        super().clear()
        self._pending: dict[str, set[str]] = {}
        self._forced: set[str] = set()
        self.deliveries: list[Delivery] = []
        self._tries: Counter[tuple[str, str]] = Counter()
        if self._url:
            self.webhook_url = self._url

    @property
    def webhook_url(self) -> str | None:
        """Where events are posted. May be set at any time; None means nowhere."""
        return self._url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        with self.lock:
            self._tables.get("webhook_endpoint", {}).pop(self._endpoint_id, None)
            self._url = url
            if url:
                enabled = list(self.enabled_events)
                self.add_endpoint(self._endpoint_id, url, self.secret, enabled, api_version=self.api_version)

    def add_endpoint(self, endpoint_id: str, url: str, secret: str, enabled: list[str], **fields: Any) -> Object:
        return self.keep(
            {
                "id": endpoint_id,
                "object": "webhook_endpoint",
                "api_version": None,
                "application": None,
                "created": self.world.timestamp(),
                "description": None,
                "enabled_events": enabled,
                "livemode": False,
                "metadata": {},
                "secret": secret,
                "status": "enabled",
                "url": url,
                **fields,
            }
        )

    def emit(
        self, kind: str, obj: Object, previous: Object | None = None, *, livemode: bool = False, force: bool = False
    ) -> None:
        """Adds an event with a snapshot of the object; `force` delivers it though nobody subscribed."""
        if self.frame.silent:
            return
        version = self.frame.api_version
        refunds = self.refunds_of(obj) if obj["object"] == "charge" else []
        data: Object = {"object": shape.render_as(obj, version, refunds)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.keep(
            shape.event(
                self.world.ids.stripe("evt_"), self.world.timestamp(), kind, version, data, livemode, dict(self.cause)
            )
        )
        self.frame.events.append(event)
        if force:
            self._forced.add(event["id"])
        waiting = {e["id"] for e in self._endpoints(event)}
        self._pending[event["id"]] = waiting
        event["pending_webhooks"] = len(waiting)
        if self.autosend:
            for endpoint_id in sorted(waiting):
                self._courier.send(event["id"], endpoint_id)

    def _endpoints(self, event: Object) -> list[Object]:
        return [
            e
            for e in reversed(self.newest("webhook_endpoint"))
            if event["id"] in self._forced or {"*", event["type"]} & set(e["enabled_events"])
        ]

    def events(self, kind: str | None = None, about: str | Object | None = None) -> list[Object]:
        """Copies of the events, oldest first, of one type or about one object (its id or a copy)."""
        about_id = about["id"] if isinstance(about, dict) else about
        with self.lock:
            return [
                copy.deepcopy(e)
                for e in reversed(self.newest("event"))
                if kind in (None, e["type"]) and about_id in (None, e["data"]["object"].get("id"))
            ]

    def delivered(self, event: Object) -> bool:
        """Stripe's `delivery_success`: every endpoint that wants the event has acknowledged it."""
        return not self._pending.get(event["id"])

    def signed(
        self, event: str | Object | bytes, secret: str | None = None, at: datetime | float | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of a webhook call, for an event or for any bytes.

        `at` is the signature's time (aware datetime or Unix seconds), by default the real time now: Stripe's
        clock does not travel with the shop's.
        """
        body = event if isinstance(event, bytes) else self._body(event)
        moment = at.timestamp() if isinstance(at, datetime) else time.time() if at is None else at
        stamp = str(int(moment))
        digest = hmac.new((secret or self.secret).encode(), stamp.encode() + b"." + body, hashlib.sha256)
        return body, {
            "Content-Type": "application/json; charset=utf-8",
            "Cache-Control": "no-cache",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5",
            "Stripe-Signature": f"t={stamp},v1={digest.hexdigest()}",
        }

    def _body(self, event: str | Object) -> bytes:
        with self.lock:
            return json.dumps(self.find("event", event), indent=2, ensure_ascii=False).encode()

    def deliver(self, event: str | Object, times: int = 1) -> int | None:
        """Posts an event now, `times` times in a row; returns the last answer's status, None for no answer.

        Raises ValueError when there is no webhook to post to.
        """
        with self.lock:
            stored, body = self.find("event", event), self._body(event)
            endpoints = self._endpoints(stored) or self.newest("webhook_endpoint")
        if not endpoints:
            raise ValueError("no webhook to deliver to: set webhook_url first")
        status = None
        for _ in range(times):
            for endpoint in endpoints:
                status = self._post(stored["id"], body, endpoint).status
        return status

    def attempt(self, message_id: str, endpoint_id: str, *, lost: bool = False, again: bool = False) -> bool:
        with self.lock:
            endpoint = self._tables.get("webhook_endpoint", {}).get(endpoint_id)
            waiting = self._pending.get(message_id)
            if endpoint is None or waiting is None or not (again or endpoint_id in waiting):
                return True
            body = self._body(message_id)
        return self._post(message_id, body, endpoint, lost).acknowledged

    def _post(self, event_id: str, body: bytes, endpoint: Object, lost: bool = False) -> Delivery:
        _, headers = self.signed(body, endpoint["secret"])
        status, error = None, None
        if lost or self.lose:
            error = "lost for good" if lost else "lost on the way"
        else:
            try:
                status = requests.post(
                    endpoint["url"], data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
                ).status_code
            except requests.RequestException as failure:
                error = type(failure).__name__
        with self.lock:
            self._tries[event_id, endpoint["url"]] += 1
            attempt = self._tries[event_id, endpoint["url"]]
            delivery = Delivery(event_id, endpoint["url"], attempt, status, error, time.time(), lost)
            self.deliveries.append(delivery)
            if delivery.acknowledged and event_id in self._pending:
                self._pending[event_id].discard(endpoint["id"])
                self.find("event", event_id)["pending_webhooks"] = len(self._pending[event_id])
            return delivery

    def drop_deliveries(self) -> None:
        self._courier.drop()

    def matching(self, types: Iterable[str]) -> Callable[[Object], bool]:
        """Whether an event is of one of the types; `charge.*` takes a group. None given: all.

        Stripe lists the last 30 days only."""
        wanted, oldest = set(types), self.world.timestamp() - 30 * 86400
        everything = not wanted or "*" in wanted
        groups = tuple(w[:-1] for w in wanted if w.endswith(".*"))
        return lambda e: e["created"] >= oldest and (everything or e["type"] in wanted or e["type"].startswith(groups))
