"""What is not Autopay's notification: the hash is a flat join without names, so the shape has to be as strict.

Each forger here holds hashes that a buyer sees or a shop could be brought to make, and may write any XML over them.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushcart.errors import BadRequest, BadSignature, ConfigurationError, TooLarge
from pushcart.providers.paylinks import Message
from pushcart.providers.paylinks.autopay import HEAD, LARGEST
from support.autopay import ITN, KEY, SERVICE_ID, form, itn, provider, sha256, transaction

NAMES = [name for name, _, _ in HEAD]


@pytest.fixture
def autopay(tmp_path):
    return provider(tmp_path)


def refused(autopay, xml, error=BadRequest):
    with pytest.raises(error):
        autopay.receive(form(xml))


@pytest.mark.parametrize(
    "xml",
    [
        ITN.replace("<orderID>123<", "<orderID>124<"),
        ITN.replace("500.00", "500.01"),
        ITN.replace("PLN", "EUR"),
        ITN.replace("<remoteID>102686<", "<remoteID>102687<"),
        ITN.replace("ACCEPTED", "REJECTED"),
        ITN.replace("20200621171238", "20200621171239"),
        ITN.replace("            <paymentStatusDetails>ACCEPTED</paymentStatusDetails>\n", ""),
        ITN.replace("422fbd", "422fbe"),
        itn(key="another-key-0123456789"),
        itn(hash="0" * 64),
        itn(hash=sha256(SERVICE_ID, "o-1", "R1", "49.00", "EUR", "106", "20261121094536", "SUCCESS", "AUTHORIZED", "")),
    ],
)
def test_a_hash_over_anything_else_is_a_bad_signature(autopay, xml):
    refused(autopay, xml, BadSignature)


@pytest.mark.parametrize("hash", ["", "w4ongha6s", "422FBD7C" + "0" * 56, "0" * 63, "0" * 65, "é" * 64])
def test_a_hash_that_is_none_is_refused(autopay, hash):
    refused(autopay, re.sub(r"<hash>.*</hash>", f"<hash>{hash}</hash>", itn()))


def test_one_shops_notification_is_not_anothers_even_with_the_same_key(autopay):
    refused(autopay, itn(service_id="654321"))


@pytest.mark.parametrize("secret", ["", "\n", "   ", "unused", "\n\n"])
def test_without_a_key_nobody_is_accepted_least_of_all_who_signed_with_none(tmp_path, secret):
    autopay = provider(tmp_path, secret)
    for key in ("", "unused", secret.strip()):
        refused(autopay, itn(key=key), ConfigurationError)


def test_an_empty_line_of_the_secret_is_no_key(tmp_path):
    refused(provider(tmp_path, f"{KEY}\n\n"), itn(key=""), BadSignature)


# The hashes that buyers know.


def carved(values: list[str], hash: str):
    """Every way to lay the values over a transaction's elements, some of them empty and some joined again."""
    for names in (NAMES, [name for name in NAMES if name != "gatewayID"]):
        for start in range(3):
            padded = [*[""] * start, *values]
            yield itn(list(zip(names, padded, strict=False)), hash=hash)
            yield itn([*zip(names, padded, strict=False), ("title", "|".join(padded[len(names) :]))], hash=hash)
            yield itn([*transaction(), *(("title", value) for value in values)], hash=hash)


def fits(xml: str) -> bool:
    """Whether the hash of a document is the one over its values: then its shape alone speaks against it."""
    values = [element.text for element in fromstring(xml).iter() if not len(element) and element.text]
    return values[-1] == sha256(*values[:-1], KEY)


