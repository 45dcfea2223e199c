"""Autopay (Poland; once Blue Media): links signed with the service's shared key, and the notifications about them.

Every rule here is Autopay's own: https://developers.autopay.pl/online/dokumentacja, and the same text as files in
https://github.com/Autopay-S-A/mobile-sdk-docs (bramka-platnosci-online), which the docstrings name.

A Hash is SHA-256 over the bare values, joined by "|", and the key. It says nothing of names, and buyers know the
Hash of their link and of their way back. So a notification counts only in the one shape Autopay documents, in which
no link and no way back can be read; and nothing is ever signed that was not verified before.

The service at Autopay has to use SHA-256 (its default) and to bear the fees itself (a fee on top of the price makes
the amount another one). Baskets (IPN) and recurring payments (RPAN, RPDN) are not used, and refused.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError
from zoneinfo import ZoneInfo

from pushcart.clock import Instant, from_instant, to_instant
from pushcart.config import Config
from pushcart.domain import money
from pushcart.errors import BadRequest, BadSignature, ConfigurationError, TooLarge
from pushcart.providers.paylinks import Message, Notice

SERVICE_ID, KEY = "autopay_service_id", "autopay-key"

#: Autopay writes and reads the time of Poland ("CET"), and its libraries send it with summer time.
ZONE = ZoneInfo("Europe/Warsaw")

#: Characters of base64 a notification may have; one with every optional field at its longest has about 6,000.
LARGEST = 65_536

#: Elements may lie this deep; the documented ones reach six.
DEEPEST = 8

ORDER_ID, HASH = r"[A-Za-z0-9_-]{1,32}", r"[0-9a-f]{64}"

#: A notification's transaction begins with these, in this order: name, what the value looks like, whether it must be
#: there. What follows (the payer's name, title, card...) is covered by the hash and not looked at; it is a bank's free
#: text and may hold anything. (powiadomienia/itn.md, numbers 2 to 10)
HEAD = (
    ("orderID", ORDER_ID, True),
    ("remoteID", r"[A-Za-z0-9]{1,20}", True),
    ("amount", r"(0|[1-9][0-9]{0,13})\.[0-9]{2}", True),
    ("currency", r"[A-Z]{3}", True),
    ("gatewayID", r"[0-9]{1,5}", False),
    ("paymentDate", r"20[0-9]{12}", True),
    ("paymentStatus", r"PENDING|SUCCESS|FAILURE", True),
    ("paymentStatusDetails", r"[^|\r\n]{1,64}", False),
)

STATUSES: dict[str, Literal["pending", "paid", "failed"]] = {
    "PENDING": "pending",
    "SUCCESS": "paid",
    "FAILURE": "failed",
}

#: Letters that Unicode does not take apart, and dashes.
PLAIN = str.maketrans({"ł": "l", "Ł": "L", "ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "–": "-", "—": "-"})


@dataclass(frozen=True)
class _Notification:
    """A notification as it was sent, not yet verified: the values its hash covers, and what it says."""

    service_id: str
    values: list[str]
    hash: str
    notices: list[Notice]


class Provider:
    """Autopay as `PayLinks` has it. A second line of the secret is the previous key during a rotation."""

    name: ClassVar[str] = "autopay"
    variables: ClassVar[tuple[str, ...]] = ("autopay_url", SERVICE_ID)
    secrets: ClassVar[tuple[str, ...]] = (KEY,)
    # A service at Autopay takes one of them; which one is agreed with Autopay.
    currencies: ClassVar[frozenset[str]] = frozenset({"PLN", "EUR", "GBP", "USD"})

    def __init__(self, config: Config) -> None:
        self._config = config

    def mode(self) -> str | None:
        """`live` at pay.autopay.eu, `test` at testpay.autopay.eu."""
        host = urlsplit(self._config["autopay_url"]).hostname
        return {"pay.autopay.eu": "live", "testpay.autopay.eu": "test"}.get(host or "")

    def link(
        self, order_id: str, amount: int, currency: str, *, description: str, email: str, expires_at: Instant
    ) -> str:
        """The address where the buyer pays `amount` (minor units). `BadRequest` for what Autopay would not take.

        After `expires_at` the link is dead, and money that comes late goes back to its sender. The same values may be
        sent as a form, which is how the documentation starts a payment; shops in the field redirect to the address.
        (dane-transakcji/parameters.md: ServiceID 1, OrderID 2, Amount 3, Description 4, Currency 6, CustomerEmail 7,
        ValidityTime 19)
        """
        if not re.fullmatch(ORDER_ID, order_id):
            raise BadRequest("Autopay takes order ids of 1 to 32 letters, digits, - and _.")
        if currency.upper() not in self.currencies:
            raise BadRequest(f"Autopay takes no {currency.upper()}, only {', '.join(sorted(self.currencies))}.")
        if not 0 < amount < 10**16:
            raise BadRequest("The amount is not one that can be paid.")
        if not 3 <= len(email) <= 255 or not email.isprintable() or {" ", "|"} & set(email):
            raise BadRequest("This mail address is not one that Autopay takes.", field="email")
        fields = {
            "ServiceID": self._service_id(),
            "OrderID": order_id,
            "Amount": f"{money.to_decimal(amount, currency):.2f}",
            "Description": described(description),
            "Currency": currency.upper(),
            "CustomerEmail": email,
            "ValidityTime": local_time(expires_at),
        }
        fields = {name: value for name, value in fields.items() if value}
        fields["Hash"] = hashed(fields.values(), self._config.secret(KEY))
        return f"{self._config['autopay_url'].rstrip('/')}/payment?{urlencode(fields, quote_via=quote)}"

    def receive(self, body: bytes) -> Message:
        """The notification in the form field `transactions`: XML in base64 (powiadomienia/itn.md).

        Raises `BadRequest`, `TooLarge`, and `BadSignature` unless one of the keys signed it.
        """
        text = _document(body)
        sent = _read(text)
        self._key_of(sent.values, sent.hash)
        if sent.service_id != self._service_id():
            raise BadRequest(f"The notification is for Autopay's service {sent.service_id}; see {SERVICE_ID}.")
        return Message(text=text, notices=sent.notices)

    def confirmation(self, message: Message) -> dict[str, Any]:
        """HTTP 200 with CONFIRMED for every transaction, signed with the key that signed the message.

        The message is verified once more: an answer to something else would be a signature for whoever asks. For
        the same reason there is no NOTCONFIRMED; Autopay sends again what is not confirmed.
        """
        sent = _read(message.text)
        key = self._key_of(sent.values, sent.hash)
        order_ids = [notice.order_id for notice in sent.notices]
        values = [sent.service_id, *(value for order_id in order_ids for value in (order_id, "CONFIRMED"))]
        # None of the values can hold a character that XML would want escaped.
        transactions = "".join(
            f"<transactionConfirmed><orderID>{order_id}</orderID><confirmation>CONFIRMED</confirmation>"
            "</transactionConfirmed>"
            for order_id in order_ids
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<confirmationList><serviceID>{sent.service_id}</serviceID>"
            f"<transactionsConfirmations>{transactions}</transactionsConfirmations>"
            f"<hash>{hashed(values, key)}</hash></confirmationList>"
        )
        return {"statusCode": 200, "body": body, "headers": {"Content-Type": "text/xml; charset=utf-8"}}

    def returned(self, query: Mapping[str, str]) -> str | None:
        """The order whose buyer comes back with `ServiceID`, `OrderID` and `Hash`, or None without Autopay's hash.

        It says that the buyer was there, not that anything was paid. (podstawowy-proces-platnosci/customer-redirect.md)
        """
        service_id, order_id, given = (query.get(name, "") for name in ("ServiceID", "OrderID", "Hash"))
        if not service_id or service_id != self._config[SERVICE_ID]:
            return None
        if not re.fullmatch(ORDER_ID, order_id) or not re.fullmatch(HASH, given):
            return None
        try:
            self._key_of([service_id, order_id], given)
        except BadSignature:
            return None
        return order_id

    @staticmethod
    def notices(text: str) -> Sequence[Notice]:
        """What a message says that was verified before and kept as `Message.text`."""
        return _read(text).notices

    def _service_id(self) -> str:
        service_id = self._config[SERVICE_ID]
        if not service_id:
            raise ConfigurationError([f"{SERVICE_ID} is not set; set it in stack.yml"])
        return service_id

    def _key_of(self, values: Sequence[str], given: str) -> str:
        """The key with which `given` is the hash of the values; `BadSignature` when there is none."""
        for key in self._config.secret_lines(KEY):
            if hmac.compare_digest(hashed(values, key).encode(), given.encode()):
                return key
        raise BadSignature("The hash does not fit: this is not Autopay's, or the secret autopay-key is not its key.")


def hashed(values: Iterable[str], key: str) -> str:
    """SHA-256, in hex, over the values that are not empty and the key, joined by "|" (bezpieczenstwo/hashing.md)."""
    return hashlib.sha256("|".join([*filter(None, values), key]).encode()).hexdigest()


def described(text: str) -> str:
    """A description as Autopay takes it: at most 79 of the Latin letters, digits, `.`, `:`, `-`, `,` and spaces."""
    letters = unicodedata.normalize("NFKD", text.translate(PLAIN))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^A-Za-z0-9.:,-]", " ", letters).split())[:79].strip()


def local_time(instant: Instant) -> str:
    """An instant as the wall clocks of Poland show it, such as `2026-11-21 09:45:36`.

    In the hour that autumn has twice, the second time becomes 03:00: read as the first, the link would have died an
    hour before.
    """
    local = from_instant(instant).astimezone(ZONE)
    if local.fold:
        local = local.replace(hour=3, minute=0, second=0)
    return f"{local:%Y-%m-%d %H:%M:%S}"


def _document(body: bytes) -> str:
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20).get("transactions", [])
    except ValueError:
        raise BadRequest("The body is no form.") from None
    if len(found) != 1:
        raise BadRequest("A notification of Autopay's is a form with the field transactions, once.")
    if len(found[0]) > LARGEST:
        raise TooLarge(f"No notification of Autopay's is larger than {LARGEST} characters.")
    # A "+" that was not escaped arrives as a space, and some encoders break lines; the hash judges what comes out.
    encoded = found[0].replace(" ", "+").replace("\r", "").replace("\n", "")
    try:
        return b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise BadRequest("The field transactions is no UTF-8 text in base64.") from None


def _read(text: str) -> _Notification:
    """What the XML says; `BadRequest` unless it has Autopay's shape."""
    # Only here: most functions know the provider by its name and currencies alone.
    from defusedxml.ElementTree import DefusedXMLParser

    if "\0" in text:  # no XML has one, but expat takes it for UTF-16, and PostgreSQL could not keep it
        raise BadRequest("The field transactions is no UTF-8 text in base64.")
    try:
        # UTF-8 and nothing else: the parser is not to believe another encoding that the document names.
        parser = DefusedXMLParser(encoding="utf-8", forbid_dtd=True)
        parser.feed(text.encode())
        root: Element = parser.close()
    except (ParseError, ValueError):
        raise BadRequest("The field transactions holds no XML that may be read.") from None
    names = [child.tag for child in root]
    if (root.tag, names) != ("transactionList", ["serviceID", "transactions", "hash"]):
        raise BadRequest("A notification is a transactionList with serviceID, transactions and hash.")
    service, transactions, given = root
    if not len(transactions) or any(one.tag != "transaction" for one in transactions):
        raise BadRequest("transactions holds something else than one transaction or more.")
    return _Notification(
        service_id=_value(service, r"[0-9]{1,10}"),
        values=[*_leaves(service), *_leaves(transactions)],
        hash=_value(given, rf"\s*{HASH}\s*").strip(),
        notices=[_notice(transaction) for transaction in transactions],
    )


