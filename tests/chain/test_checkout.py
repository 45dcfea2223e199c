"""From a cart to the delivered goods: checkout, the sandbox's pay pages, the webhooks and all that follows.

The functions run as processes behind the local gateway; the sandbox's record is the judge.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.shop import LocalShop
from support.carts import APRON, COURSE, PAY_WITH, PLANS, Shopper, call, stock, well_stocked
from support.command import pushcart, shop_of
from support.customers import eventually

#: Beyond the hour that a buyer has to pay, so that the shop looks at what became of it.
EXPIRED = 3600 + 120

BUYERS = ["receipt", "wheel-basics.your-access"]
EVERYTHING = dict.fromkeys([*BUYERS, "owners-notice", "studio-apron.please-pack"], 1)
PLANS_MAILS = dict.fromkeys(["receipt", "studio-plans.your-access", "owners-notice"], 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of these tests' own: they count its stock and its page views, and let its time pass."""
    folder = tmp_path_factory.mktemp("shop")
    with LocalShop(folder / "state", shop_file=well_stocked(folder), catch_up=False) as shop:
        yield shop


@pytest.fixture
def lost(shop):
    """Stripe's webhooks are all lost."""
    shop.sandbox.stripe.autosend = False
    yield
    shop.sandbox.stripe.autosend = True


def told(shop):
    """Once every webhook has arrived and nothing is under way, time may pass."""
    assert shop.sandbox.stripe.wait_idle()
    assert shop.sandbox.autopay.wait_idle()


def history(order):
    return [entry["what"] for entry in order["history"]]


def attention(order):
    return [item["code"] for item in order["attention"] if item["handled_at"] is None]


def mail_of(shopper, step):
    """The one mail of a step."""
    asked = {"order_id": shopper.id, "step": step}.items()
    [mail] = [mail for mail in shopper.shop.sandbox.mails() if asked <= mail.custom_args.items()]
    return mail


# Bought


@pytest.mark.parametrize(("pay_with", "parcel"), [("stripe", 350), ("autopay", 600)])
def test_a_cart_with_a_course_and_an_apron_is_paid_and_everything_in_it_is_delivered_once(shop, pay_with, parcel):
    shopper = Shopper(shop, COURSE, {**APRON, "quantity": 2}, pay=pay_with, code="SPRING10")
    sold, held = stock(shop)
    shopper.begin()
    assert shopper.status()["state"] == "waiting"
    assert stock(shop) == (sold, held + 2)
    shopper.pay()
    order = shopper.sees("done") and shopper.wait(payment="paid", fulfilment="fulfilled")
    assert stock(shop) == (sold + 2, held)
    payment = order["payment"]
    amounts = [payment[f"amount_{name}"] for name in ("subtotal", "discount", "shipping", "total")]
    assert amounts == [11700, 1170, parcel, 10530 + parcel]
    assert (payment["provider"], payment["currency"]) == (pay_with, "EUR")
    assert [(line["sku"], line["quantity"], line["options"], line["amount_total"]) for line in order["lines"]] == [
        ("wheel-basics", 1, {}, 4410),
        ("studio-apron", 2, {"Size": "M"}, 6120),
    ]
    assert shopper.mails() == EVERYTHING
    effects = shopper.effects()
    assert [effects[name] for name in ("invitations", "purchases", "sequences")] == [1, 1, 1]
    packing = mail_of(shopper, "studio-apron.please-pack")
    assert packing.to == ["owner@meadow-pottery.example"]
    for part in (packing.text, packing.html):
        assert "Studio Apron (Size: M)" in part
        assert "ul. Prosta 51" in part
    assert "Throwing on the Wheel" not in packing.text


def test_a_form_without_script_leads_to_the_same_goods(shop):
    fields = {"sku": "studio-plans", "quantity": "1", "price": "1500", "currency": "EUR", "email": "form@example.com"}
    answer = call(shop, "POST", "/", data=fields)
    assert answer.status_code == 303
    session = answer.headers["Location"].rpartition("/")[2]
    order_id = shop.sandbox.stripe.buy(session=session).object["metadata"]["pushcart_order"]
    eventually(lambda: shop.order(order_id)["fulfilment_status"] == "fulfilled")
    assert len(shop.sandbox.mails("form@example.com")) == 2


def test_the_page_after_the_payment_knows_the_order_by_stripes_session_and_by_autopays_signature(shop):
    by_card, by_transfer = Shopper(shop, PLANS), Shopper(shop, PLANS, pay="autopay")
    for shopper in (by_card, by_transfer):
        shopper.begin()
        shopper.pay()
    seen = by_card.sees("done")
    assert call(shop, "GET", "/status", params={"session_id": by_card.session_id}).json() == seen
    back = shop.sandbox.autopay.back_to(by_transfer.id)
    assert back.startswith("https://meadow-pottery.example/thank-you/?ServiceID=")
    assert by_transfer.sees("done") == call(shop, "GET", f"/status?{back.partition('?')[2]}").json()
    forged = back.replace(by_transfer.id, by_card.id)
    assert call(shop, "GET", f"/status?{forged.partition('?')[2]}").status_code == 404


