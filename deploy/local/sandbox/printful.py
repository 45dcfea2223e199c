"""A stand-in for Printful: orders that are printed, sent, held, refused and sent back, as its API v1 tells of them."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from flask import Blueprint

from local.sandbox import printful_objects as shape
from local.sandbox.printful_api import PrintfulApi
from local.sandbox.printful_objects import Json, PrintfulError
from local.sandbox.printful_orders import Orders
from local.sandbox.printful_webhooks import TYPES, PrintDelivery, PrintEvent
from local.sandbox.world import Answer, Provider, World

__all__ = ["TYPES", "PrintDelivery", "PrintEvent", "Printful", "PrintfulError"]

_SETTINGS = ("token", "balance", "fall_back", "per_minute", "needs_store", "webhook_url", "autosend", "lose")
_TOO_MANY = "You've recently sent too many requests. Please try again after {} seconds."
_BY_STATUS = {
    401: "The access token provided is invalid.",
    403: "You do not have access to this store.",
    404: "Not found",
}


class Printful(Orders, Provider):
    """Settings, which may be changed at any time: `token` (None: any), `per_minute` (calls that are allowed, None:
    any number), `needs_store` (the token opens several stores, so each call has to name one), and those of `Orders`
    and `Webhooks`."""

    name = "printful"
    actions = (
        "add_variant",
        "start",
        "ship",
        "fail",
        "cancel",
        "hold",
        "release",
        "compute",
        "send_back",
        "refund",
        "steal",
        "deliver",
        "configure",
    )

    def __init__(self, world: World, autosend: bool = True) -> None:
        self.token: str | None = None
        self.per_minute: int | None = None
        self.needs_store = False
        Orders.__init__(self, world, autosend)
        Provider.__init__(self, world)
        self._api = PrintfulApi(self)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("printful", __name__)
        self._api.register(routes)
        return routes

    def reset(self) -> None:
        with self.lock:
            self.forget_orders()
            self.called: deque[float] = deque()

    def error(self, status: int, retry_after: int | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        message = _BY_STATUS.get(status, "Internal Server Error" if status >= 500 else "Bad request")
        if status == 429:
            message = _TOO_MANY.format(retry_after or 60)
        return Answer(json.dumps(shape.error_body(message, status)), "application/json; charset=utf-8", headers)

    def configure(self, **settings: Any) -> Json:
        """Sets any of the settings but the variants; returns them without the token."""
        unknown = settings.keys() - set(_SETTINGS)
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        for name, value in settings.items():
            setattr(self, name, value)
        return {name: getattr(self, name) for name in _SETTINGS if name != "token"}

    def add_variant(self, id: int, name: str, price: str = "12.95", retail_price: str | None = None) -> Json:
        """A product of the store (a sync variant) and what Printful asks for one, in dollars."""
        self.variants[int(id)] = {"id": int(id), "name": name, "price": price, "retail_price": retail_price}
        return self.variants[int(id)]
