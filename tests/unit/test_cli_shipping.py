"""What the owner packs and sends by hand, by the command: asked before, refused clearly, and printed for the table."""

from __future__ import annotations

import stat
from html.parser import HTMLParser

import msgspec
import pytest
from click.testing import CliRunner

from cli.carriers import ALIASES, PAGES, tracking_page
from cli.packing_sheets import envelope, page
from cli.root import pushcart as root
from pushcart.domain import delivery
from pushcart.domain.order import Address, Order, Shipping
from pushcart.mail.context import web_link
from support import goods
from support.command import Done, gateway_at, pushcart
from support.shop import NOW
from support.wire import Wire

ID = "o-4kz7q2m3xw5ytbn6cvd2pjh7ra"


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def at(wire, tmp_path):
    return gateway_at(wire.url, tmp_path)


def order(*lines, id=ID, **changes) -> Order:
    """Three aprons to pack and a shirt that others print, paid in live mode."""
    made = goods.bought(*lines or (goods.line(1, "apron", 3), goods.shirt(2)), livemode=True, **changes)
    made.id = id
    return made


def sent(made: Order):
    return msgspec.to_builtins(made)


def here(*args, at) -> Done:
    """The command in this process, which is quicker; it has no terminal to ask at."""
    ran = CliRunner().invoke(root, args, env=at, prog_name="pushcart")
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Done(ran.exit_code, ran.stdout, ran.stderr)


def ship(wire, at, *args, made=None, answer=None):
    """Runs the command about an order that the shop has; the last answer is that of the change."""
    wire.say(200, sent(made or order())).say(202, sent(made or order()))
    command = ("orders", "ship", ID, "--carrier", "DHL", *args)
    return here(*command, "--yes", at=at) if answer is None else pushcart(*command, at=at, answer=answer)


# orders ship


def test_a_parcel_with_all_that_is_left_says_what_goes_where_before_it_asks(wire, at):
    done = ship(wire, at, "--tracking", "00340434161094042557", answer="y")
    assert done.code == 0, done.err
    for words in (
        f"{ID}: a parcel with DHL, number 00340434161094042557",
        "goes to      Ann Kowalska, ul. Długa 12/3, 31-146, Kraków, PL",
        "to follow at https://www.dhl.com/global-en/home/tracking.html?tracking-id=00340434161094042557",
        "in it        3 x Apron",
        "and that is all that you pack of it",
    ):
        assert words in done.err
    assert "Shirt" not in done.err
    assert f"{ID}: done. See what becomes of it: pushcart orders show {ID}" in done.out
    assert wire.seen[-1].path == f"/function/order-store/orders/{ID}/ship"
    assert wire.seen[-1].json == {
        "carrier": "DHL",
        "tracking_number": "00340434161094042557",
        "tracking_url": "https://www.dhl.com/global-en/home/tracking.html?tracking-id=00340434161094042557",
        "pieces": {"li_1": 3},
        "version": 3,
    }


def test_an_answer_of_no_sends_nothing(wire, at):
    done = ship(wire, at, answer="n")
    assert (done.code, [call.method for call in wire.seen]) == (1, ["GET"])
    assert "Nothing was changed." in done.err


@pytest.mark.parametrize("name", ["apron", "li_1"])
def test_a_part_is_named_by_product_or_by_line_and_the_rest_is_told(wire, at, name):
    done = ship(wire, at, "--item", f"{name}=2")
    assert done.code == 0, done.err
    assert "in it        2 x Apron" in done.err
    assert "still to go  1 x Apron" in done.err
    assert wire.seen[-1].json["pieces"] == {"li_1": 2}
    assert wire.seen[-1].json["tracking_number"] is wire.seen[-1].json["tracking_url"] is None


def test_an_item_that_is_said_twice_is_added_up(wire, at):
    ship(wire, at, "--item", "apron=1", "--item", "li_1=2")
    assert wire.seen[-1].json["pieces"] == {"li_1": 3}


