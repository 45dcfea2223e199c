"""Autopay's wire format: the links we sign, the notifications we read, the confirmation it waits for.

Checked against what Autopay publishes: its documentation's examples (developers.autopay.pl) and its SDK's samples.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import fromstring

import pytest

from pushcart.errors import BadRequest, BadSignature, ConfigurationError
from pushcart.providers.paylinks import Notice
from pushcart.providers.paylinks.autopay import Provider, described, hashed, local_time
from support.autopay import (
    CONFIRMATION,
    CONFIRMED_HASH,
    ITN,
    KEY,
    SERVICE_ID,
    form,
    itn,
    provider,
    sha256,
    transaction,
)

PREVIOUS = "previous-key-0123456789"

#: A summer's and a winter's noon in Poland.
SUMMER, WINTER = "2026-07-01T10:00:00.000Z", "2026-12-01T11:00:00.000Z"


@pytest.fixture
def autopay(tmp_path):
    return provider(tmp_path)


def link(autopay: Provider, **changes):
    sold = {
        "order_id": "o-1",
        "amount": 4900,
        "currency": "EUR",
        "description": "Wheel basics",
        "email": "ada@example.com",
        "expires_at": WINTER,
        **changes,
    }
    return autopay.link(sold.pop("order_id"), sold.pop("amount"), sold.pop("currency"), **sold)


def fields(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize(
    ("values", "key", "published"),
    [
        (["2", "100", "1.50"], "2test2", "2ab52e6918c6ad3b69a8228a2ab815f11ad58533eeed963dd990df8d8c3709d1"),
        (["2", "100"], "2test2", "254eac9980db56f425acf8a9df715cbd6f56de3c410b05f05016630f7d30a4ed"),
        (
            ["1", "11", "91", "11.11", "PLN", "1", "20010101111111", "SUCCESS", "AUTHORIZED"],
            "1test1",
            "a103bfe581a938e9ad78238cfc674ffafdd6ec70cb6825e7ed5c41787671efe4",
        ),
        (["1", "11", "CONFIRMED"], "1test1", "c1e9888b7d9fb988a4aae0dfbff6d8092fc9581e22e02f335367dd01058f9618"),
        (
            ["1", "", "11", "CONFIRMED", ""],
            "1test1",
            "c1e9888b7d9fb988a4aae0dfbff6d8092fc9581e22e02f335367dd01058f9618",
        ),
    ],
)
def test_the_hash_is_the_one_of_every_example_in_the_documentation(values, key, published):
    assert hashed(values, key) == published


def test_a_link_holds_the_documented_fields_in_their_order_and_their_hash(autopay):
    url = link(autopay)
    assert url.startswith("https://pay.autopay.eu/payment?")
    assert fields(url) == {
        "ServiceID": SERVICE_ID,
        "OrderID": "o-1",
        "Amount": "49.00",
        "Description": "Wheel basics",
        "Currency": "EUR",
        "CustomerEmail": "ada@example.com",
        "ValidityTime": "2026-12-01 12:00:00",
        "Hash": sha256(
            SERVICE_ID, "o-1", "49.00", "Wheel basics", "EUR", "ada@example.com", "2026-12-01 12:00:00", KEY
        ),
    }


def test_a_link_is_the_same_each_time_so_that_a_second_click_pays_the_same_order(autopay):
    assert link(autopay) == link(autopay)


def test_a_link_leads_where_the_variable_says(tmp_path):
    assert link(provider(tmp_path, autopay_url="http://127.0.0.1:9/autopay/")).startswith(
        "http://127.0.0.1:9/autopay/payment?ServiceID="
    )


@pytest.mark.parametrize(
    ("amount", "text"), [(1, "0.01"), (10, "0.10"), (123456, "1234.56"), (10**16 - 1, "9" * 14 + ".99")]
)
def test_an_amount_has_two_decimals_and_a_point(autopay, amount, text):
    assert fields(link(autopay, amount=amount))["Amount"] == text


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -4900},
        {"amount": 10**16},
        {"currency": "CZK"},
        {"order_id": ""},
        {"order_id": "o" * 33},
        {"order_id": "o-1|R1"},
        {"order_id": "żółw"},
        {"order_id": "o-1\n"},
        {"email": ""},
        {"email": "a@"},
        {"email": "a|b@example.com"},
        {"email": "a b@example.com"},
        {"email": "a@example.com\n"},
        {"email": "a@" + "b" * 254},
    ],
)
def test_what_autopay_would_not_take_is_refused_before_anything_is_signed(autopay, change):
    with pytest.raises(BadRequest):
        link(autopay, **change)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Zamówienie: Żółty Łoś, 2 szt.", "Zamowienie: Zolty Los, 2 szt."),
        ("Mug | large / blue – 0.5 l", "Mug large blue - 0.5 l"),
        ("Straße\n\tÅngström", "Strasse Angstrom"),
        ("x" * 200, "x" * 79),
        ("a" * 78 + " bc", "a" * 78),
        ("Гончарство", ""),
        ("", ""),
    ],
)
def test_a_description_holds_only_what_autopay_takes(text, sent):
    assert described(text) == sent


def test_a_description_of_which_nothing_is_left_is_left_out_of_the_link_and_the_hash(autopay):
    sent = fields(link(autopay, description="Гончарство|"))
    assert "Description" not in sent
    assert sent["Hash"] == sha256(SERVICE_ID, "o-1", "49.00", "EUR", "ada@example.com", "2026-12-01 12:00:00", KEY)


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (WINTER, "2026-12-01 12:00:00"),
        (SUMMER, "2026-07-01 12:00:00"),
        ("2026-10-25T00:59:59.000Z", "2026-10-25 02:59:59"),  # still summer time
        ("2026-10-25T01:00:00.000Z", "2026-10-25 03:00:00"),  # 02:00 for the second time
        ("2026-10-25T01:59:59.000Z", "2026-10-25 03:00:00"),
        ("2026-10-25T02:00:00.000Z", "2026-10-25 03:00:00"),
        ("2026-03-29T01:00:00.000Z", "2026-03-29 03:00:00"),
    ],
)
def test_a_link_ends_by_polish_clocks_and_never_an_hour_early(instant, written):
    assert local_time(instant) == written


def test_without_a_service_id_nothing_is_signed_and_nothing_accepted(tmp_path):
    autopay = provider(tmp_path, autopay_service_id="")
    for call in (lambda: link(autopay), lambda: autopay.receive(form(ITN))):
        with pytest.raises(ConfigurationError, match="autopay_service_id"):
            call()


def test_the_published_notification_is_read(autopay):
    message = autopay.receive(form(ITN))
    assert message.text == ITN
    assert message.notices == [
        Notice(
            order_id="123",
            reference="102686",
            status="paid",
            amount=50000,
            currency="PLN",
            at="2020-06-21T15:12:38.000Z",
        )
    ]
    assert Provider.notices(message.text) == message.notices


def test_the_confirmation_is_the_published_one(autopay):
    answer = autopay.confirmation(autopay.receive(form(ITN)))
    assert answer == {
        "statusCode": 200,
        "body": CONFIRMATION,
        "headers": {"Content-Type": "text/xml; charset=utf-8"},
    }
    leaves = [(element.tag, element.text) for element in fromstring(CONFIRMATION).iter() if not len(element)]
    assert leaves == [
        ("serviceID", "123456"),
        ("orderID", "123"),
        ("confirmation", "CONFIRMED"),
        ("hash", CONFIRMED_HASH),
    ]


@pytest.mark.parametrize(("said", "status"), [("PENDING", "pending"), ("SUCCESS", "paid"), ("FAILURE", "failed")])
def test_each_status_is_understood(autopay, said, status):
    [notice] = autopay.receive(form(itn(transaction(paymentStatus=said)))).notices
    assert notice.status == status


@pytest.mark.parametrize(
    ("date", "at"),
    [("20261201120000", WINTER), ("20260701120000", SUMMER), ("20261025023000", "2026-10-25T00:30:00.000Z")],
)
def test_a_payment_is_dated_by_polish_clocks(autopay, date, at):
    [notice] = autopay.receive(form(itn(transaction(paymentDate=date)))).notices
    assert notice.at == at


@pytest.mark.parametrize(
    "changes",
    [
        {"gatewayID": None},
        {"gatewayID": ""},
        {"paymentStatusDetails": None},
        {"paymentStatusDetails": ""},
        {"gatewayID": None, "paymentStatusDetails": None},
    ],
)
def test_what_the_documentation_calls_optional_may_be_missing_or_empty(autopay, changes):
    [notice] = autopay.receive(form(itn(transaction(**changes)))).notices
    assert (notice.order_id, notice.reference, notice.amount, notice.currency) == ("o-1", "R1", 4900, "EUR")


def test_the_payers_data_is_covered_by_the_hash_and_may_be_any_text(autopay):
    """A bank's text is free; a payment must not be lost over it."""
    more = [
        ("addressIP", "127.0.0.1"),
        ("title", "BPID:1 | Żółw & <syn>"),
        ("customerData", [("fName", "Jan\nMaria"), ("lName", ""), ("nrb", "1" * 26)]),
        ("verificationStatusReasons", [("verificationStatusReason", "NAME"), ("verificationStatusReason", "NRB")]),
        ("startAmount", "47.00"),
    ]
    [notice] = autopay.receive(form(itn([*transaction(), *more]))).notices
    assert notice.amount == 4900
    changed = itn([*transaction(), *more]).replace("1" * 26, "2" * 26)
    with pytest.raises(BadSignature):
        autopay.receive(form(changed))


