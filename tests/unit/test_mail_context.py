"""What templates are given: clean texts, safe links, honest sums, and JSON for SendGrid."""

from __future__ import annotations

import json

import pytest

from pushcart.domain.order import Address, Buyer, Shipping
from pushcart.mail import context
from pushcart.mail.formats import Formats, locale_of
from support import mail_samples as samples


def build(call, tag="en-GB"):
    return context.build(call, samples.catalogue(), Formats(locale_of(tag), "Europe/Warsaw"), locale_of("en-GB"))


def test_tax_on_top_of_the_prices_is_told_from_tax_inside_them():
    on_top = build(samples.request("receipt", samples.order(amount_tax=1127, amount_total=6027)))["order"]
    inside = build(samples.request("receipt", samples.order(amount_tax=916)))["order"]
    assert (on_top["tax_added"], on_top["tax_included"]) == ("€11.27", None)
    assert (inside["tax_added"], inside["tax_included"]) == (None, "€9.16")


def test_tax_of_both_kinds_in_one_order_is_split():
    both = build(samples.request("receipt", samples.order(amount_tax=1000, amount_total=5300)))["order"]
    assert (both["tax"], both["tax_added"], both["tax_included"]) == ("€10.00", "€4.00", "€6.00")


def test_what_there_is_none_of_is_none():
    order = build(samples.request("receipt"))["order"]
    assert [order[name] for name in ("discount", "tax", "shipping", "refunded")] == [None] * 4


@pytest.mark.parametrize(("refunded", "is_full"), [(4899, False), (4900, True)])
def test_a_refund_is_full_only_when_everything_was_given_back(refunded, is_full):
    call = samples.request("refund", samples.order(amount_refunded=refunded), refund=900)
    assert build(call)["refund"] == {
        "amount": "€9.00",
        "total_refunded": f"€{refunded / 100:.2f}",
        "is_full": is_full,
    }


def test_the_access_of_a_mail_comes_from_every_result_with_a_link():
    call = samples.request(
        "your-access",
        results={
            "invite": {
                "link": samples.INVITE,
                "note": "Bring\nclay.",
                "expires_at": "2026-12-21T08:00:00.000Z",
            },
            "forum": {"link": "https://forum.example/", "existing_member": True},
            "purchase": {"via": "kit"},
        },
    )
    first, second = build(call)["access"]
    assert (first["product"], first["link"], first["note"]) == (
        "Throwing on the Wheel",
        samples.INVITE,
        "Bring clay.",
    )
    assert first["until"] == "21 December 2026, 09:00 CET"
    assert (second["existing_member"], second["note"], second["until"]) == (True, None, None)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/relative",
        "https://",
        "https:///path",
        'https://a.example/"onclick="x',
        "https://a.example/ b",
        "https://a.example\\@b.example",
        "http://[",
        7,
        None,
        "",
    ],
)
def test_a_link_that_is_not_plain_http_is_dropped_everywhere(link):
    built = build(samples.request("your-access", results={"invite": {"link": link, "join_url": link}}))
    assert built["access"] == []
    assert built["results"]["invite"] == {"link": None, "join_url": None}


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("Ada\r\nBcc: all@example.org", "Ada Bcc: all@example.org"),
        ("  Ada \t Lovelace ", "Ada Lovelace"),
        ("Ada\u2028Lovelace\x00", "Ada Lovelace"),
        ("\u202egnp.exe\u2066", "gnp.exe"),
        ("Ada\u200bLovelace", "AdaLovelace"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Łódź 👩\u200d🎨", "Łódź 👩\u200d🎨"),
    ],
)
def test_texts_become_one_line_without_hidden_marks(given, clean):
    assert context.one_line(given) == clean


@pytest.mark.parametrize("name", ["Win at http://evil.example", "www.evil.example", "HTTPS://x"])
def test_a_name_that_advertises_an_address_is_left_out(name):
    assert (
        build(samples.request("receipt", samples.order(buyer=Buyer(email="a@example.org", name=name))))["buyer"]["name"]
        is None
    )


def test_an_address_is_given_in_parts_and_as_rows():
    view = samples.rich_order()
    built = build(samples.request("receipt", view), "pl")
    assert built["buyer"]["address"]["rows"] == ["ul. Długa 12/3", "31-146 Kraków", "Polska"]
    assert built["ship_to"]["name"] == "Zofia Kowalska"
    view.shipping = Shipping(address=Address())
    assert build(samples.request("receipt", view))["ship_to"] == {"name": None, "address": None}


def test_test_mode_is_the_payments_own_mode():
    assert build(samples.request("owners-notice", samples.order(livemode=False)))["test_mode"] is True
    assert build(samples.request("owners-notice"))["test_mode"] is False


def test_the_payments_page_is_that_of_its_mode():
    def page(**payment):
        return build(samples.request("owners-notice", samples.order(**payment)))["order"]["payment_page"]

    assert page() == "https://dashboard.stripe.com/payments/pi_3PushcartSample"
    assert page(livemode=False) == "https://dashboard.stripe.com/test/payments/pi_3PushcartSample"
    assert page(payment_intent=None) is None
    assert page(provider="autopay") is None


def test_the_number_for_people_is_the_end_of_the_id():
    assert context.number_of(samples.ORDER_ID) == "D2PJ-H7RA"
    assert context.number_of("o-1") == "O1"


def test_without_an_order_every_key_is_there_and_empty():
    call = samples.request("something-needs-you", order=None, lines=[], problem=samples.problem("show e1"))
    built = build(call)
    assert built["order"] is None
    assert built["buyer"] == {"name": None, "email": None, "phone": None, "address": None}
    assert (built["lines"], built["access"], built["refund"], built["product"]) == ([], [], None, "")
    assert built["problem"]["command"] == "show e1"


def test_the_context_is_json_with_formatted_values():
    sent = json.loads(json.dumps(build(samples.request("receipt", samples.rich_order()), "pl")))
    assert sent["order"]["total"] == "241,91\xa0€"
    assert sent["order"]["paid_on"] == "21 listopada 2026"
    assert sent["lines"][0]["name"] == "Throwing on the Wheel"
    assert sent["locale"] == "pl"


def test_an_order_without_a_time_of_payment_shows_when_it_was_made():
    view = samples.order()
    view.paid_at = None
    assert build(samples.request("receipt", view))["order"]["paid_at"] == "21 November 2026, 09:41 CET"


def test_several_products_are_listed_in_the_language_of_the_words():
    call = samples.request("your-access", samples.rich_order())
    assert build(call, "pl")["product"].endswith("Glaze Chemistry and Hand-dyed linen apron with two deep pockets")