@pytest.mark.parametrize("pay_with", PAY_WITH)
def test_a_cart_sent_sixteen_times_at_once_is_one_order_and_one_place_to_pay(shop, pay_with):
    shopper, (_, held) = Shopper(shop, APRON, pay=pay_with), stock(shop)
    with ThreadPoolExecutor(16) as pool:
        answers = [one.result() for one in [pool.submit(shopper.post) for _ in range(16)]]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(shopper.orders()) == 1
    assert len(shopper.sessions()) == (pay_with == "stripe")
    assert stock(shop)[1] == held + 1


def test_a_cart_that_is_paid_leads_to_the_thank_you_page_when_it_is_sent_again(shop):
    shopper = Shopper(shop, PLANS)
    first = shopper.begin()
    shopper.pay()
    shopper.sees("done")
    again = shopper.begin()
    assert again == {
        **first,
        "url": f"https://meadow-pottery.example/thank-you/#order={first['order']}&key={first['key']}",
    }
    assert len(shopper.sessions()) == 1
    assert shopper.mails() == PLANS_MAILS


# What Autopay tells


def test_what_autopay_repeats_is_confirmed_again_and_changes_nothing(shop):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    shopper.pay()
    before = shopper.sees("done") and shopper.wait(fulfilment="fulfilled")
    told(shop)
    autopay = shop.sandbox.autopay
    for note in autopay.notifications(shopper.id):
        assert autopay.deliver(note.id, times=3) == 200
    assert all(one.confirmed for one in autopay.deliveries if one.order_id == shopper.id)
    shop.catch_up()
    assert shopper.order() == before
    assert shopper.mails() == PLANS_MAILS


def test_pending_delivers_nothing_and_a_failure_is_not_the_end(shop):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    shop.sandbox.autopay.later(shopper.begun["url"])
    shop.sandbox.autopay.settle(shopper.id, success=False)
    shopper.sees("failed")
    assert shopper.mails() == {}
    assert shopper.begin()["order"] == shopper.id
    shopper.pay()
    shopper.sees("done")
    assert shopper.mails() == PLANS_MAILS


@pytest.mark.parametrize("another", [False, True])
def test_a_failure_that_comes_after_the_success_changes_nothing(shop, another):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    shopper.pay()
    before = shopper.sees("done") and shopper.wait(fulfilment="fulfilled")
    shop.sandbox.autopay.late_failure(shopper.id, another=another)
    told(shop)
    failed = eventually(lambda: [one for one in events_of(shopper) if one["type"] == "payment.failed"])
    assert failed
    eventually(lambda: {one["status"] for one in events_of(shopper)} == {"applied"})
    after = shopper.order()
    assert [after[name] for name in ("payment_status", "fulfilment_status", "history", "steps", "attention")] == [
        before[name] for name in ("payment_status", "fulfilment_status", "history", "steps", "attention")
    ]
    assert shopper.mails() == PLANS_MAILS


def events_of(shopper):
    """The events about the order, as the inbox has them."""
    listed = shopper.shop.ask("/events", method="GET", limit="200")["items"]
    return [one for one in listed if shopper.id in one["id"]]


@pytest.mark.parametrize("wrong", [{"amount": 1499}, {"amount": 3000}, {"currency": "PLN"}])
def test_another_sum_than_was_asked_for_delivers_nothing_until_the_owner_releases_it(shop, wrong):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    shopper.pay(**wrong)
    order = shopper.sees("attention") and shopper.wait(payment="paid", fulfilment="needs_attention")
    assert attention(order) == ["wrong_amount"]
    assert "instead of 15.00 EUR" in order["attention"][0]["text"]
    assert {step.partition(".")[0] for step in shopper.mails()} <= {"attention"}
    shop.ask(f"/orders/{shopper.id}/release")
    shopper.sees("done")
    assert PLANS_MAILS.items() <= shopper.mails().items()


def test_an_order_paid_twice_is_fulfilled_once_and_the_owner_is_told_of_the_second_payment(shop):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    second = shopper.pay(twice=True)
    told(shop)
    order = eventually(lambda: (found := shopper.order()) and attention(found) == ["paid_twice"] and found)
    one, other = (each.remote_id for each in shop.sandbox.autopay.transactions(shopper.id))
    assert second["remote_id"] == other
    assert {order["payment"]["payment_intent"], order["attention"][0]["subject"]} == {one, other}
    eventually(lambda: sum(step.startswith("attention") for step in shopper.mails()) == 1, lambda: str(shopper.mails()))
    assert PLANS_MAILS.items() <= shopper.mails().items()


