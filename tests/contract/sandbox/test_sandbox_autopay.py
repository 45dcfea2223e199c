"""Autopay over HTTP: links the shop signs, the pay page, and notifications that want a confirmation.

What is signed is put together here by hand, value by value, as the gateway's documentation lists them."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
import requests

from local.sandbox import Sandbox
from local.sandbox.autopay_messages import digest, objection

KEY = "sandbox-autopay-key"
LINK = {
    "ServiceID": "123456",
    "OrderID": "ord_1",
    "Amount": "49.00",
    "Description": "Order ord-1: mug, tea",
    "Currency": "EUR",
    "CustomerEmail": "ada@example.com",
    "ValidityTime": "2026-11-20 14:00:00",  # an hour from the clock's noon, for Poland is an hour ahead
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def link(sb: Sandbox, path: str = "/", **changes: str) -> str:
    """A link as the shop makes it, with some values changed before it is signed; empty ones are left out."""
    values = {k: v for k, v in {**LINK, **changes}.items() if v}
    values["Hash"] = sha256("|".join(values.values()) + f"|{KEY}")
    return f"{sb.url}/autopay{path}?{urlencode(values)}"


def press(address: str, button: str) -> requests.Response:
    return requests.post(address, data={"do": button}, timeout=5, allow_redirects=False)


def told(sb: Sandbox, about: str = "ord_1") -> list[str]:
    return [n.status for n in sb.autopay.notifications(about)]


def confirm(body: bytes, says: str = "CONFIRMED", key: str = KEY) -> bytes:
    """The shop's answer to a notification, written by hand."""
    xml = base64.b64decode(parse_qs(body.decode())["transactions"][0])
    order = ElementTree.fromstring(xml).findtext(".//orderID")
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><confirmationList><serviceID>123456</serviceID>"
        f"<transactionsConfirmations><transactionConfirmed><orderID>{order}</orderID>"
        f"<confirmation>{says}</confirmation></transactionConfirmed></transactionsConfirmations>"
        f"<hash>{sha256(f'123456|{order}|{says}|{key}')}</hash></confirmationList>"
    ).encode()


@pytest.fixture
def shop(sb: Sandbox, webhook):
    """A webhook that confirms every notification."""
    webhook.answer = confirm
    sb.autopay.itn_url = webhook.url
    return webhook


def test_a_signed_link_shows_what_it_asks_for_and_starts_nothing(sb: Sandbox) -> None:
    for path in ("/", "/payment"):
        page = requests.get(link(sb, path), timeout=5)
        assert page.status_code == 200
        assert "<h1>Pay 49.00 EUR</h1>" in page.text
        assert "Order ord-1: mug, tea" in page.text
        assert "ada@example.com" in page.text
    assert sb.autopay.transactions() == []


def test_links_and_messages_are_signed_as_in_the_examples_of_autopays_documentation(sb: Sandbox, webhook) -> None:
    """bramka-platnosci-online/bezpieczenstwo/hashing.md: keys `2test2` and `1test1`."""
    sb.autopay.configure(service_id="2", key="2test2", return_url="https://sklep_nazwa/strona_powrotu")
    start = {"ServiceID": "2", "OrderID": "100", "Amount": "1.50"}
    start["Hash"] = "2ab52e6918c6ad3b69a8228a2ab815f11ad58533eeed963dd990df8d8c3709d1"
    assert requests.get(f"{sb.url}/autopay/", params=start, timeout=5).status_code == 200
    back = "254eac9980db56f425acf8a9df715cbd6f56de3c410b05f05016630f7d30a4ed"
    assert sb.autopay.back_to("100") == f"https://sklep_nazwa/strona_powrotu?ServiceID=2&OrderID=100&Hash={back}"
    sb.autopay.configure(service_id="1", key="1test1")
    confirmed = (
        b"<confirmationList><serviceID>1</serviceID><transactionsConfirmations><transactionConfirmed>"
        b"<orderID>11</orderID><confirmation>CONFIRMED</confirmation></transactionConfirmed>"
        b"</transactionsConfirmations><hash>c1e9888b7d9fb988a4aae0dfbff6d8092fc9581e22e02f335367dd01058f9618</hash>"
        b"</confirmationList>"
    )
    assert objection(confirmed, "11", "1", "1test1") is None
    said = ["1", "11", "91", "11.11", "PLN", "1", "20010101111111", "SUCCESS", "AUTHORIZED"]
    assert digest(said, "1test1") == "a103bfe581a938e9ad78238cfc674ffafdd6ec70cb6825e7ed5c41787671efe4"


