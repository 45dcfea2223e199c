"""What is left of each product: held for a while by checkouts, sold by payments, never more than once for each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pushcart.clock import later
from pushcart.domain.order import Order, PaymentStatus
from pushcart.errors import CartRefused
from pushcart.repositories import Orders
from pushcart.services.stock import COLLECTION, FEW, FRESH, Held, Sheet, Short, Stock
from pushcart.store import Document, Store, connect
from support.databases import DATABASES, fresh
from support.processes import Clock, Purchase
from support.races import at_once
from support.shop import catalogue, line
from support.till import SHOP, OrderStore, Till

SOON, LATER = "2026-11-21T09:00:00.000Z", "2026-11-21T10:00:00.000Z"


@pytest.fixture
def stock(till) -> Stock:
    return till.stock


def pieces(sku: str, quantity: int = 1, size: str = "") -> Any:
    chosen = {"Size": size} if size else {}
    return msgspec.structs.replace(line(1, quantity=quantity), sku=sku, options=chosen)


def left(stock: Stock) -> dict[str, tuple[int, int, int]]:
    """By product and choice, how many are sold, held and left."""
    return {f"{row['sku']} {row['choice']}".strip(): (row["sold"], row["held"], row["left"]) for row in stock.listing()}


UNTOUCHED = {"mug": (0, 0, 3), "apron S": (0, 0, 2), "apron M": (0, 0, 5)}


# Holding


def test_what_is_held_is_not_there_for_others(stock):
    assert stock.hold("o-1", [pieces("mug", 2)], SOON) == []
    assert stock.hold("o-2", [pieces("mug", 2)], SOON) == [Short("mug", "", 1)]
    assert stock.hold("o-2", [pieces("mug", 1)], SOON) == []
    assert left(stock) == {**UNTOUCHED, "mug": (0, 3, 0)}


@pytest.mark.parametrize("short", [[("mug", 4, "")], [("apron", 3, "S")], [("mug", 1, ""), ("mug", 3, "")]])
@pytest.mark.parametrize("first", [True, False])
def test_a_hold_is_all_or_nothing(stock, short, first):
    enough = [pieces("apron", 1, "M"), pieces("mug", 1)]
    wanted = [pieces(*one) for one in short]
    found = stock.hold("o-1", [*wanted, *enough] if first else [*enough, *wanted], SOON)
    assert [one.sku for one in found] == [short[0][0]]
    assert left(stock) == UNTOUCHED


def test_lines_of_the_same_choice_count_together_and_other_choices_do_not(stock):
    apron = [pieces("apron", 1, "S"), pieces("apron", 1, "S"), pieces("apron", 5, "M")]
    assert stock.hold("o-1", apron, SOON) == []
    assert left(stock) == {**UNTOUCHED, "apron S": (0, 2, 0), "apron M": (0, 5, 0)}


def test_the_same_order_holds_once_however_often_it_asks(stock):
    for _ in range(3):
        assert stock.hold("o-1", [pieces("mug", 3)], SOON) == []
    assert left(stock)["mug"] == (0, 3, 0)
    assert stock.hold("o-1", [pieces("mug", 1)], LATER) == []
    assert left(stock)["mug"] == (0, 1, 2)


def test_what_has_no_limit_is_neither_held_nor_listed(stock, store):
    assert stock.hold("o-1", [pieces("course", 99), pieces("unknown", 99)], SOON) == []
    assert left(stock) == UNTOUCHED
    assert store.get(COLLECTION, "course") is None


def test_a_hold_that_has_run_out_is_there_for_others_at_once(stock, till):
    stock.hold("o-1", [pieces("mug", 3)], SOON)
    till.clock.advance(3599)
    assert stock.hold("o-2", [pieces("mug")], LATER) == [Short("mug", "", 0)]
    till.clock.advance(1)
    assert left(stock)["mug"] == (0, 0, 3)
    assert stock.hold("o-2", [pieces("mug")], LATER) == []
    assert left(stock)["mug"] == (0, 1, 2)


def test_what_is_given_back_is_there_again_and_only_that(stock):
    stock.hold("o-1", [pieces("mug", 2)], SOON)
    stock.hold("o-2", [pieces("mug", 1)], SOON)
    for _ in range(2):
        stock.release("o-1", ["mug", "apron"])
    assert left(stock) == {**UNTOUCHED, "mug": (0, 1, 2)}


def test_buyers_hear_only_of_what_is_nearly_gone(stock, store):
    assert stock.nearly_gone() == {"mug": 3, "apron": {"S": 2, "M": FEW}}
    clock = Clock()
    many = Stock(store, lambda: catalogue(SHOP.replace("stock: 3", "stock: 6").replace("M: 5", "M: 6")), clock)
    assert many.nearly_gone() == {"apron": {"S": 2}}
    many.hold("o-1", [pieces("mug"), pieces("apron", 2, "S")], SOON)
    clock.advance(FRESH)
    assert many.nearly_gone() == {"mug": 5, "apron": {"S": 0}}


def test_choices_without_a_limit_are_not_counted_at_all(stock, store):
    for number in range(30):
        stock.hold(f"o-{number}", [pieces("apron", 1, "XL")], SOON)
    assert store.get(COLLECTION, "apron") is None


def test_a_cart_that_cannot_be_had_leaves_what_it_held_before_as_it_is(stock):
    assert stock.hold("o-1", [pieces("apron", 2, "S")], SOON, "cart") == []
    short = stock.hold("o-2", [pieces("apron", 1, "S"), pieces("mug", 4)], SOON, "cart")
    assert [(one.sku, one.left) for one in short] == [("mug", 3)]
    assert [row["held"] for row in stock.listing() if row["choice"] == "S"] == [2]


def told(status: PaymentStatus, check_at: str | None = SOON) -> Order:
    """The order of two mugs, by what is known of its payment."""
    order = Order(id="o-1", created_at=SOON, updated_at=SOON, payment_status=status, check_at=check_at)
    order.lines = [pieces("mug", 2)]
    return order


def test_a_cart_gets_its_pieces_again_once_their_payment_has_failed_and_not_before(stock):
    stock.hold("o-1", [pieces("mug", 2)], SOON, "cart")
    stock.follow(told(PaymentStatus.UNPAID))
    assert stock.hold("o-2", [pieces("mug", 3)], SOON, "cart") == [Short("mug", "", 1)]
    stock.follow(told(PaymentStatus.FAILED))
    assert stock.hold("o-2", [pieces("mug", 3)], SOON, "another cart") == [Short("mug", "", 1)]
    assert stock.hold("o-2", [pieces("mug", 3)], SOON, "cart") == []
    assert left(stock)["mug"] == (0, 3, 0)
    stock.follow(told(PaymentStatus.FAILED))
    assert left(stock)["mug"] == (0, 3, 0)


def test_what_was_written_before_holds_were_firm_is_read_as_it_was_meant(stock, store):
    orders = {"o-1": {"pieces": {"": 1}, "until": LATER, "over": {}, "cart": ""}}
    orders["o-2"] = {"pieces": {"": 1}, "until": LATER, "over": {}, "cart": "cart"}
    store.insert(COLLECTION, {"id": "mug", "version": 1, "orders": orders})
    assert stock.hold("o-3", [pieces("mug", 3)], SOON, "cart") == [Short("mug", "", 2)]
    assert stock.hold("o-3", [pieces("mug", 2)], SOON, "cart") == []
    assert left(stock)["mug"] == (0, 3, 0)


def test_the_document_holds_no_more_orders_than_there_are_pieces(stock, till, store):
    for number in range(30):
        stock.hold(f"o-{number}", [pieces("mug")], later(till.clock.instant(), 3600))
        till.clock.advance(600)
        assert 1 <= len(store.get(COLLECTION, "mug")["orders"]) <= 3


# Selling


def paid(till: Till, *skus: str, token: int = 0, **more: Any) -> Order:
    """An order that was paid and heard of."""
    begun = till.begin(*skus, pay="autopay", token=f"cart-{token:016d}", **more)
    owed = till.order(begun).payment.amount_total
    till.hear(till.notice(begun.order_id, "paid", f"R{token}", amount=owed))
    return till.order(begun)


def test_what_was_sold_stays_sold_whatever_time_passes(till):
    paid(till, "mug", "apron S")
    till.process.drain()
    till.clock.advance(400 * 86_400)
    assert left(till.stock) == {"mug": (1, 0, 2), "apron S": (1, 0, 1), "apron M": (0, 0, 5)}


def test_a_checkout_that_is_left_gives_back_what_it_held(till):
    till.begin("mug", "apron S")
    assert left(till.stock)["mug"] == (0, 1, 2)
    till.process.drain()
    assert left(till.stock) == UNTOUCHED


def test_a_cart_that_was_refused_for_one_thing_holds_nothing_of_the_other(till):
    for token in (1, 2):
        paid(till, "apron S", token=token)
    with pytest.raises(CartRefused) as error:
        till.begin("mug", "apron S")
    assert [(one["code"], one["item"], one["left"]) for one in error.value.problems] == [("sold_out", 1, 0)]
    assert left(till.stock) == {**UNTOUCHED, "apron S": (2, 0, 0)}


# By a payment link, whose buyers nobody asks about the stock


def buy(till: Till, number: int, quantity: int = 1) -> Order:
    """Mugs, sold by the link."""
    arrange(till, number, quantity)
    return look(till.process, number)


def arrange(till: Till, number: int, quantity: int = 1) -> None:
    """Stripe has the money, and we have not heard of it."""
    purchase = Purchase(number, lambda: [line(1, "price_mug", 1200, quantity)])
    purchase.money = "paid"
    till.sessions.purchases[purchase.session_id] = purchase


def look(process: OrderStore, number: int) -> Order:
    """Any event makes us look at the payment as it is now."""
    order = process.intake.sync("stripe", f"cs_{number}", "an event")
    assert order is not None
    return order


def oversold(*orders: Order) -> list[str]:
    return [item.subject for order in orders for item in order.attention if item.code == "oversold"]


def test_sales_by_payment_link_count(till):
    buy(till, 1, quantity=2)
    assert left(till.stock)["mug"] == (2, 0, 1)
    assert till.stock.hold("o-1", [pieces("mug", 2)], SOON) == [Short("mug", "", 1)]


def test_selling_beyond_the_stock_is_delivered_and_raised_once_for_each_order_that_went_beyond(till):
    orders = [buy(till, number) for number in range(1, 6)]
    assert [oversold(order) for order in orders] == [[], [], [], ["mug"], ["mug"]]
    again = [look(till.process, number) for number in (1, 2, 3, 4, 5, 4)]
    assert [oversold(order) for order in again] == [[], [], [], ["mug"], ["mug"], ["mug"]]
    assert left(till.stock)["mug"] == (5, 0, 0)
    till.process.drain()
    assert sum(".attention.oversold" in mail for mail in till.mails()) == 2
    assert sum(mail.endswith("please-pack") for mail in till.mails()) == 5


def test_one_missing_piece_is_told_with_one_order_although_another_held_it(till):
    """All three are held when one more is sold by link; the checkout that held them is paid after all."""
    begun = till.begin(pay="autopay", items=[{"sku": "mug", "quantity": 3}])
    link = buy(till, 1)
    till.hear(till.notice(begun.order_id, "paid", amount=3600))
    assert (oversold(link), oversold(till.order(begun))) == (["mug"], [])
    assert left(till.stock)["mug"] == (4, 0, 0)


def test_a_stock_the_owner_has_made_smaller_is_oversold_by_the_next_sale(store):
    before, after = Till(store), Till(store, SHOP.replace("stock: 3", "stock: 1"))
    first = paid(before, "mug", token=1)
    second = before.begin("mug", pay="autopay", token="cart-0000000000000002")
    after.hear(after.notice(second.order_id, "paid", amount=1200))
    assert (oversold(first), oversold(after.order(second))) == ([], ["mug"])
    assert left(after.stock)["mug"] == (2, 0, 0)


def test_a_refund_leaves_sold_what_was_sent(till):
    buy(till, 1)
    till.sessions.purchases["cs_1"].refunds.append(1200)
    assert look(till.process, 1).payment_status == "refunded"
    assert left(till.stock)["mug"] == (1, 0, 2)


class Killed(BaseException):
    """The process is no more."""


class Overtaken(Orders):
    """Somebody else has written the order first, once."""

    written = False

    def add(self, value: Order) -> bool:
        first, self.written = not self.written, True
        return False if first else super().add(value)


class Dying(Orders):
    """The process ends before it writes the order."""

    def add(self, value: Order) -> bool:
        raise Killed


def test_whoever_is_overtaken_between_stock_and_order_still_says_that_too_much_was_sold(till):
    """The second look finds the stock written already."""
    buy(till, 1, quantity=3)
    arrange(till, 2)
    assert oversold(look(till.another("b", Overtaken), 2)) == ["mug"]
    assert left(till.stock)["mug"] == (4, 0, 0)


def test_whoever_dies_between_stock_and_order_leaves_it_to_the_next_to_say_so(till):
    buy(till, 1, quantity=3)
    arrange(till, 2)
    with pytest.raises(Killed):
        look(till.another("b", Dying), 2)
    assert left(till.stock)["mug"] == (4, 0, 0)
    assert oversold(look(till.process, 2)) == ["mug"]
    assert left(till.stock)["mug"] == (4, 0, 0)


# On each database, at once


@pytest.fixture(params=DATABASES)
def database(request, tmp_path) -> Iterator[Store]:
    opened = connect(fresh(request.param, tmp_path))
    yield opened
    opened.close()


BUYERS = 16


class Meeting:
    """A store whose readers wait for one another twice: who holds looks first, and then reads what it changes."""

    def __init__(self, store: Store) -> None:
        self._store, self._barrier, self._mine = store, threading.Barrier(BUYERS), threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, collection: str, id: str) -> Document | None:
        found = self._store.get(collection, id)
        self._mine.reads = getattr(self._mine, "reads", 0) + 1
        if self._mine.reads <= 2:
            self._barrier.wait(20)
        return found


class Careless(Meeting):
    """The same, and its `replace` writes whatever the version is by now."""

    def insert(self, collection: str, document: Document) -> bool:
        return self._store.insert(collection, document) or self.replace(collection, document, 0)

    def replace(self, collection: str, document: Document, version: int) -> bool:
        written = False
        while not written:
            held = self._store.get(collection, document["id"])
            assert held is not None
            written = self._store.replace(collection, {**document, "version": held["version"] + 1}, held["version"])
        return True


def hold_at_once(store: Any) -> list[bool]:
    """Sixteen buyers each want one of the last three, at the same time; whether each got it."""
    shop = catalogue(SHOP)
    stock = Stock(store, lambda: shop, Clock())
    jobs = [lambda number=number: stock.hold(f"o-{number}", [pieces("mug")], SOON) == [] for number in range(BUYERS)]
    return at_once(jobs)


def test_of_sixteen_who_want_the_last_three_at_once_three_get_one(database):
    got = hold_at_once(Meeting(database))
    assert got.count(True) == 3
    sheet = msgspec.convert(database.get(COLLECTION, "mug"), Sheet)
    assert sheet.orders == {f"o-{number}": Held({"": 1}, SOON) for number, held in enumerate(got) if held}


def test_control_without_the_version_more_get_one_than_there_are(database):
    assert hold_at_once(Careless(database)).count(True) == BUYERS