def test_several_transactions_are_all_read_and_all_confirmed(autopay):
    message = autopay.receive(form(itn(transaction(), transaction(orderID="o-2", remoteID="R2", amount="0.10"))))
    assert [(one.order_id, one.reference, one.amount) for one in message.notices] == [
        ("o-1", "R1", 4900),
        ("o-2", "R2", 10),
    ]
    answer = fromstring(autopay.confirmation(message)["body"])
    assert [element.text for element in answer.iter("orderID")] == ["o-1", "o-2"]
    assert answer.findtext("hash") == sha256(SERVICE_ID, "o-1", "CONFIRMED", "o-2", "CONFIRMED", KEY)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("=", "%3D"),
        lambda text: text.replace("+", " "),  # a "+" that the sender did not escape
        lambda text: "%0D%0A".join(text[at : at + 76] for at in range(0, len(text), 76)),
    ],
)
def test_base64_is_read_as_senders_write_it(autopay, written):
    xml = itn([*transaction(), ("title", "ÿ" * 40 + ">>>???")])
    text = b64encode(xml.encode()).decode()
    assert "+" in text
    body = f"other=1&transactions={written(text)}".encode()
    assert autopay.receive(body).text == xml


@pytest.mark.parametrize("secret", [f"{KEY}\n{PREVIOUS}\n", f"{PREVIOUS}\n{KEY}"])
@pytest.mark.parametrize("key", [KEY, PREVIOUS])
def test_during_a_rotation_either_key_is_accepted_and_the_answer_is_signed_with_the_one_that_was_used(
    tmp_path, secret, key
):
    autopay = provider(tmp_path, secret)
    answer = autopay.confirmation(autopay.receive(form(itn(key=key))))
    assert fromstring(answer["body"]).findtext("hash") == sha256(SERVICE_ID, "o-1", "CONFIRMED", key)