@pytest.mark.parametrize("description", ["Mug", "49.00", "", "100.00"])
@pytest.mark.parametrize("email", ["ada@example.com", "20261121094536", "SUCCESS"])
def test_the_hash_of_a_link_signs_no_notification(autopay, description, email):
    link = autopay.link("o-1", 4900, "EUR", description=description, email=email, expires_at="2026-11-21T09:45:36.000Z")
    fields = dict(parse_qsl(urlsplit(link).query))
    hash = fields.pop("Hash")
    del fields["ServiceID"]
    values = list(fields.values())
    forged = list(carved(values, hash))
    assert any(map(fits, forged))
    for xml in forged:
        refused(autopay, xml)
    # The whole link as one value, in each place where text may stand.
    for name in NAMES:
        refused(autopay, itn([(name, "|".join(values))], hash=hash))
        refused(autopay, itn(transaction(**{name: "|".join(values)}), hash=hash))


def test_the_hash_of_the_way_back_signs_no_notification(autopay):
    hash = sha256(SERVICE_ID, "o-1", KEY)
    assert autopay.returned({"ServiceID": SERVICE_ID, "OrderID": "o-1", "Hash": hash}) == "o-1"
    emptied = [(name, "o-1" if name == "orderID" else "") for name in NAMES]
    assert fits(itn(emptied, hash=hash))
    for xml in (itn(emptied, hash=hash), *carved(["o-1"], hash)):
        refused(autopay, xml)


def test_the_hash_of_a_confirmation_signs_no_notification(autopay):
    one = sha256(SERVICE_ID, "o-1", "CONFIRMED", KEY)
    two = sha256(SERVICE_ID, "o-1", "CONFIRMED", "o-2", "CONFIRMED", KEY)
    for values, hash in ((["o-1", "CONFIRMED"], one), (["o-1", "CONFIRMED", "o-2", "CONFIRMED"], two)):
        forged = list(carved(values, hash))
        assert any(map(fits, forged))
        for xml in forged:
            refused(autopay, xml)


def test_a_notification_signs_no_link_nor_way_back(autopay):
    hash = sha256(SERVICE_ID, "o-1", "R1", "49.00", "EUR", "106", "20261121094536", "SUCCESS", "AUTHORIZED", KEY)
    rest = "o-1|R1|49.00|EUR|106|20261121094536|SUCCESS|AUTHORIZED"
    assert autopay.returned({"ServiceID": SERVICE_ID, "OrderID": rest, "Hash": hash}) is None


# Nothing unverified is signed.

ORACLE = "o-1|R1|49.00|EUR|106|20261121100000|SUCCESS"


def test_an_order_id_that_would_make_the_answer_a_notification_gets_no_answer(autopay):
    """Answered with NOTCONFIRMED, it would be told sha256(service|o-1|R1|...|SUCCESS|NOTCONFIRMED|key)."""
    for xml in (itn(transaction(orderID=ORACLE), hash="0" * 64), itn([("orderID", ORACLE)], hash="0" * 64)):
        refused(autopay, xml)
    # Not even with the key's own hash, which only Autopay could make.
    refused(autopay, itn(transaction(orderID=ORACLE)))


def test_only_a_verified_message_is_confirmed(autopay):
    for text in (itn(hash="0" * 64), itn(key="another-key-0123456789")):
        with pytest.raises(BadSignature):
            autopay.confirmation(Message(text=text, notices=autopay.notices(text)))
    changed = autopay.receive(form(ITN))
    changed.text = changed.text.replace(">123<", ">124<")
    with pytest.raises(BadSignature):
        autopay.confirmation(changed)


# The shape, each with the hash that fits: only the shape stands against it.


@pytest.mark.parametrize("name", [name for name, _, required in HEAD if required])
def test_a_required_element_that_is_missing_empty_or_twice_is_refused(autopay, name):
    whole = dict(transaction())
    refused(autopay, itn(transaction(**{name: None})))
    refused(autopay, itn(transaction(**{name: ""})))
    refused(autopay, itn([*transaction(), (name, whole[name])]))
    refused(autopay, itn([(name, whole[name]), *transaction()]))
    refused(autopay, itn(transaction(**{name: [("text", whole[name])]})))
    # Text before another element is a value to whoever reads it, but the hash does not cover it.
    signed = itn(transaction(**{name: [("x", "1")]}))
    refused(autopay, signed.replace("<x>", f"{whole[name]}<x>"))


