"""Autopay's side of the wire: its published samples, and notifications signed as it signs them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from pushcart.config import Config, Reads
from pushcart.providers.paylinks.autopay import Provider

#: From the tests of Autopay's own SDK (bluepayment-plugin/bm-sdk, tests/Fixtures/Itn); the key is public.
SERVICE_ID = "123456"
KEY = "QCBm3N0oFjzQAWsTIVN8mPLK12TW6HU6InSfjvnF"
ITN = """<?xml version="1.0" encoding="UTF-8"?>
<transactionList>
    <serviceID>123456</serviceID>
    <transactions>
        <transaction>
            <orderID>123</orderID>
            <remoteID>102686</remoteID>
            <amount>500.00</amount>
            <currency>PLN</currency>
            <gatewayID>106</gatewayID>
            <paymentDate>20200621171238</paymentDate>
            <paymentStatus>SUCCESS</paymentStatus>
            <paymentStatusDetails>ACCEPTED</paymentStatusDetails>
        </transaction>
    </transactions>
    <hash>422fbd7c1bbac1eb745b647980dd63c2e8ccf261ea196739ab8043eff8dd4e17</hash>
</transactionList>
"""
CONFIRMED_HASH = "7194a50431ce359cc4c201a0f154400f89f49f765b8eeb60299fc6fee1a01228"

#: What the function answers to the ITN above, byte for byte.
CONFIRMATION = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<confirmationList><serviceID>123456</serviceID><transactionsConfirmations>"
    "<transactionConfirmed><orderID>123</orderID><confirmation>CONFIRMED</confirmation></transactionConfirmed>"
    f"</transactionsConfirmations><hash>{CONFIRMED_HASH}</hash></confirmationList>"
)

#: One element after another: a name and its text, or a name and the elements in it.
Elements = Sequence[tuple[str, "str | Elements"]]


def sha256(*values: str) -> str:
    """Autopay's hash, written once more so that the tests do not check the code with itself."""
    return hashlib.sha256("|".join(values).encode()).hexdigest()


def transaction(**changes: str | None) -> Elements:
    """A paid transaction of order o-1; a change of None leaves the element out."""
    elements = {
        "orderID": "o-1",
        "remoteID": "R1",
        "amount": "49.00",
        "currency": "EUR",
        "gatewayID": "106",
        "paymentDate": "20261121094536",
        "paymentStatus": "SUCCESS",
        "paymentStatusDetails": "AUTHORIZED",
        **changes,
    }
    return [(name, value) for name, value in elements.items() if value is not None]


def itn(*transactions: Elements, service_id: str = SERVICE_ID, key: str = KEY, hash: str | None = None) -> str:
    """A notification's XML, signed with `key` unless it is given a hash."""
    many = transactions or (transaction(),)
    signature = sha256(*filter(None, [service_id, *(value for one in many for value in _leaves(one))]), key)
    inside = "".join(f"<transaction>{_xml(one)}</transaction>" for one in many)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<transactionList><serviceID>{_escaped(service_id)}</serviceID>'
        f"<transactions>{inside}</transactions><hash>{hash or signature}</hash></transactionList>"
    )


def form(xml: str | bytes) -> bytes:
    """The body of the request."""
    data = xml.encode() if isinstance(xml, str) else xml
    return b"transactions=" + quote(b64encode(data), safe="").encode()


def provider(folder: Path, secret: str = KEY, **variables: str) -> Provider:
    """Autopay with this text as its secret file."""
    (folder / "autopay-key").write_text(secret)
    environ = {"secret_mount_path": str(folder), "autopay_service_id": SERVICE_ID, **variables}
    return Provider(Config(Reads(Provider.variables, may_need=Provider.secrets), environ))


def _leaves(elements: Elements) -> Iterable[str]:
    for _, value in elements:
        yield from [value] if isinstance(value, str) else _leaves(value)


def _xml(elements: Elements) -> str:
    return "".join(
        f"<{name}>{_escaped(value) if isinstance(value, str) else _xml(value)}</{name}>" for name, value in elements
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
