"""A stand-in for Autopay (Blue Media): pay pages behind links that the shop signs, and notifications of payments."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from flask import Blueprint

from local.sandbox.autopay_messages import AutopayError, Link, Transaction, as_form, digest, notification, objection
from local.sandbox.autopay_messages import read_link as read
from local.sandbox.autopay_page import AutopayPage
from local.sandbox.courier import Courier, Posting
from local.sandbox.world import Answer, Provider, World

_ERROR = (
    "<!doctype html><html lang=en><head><title>Autopay</title></head>"
    "<body><h1>Autopay cannot be reached</h1><p>Error {status}. Please try again.</p></body></html>"
)
_REMOTE_ID = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SETTINGS = ("service_id", "key", "itn_url", "return_url", "autosend", "lose")
_TIMEOUT = 20
Json = dict[str, Any]


@dataclass(frozen=True)
class Notification:
    """One message about a transaction, the same at each try; `status` is what it says, `xml` how."""

    id: str
    remote_id: str
    order_id: str
    status: str
    xml: bytes


@dataclass(frozen=True)
class NoticeDelivery:
    """One attempt to post one notification. `status` is None when no answer came; `error` says why the answer, or
    its lack, does not confirm the notification. `at` is real time in Unix seconds."""

    notification_id: str
    remote_id: str
    order_id: str
    payment_status: str
    attempt: int
    status: int | None
    answer: str
    error: str | None
    at: float
    #: Dropped by the sandbox's chaos, although Autopay believes it was confirmed.
    lost: bool = False

    @property
    def confirmed(self) -> bool:
        return self.error is None or self.lost

    def as_json(self) -> Json:
        return asdict(self) | {"confirmed": self.confirmed}


class Autopay(Posting, Provider):
    """Settings, which may be changed at any time: `service_id` and the shared `key`; `itn_url` takes the
    notifications, `return_url` the buyers (None: nowhere). `autosend` posts notifications in the background, and
    again after 1, 2, 4, … s, eight times in all (Autopay: every three minutes at first, for days), until the answer
    confirms them; a PENDING is not repeated once its transaction has ended. Without it they wait for `deliver`.
    `lose` drops every delivery.

    In the actions `order` is a link, or the OrderID of one that was opened before, and `payment` a RemoteID, or an
    OrderID for its latest transaction. They return the transaction with its `notifications`, and raise AutopayError.
    """

    name = "autopay"
    actions = ("open", "pay", "later", "fail", "settle", "repeat", "late_failure", "deliver", "configure")

    def __init__(self, world: World, autosend: bool = True) -> None:
        self.service_id, self.key = "123456", "sandbox-autopay-key"
        self.itn_url: str | None = None
        self.return_url: str | None = None
        self.autosend, self.lose = autosend, False
        self._courier = Courier(self)
        super().__init__(world)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("autopay", __name__)
        AutopayPage(self).register(routes)
        return routes

    def reset(self) -> None:
        with self.lock:
            self._courier.drop()
            self.lose = False
            self._links: dict[str, Link] = {}
            self._transactions: dict[str, Transaction] = {}
            self._notifications: dict[str, Notification] = {}
            self.deliveries: list[NoticeDelivery] = []
            self._tries: Counter[str] = Counter()

    def error(self, status: int, retry_after: int | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Answer(_ERROR.format(status=status), "text/html; charset=utf-8", headers)

    def configure(self, **settings: Any) -> Json:
        """Sets service_id, key, itn_url, return_url, autosend or lose; returns all but the key."""
        unknown = settings.keys() - set(_SETTINGS)
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        for name, value in settings.items():
            setattr(self, name, value)
        return {name: getattr(self, name) for name in _SETTINGS if name != "key"}

    def transactions(self, order_id: str | None = None) -> list[Transaction]:
        """The transactions, oldest first, of one order or of all."""
        with self.lock:
            return [t for t in self._transactions.values() if order_id in (None, t.order_id)]

    def notifications(self, about: str | None = None) -> list[Notification]:
        """The notifications, oldest first; `about` is a RemoteID or an OrderID."""
        with self.lock:
            return [n for n in self._notifications.values() if about in (None, n.remote_id, n.order_id)]

    def is_paid(self, order_id: str) -> bool:
        return any(t.status == "SUCCESS" for t in self.transactions(order_id))

    def read_link(self, sent: Sequence[tuple[str, str]]) -> Link:
        """A link's parameters, verified and remembered."""
        link = read(sent, self.service_id, self.key, self.world.now())
        self._links[link.order_id] = link
        return link

    def open(self, link: str) -> Json:
        """Opens a link as a buyer does, and returns what it asks for; no transaction starts yet."""
        return asdict(self._link(link))

    def _link(self, order: str) -> Link:
        if "://" in order:
            return self.read_link(parse_qsl(urlsplit(order).query, keep_blank_values=True))
        if order not in self._links:
            raise AutopayError(f"no link for the order {order} was opened", 404)
        return self._links[order]

    def later(self, order: str) -> Json:
        """The buyer chose a bank transfer, or left in the middle: PENDING, until `settle`."""
        return self._told(self._start(self._link(order)))

    def pay(self, order: str, amount: int | None = None, currency: str | None = None, twice: bool = False) -> Json:
        """PENDING, then SUCCESS. `amount` (minor units) and `currency` replace the link's; `twice` pays by a second
        transaction as well, whose RemoteID is another. Returns the last transaction."""
        link = self._link(order)
        for _ in range(2 if twice else 1):
            paid = self._start(link, amount, currency)
            self._end(paid, "SUCCESS")
        return self._told(paid)

    def fail(self, order: str) -> Json:
        """PENDING, then FAILURE; the order may still be paid by another transaction."""
        failed = self._start(self._link(order))
        self._end(failed, "FAILURE")
        return self._told(failed)

    def settle(self, payment: str, success: bool = True) -> Json:
        """The end of a pending transaction: the money came, or it did not."""
        waiting = self._find(payment, "PENDING")
        self._end(waiting, "SUCCESS" if success else "FAILURE")
        return self._told(waiting)

    def repeat(self, payment: str) -> Json:
        """Sends the last notification once more, although it may be confirmed."""
        again = self._find(payment)
        self._send(self.notifications(again.remote_id)[-1])
        return self._told(again)

    def late_failure(self, payment: str, another: bool = False) -> Json:
        """A FAILURE that comes after the SUCCESS, of the same transaction or of another attempt. It is paid still."""
        paid = self._find(payment, "SUCCESS")
        if another:
            paid = Transaction(self._remote_id(), paid.order_id, paid.amount, paid.currency, "FAILURE", paid.at)
            self._transactions[paid.remote_id] = paid
        self._notify(paid, "FAILURE")
        return self._told(paid)

    def _find(self, payment: str, status: str | None = None) -> Transaction:
        known = [t for t in self._transactions.values() if payment in (t.remote_id, t.order_id)]
        found = [t for t in known if status in (None, t.status)]
        if not found:
            states = ", ".join(f"{t.remote_id} is {t.status}" for t in known) or "there is none"
            raise AutopayError(f"no {f'{status} ' if status else ''}transaction {payment}: {states}", 409)
        return found[-1]

    def _remote_id(self) -> str:
        return self.world.ids.token(10, _REMOTE_ID)

    def _start(self, link: Link, amount: int | None = None, currency: str | None = None) -> Transaction:
        started = Transaction(
            self._remote_id(),
            link.order_id,
            link.amount if amount is None else amount,
            currency or link.currency,
            "PENDING",
            self.world.now(),
        )
        self._transactions[started.remote_id] = started
        self._notify(started, "PENDING")
        return started

    def _end(self, transaction: Transaction, status: str) -> None:
        transaction.status, transaction.at = status, self.world.now()
        self._notify(transaction, status)

    def _told(self, transaction: Transaction) -> Json:
        about = self.notifications(transaction.remote_id)
        return transaction.as_json() | {"notifications": [{"id": n.id, "status": n.status} for n in about]}

    def back_to(self, order_id: str) -> str | None:
        """Where the buyer goes from here: the shop's address with the signed OrderID."""
        if self.return_url is None:
            return None
        parts = urlsplit(self.return_url)
        signed = {
            "ServiceID": self.service_id,
            "OrderID": order_id,
            "Hash": digest([self.service_id, order_id], self.key),
        }
        return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(signed)]))))

    def _notify(self, transaction: Transaction, status: str) -> None:
        made = Notification(
            f"itn_{self.world.ids.serial()}",
            transaction.remote_id,
            transaction.order_id,
            status,
            notification(transaction, status, self.service_id, self.key),
        )
        self._notifications[made.id] = made
        self._send(made)

    def _send(self, made: Notification) -> None:
        if self.autosend and self.itn_url:
            self._courier.send(made.id, self.itn_url)

    def deliver(self, notification: str | None = None, times: int = 1) -> int | None:
        """Posts a notification (its id) now, `times` times, or in their order all that are not confirmed yet.

        Returns the last answer's status, None for no answer. Raises ValueError when there is nowhere to post to.
        """
        if not self.itn_url:
            raise ValueError("no address for notifications: set itn_url first")
        with self.lock:
            done = {d.notification_id for d in self.deliveries if d.confirmed}
            chosen = [n for n in self._notifications.values() if n.id not in done]
            if notification is not None:
                chosen = [n for n in self._notifications.values() if n.id == notification]
                if not chosen:
                    raise AutopayError(f"no notification {notification}", 404)
        status = None
        for made in chosen * times:
            status = self._post(made, self.itn_url).status
        return status

    def attempt(self, message_id: str, endpoint_id: str, *, lost: bool = False, again: bool = False) -> bool:
        with self.lock:
            made = self._notifications.get(message_id)
            if made is None or (made.status == "PENDING" and self._is_old(made) and not again):
                return True
        return self._post(made, endpoint_id, lost).confirmed

    def _is_old(self, made: Notification) -> bool:
        return self._tries[made.id] > 0 and self._transactions[made.remote_id].status != "PENDING"

    def _post(self, made: Notification, url: str, lost: bool = False) -> NoticeDelivery:
        status, answer, error = None, b"", None
        if lost or self.lose:
            error = "lost for good" if lost else "lost on the way"
        else:
            try:
                reply = requests.post(url, data=as_form(made.xml), timeout=_TIMEOUT, allow_redirects=False)
                status, answer = reply.status_code, reply.content
            except requests.RequestException as failure:
                error = type(failure).__name__
        if status is not None:
            error = f"answered {status}" if status != 200 else None
            error = error or objection(answer, made.order_id, self.service_id, self.key)
        with self.lock:
            self._tries[made.id] += 1
            delivery = NoticeDelivery(
                made.id,
                made.remote_id,
                made.order_id,
                made.status,
                self._tries[made.id],
                status,
                answer.decode(errors="replace"),
                error,
                time.time(),
                lost,
            )
            self.deliveries.append(delivery)
        return delivery
