"""The shop's checkout: takes a cart from the shop's page, stores the order, and sends the buyer to pay.

    POST /         a cart as JSON: 200 {"order", "key", "url"}; as a form (one product): 303 to where it is paid
    GET  /status   how far an order is, for whoever holds its key
    POST /visit    wakes this function and counts a page view; answers what is nearly sold out
    GET  /traffic  signed · the page views by day
    GET  /stock    signed · what is left of each product
    GET  /doctor   signed · what is wrong, seen from here

Public, and for browsers only from the shop's own pages. 4xx say what is wrong with the cart, all of it at once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from pushcart import cartform, doctor, needs, shapes, startup
from pushcart import clock as clocks
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.pages import pages
from pushcart.errors import BadRequest, PushcartError
from pushcart.providers import paylinks
from pushcart.public import Origins, PublicRouter, origin_of
from pushcart.repositories import Locks, Orders
from pushcart.services import traffic
from pushcart.services.checkout import Checkout
from pushcart.services.forms import Forms
from pushcart.services.progress import Progress
from pushcart.services.stock import Stock
from pushcart.services.ways import Ways
from pushcart.store import connect
from pushcart.web import Request, Router

LINK_VARIABLES, LINK_SECRETS = paylinks.reads()

READS = Reads(
    variables=(
        "stripe_mode",
        "stripe_url",
        "provider_timeout",
        "max_cart_bytes",
        "site_url",
        "shop_file",
        *LINK_VARIABLES,
    ),
    needs=("internal-key", "store-url"),
    may_need=("stripe-api-key", *LINK_SECRETS, "shop"),
)


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, catalogue: Callable[[], Catalogue], clock: clocks.Clock) -> None:
        self._catalogue = catalogue
        self._store = connect(config.secret("store-url"))
        orders = Orders(self._store)
        self._stock = Stock(self._store, catalogue, clock)
        self._ways = Ways(config)
        token = partial(secrets.token_urlsafe, 24)
        self._checkout = Checkout(
            orders,
            self._stock,
            Locks(self._store, clock),
            self._ways,
            catalogue,
            self._site,
            clock,
            token,
            livemode=config["stripe_mode"] == "live",
        )
        self._forms = Forms(self._checkout.begin, clock, token)
        self._progress = Progress(orders, catalogue)
        self._visits = traffic.Visits(self._store, clock, lambda: pages(catalogue()))
        signed = Router(config, clock)
        signed.add("GET", "/stock", lambda request: self._stock.listing())
        signed.add("GET", "/traffic", partial(_traffic, self._store, clock))
        doctor.add(signed, config, clock, self._probes)
        self.router = PublicRouter(signed, Origins(self._allowed), config.number("max_cart_bytes"))
        self.router.add("POST", "/", self._begin)
        self.router.add("GET", "/status", self._status)
        self.router.add("POST", "/visit", self._visit)

    def _begin(self, event: Any, context: Any) -> dict[str, Any]:
        form = cartform.is_form(event)
        try:
            wanted = cartform.read(event)
            begun = self._forms.begin(wanted, cartform.sender(event)) if form else self._checkout.begin(wanted)
        except PushcartError as error:
            answer = error.answer(context.log_fields, stranger=True)
            return cartform.page(answer, self._site()) if form else answer
        context.log_fields["order_id"] = begun.order_id
        if form:
            return {"statusCode": 303, "headers": {"Location": begun.url}}
        return {"statusCode": 200, "body": {"order": begun.order_id, "key": begun.key, "url": begun.url}}

    def _status(self, event: Any, context: Any) -> dict[str, Any]:
        asked = {name: value for name, value in event.query.to_dict().items() if "\0" not in value}
        if "session_id" in asked:
            return {"statusCode": 200, "body": self._progress.by_session(asked["session_id"])}
        for provider in self._ways.links(self._catalogue().checkout.pay_with):
            if proven := provider.returned(asked):
                return {"statusCode": 200, "body": self._progress.by_proof(proven)}
        return {"statusCode": 200, "body": self._progress.by_key(asked.get("order", ""), asked.get("key", ""))}

    def _visit(self, event: Any, context: Any) -> dict[str, Any]:
        form = cartform.fields(event)
        purpose = event.headers.get("Sec-Purpose") or event.headers.get("Purpose") or ""
        self._visits.seen(form.get("page", ""), form.get("from", ""), event.headers.get("User-Agent", ""), purpose)
        return {"statusCode": 200, "body": {"stock": self._stock.nearly_gone()}}

    def _site(self) -> str:
        return self._catalogue().shop.url

    def _allowed(self) -> list[str]:
        return [origin_of(self._site()), *map(origin_of, self._catalogue().site.origins)]

    def _probes(self) -> doctor.Probes:
        return {
            "configuration": doctor.Probe(partial(doctor.settings, self._check)),
            "store": doctor.store(self._store, "checkout"),
        }

    def _check(self) -> None:
        """Also what shop.yml came to need since the function started."""
        self._ways.check(self._catalogue())

    def close(self) -> None:
        self._visits.close()
        self._store.close()


def _traffic(store: Any, clock: clocks.Clock, request: Request) -> Any:
    days = request.query.get("days", "30")
    if not re.fullmatch(r"[0-9]{1,3}", days):
        raise BadRequest(f"days={days!r} is no number of days.")
    return traffic.report(store, clock, int(days))


app: App


def start() -> None:
    """Reads the configuration and shop.yml; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config, shop = startup.load(READS, needs.for_checkout)
    app = App(config, shop, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.router.handle(event, context)


def stop() -> None:
    """After the calls in flight: write what was counted and give the connections back."""
    app.close()
