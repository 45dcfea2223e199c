"""All that is printed of an order goes to its provider together; what is packed waits for the owner."""

from __future__ import annotations

import itertools

import msgspec

from pushcart.clock import later
from pushcart.domain.order import FulfilmentStatus
from pushcart.domain.parcels import external_id
from support import goods
from support.goods import bought, facts, line, pay, read, shirt
from support.shop import NOW, catalogue, run_all, states

TWO_HOURS = 7200


def test_two_shirts_and_a_course_are_one_print_and_all_that_the_course_needs():
    order = bought(shirt(1, 2), line(2, "shirt", 1, Size="L", Colour="Sea"), line(3, "course"))
    [step] = [step for step in order.steps if step.kind == "print"]
    assert (step.id, step.key, step.phase, step.sku) == ("print", "o-1.print", "sale", "shirt")
    assert step.lines == ["li_1", "li_2"]
    assert step.config == {
        "items": [{"line": "li_1", "sync_variant": 11}, {"line": "li_2", "sync_variant": 14}],
        "shipping": "STANDARD",
    }
    assert {"course.invite", "course.access", "receipt", "shirt.care"} <= set(states(order))


def test_every_kind_of_print_in_an_order_joins_whatever_the_sequence_of_its_lines():
    lines = shirt(1), line(2, "poster", 3), line(3, "apron"), line(4, "course")
    for some in itertools.permutations(lines):
        order = bought(*some)
        [step] = [step for step in order.steps if step.kind == "print"]
        assert (step.id, step.sku) == ("print", None)
        assert {(item["line"], item["sync_variant"]) for item in step.config["items"]} == {("li_1", 11), ("li_2", 21)}
        assert set(step.lines) == {"li_1", "li_2"}
        assert step.config["shipping"] == "STANDARD"


def test_a_print_waits_for_what_each_of_its_products_needs_and_for_the_longest_delay():
    order = bought(shirt(1), line(2, "poster"))
    step = order.step("print")
    assert step.needs == ["poster.purchase"]
    assert step.due_at == later(NOW, TWO_HOURS)
    assert "print" not in run_all(order, later(NOW, TWO_HOURS - 1))
    assert "print" in goods.finish(order, later(NOW, TWO_HOURS))


def test_a_print_whose_need_failed_is_not_placed():
    order = bought(line(1, "poster"))
    run_all(order, failing={"poster.purchase": {"permanent": True}})
    assert goods.finish(order, later(NOW, TWO_HOURS)) == []
    assert states(order)["print"] == "waiting"


def test_what_needs_the_print_of_its_product_waits_for_the_joined_one():
    order = bought(shirt(1), line(2, "poster"))
    assert order.step("shirt.care").needs == ["print"]
    assert "shirt.care" not in run_all(order)
    later_on = later(NOW, TWO_HOURS)
    assert goods.finish(order, later_on) == ["print", "shirt.care"]


def test_a_name_of_its_own_for_a_print_does_not_part_it_from_the_others():
    order = bought(line(1, "poster"), shirt(2))
    assert [step.id for step in order.steps if step.kind == "print"] == ["print"]


def test_a_line_that_is_planned_later_gets_a_print_of_its_own():
    """A product was added to shop.yml after somebody had paid for it."""
    stranger = msgspec.structs.replace(line(2, "poster"), sku=None)
    order = bought(shirt(1), stranger)
    run_all(order)
    read(order, facts("fulfilled", goods.parcel()))
    pay(order, shirt(1), line(2, "poster"))
    second = order.step("print-2")
    assert (second.key, second.lines) == ("o-1.print-2", ["li_2"])
    assert second.config == {"items": [{"line": "li_2", "sync_variant": 21}], "shipping": None}
    assert order.step("print").lines == ["li_1"]
    assert external_id("o-1", 2) == "o-1-2"
    goods.finish(order, later(NOW, TWO_HOURS))
    read(order, facts("pending", number="101", external_id="o-1-2"))
    assert [(made.external_id, made.retail) for made in order.prints] == [("o-1", 2500), ("o-1-2", 1500)]
    goods.steps.handled(order, NOW, "known now") if order.open_attention() else None
    assert order.fulfilment_status is FulfilmentStatus.IN_PROGRESS
    read(order, facts("fulfilled", goods.parcel(2), number="101", external_id="o-1-2"))
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_failure_of_one_print_leaves_the_other_alone():
    stranger = msgspec.structs.replace(line(2, "poster"), sku=None)
    order = bought(shirt(1), stranger)
    run_all(order)
    read(order, facts("pending"))
    pay(order, shirt(1), line(2, "poster"))
    goods.finish(order, later(NOW, TWO_HOURS))
    read(order, facts("failed", number="101", external_id="o-1-2"))
    assert (states(order)["print"], states(order)["print-2"]) == ("done", "dead")


def test_reading_the_payment_again_plans_nothing_twice():
    order = bought(shirt(1), line(2, "poster"), line(3, "apron"))
    before = [step.id for step in order.steps]
    for _ in range(3):
        pay(order, shirt(1), line(2, "poster"), line(3, "apron"))
    assert [step.id for step in order.steps] == before
    assert len(set(before)) == len(before)


def test_a_choice_without_a_number_is_planned_without_one_so_that_it_is_refused_by_name():
    """From a payment link, which cannot ask for an option."""
    order = bought(line(1, "shirt"))
    assert order.step("print").config["items"] == [{"line": "li_1", "sync_variant": None}]


def test_a_full_refund_before_the_print_was_placed_calls_it_off():
    order = bought(shirt(1), line(2, "apron"))
    pay(order, shirt(1), line(2, "apron"), amount_refunded=5900)
    assert (states(order)["print"], states(order)["apron.pack"]) == ("cancelled", "cancelled")
    assert order.open_attention() == []


def test_each_of_an_orders_parcels_runs_its_own_steps_with_their_needs():
    text = goods.GOODS.replace(
        "  on_parcel:\n    - {step: email, template: your-parcel}\n",
        "  on_parcel:\n    - {step: email, template: your-parcel}\n"
        "    - {step: email, template: arrived, needs: [your-parcel], delay: 4 days}\n",
    )
    order = goods.placed()
    shop = catalogue(text)
    for number in (1, 2):
        goods.delivery.update(order, facts("partial", goods.parcel(number)), shop, NOW)
    planned = [step for step in order.steps if step.phase == "parcel"]
    assert [(step.id, step.subject, step.needs) for step in planned] == [
        ("parcel-printful-1.your-parcel", "printful-1", []),
        ("parcel-printful-1.arrived", "printful-1", ["parcel-printful-1.your-parcel"]),
        ("parcel-printful-2.your-parcel", "printful-2", []),
        ("parcel-printful-2.arrived", "printful-2", ["parcel-printful-2.your-parcel"]),
    ]
    assert planned[1].due_at == later(NOW, 4 * 86_400)


def test_mails_about_a_parcel_do_not_hold_up_the_fulfilment():
    order = goods.placed()
    read(order, facts("fulfilled", goods.parcel()))
    assert states(order)["parcel-printful-1.your-parcel"] == "due"
    assert order.fulfilment_status is FulfilmentStatus.FULFILLED