def test_an_address_of_ones_own_is_taken_before_a_known_one(wire, at):
    ship(wire, at, "--tracking", "1", "--url", "https://track.example/1?x=y")
    assert wire.seen[-1].json["tracking_url"] == "https://track.example/1?x=y"


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        (["mug=1"], f"Order {ID} has no mug; it has li_1 (Apron), li_2 (Shirt)"),
        (["apron=4"], "4 of Apron: 3 are left to be packed"),
        (["apron=2", "li_1=2"], "4 of Apron: 3 are left"),
        (["shirt=1"], "1 of Shirt: 0 are left"),
    ],
)
def test_what_cannot_be_in_the_parcel_is_refused_before_anything_is_asked(wire, at, items, complaint):
    done = ship(wire, at, *[word for item in items for word in ("--item", item)])
    assert (done.code, len(wire.seen)) == (1, 1)
    assert complaint in done.err


def test_a_product_on_two_lines_has_to_be_named_by_its_line(wire, at):
    made = order(goods.line(1, "apron"), goods.line(2, "apron"))
    done = ship(wire, at, "--item", "apron=1", made=made)
    assert (done.code, len(wire.seen)) == (1, 1)
    assert "has apron on 2 lines; name one by its id: li_1 (Apron), li_2 (Apron)" in done.err


def test_an_order_with_nothing_left_or_without_its_money_is_refused(wire, at):
    made = order()
    delivery.ship(made, goods.CATALOGUE, NOW, carrier="DHL")
    assert "There is nothing left to pack" in ship(wire, at, made=made).err
    assert len(wire.seen) == 1


def test_an_order_that_was_refunded_is_refused(wire, at):
    made = order()
    goods.pay(made, goods.line(1, "apron", 3), goods.shirt(2), amount_refunded=12_700)
    done = ship(wire, at, made=made)
    assert (done.code, "is refunded; nothing of it should be sent" in done.err) == (1, True)


def test_an_order_that_changed_meanwhile_is_the_shops_to_refuse(wire, at):
    wire.say(200, sent(order())).say(409, {"error": {"code": "conflict", "message": "It has changed since version 3."}})
    done = here("orders", "ship", ID, "--carrier", "DHL", "--yes", "--json", at=at)
    assert done.code == 1
    assert done.json == [{"id": ID, "ok": False, "error": "It has changed since version 3."}]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "Missing option '--carrier'"),
        (["--carrier", " "], "should have 1 to 60 characters"),
        (["--carrier", "DHL", "--tracking", "1" * 101], "should have 1 to 100 characters"),
        (["--carrier", "DHL", "--item", "apron"], "write it like studio-apron=2"),
        (["--carrier", "DHL", "--item", "apron=0"], "write it like studio-apron=2"),
        (["--carrier", "DHL", "--item", "=2"], "write it like studio-apron=2"),
        (["--carrier", "DHL", "--url", "javascript:alert(1)"], "is no web address"),
        (["--carrier", "DHL", "--url", "track.example"], "is no web address"),
    ],
)
def test_a_parcel_that_is_written_wrongly_is_exit_2_and_asks_nobody(wire, at, args, complaint):
    done = here("orders", "ship", ID, *args, "--yes", at=at)
    assert (done.code, wire.seen) == (2, [])
    assert complaint in " ".join(done.err.split())


# Where a parcel can be followed


@pytest.mark.parametrize(
    ("carrier", "number", "address"),
    [
        ("InPost", "520 000", "https://inpost.pl/sledzenie-przesylek?number=520000"),
        ("Poczta Polska", "00359", "https://emonitoring.poczta-polska.pl/?numer=00359"),
        ("Zásilkovna", "Z 1", "https://tracking.packeta.com/en/?id=Z1"),
        ("ROYAL-MAIL", "a/b?c#d", "https://www.royalmail.com/track-your-item#/tracking-results/a%2Fb%3Fc%23d"),
        ("dpd pl", "1", "https://tracktrace.dpd.com.pl/parcelDetails?p1=1"),
        ("My cousin's van", "1", None),
        ("", "1", None),
    ],
)
def test_a_well_known_carriers_page_is_known_by_any_spelling(carrier, number, address):
    assert tracking_page(carrier, number) == address


def test_every_page_that_is_known_may_go_into_a_mail():
    assert set(ALIASES.values()) <= set(PAGES)
    for name in (*PAGES, *ALIASES):
        link = tracking_page(name, "00340434 & <x> 'y'")
        assert link is not None
        assert web_link(link) == link
        assert "{" not in link