def test_the_hash_is_that_of_the_values_in_the_documented_order_whatever_the_order_in_the_link(sb: Sandbox) -> None:
    values = {"Hash": sha256(f"123456|ord_1|5.00|a b|106|PLN|9.9.9.9|{KEY}")}
    values |= {"CustomerIP": "9.9.9.9", "Currency": "PLN", "GatewayID": "106", "Description": "a b", "Title": ""}
    values |= {"Amount": "5.00", "OrderID": "ord_1", "ServiceID": "123456"}
    assert requests.get(f"{sb.url}/autopay/", params=values, timeout=5).status_code == 200
    form = requests.post(f"{sb.url}/autopay/payment", data=values, timeout=5)
    assert "<h1>Pay 5.00 PLN</h1>" in form.text
    action = re.search(r'action="([^"]+)"', form.text)[1].replace("&amp;", "&")
    assert dict(parse_qsl(urlsplit(action).query, keep_blank_values=True)) == values


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"ServiceID": "654321"}, 404, "There is no service 654321"),
        ({"Amount": "49"}, 400, "The Amount 49 is not"),
        ({"Amount": "0.00"}, 400, "The Amount 0.00 is not"),
        ({"Amount": "49,00"}, 400, "The Amount 49,00 is not"),
        ({"Amount": ""}, 400, "has no Amount"),
        ({"Currency": "JPY"}, 400, "The currency JPY is not supported"),
        ({"OrderID": "x" * 33}, 400, "The OrderID may have 32"),
        ({"Description": "Kafelki żółte"}, 400, "The Description may have 79 Latin"),
        ({"Description": "x" * 80}, 400, "The Description may have 79 Latin"),
        ({"CustomerEmail": "ada"}, 400, "The CustomerEmail is no mail address"),
        ({"ValidityTime": "2026-11-20 13:00:00"}, 410, "no longer valid"),
        ({"ValidityTime": "2026-11-20T14:00:00Z"}, 400, "The ValidityTime is not of the form"),
        ({"Colour": "red"}, 400, "not known: Colour"),
    ],
)
def test_a_link_that_autopay_would_refuse_is_refused_in_words(
    sb: Sandbox, changes: dict, status: int, words: str
) -> None:
    page = requests.get(link(sb, **changes), timeout=5)
    assert page.status_code == status
    assert "This payment link does not work" in page.text
    assert words in page.text


def test_a_link_that_was_changed_after_it_was_signed_is_refused(sb: Sandbox) -> None:
    for changed in (link(sb).replace("49.00", "4.90"), link(sb) + "&Currency=PLN"):
        for answer in (requests.get(changed, timeout=5), press(changed, "pay")):
            assert answer.status_code in (400, 403)
    assert sb.autopay.transactions() == []


def test_paying_tells_the_shop_and_sends_the_buyer_back_with_a_signature(sb: Sandbox) -> None:
    sb.autopay.return_url = "https://shop.example/thank-you/?lang=pl"
    answer = press(link(sb), "pay")
    assert answer.status_code == 303
    proof = sha256(f"123456|ord_1|{KEY}")
    where = "https://shop.example/thank-you/?lang=pl"
    assert answer.headers["Location"] == f"{where}&ServiceID=123456&OrderID=ord_1&Hash={proof}"
    (paid,) = sb.autopay.transactions("ord_1")
    assert (paid.status, paid.amount, paid.currency) == ("SUCCESS", 4900, "EUR")
    assert re.fullmatch("[0-9A-Z]{10}", paid.remote_id)
    assert told(sb) == ["PENDING", "SUCCESS"]


def test_a_paid_link_cannot_be_paid_again(sb: Sandbox) -> None:
    address = link(sb)
    press(address, "pay")
    for answer in (requests.get(address, timeout=5), press(address, "pay"), press(address, "later")):
        assert "This order is paid already" in answer.text
    assert len(sb.autopay.transactions()) == 1


def test_a_buyer_may_pay_twice_by_two_transactions(sb: Sandbox) -> None:
    press(link(sb), "twice")
    first, second = sb.autopay.transactions("ord_1")
    assert (first.status, second.status) == ("SUCCESS", "SUCCESS")
    assert first.remote_id != second.remote_id


