"""The owner's command against a running shop: each command does what its name says, and asks before it changes."""

from __future__ import annotations

import os
import shutil

import pytest

from local.shop import LocalShop
from support.command import OURS, ROOT, pushcart, run, shop_of
from support.customers import PLANS, WHEEL, Customer, eventually


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of its own: the command has this machine's clock, and other tests let days pass in theirs."""
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False) as shop:
        yield shop


@pytest.fixture
def at(shop):
    return shop_of(shop)


@pytest.fixture(scope="module")
def buyer(shop):
    """Somebody whose order is fulfilled."""
    customer = Customer(shop)
    customer.buy(PLANS)
    customer.wait(fulfilment="fulfilled")
    return customer


@pytest.fixture
def unlucky(shop, customer):
    """Somebody whose invitation Discourse refused for good."""
    shop.sandbox.fault("discourse", "status", status=403, times=1)
    customer.buy(WHEEL)
    customer.wait(fulfilment="needs_attention")
    return customer


def test_orders_are_listed_by_each_filter_as_the_shop_has_them(buyer, at):
    made = buyer.order()["created_at"]
    every = ["--email", buyer.email, "--sku", "studio-plans", "--payment-status", "paid"]
    every += ["--fulfilment-status", "fulfilled", "--since", made, "--until", "2100-01-01", "--limit", "7"]
    listed = pushcart("orders", "list", *every, "--json", at=at)
    assert [order["id"] for order in listed.json["items"]] == [buyer.order()["id"]]
    for other in (["--sku", "wheel-basics"], ["--until", made], ["--payment-status", "refunded"]):
        assert pushcart("orders", "list", "--email", buyer.email, *other, "--json", at=at).json["items"] == []
    refused = pushcart("orders", "list", "--since", "yesterday", at=at)
    assert refused.code == 1
    assert "write it like 2026-11-21" in refused.err


def test_all_orders_are_listed_over_every_page(shop, buyer, at):
    everybody = {order["id"] for order in shop.orders(limit="200")}
    assert {order["id"] for order in pushcart("orders", "list", "--all", "--json", at=at).json["items"]} == everybody


def test_an_order_is_shown_with_its_lines_steps_and_timeline(buyer, at):
    order = buyer.order()
    done = pushcart("orders", "show", order["id"], at={**at, "COLUMNS": "200"})
    assert done.code == 0
    for expected in (order["id"], buyer.email, "15.00 EUR", "Studio Plans (download)", "Steps", "Timeline"):
        assert expected in done.out
    for step in order["steps"]:
        assert f"{step['id']} {step['state']}" in done.words
    for entry in order["history"]:
        assert f"{entry['what']} {entry['cause']}" in done.words
    assert "Needs you" not in done.out
    assert pushcart("orders", "show", order["id"], "--json", at=at).json == order


def test_dead_shows_what_needs_you_until_a_retry_has_cured_it(unlucky, at):
    order_id = unlucky.order()["id"]
    found = pushcart("dead", at=at)
    assert found.code == 1
    assert order_id in found.out
    assert "wheel-basics.invite could not be done" in found.words
    shown = pushcart("orders", "show", order_id, at={**at, "COLUMNS": "200"})
    assert "Needs you" in shown.out
    assert "wheel-basics.invite dead 1" in shown.words
    retried = pushcart("orders", "retry", order_id, "--yes", "--json", at=at)
    assert retried.code == 0, retried.err
    assert [(one["id"], one["ok"], one["order"]["id"]) for one in retried.json] == [(order_id, True, order_id)]
    assert f"{order_id}: will try again: wheel-basics.invite" in retried.err
    unlucky.wait(fulfilment="fulfilled")
    assert order_id not in pushcart("dead", at=at).out


def test_several_orders_are_retried_and_each_is_told_of(unlucky, buyer, at):
    """One that has no dead step does not keep the other from being retried."""
    sick, well = unlucky.order()["id"], buyer.order()["id"]
    done = pushcart("orders", "retry", well, sick, "--yes", "--json", at=at)
    assert done.code == 1
    assert [(one["id"], one["ok"]) for one in done.json] == [(well, False), (sick, True)]
    assert f"Order {well} has no dead step" in done.json[0]["error"]
    unlucky.wait(fulfilment="fulfilled")


def test_an_order_nobody_knows_changes_nothing_and_is_exit_1(unlucky, at):
    sick = unlucky.order()
    done = pushcart("orders", "retry", sick["id"], "o-none", "--yes", at=at)
    assert (done.code, done.err) == (1, "Error: There is no order o-none.\n")
    assert unlucky.order() == sick
    assert pushcart("orders", "handled", sick["id"], "--yes", at=at).code == 0