def test_a_link_is_signed_with_the_first_key(tmp_path):
    sent = fields(link(provider(tmp_path, f"{PREVIOUS}\n{KEY}")))
    assert sent.pop("Hash") == sha256(*sent.values(), PREVIOUS)


def test_a_buyer_who_comes_back_is_known_by_autopays_hash(autopay):
    query = {"ServiceID": SERVICE_ID, "OrderID": "o-1", "Hash": sha256(SERVICE_ID, "o-1", KEY)}
    assert autopay.returned(query) == "o-1"


@pytest.mark.parametrize(
    "change",
    [
        {"ServiceID": ""},
        {"ServiceID": "1234567"},
        {"OrderID": "o-2"},
        {"OrderID": ""},
        {"OrderID": "o-1|"},
        {"Hash": ""},
        {"Hash": "0" * 64},
        {"Hash": sha256(SERVICE_ID, "o-1", KEY).upper()},
        {"Hash": sha256(SERVICE_ID, "o-1", "")},
        {"Hash": "\udcff" * 64},
    ],
)
def test_anybody_else_who_comes_back_is_not(autopay, change):
    query = {"ServiceID": SERVICE_ID, "OrderID": "o-1", "Hash": sha256(SERVICE_ID, "o-1", KEY), **change}
    assert autopay.returned(query) is None
    assert autopay.returned({name: value for name, value in query.items() if name not in change}) is None


def test_at_a_shop_without_autopay_nobody_comes_back(tmp_path):
    autopay = provider(tmp_path, "unused", autopay_service_id="")
    assert autopay.returned({"ServiceID": "", "OrderID": "o-1", "Hash": sha256("", "o-1", "unused")}) is None