def test_after_a_failure_the_buyer_may_try_again_or_go_back(sb: Sandbox) -> None:
    sb.autopay.return_url = "https://shop.example/thank-you/"
    failed = press(link(sb), "fail")
    assert failed.status_code == 402
    assert "You may try again" in failed.text
    assert "OrderID=ord_1" in re.search(r'href="(https://shop.example[^"]+)"', failed.text)[1]
    again = re.search(r'<form method="post" action="([^"]+)"', failed.text)[1].replace("&amp;", "&")
    assert press(sb.url + again, "pay").status_code == 303
    assert told(sb) == ["PENDING", "FAILURE", "PENDING", "SUCCESS"]
    assert len({t.remote_id for t in sb.autopay.transactions("ord_1")}) == 2


def test_a_transfer_is_pending_until_it_arrives_or_fails(sb: Sandbox) -> None:
    assert "The order is placed" in press(link(sb), "later").text
    assert told(sb) == ["PENDING"]
    assert sb.autopay.settle("ord_1")["status"] == "SUCCESS"
    press(link(sb, OrderID="ord_2"), "later")
    assert sb.autopay.settle("ord_2", success=False)["status"] == "FAILURE"
    with pytest.raises(ValueError, match="no PENDING transaction ord_2"):
        sb.autopay.settle("ord_2")


def test_closing_the_window_leaves_a_payment_pending_and_the_link_working(sb: Sandbox) -> None:
    address = link(sb)
    assert "You have closed the window" in press(address, "close").text
    assert told(sb) == ["PENDING"]
    assert "<h1>Pay 49.00 EUR</h1>" in requests.get(address, timeout=5).text


def test_a_notification_is_signed_xml_in_polish_time(sb: Sandbox, shop) -> None:
    paid = sb.autopay.pay(link(sb))
    assert sb.autopay.deliver() == 200
    pending, success = (
        base64.b64decode(parse_qs(body.decode(), strict_parsing=True)["transactions"][0]) for body, _ in shop.got
    )
    assert shop.got[0][1]["Content-Type"] == "application/x-www-form-urlencoded"
    root = ElementTree.fromstring(success)
    head = ["serviceID", "transactions", "hash"]
    assert (root.tag, [child.tag for child in root]) == ("transactionList", head)
    payer = [leaf.text for leaf in root.find(".//customerData")]
    assert payer[:2] == ["Jan", "Kowalski"]
    values = {leaf.tag: leaf.text for leaf in root.find("transactions/transaction") if leaf.tag != "customerData"}
    assert values == {
        "orderID": "ord_1",
        "remoteID": paid["remote_id"],
        "amount": "49.00",
        "currency": "EUR",
        "gatewayID": "106",
        "paymentDate": "20261120130000",
        "paymentStatus": "SUCCESS",
        "paymentStatusDetails": "AUTHORIZED",
    }
    said = f"123456|ord_1|{paid['remote_id']}|49.00|EUR|106|20261120130000|SUCCESS|AUTHORIZED"
    assert root.findtext("hash") == sha256("|".join([said, *payer, KEY]))
    root = ElementTree.fromstring(pending)
    assert root.findtext(".//paymentStatus") == "PENDING"
    assert root.findtext(".//paymentStatusDetails") is None
    assert root.findtext("hash") == sha256(said.replace("|SUCCESS|AUTHORIZED", f"|PENDING|{KEY}"))
    assert [d.confirmed for d in sb.autopay.deliveries] == [True, True]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda body: b"", "not XML"),
        (lambda body: b"<ok/>", "not a confirmationList"),
        (lambda body: confirm(body, key="wrong"), "hash of the answer is wrong"),
        (lambda body: confirm(body, "NOTCONFIRMED"), "confirmation NOTCONFIRMED"),
        (lambda body: confirm(body).replace(b"ord_1", b"ord_2"), "hash of the answer is wrong"),
    ],
)
def test_only_a_signed_confirmation_counts(sb: Sandbox, shop, answer, words: str) -> None:
    """The notification stays to be delivered until then, and the record says why."""
    shop.answer = answer
    sb.autopay.later(link(sb))
    assert sb.autopay.deliver() == 200
    assert words in sb.autopay.deliveries[0].error
    shop.answer, shop.statuses = confirm, [503]
    sb.autopay.deliver()
    sb.autopay.deliver()
    assert [(d.attempt, d.status, d.confirmed) for d in sb.autopay.deliveries] == [
        (1, 200, False),
        (2, 503, False),
        (3, 200, True),
    ]
    assert sb.autopay.deliver() is None