# orders packing


class Sheets(HTMLParser):
    """The words of each sheet; fails on a tag that a buyer could have written."""

    def __init__(self, html):
        super().__init__()
        self.sheets = []
        self.feed(html)
        self.close()
        self.sheets = [" ".join("".join(words).split()) for words in self.sheets]

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "iframe", "link", "a", "form")
        if tag == "article":
            self.sheets.append([])
        if tag == "br":
            self.sheets[-1].append(" ")

    def handle_data(self, data):
        if self.sheets:
            self.sheets[-1].append(data)


def summaries(*orders: Order):
    listed = [{"id": one.id, "payment_status": one.payment_status} for one in orders]
    return {"items": listed, "cursor": None}


def packing(wire, at, tmp_path, *args):
    return here("orders", "packing", *args, "--output", str(tmp_path / "packing.html"), at=at)


def test_all_that_waits_is_packed_the_oldest_first_and_nobody_else_may_read_the_file(wire, at, tmp_path):
    old, new = order(id="o-old"), order(id="o-new")
    old.paid_at = "2026-11-20T08:00:00.000Z"
    printed, unpaid = order(goods.shirt(), id="o-printed"), order(id="o-unpaid", money="unpaid", amount_received=None)
    wire.say(200, summaries(new, printed, unpaid, old))
    for one in (new, printed, old):
        wire.say(200, sent(one))
    wire.say(200, summaries())
    done = packing(wire, at, tmp_path)
    assert done.code == 0, done.err
    file = tmp_path / "packing.html"
    assert done.out == f"2 sheets in {file}: open it and print.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sheets = Sheets(file.read_text()).sheets
    assert [sheet.partition(" --carrier")[0].rpartition(" ")[2] for sheet in sheets] == ["o-old", "o-new"]
    assert [call.query.get("fulfilment_status") for call in wire.seen if call.path.endswith("/orders")] == [
        "in_progress",
        "needs_attention",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".packing")] == []


def test_an_order_that_needs_the_owner_first_is_named_and_not_packed(wire, at, tmp_path):
    held = order(id="o-held")
    wire.say(200, summaries()).say(200, summaries(held)).say(200, sent(held))
    done = packing(wire, at, tmp_path)
    assert done.out.splitlines() == [
        "Nothing waits to be packed.",
        "Left out, because it needs you first: pushcart orders show o-held",
    ]
    assert not (tmp_path / "packing.html").exists()


def test_the_orders_that_are_named_are_packed_each_once(wire, at, tmp_path):
    wire.say(200, sent(order()))
    done = packing(wire, at, tmp_path, ID, ID, "--json")
    assert done.json == {"file": str(tmp_path / "packing.html"), "orders": [ID], "held": []}
    assert len(wire.seen) == 1


def test_an_order_with_nothing_to_pack_is_refused_and_the_old_list_stays(wire, at, tmp_path):
    (tmp_path / "packing.html").write_text("old")
    wire.say(200, sent(order())).say(200, sent(order(goods.shirt(), id="o-2")))
    done = packing(wire, at, tmp_path, ID, "o-2")
    assert (done.code, (tmp_path / "packing.html").read_text()) == (1, "old")
    assert "There is nothing left to pack in order o-2" in done.err


def test_a_file_that_cannot_be_written_is_named(wire, at, tmp_path):
    wire.say(200, sent(order()))
    done = here("orders", "packing", ID, "--output", str(tmp_path / "no" / "x.html"), at=at)
    assert (done.code, "x.html cannot be written" in done.err) == (1, True)


def test_a_sheet_has_what_the_packer_needs_and_no_price():
    made = order(goods.line(1, "apron", 3), goods.shirt(2))
    made.lines[0].options = {"Size": "M", "Engraving": "For Zoë"}
    made.buyer.phone = "+48 600 100 200"
    delivery.ship(made, goods.CATALOGUE, NOW, carrier="DHL", pieces={"li_1": 1})
    [sheet] = Sheets(page([made], "UTC")).sheets
    for words in (
        "D2PJ-H7RA",
        "Ann Kowalska ul. Długa 12/3 31-146 Kraków POLAND",
        "Telephone +48 600 100 200",
        "2 × Apron Size: M Engraving: For Zoë",
        "1 of 3 went out before",
        "2 pieces in all",
        f"pushcart orders ship {ID} --carrier NAME --tracking NUMBER",
    ):
        assert words in sheet
    assert "Shirt" not in sheet
    assert "34.00" not in sheet
    assert "TEST" not in sheet