def _notice(transaction: Element) -> Notice:
    rest = list(transaction)
    said: dict[str, str] = {}
    for name, pattern, required in HEAD:
        if rest and rest[0].tag == name:
            element = rest.pop(0)
            if required or element.text:
                said[name] = _value(element, pattern)
        elif required:
            raise BadRequest(f"The transaction has no {name} where Autopay puts it.")
    if any(element.tag == name for element in rest for name, _, _ in HEAD):
        raise BadRequest("The transaction says something twice, or not where Autopay puts it.")
    try:
        amount = money.to_minor(said["amount"], said["currency"])
        paid_at = datetime.strptime(said["paymentDate"], "%Y%m%d%H%M%S").replace(tzinfo=ZONE)
    except ValueError as error:
        raise BadRequest(f"The transaction's amount or paymentDate does not fit: {error}.") from None
    return Notice(
        order_id=said["orderID"],
        reference=said["remoteID"],
        status=STATUSES[said["paymentStatus"]],
        amount=amount,
        currency=said["currency"],
        at=to_instant(paid_at),
    )


def _value(element: Element, pattern: str) -> str:
    text = element.text or ""
    if len(element) or not re.fullmatch(pattern, text):
        raise BadRequest(f"{element.tag} is not what Autopay would say.")
    return text


def _leaves(element: Element, depth: int = 0) -> Iterator[str]:
    """The values below an element, in the order of the document."""
    if depth > DEEPEST:
        raise BadRequest("The elements lie deeper than Autopay's.")
    if not len(element):
        yield element.text or ""
    for child in element:
        yield from _leaves(child, depth + 1)