def test_no_is_taken_for_an_answer_and_so_is_just_return(buyer, at):
    before = buyer.order()
    for answer in ("n", ""):
        done = pushcart("orders", "resend", before["id"], "--step", "receipt", at=at, answer=answer)
        assert done.code == 1
        assert f"{before['id']}: the mail receipt goes once more to {buyer.email}" in done.err
        assert "[y/N]" in done.err
        assert "Nothing was changed." in done.err
    assert buyer.order() == before


def test_yes_at_the_terminal_sends_the_mail_once_more(shop, buyer, at):
    before = len(shop.sandbox.mails(buyer.email))
    done = pushcart("orders", "resend", buyer.order()["id"], "--step", "receipt", "--json", at=at, answer="y")
    assert done.code == 0, done.err
    assert done.json[0]["ok"]
    eventually(lambda: len(shop.sandbox.mails(buyer.email)) == before + 1)


def test_what_you_dealt_with_is_let_go_with_your_note(unlucky, at):
    order_id = unlucky.order()["id"]
    done = pushcart("orders", "handled", order_id, "--note", "invited over the phone, don't ask", "--yes", at=at)
    assert done.code == 0, done.err
    assert "will never run: wheel-basics.invite" in done.err
    order = unlucky.wait(fulfilment="fulfilled")
    assert any("invited over the phone, don't ask" in entry["what"] for entry in order["history"])
    again = pushcart("orders", "handled", order_id, "--yes", at=at)
    assert again.code == 1
    assert "Nothing in order" in again.err


def test_an_order_held_for_its_amount_is_released(shop, customer, at):
    item = {"sku": "x", "name": "Plans", "unit_amount": 1400, "currency": "eur", "price_id": "price_1PushcartPlans"}
    kept = {"unit_amount": 1500, **{key: item[key] for key in ("sku", "name", "currency", "price_id")}}
    try:
        customer.buy(shop.sandbox.stripe.add_payment_link([item])["id"])
        order = customer.wait(fulfilment="needs_attention")
    finally:
        shop.sandbox.stripe.add_payment_link([kept])
    done = pushcart("orders", "release", order["id"], "--yes", at=at)
    assert done.code == 0, done.err
    assert "is fulfilled although 14.00 EUR was paid" in done.err
    customer.wait(fulfilment="fulfilled")


def test_events_are_listed_shown_and_replayed_without_a_second_effect(shop, buyer, at):
    listed = pushcart("events", "list", "--status", "applied", "--all", "--json", at=at).json["items"]
    event = next(event for event in listed if event["order_id"] == buyer.order()["id"])
    assert event["id"] in pushcart("events", "list", "--limit", "200", at=at).out
    shown = pushcart("events", "show", event["id"], at=at)
    assert "checkout.session.completed" in shown.out
    assert buyer.email in shown.out
    assert '"checkout.session"' in pushcart("events", "show", event["id"], "--json", at=at).json["body"]
    before = buyer.effects()
    replayed = pushcart("events", "replay", event["id"], "--yes", at=at)
    assert replayed.code == 0, replayed.err
    assert "checkout.session.completed, now applied, will be applied again" in replayed.err
    eventually(lambda: shop.ask(f"/events/{event['id']}", method="GET")["status"] == "applied")
    assert buyer.effects() == before


def test_the_shop_of_make_run_is_found_by_itself_and_its_time_travels_along(tmp_path):
    """A checkout of its own, with the shop where `make run` keeps it; the doctor there is all green."""
    copy = tmp_path / "copy"
    for name in ("deploy", "shared"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "functions", copy / "functions")
    shutil.copytree(ROOT / "template", copy / "template")
    for name in ("stack.yml", "requirements.txt"):
        shutil.copy(ROOT / name, copy)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    environment = {name: value for name, value in os.environ.items() if name not in {*OURS, "PYTHONPATH"}}
    with LocalShop(copy / ".pushcart" / "run", catch_up=False) as shop:
        command = [str(copy / "deploy" / "pushcart"), "--port", shop.gateway.url.rpartition(":")[2]]
        assert run([*command, "orders", "list"], environment).out == "There is no such order.\n"
        shop.advance(100_000)
        shop.catch_up()
        examined = run([*command, "doctor", "--json"], environment)
        assert examined.code == 0, examined.out + examined.err
        assert {check["status"] for check in examined.json["checks"]} == {"pass", "skip"}
    ended = run([*command, "dead"], environment)
    assert ended.code == 3
    assert "is make run still running there?" in ended.err