def test_elements_in_another_order_under_other_names_or_with_something_between_are_refused(autopay):
    whole = list(transaction())
    for at in range(len(whole) - 1):
        swapped = [*whole[:at], whole[at + 1], whole[at], *whole[at + 2 :]]
        refused(autopay, itn(swapped))
        if at < 7:
            refused(autopay, itn([*whole[:at], ("remoteOutID", "1"), *whole[at:]]))
    refused(autopay, itn([(name.lower(), value) for name, value in whole]))
    refused(autopay, itn([(f"x{name}", value) for name, value in whole]))


@pytest.mark.parametrize(
    "amount",
    [
        *(
            "1e2",
            "49.000",
            "49.0",
            "49",
            "-1",
            "-1.00",
            "+49.00",
            "٤٩.٠٠",
            "4٩.00",
            "49.٠٠",
            "49．00",
            " 49.00",
            "49.00 ",
        ),
        *("49,00", ".50", "49.", "049.00", "4_9.00", "4 9.00", "NaN", "Infinity", "0x31.00", "49.00\n", "49.00|EUR"),
        "1" * 15 + ".00",
    ],
)
def test_an_amount_that_is_not_written_as_autopay_writes_them_is_refused(autopay, amount):
    refused(autopay, itn(transaction(amount=amount)))


@pytest.mark.parametrize(
    "changes",
    [
        {"orderID": "o" * 33},
        {"orderID": "o 1"},
        {"orderID": "żółw"},
        {"orderID": "o-1\n"},
        {"orderID": "../o-1"},
        {"remoteID": "49.00"},
        {"remoteID": "R" * 21},
        {"remoteID": "R|1"},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"currency": "EU"},
        {"currency": "JPY", "amount": "49.50"},
        {"gatewayID": "123456"},
        {"gatewayID": "x"},
        {"paymentDate": "2026-11-21"},
        {"paymentDate": "20261321094536"},
        {"paymentDate": "20260230094536"},
        {"paymentDate": "00010101000000"},
        {"paymentDate": "2026112109453"},
        {"paymentDate": "٢٠٢٦١١٢١٠٩٤٥٣٦"},
        {"paymentStatus": "success"},
        {"paymentStatus": "CONFIRMED"},
        {"paymentStatus": "SUCCESS|"},
        {"paymentStatusDetails": "A|B"},
        {"paymentStatusDetails": "A\nB"},
        {"paymentStatusDetails": "A" * 65},
    ],
)
def test_a_value_that_autopay_would_not_send_is_refused(autopay, changes):
    refused(autopay, itn(transaction(**changes)))


@pytest.mark.parametrize("service_id", ["", " 123456", "12345678901", "123456|o-1"])
def test_a_service_that_is_no_number_is_refused(autopay, service_id):
    refused(autopay, itn(service_id=service_id))


def test_other_documents_are_refused(autopay):
    whole = itn()
    for xml in (
        whole.replace("transactionList", "confirmationList"),
        whole.replace("<transactions>", "<transactions><other/>"),
        whole.replace("transaction>", "refund>"),
        whole.replace("<serviceID>", "<other/><serviceID>"),
        whole.replace("<hash>", "<hash/><hash>"),
        whole.replace("<serviceID>123456</serviceID>", ""),
        whole.replace("<transactionList>", '<transactionList xmlns="https://example.com">'),
        f"<list>{whole.partition('?>')[2]}</list>",
        "<transactionList/>",
        f"<transactionList><serviceID>{SERVICE_ID}</serviceID><transactions/><hash>{sha256(SERVICE_ID, KEY)}</hash>"
        "</transactionList>",
        "<recurringActivation><serviceID>123456</serviceID></recurringActivation>",
    ):
        assert xml != whole
        refused(autopay, xml)