def test_a_sheet_says_the_day_of_the_sale_where_the_shop_is_and_whose_day_it_is(wire, at, tmp_path):
    made = order()
    made.paid_at = "2026-11-20T23:30:00.000Z"
    for timezone, day in (("UTC", "2026-11-20 (UTC)"), ("Europe/Warsaw", "2026-11-21 (CET)")):
        assert f"bought on {day}" in Sheets(page([made], timezone)).sheets[0]
    wire.say(200, sent(made))
    packing(wire, at, tmp_path, ID)
    assert "bought on 2026-11-21 (CET)" in (tmp_path / "packing.html").read_text()


def test_what_a_buyer_wrote_is_words_on_the_sheet_and_nothing_else():
    evil = "<script>alert(1)</script>\u202e\x1b[2J{{ 7*7 }}"
    address = Address(line1=evil, line2="</div></article>", city=evil, country="<b>")
    made = order(goods.line(1, "apron"), shipping=Shipping(name=evil, address=address))
    made.buyer.phone, made.buyer.email, made.lines[0].name = evil, evil, evil
    made.lines[0].options = {evil: evil}
    html = page([made], "UTC")
    [sheet] = Sheets(html).sheets
    assert sheet.count("<script>alert(1)</script>") == 8
    assert "{{ 7*7 }}" in sheet
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_a_test_order_says_not_to_send_it_and_an_order_without_an_address_says_so():
    test, lost = order(), order(shipping=None)
    test.payment.livemode = False
    sheets = Sheets(page([test, lost], "UTC")).sheets
    assert "Do not send anything" in sheets[0]
    assert "No address came with this order: ask the buyer for one." in sheets[1]
    assert "Ann · No telephone number · Ann@Example.com" in sheets[1]


@pytest.mark.parametrize(
    ("country", "rows"),
    [
        ("DE", ["Ann", "Road 1", "12345 Town", "GERMANY"]),
        ("US", ["Ann", "Road 1", "Town CA 12345", "UNITED STATES"]),
        ("GB", ["Ann", "Road 1", "Town", "12345", "UNITED KINGDOM"]),
        ("XQ", ["Ann", "Road 1", "12345 Town", "XQ"]),
    ],
)
def test_an_address_stands_as_on_an_envelope_of_its_country(country, rows):
    state = "CA" if country == "US" else None
    address = Address(line1="Road 1", city="Town", state=state, postal_code="12345", country=country)
    assert envelope(Shipping(name=None, address=address), "Ann") == rows


def test_nothing_known_is_no_envelope():
    assert envelope(None, "Ann") == envelope(Shipping(name="Ann", address=Address()), "Ann") == []


# orders show


def test_an_order_shows_what_is_printed_what_that_leaves_and_its_parcels(wire, at):
    made = goods.placed(goods.shirt(1, 2))
    back = goods.parcel(returned_at=NOW, reason="unclaimed")
    goods.read(made, goods.facts("partial", back, goods.parcel(2, reshipment=True), error="one picture is too small"))
    made.prints[0].refunds = {"e": 200}
    wire.say(200, sent(made))
    done = here("orders", "show", "o-1", at={**at, "COLUMNS": "200"})
    assert done.code == 0, done.err
    for words in (
        "100 partial 2026-11-21 08:00:00 50.00 EUR 13.00 EUR 2.00 EUR 39.00 EUR",
        "100: one picture is too small",
        "Printful DPD 13491 1 x T-Shirt / M came back 2026-11-21 08:00:00: unclaimed",
        "in place of a lost one",
        "13492: https://track.example/13492",
    ):
        assert words in done.words


def test_a_margin_is_not_worked_out_across_currencies(wire, at):
    made = goods.placed()
    made.prints[0].costs.currency = "USD"
    wire.say(200, sent(made))
    words = here("orders", "show", "o-1", at={**at, "COLUMNS": "200"}).words
    assert "25.00 EUR 13.00 USD" in words
    assert "12.00" not in words
