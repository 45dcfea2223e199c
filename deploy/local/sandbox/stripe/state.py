"""What the Stripe stand-in holds, and the frame in which anything happens to it."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError, missing
from local.sandbox.stripe.payment_objects import API_VERSION
from local.sandbox.world import World

OLD_API_VERSION = "2020-03-02"
NO_REQUEST: Object = {"id": None, "idempotency_key": None}
F = TypeVar("F", bound=Callable[..., Object])


class Outcome(NamedTuple):
    """What an action did: the object as it is now, and the events it caused, oldest first."""

    object: Object
    events: list[Object]


class Frame(NamedTuple):
    """How the events of the running action are rendered, and which there are."""

    api_version: str
    silent: bool
    events: list[Object]


def action(method: F) -> Callable[..., Outcome]:
    """Makes a method an action: one at a time, its events collected into an Outcome.

    Every action also takes `api_version` (the version its events are rendered in), `old_api_version=True`
    (short for 2020-03-02) and `silent=True` (Stripe never generates some events: the objects change, no event
    is made).
    """

    @functools.wraps(method)
    def run(
        self: State,
        *args: Any,
        api_version: str | None = None,
        old_api_version: bool = False,
        silent: bool = False,
        **kwargs: Any,
    ) -> Outcome:
        with self.lock:
            version = OLD_API_VERSION if old_api_version else api_version or self.api_version
            outer, self.frame = self.frame, Frame(version, silent, [])
            try:
                changed = method(self, *args, **kwargs)
                return Outcome(copy.deepcopy(changed), copy.deepcopy(self.frame.events))
            finally:
                self.frame = outer

    return run


class State:
    """Objects by kind and id, in the order they came. All access is under `lock`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.api_version = API_VERSION
        self.account_id = world.ids.stripe("acct_")
        self.cause = NO_REQUEST  # id and idempotency key of the API call that is being handled
        self.frame = Frame(API_VERSION, False, [])
        self.clear()

    def clear(self) -> None:
        self._tables: dict[str, dict[str, Object]] = {}
        self.lines: dict[str, list[Object]] = {}
        self._refunds: dict[str, list[Object]] = {}
        self._open: dict[str, Object] = {}
        self._currency_options: dict[str, dict[str, Object]] = {}

    def keep(self, obj: Object) -> Object:
        self._tables.setdefault(obj["object"], {})[obj["id"]] = obj
        if obj["object"] == "refund":
            self._refunds.setdefault(obj["charge"], []).append(obj)
        elif obj["object"] == "checkout.session":
            self._open[obj["id"]] = obj
        return obj

    def drop(self, obj: Object) -> None:
        del self._tables[obj["object"]][obj["id"]]
        self._open.pop(obj["id"], None)

    def set_currency_option(self, price_id: str, currency: str, unit_amount: int) -> None:
        """Gives a price an amount in a further currency, in minor units. Shown only when it is expanded."""
        self._currency_options.setdefault(price_id, {})[currency.lower()] = {
            "custom_unit_amount": None,
            "tax_behavior": "unspecified",
            "unit_amount": unit_amount,
            "unit_amount_decimal": str(unit_amount),
        }

    def currency_options(self, price_id: str) -> dict[str, Object]:
        return self._currency_options.get(price_id, {})

    def newest(self, kind: str) -> list[Object]:
        return list(self.newer_first(kind))

    def newer_first(self, kind: str) -> Iterator[Object]:
        """Newest first, one after the other: for lists of which only the beginning is read."""
        return reversed(self._tables.get(kind, {}).values())

    def holds(self, kind: str, object_id: str) -> bool:
        return object_id in self._tables.get(kind, {})

    def open_sessions(self) -> list[Object]:
        """Oldest first; what has ended is forgotten here, so that nobody looks at it again."""
        for ended in [i for i, s in self._open.items() if s["status"] != "open"]:
            del self._open[ended]
        return list(self._open.values())

    def lookup(self, object_id: str) -> Object | None:
        return next((t[object_id] for t in self._tables.values() if object_id in t), None)

    def find(self, kind: str, ref: str | Object, param: str = "id") -> Object:
        """The stored object for an id, or for a copy of the object. Raises StripeError (resource_missing)."""
        object_id = ref["id"] if isinstance(ref, dict) else ref
        found = self._tables.get(kind, {}).get(object_id)
        if found is None:
            raise missing(kind.replace(".", " ").replace("_", " "), object_id, param)
        return found

    def find_session(self, ref: str | Object, status: str | None = None) -> Object:
        """A session, which must have the given status, if one is given."""
        session = self.find("checkout.session", ref)
        if status and session["status"] != status:
            raise StripeError(400, f"This Session's status is {session['status']}, not {status}.")
        return session

    def charge_of(self, ref: str | Object) -> Object:
        """The latest charge of a session, a payment intent or a charge, given as an id or an object."""
        object_id = ref["id"] if isinstance(ref, dict) else ref
        if object_id.startswith("cs_"):
            object_id = self.find("checkout.session", object_id)["payment_intent"] or ""
            if not object_id:
                raise StripeError(400, "This Session has no payment: nothing was charged.")
        if object_id.startswith("pi_"):
            latest = self.find("payment_intent", object_id, "payment_intent")["latest_charge"]
            if latest is None:
                raise StripeError(
                    400,
                    f"This PaymentIntent ({object_id}) does not have a successful charge to refund.",
                    param="payment_intent",
                )
            object_id = latest
        return self.find("charge", object_id, "charge")

    def refunds_of(self, charge: Object) -> list[Object]:
        """Newest first."""
        return self._refunds.get(charge["id"], [])[::-1]
