"""Autopay's messages: the signed link, the notification (ITN) and its confirmation.

From the gateway's documentation (developers.autopay.pl/online/dokumentacja; the same as files in
github.com/Autopay-S-A/mobile-sdk-docs, bramka-platnosci-online): a hash is the SHA-256, in hex, of the values that are
not empty, joined with "|", with the shared key as the last of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import defusedxml.ElementTree as SafeTree

#: Autopay writes and reads times as the clocks in Poland show them.
POLAND = ZoneInfo("Europe/Warsaw")
CURRENCIES = frozenset(("PLN", "EUR", "GBP", "USD"))
# The order for the hash, whatever the order in the link (dane-transakcji/parameters.md, additional-parameters.md).
_LINK_ORDER = (
    "ServiceID",
    "OrderID",
    "Amount",
    "Description",
    "GatewayID",
    "Currency",
    "CustomerEmail",
    "Language",
    "CustomerNRB",
    "SwiftCode",
    "ForeignTransferMode",
    "TaxCountry",
    "CustomerIP",
    "Title",
    "ReceiverName",
    "Products",
    "ValidityTime",
    "LinkValidityTime",
)
_DETAILS = {"SUCCESS": "AUTHORIZED", "FAILURE": "REJECTED"}
# Autopay's own channel for tests.
_GATEWAY_ID = "106"
# Who paid, as the bank tells; every notification of a payment has it unless it was agreed otherwise.
_PAYER = {
    "fName": "Jan",
    "lName": "Kowalski",
    "streetName": "Jasna",
    "streetHouseNo": "6",
    "postalCode": "10-234",
    "city": "Warszawa",
    "nrb": "26105014451000002276470461",
    "senderData": "Jan Kowalski, Jasna 6, 10-234 Warszawa",
}


class AutopayError(ValueError):
    """What Autopay refuses; `status` is that of the page which says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Link:
    """What a verified link asks for; `amount` is in minor units."""

    order_id: str
    amount: int
    currency: str
    description: str
    email: str


@dataclass
class Transaction:
    """One attempt to pay an order. `amount` is in minor units, `at` (aware, UTC) is when its status came about."""

    remote_id: str
    order_id: str
    amount: int
    currency: str
    status: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}


def digest(values: Iterable[str], key: str) -> str:
    return hashlib.sha256("|".join([*filter(None, values), key]).encode()).hexdigest()


def signed_by(values: Iterable[str], key: str, given: str) -> bool:
    return hmac.compare_digest(digest(values, key).encode(), given.lower().encode())


def read_link(sent: Sequence[tuple[str, str]], service_id: str, key: str, now: datetime) -> Link:
    """The parameters of a link, verified. Raises AutopayError with words for the person who opened it."""
    given = dict(sent)
    if len(given) < len(sent):
        raise AutopayError("A parameter of this link comes twice.")
    unknown = given.keys() - {*_LINK_ORDER, "Hash"}
    if unknown:
        raise AutopayError(f"This link has parameters that are not known: {', '.join(sorted(unknown))}.")
    for name in ("ServiceID", "OrderID", "Amount", "Hash"):
        if not given.get(name):
            raise AutopayError(f"This link has no {name}.")
    if given["ServiceID"] != service_id:
        raise AutopayError(f"There is no service {given['ServiceID']}.", 404)
    if not signed_by((given.get(name, "") for name in _LINK_ORDER), key, given["Hash"]):
        raise AutopayError("The Hash of this link is wrong: its values are not those that the shop signed.", 403)
    _check_values(given)
    for name in ("ValidityTime", "LinkValidityTime"):
        if given.get(name) and _polish_time(name, given[name]) <= now:
            raise AutopayError(f"This link is no longer valid: its {name} has passed.", 410)
    return Link(
        order_id=given["OrderID"],
        amount=int(given["Amount"].replace(".", "")),
        currency=given.get("Currency") or "PLN",
        description=given.get("Description", ""),
        email=given.get("CustomerEmail", ""),
    )


def _check_values(given: dict[str, str]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", given["OrderID"]):
        raise AutopayError("The OrderID may have 32 letters, digits, _ and - at most.")
    if not re.fullmatch(r"[0-9]{1,14}\.[0-9]{2}", given["Amount"]) or float(given["Amount"]) == 0:
        raise AutopayError(f"The Amount {given['Amount']} is not one such as 49.00.")
    if (given.get("Currency") or "PLN") not in CURRENCIES:
        raise AutopayError(f"The currency {given['Currency']} is not supported.")
    if not re.fullmatch(r"[A-Za-z0-9 .:,-]{0,79}", given.get("Description", "")):
        raise AutopayError("The Description may have 79 Latin letters, digits, spaces and .:-, at most.")
    email = given.get("CustomerEmail", "")
    if email and not re.fullmatch(r"(?=.{3,255}$)[^@\s]+@[^@\s]+", email):
        raise AutopayError("The CustomerEmail is no mail address.")


def _polish_time(name: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=POLAND)
    except ValueError:
        raise AutopayError(f"The {name} is not of the form 2026-11-20 13:00:00.") from None


def notification(transaction: Transaction, status: str, service_id: str, key: str) -> bytes:
    """The XML that tells of a transaction. A pending one has no details yet, and only a paid one has a payer."""
    values = {
        "orderID": transaction.order_id,
        "remoteID": transaction.remote_id,
        "amount": f"{transaction.amount // 100}.{transaction.amount % 100:02d}",
        "currency": transaction.currency,
        "gatewayID": _GATEWAY_ID,
        "paymentDate": transaction.at.astimezone(POLAND).strftime("%Y%m%d%H%M%S"),
        "paymentStatus": status,
        "paymentStatusDetails": _DETAILS.get(status, ""),
    }
    payer = _PAYER if status == "SUCCESS" else {}
    root = ElementTree.Element("transactionList")
    ElementTree.SubElement(root, "serviceID").text = service_id
    told = ElementTree.SubElement(ElementTree.SubElement(root, "transactions"), "transaction")
    for name, value in values.items():
        if value:
            ElementTree.SubElement(told, name).text = value
    if payer:
        customer = ElementTree.SubElement(told, "customerData")
        for name, value in payer.items():
            ElementTree.SubElement(customer, name).text = value
    ElementTree.SubElement(root, "hash").text = digest([service_id, *values.values(), *payer.values()], key)
    ElementTree.indent(root, "    ")
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)


def as_form(xml: bytes) -> dict[str, str]:
    """How a notification is posted."""
    return {"transactions": base64.b64encode(xml).decode()}


def objection(answer: bytes, order_id: str, service_id: str, key: str) -> str | None:
    """Why an answer is no confirmation, in words; None for one that is."""
    try:
        root = SafeTree.fromstring(answer)
    except (ElementTree.ParseError, ValueError):
        return "the answer is not XML"
    if root.tag != "confirmationList":
        return f"the answer is a {root.tag}, not a confirmationList"
    values = [(leaf.tag, (leaf.text or "").strip()) for leaf in root.iter() if len(leaf) == 0 and leaf.tag != "hash"]
    if not signed_by((value for _, value in values), key, (root.findtext("hash") or "").strip()):
        return "the hash of the answer is wrong"
    if values != [("serviceID", service_id), ("orderID", order_id), ("confirmation", "CONFIRMED")]:
        return f"the answer says {', '.join(f'{name} {value}' for name, value in values)}"
    return None