# What the owner sees of it


def test_the_owner_sees_what_was_sold_and_what_is_left(shop):
    done = pushcart("stock", "--json", at=shop_of(shop))
    assert done.code == 0, done.err
    sold, held = stock(shop)
    [row] = [one for one in done.json if one["choice"] == "M"]
    assert (row["sku"], row["sold"], row["held"], row["left"]) == ("studio-apron", sold, held, 999 - sold - held)
    table = pushcart("stock", at=shop_of(shop))
    assert f"studio-apron Studio Apron M 999 {sold} {held} {999 - sold - held}" in table.words


def test_the_owner_sees_how_often_pages_were_seen_and_nobody_who_saw_them(shop):
    reader = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
    for page, source in (("/", ""), ("/products/studio-plans/", "news.example"), ("/products/studio-plans/", "")):
        answer = call(shop, "POST", "/visit", data={"page": page, "from": source}, headers=reader)
        assert (answer.status_code, answer.json()) == (200, {"stock": {}})
    bot = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    assert call(shop, "POST", "/visit", data={"page": "/"}, headers=bot).status_code == 200
    shop.gateway.restart("checkout")  # in order, so that it writes what it has counted
    done = pushcart("traffic", "--json", at=shop_of(shop))
    assert done.code == 0, done.err
    assert (done.json["views"], done.json["pages"], done.json["referrers"]) == (
        3,
        [["/products/studio-plans/", 2], ["/", 1]],
        [["news.example", 1]],
    )
    table = pushcart("traffic", "--days", "1", at=shop_of(shop))
    assert "3 views today (UTC)" in table.words
    assert "news.example" in table.words


def test_nothing_of_a_buyer_is_in_what_the_public_functions_log(shop):
    shopper = Shopper(shop, PLANS, pay="autopay")
    shopper.begin()
    shopper.pay()
    shopper.sees("done")
    logged = json.dumps([shop.gateway.logs(name) for name in ("checkout", "autopay-webhook")])
    assert shopper.id in logged
    for private in (shopper.email, shopper.name, shopper.begun["key"], "Kowalski"):
        assert private not in logged


# Left, late and lost: last, because time only goes forward


def test_a_cart_that_was_left_expires_by_itself_gives_its_pieces_back_and_reminds_once_who_asked_for_it(shop, lost):
    """Stripe's word that the sessions ended gets lost, and Autopay has none."""
    sold, held = stock(shop)
    asked = [Shopper(shop, APRON, pay=pay, remind=True) for pay in PAY_WITH]
    silent = [Shopper(shop, APRON, pay=pay) for pay in PAY_WITH]
    for shopper in asked + silent:
        shopper.begin()
    assert stock(shop) == (sold, held + 4)
    told(shop)
    shop.advance(EXPIRED)
    shop.catch_up()
    for shopper in asked + silent:
        shopper.sees("expired")
    assert stock(shop) == (sold, 0)
    for shopper in asked:
        eventually(lambda one=shopper: sum(one.mails().values()) == 1, shopper.story)
    shop.advance(7200)
    shop.catch_up()
    for shopper in asked:
        [reminder] = shop.sandbox.mails(shopper.email)
        assert reminder.subject == "Your cart at Meadow Pottery School"
        assert "https://meadow-pottery.example/cart/" in reminder.text
        assert shopper.begun["url"] not in reminder.html
    assert [shopper.mails() for shopper in silent] == [{}, {}]


def test_autopays_success_that_comes_after_the_end_is_fulfilled_all_the_same(shop):
    shopper = Shopper(shop, APRON, pay="autopay")
    sold, held = stock(shop)
    shopper.begin()
    shop.sandbox.autopay.open(shopper.begun["url"])
    told(shop)
    shop.advance(EXPIRED)
    shop.catch_up()
    shopper.sees("expired")
    shop.sandbox.autopay.pay(shopper.id)
    shopper.sees("done")
    assert "the checkout expired without a payment" in history(shopper.order())
    assert stock(shop) == (sold + 1, held)
    assert shopper.mails() == dict.fromkeys(["receipt", "owners-notice", "studio-apron.please-pack"], 1)


def test_a_paid_session_whose_webhooks_were_all_lost_is_found_when_its_time_is_over(shop, lost):
    shopper = Shopper(shop, PLANS)
    shopper.begin()
    shopper.pay()
    assert shopper.status()["state"] == "waiting"
    shop.advance(EXPIRED)
    shop.catch_up()
    order = shopper.sees("done") and shopper.wait(payment="paid", fulfilment="fulfilled")
    assert shopper.mails() == PLANS_MAILS
    assert order["history"][1]["cause"] == "a look at the payment"