def test_a_notification_that_is_not_confirmed_comes_again_by_itself(sb: Sandbox, shop) -> None:
    sb.autopay.autosend, shop.statuses = True, [500]
    sb.autopay.later(link(sb))
    assert sb.autopay.wait_idle()
    assert [d.status for d in sb.autopay.deliveries] == [500, 200]
    assert shop.got[0][0] == shop.got[1][0]


def test_a_pending_notice_is_not_repeated_once_the_payment_has_ended(sb: Sandbox, shop) -> None:
    sb.autopay.autosend, shop.statuses = True, [500]
    sb.autopay.later(link(sb))
    sb.autopay.settle("ord_1")
    assert sb.autopay.wait_idle()
    got = [(d.payment_status, d.status) for d in sb.autopay.deliveries]
    assert sorted(got) in ([("PENDING", 200), ("SUCCESS", 200), ("SUCCESS", 500)], [("PENDING", 500), ("SUCCESS", 200)])


def test_what_may_go_wrong_after_a_payment(sb: Sandbox, shop) -> None:
    """The same notice again, a failure after the success, and an amount or currency that is not the order's."""
    paid = sb.autopay.pay(link(sb), amount=4899, currency="PLN")
    assert (paid["amount"], paid["currency"]) == (4899, "PLN")
    sb.autopay.deliver(paid["notifications"][1]["id"], times=2)
    assert shop.got[0][0] == shop.got[1][0]
    same = sb.autopay.late_failure("ord_1")
    assert same["remote_id"] == paid["remote_id"]
    other = sb.autopay.late_failure("ord_1", another=True)
    assert other["remote_id"] != paid["remote_id"]
    assert told(sb) == ["PENDING", "SUCCESS", "FAILURE", "FAILURE"]
    sb.autopay.lose = True
    assert sb.autopay.deliver() is None
    assert sb.autopay.deliveries[-1].error == "lost on the way"


def test_tests_in_another_process_use_the_admin_api(sb: Sandbox, shop) -> None:
    def ask(action: str, **sent: object) -> requests.Response:
        return requests.post(f"{sb.url}/_sandbox/autopay/{action}", json=sent, timeout=5)

    assert ask("configure", return_url="https://shop.example/").json()["object"]["itn_url"] == shop.url
    assert KEY not in ask("configure").text
    assert ask("open", link=link(sb)).json()["object"]["amount"] == 4900
    paid = ask("pay", order="ord_1", amount=100).json()["object"]
    assert paid["amount"] == 100
    ask("deliver"), ask("repeat", payment=paid["remote_id"])
    listed = requests.get(f"{sb.url}/_sandbox/autopay/transactions?order=ord_1", timeout=5).json()["transactions"]
    assert [t["remote_id"] for t in listed] == [paid["remote_id"]]
    sent = requests.get(f"{sb.url}/_sandbox/autopay/deliveries", timeout=5).json()["deliveries"]
    assert [(d["payment_status"], d["confirmed"]) for d in sent] == [("PENDING", True), ("SUCCESS", True)]
    for action, said, status in (
        ("pay", {"order": "ord_none"}, 404),
        ("settle", {"payment": "ord_1"}, 409),
        ("open", {"link": link(sb).replace("49.00", "1.00")}, 403),
        ("configure", {"mood": "bad"}, 400),
    ):
        assert ask(action, **said).status_code == status


def test_the_overview_settles_repeats_and_fails_late(sb: Sandbox) -> None:
    remote = sb.autopay.later(link(sb))["remote_id"]
    for buttons, wish in ((["settle", "fail"], "settle"), (["repeat", "late_failure"], "late_failure")):
        page = requests.get(f"{sb.url}/", timeout=5).text
        row = re.search(rf'action="/transactions/{remote}".*?</form>', page, re.S)[0]
        assert re.findall(r'value="(\w+)"', row) == buttons
        assert requests.post(f"{sb.url}/transactions/{remote}", data={"do": wish}, timeout=5).status_code == 200
    assert told(sb) == ["PENDING", "SUCCESS", "FAILURE"]
    assert requests.post(f"{sb.url}/transactions/{remote}", data={"do": "settle"}, timeout=5).status_code == 409


def test_the_gateway_may_be_away(sb: Sandbox) -> None:
    sb.fault("autopay", "status", status=503, path="^/$")
    away = requests.get(link(sb), timeout=5)
    assert away.status_code == 503
    assert "Autopay cannot be reached" in away.text
    assert requests.get(link(sb), timeout=5).status_code == 200
    assert [c.status for c in sb.calls("autopay")] == [503, 200]
