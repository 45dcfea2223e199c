"""A month of the whole shop, with all that goes wrong: nothing is lost or done twice, each alarm is raised once.

A third of the webhooks never arrive, a tenth comes twice, and a tenth comes hours late, after others that were sent
later; providers are away for hours, processes are killed, the server is gone for days, and somebody orders with a
stolen key. Here it is a short one; `make soak` plays the long one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pushcart.domain.order import Order
from support import month_script
from support.month import WORKERS, Month
from support.month_judge import Judge, is_told, nothing_left

#: Of short months, the one of this seed has every story of money, and a mailing list that is away for hours.
USUAL = {"ORDERS": 60, "DAYS": 4, "SEED": 26}
ORDERS, DAYS, SEED = (int(os.environ.get(name) or usual) for name, usual in USUAL.items())
AGAIN = f"make soak ORDERS={ORDERS} DAYS={DAYS} SEED={SEED}"

#: Days in which nothing of the shop runs.
OUTAGE = 3 if DAYS > 7 else 1

#: Seconds for the month itself; the long one takes as long as it takes.
pytestmark = pytest.mark.timeout(0 if DAYS > 7 else 400)


@pytest.fixture(scope="module")
def month(tmp_path_factory) -> Iterator[Month]:
    print(f"seed {SEED}; the same month again: {AGAIN}")
    script = month_script.write(SEED, ORDERS, DAYS, OUTAGE)
    with Month(tmp_path_factory.mktemp("month"), script) as month:
        try:
            month.play()
        except BaseException as error:
            error.add_note(f"the same month again: {AGAIN}")
            raise
        yield month


@pytest.fixture
def judge(month) -> Judge:
    return Judge(month)


def test_the_month_was_as_bad_as_it_was_meant_to_be(month):
    """What did not go wrong has not been survived."""
    counts, overtaken = month.shop.sandbox.world.chaos.as_json()["by_sender"], month.post.overtaken()
    assert counts["stripe"]["lost"] > ORDERS / 10
    assert counts["printful"]["lost"] > ORDERS / 10
    assert counts["autopay"]["lost"] > 0
    assert sum(sender["late"] for sender in counts.values()) > ORDERS / 20
    assert any(overtaken.values()), "late webhooks came after others that were sent after them"
    # In a short one Autopay sends so few that a tenth of them may be none.
    assert DAYS <= 7 or all(overtaken.values()), overtaken
    assert month.kills.total() >= len(month.script.kills) > 4
    assert any(is_told(away, first, last) for away, first, last in month.outside.failed.values())
    assert {bought.story.fate for bought in month.outside.bought} >= {"made", "held", "failed", "partial"}
    assert len({bought.story.money for bought in month.outside.bought if bought.paid}) > 4
    assert not all(bought.paid for bought in month.outside.bought)


def test_every_purchase_is_one_order_and_everything_in_it_was_delivered_once(judge):
    judge.purchases()
    judge.give_verdict(AGAIN)


def test_every_mail_went_out_and_only_a_kill_can_send_one_twice(judge):
    judge.mails()
    judge.give_verdict(AGAIN)


def test_every_alarm_was_raised_once_and_ended_once(judge):
    judge.alarms()
    judge.give_verdict(AGAIN)


def test_a_recovery_finds_nothing_but_what_was_stolen_and_changes_nothing(month):
    nothing_left(month)


def paid(judge: Judge) -> Order:
    """An order that was paid, printed and sent."""
    return next(
        order
        for orders in judge.orders.values()
        for order in orders
        if order.payment_status == "paid" and order.prints and order.parcels and order.fulfilment_status == "fulfilled"
    )


def lose_an_order(judge: Judge) -> None:
    judge.orders[paid(judge).email].clear()


def print_twice(judge: Judge) -> None:
    judge.prints[paid(judge).email] *= 2


def lose_a_parcel(judge: Judge) -> None:
    paid(judge).parcels.clear()


def record_twice(judge: Judge) -> None:
    judge.recorded[max(judge.recorded)] += 1


def miss_a_refund(judge: Judge) -> None:
    paid(judge).payment.amount_refunded += 1


def send_no_receipt(judge: Judge) -> None:
    del judge.sent[paid(judge).id, "receipt"]


def send_receipts_again(judge: Judge) -> None:
    judge.sent[paid(judge).id, "receipt"] += 1 + judge.month.kills.total() * WORKERS


def keep_quiet_about_a_theft(judge: Judge) -> None:
    judge.messages = [one for one in judge.messages if "no order of the shop asked for" not in one.title]


def tell_everything_again(judge: Judge) -> None:
    judge.messages *= 2 + judge.month.kills["alert"]


def deliver_to_somebody_who_never_paid(judge: Judge) -> None:
    nobody = next(bought.buyer for bought in judge.month.outside.bought if not bought.paid)
    judge.recorded[nobody.email] += 1


def notice_no_outage(judge: Judge) -> None:
    known = judge.incidents()
    judge.incidents = lambda: [
        {**one, "seen_at": "2000-01-01T00:00:00.000Z"} if one["id"].startswith("failing.") else one for one in known
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        lose_an_order,
        print_twice,
        lose_a_parcel,
        record_twice,
        miss_a_refund,
        send_no_receipt,
        send_receipts_again,
        keep_quiet_about_a_theft,
        tell_everything_again,
        deliver_to_somebody_who_never_paid,
        notice_no_outage,
    ],
)
def test_the_judge_would_have_seen_it(judge, wrong):
    """The control: each defect, made up, is found."""
    wrong(judge)
    judge.purchases()
    judge.mails()
    judge.alarms()
    with pytest.raises(AssertionError, match="are wrong"):
        judge.give_verdict()