# The XML.

BOMB = (
    '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]>"
)


@pytest.mark.parametrize(
    "before",
    [
        BOMB,
        "<!DOCTYPE transactionList>",
        '<!DOCTYPE transactionList SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE x [<!ENTITY o SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>',
    ],
)
def test_a_document_type_is_refused_before_it_can_do_anything(autopay, before):
    begun = time.perf_counter()
    for order_id in ("o-1", "&j;", "&o;"):
        body = f"{before}{itn().partition('?>')[2]}".replace("o-1", order_id)
        refused(autopay, body)
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize(
    "data",
    [
        ITN.replace("UTF-8", "UTF-16").encode("utf-16"),
        ITN.encode("utf-16-le"),
        ITN.replace("UTF-8", "UTF-16").encode("utf-16-be"),
        ITN.encode("utf-32"),
        ITN.encode()[:-20],
        ITN.encode() + b"<more/>",
        ITN.encode() + b"\x00",
        b"\xff\xfe",
        b"",
        b"not xml",
        b"{}",
        b"<a>" * 12_000,
        b"<a>" * 6_000 + b"</a>" * 6_000,
        f"<transactionList><serviceID>1</serviceID><transactions><transaction>{'<a>' * 5000}{'</a>' * 5000}"
        f"</transaction></transactions><hash>{'0' * 64}</hash></transactionList>".encode(),
    ],
)
def test_bytes_that_are_no_such_document_are_a_bad_request(autopay, data):
    refused(autopay, data)


def test_a_document_is_read_as_utf_8_whatever_encoding_it_names(autopay):
    xml = itn([*transaction(), ("title", "Żółw")])
    named = xml.replace("UTF-8", "ISO-8859-2")
    assert named != xml
    assert autopay.receive(form(named)).notices == autopay.receive(form(xml)).notices


def test_a_deep_document_with_a_fitting_head_is_refused_too(autopay):
    deep: object = "x"
    for _ in range(20):
        deep = [("a", deep)]
    refused(autopay, itn([*transaction(), ("title", deep)]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"transactions",
        b"transactions=",
        b"transaction=" + form(ITN)[13:],
        b"Transactions=" + form(ITN)[13:],
        form(ITN) + b"&" + form(ITN),
        form(ITN) + b"&transactions=",
        form(ITN) + b"&a=1" * 30,
        b"transactions=%%%",
        b"transactions=****",
        form(ITN)[:-7],
        form(ITN).replace(b"transactions=", b"transactions=%00"),
        ITN.encode(),
        b'{"transactions": "' + b64encode(ITN.encode()) + b'"}',
        b'--x\r\nContent-Disposition: form-data; name="transactions"\r\n\r\n' + b64encode(ITN.encode()) + b"\r\n--x--",
        b64encode(ITN.encode()),
        "transactions=ż".encode(),
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_not_the_form_autopay_sends_is_a_bad_request(autopay, body):
    with pytest.raises(BadRequest):
        autopay.receive(body)


def test_more_than_a_notification_can_hold_is_too_large_and_not_read(autopay):
    with pytest.raises(TooLarge):
        autopay.receive(form(ITN + " " * LARGEST))
    with pytest.raises(TooLarge):
        autopay.receive(b"transactions=" + b"A" * (LARGEST + 1))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 700), st.integers(0, 20))
def test_whatever_is_done_to_a_notification_it_is_refused_or_says_the_same(tmp_path_factory, noise, at, cut):
    autopay = provider(tmp_path_factory.mktemp("secrets"))
    data = ITN.encode()
    data = data[:at] + noise + data[at + cut :]
    try:
        message = autopay.receive(form(data))
    except BadRequest:
        return
    assert message.notices == autopay.notices(ITN)
