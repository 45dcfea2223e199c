"""The owner's command without a shop, and against a gateway that says what it is told: exit codes, tables, `--json`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import OURS, ROOT, Done, gateway_at, pushcart
from support.wire import Wire

ID = "o-ysh6plocek75brmmcp4a6grbcc"
ORDER = {
    "id": ID,
    "created_at": "2026-11-21T08:45:36.120Z",
    "updated_at": "2026-11-21T08:46:00.000Z",
    "paid_at": "2026-11-21T08:45:36.120Z",
    "payment_status": "paid",
    "fulfilment_status": "needs_attention",
    "email": "jenny.rosen@example.com",
    "skus": ["wheel-basics"],
    "amount_total": 1050,
    "amount_refunded": 0,
    "currency": "JPY",
    "attention": ["The step wheel-basics.invite could not be done"],
}


def page(*items, cursor=None):
    return {"items": list(items), "cursor": cursor}


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def at(wire, tmp_path):
    return gateway_at(wire.url, tmp_path)


# Exit codes


def test_without_a_shop_one_sentence_says_how_to_get_one(tmp_path):
    """A copy of the checkout in which `make run` never ran."""
    copy = tmp_path / "copy"
    for name in ("deploy", "shared"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    paths = {"PYTHONPATH": f"{copy}/shared:{copy}/deploy"}
    done = pushcart("orders", "list", at=paths)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("Error: No shop runs on this machine: start one with make run, or name your gateway")
    done = pushcart("--gateway", "http://127.0.0.1:9", "orders", "list", at=paths)
    assert done.code == 2
    assert "make secrets makes one" in done.err


def test_a_gateway_that_does_not_answer_is_exit_3(tmp_path):
    with Wire() as gone:
        at = gateway_at(gone.url, tmp_path)
    done = pushcart("orders", "list", at=at)
    assert (done.code, done.out) == (3, "")
    assert f"Nothing answers at {gone.url}" in done.err


def test_a_proxy_that_answers_for_the_function_is_exit_3_and_names_the_logs(wire, at):
    wire.say(502, b"<html>Bad Gateway</html>")
    done = pushcart("orders", "show", ID, at=at)
    assert done.code == 3
    assert "order-store is not answering (502); see why with: faas-cli logs order-store" in done.err


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_function_that_says_no_is_exit_1_with_its_words(wire, at, status):
    wire.say(status, {"error": {"code": "x", "message": "It is not there."}})
    done = pushcart("orders", "show", ID, "--json", at=at)
    assert (done.code, done.out, done.err) == (1, "", "Error: It is not there.\n")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["orders", "lst"], "No such command"),
        (["orders", "list", "--limit", "0"], "0 is not in the range"),
        (["orders", "list", "--payment-status", "payed"], "is not one of 'unpaid', 'paid'"),
        (["events", "list", "--status", "gone"], "is not one of 'pending'"),
        (["orders", "show", "o-1/retry"], "is no order id"),
        (["orders", "show", ".."], "is no order id"),
        (["orders", "retry", "--yes"], "Missing argument"),
        (["orders", "resend", ID, "--yes"], "Missing option '--step'"),
        (["events", "show", "evt_1"], "look like stripe:evt_1Abc"),
        (["--gateway", "gateway:8080", "dead"], "write it like https://"),
        (["--key-file", "/nowhere/key", "dead"], "/nowhere/key cannot be read"),
    ],
)
def test_a_command_that_is_written_wrongly_is_exit_2_and_asks_nobody(wire, at, args, complaint):
    done = pushcart(*args, at=at)
    assert done.code == 2, done.err
    assert complaint in done.err
    assert wire.seen == []


def test_a_key_file_that_holds_no_key_is_named(tmp_path, at):
    (tmp_path / "key").write_text("short\n")
    done = pushcart("dead", at=at)
    assert done.code == 2
    assert "should hold at least 32 characters" in done.err


CHANGES = [
    ["orders", "retry", ID],
    ["orders", "resend", ID, "--step", "receipt"],
    ["orders", "handled", ID],
    ["orders", "release", ID],
    ["orders", "ship", ID, "--carrier", "DHL"],
    ["events", "replay", "stripe:evt_1"],
]


@pytest.mark.parametrize("args", CHANGES)
def test_what_changes_anything_is_refused_where_nobody_can_be_asked(wire, at, args):
    done = pushcart(*args, at=at)
    assert done.code == 2
    assert "add --yes" in done.err
    assert wire.seen == []


def commands(group, path=()):
    for name, command in group.commands.items():
        yield from commands(command, (*path, name)) if hasattr(command, "commands") else [((*path, name), command)]


def test_every_command_has_json_and_every_change_has_yes():
    from cli.root import pushcart as root

    options = {path: {option.name for option in command.params} for path, command in commands(root)}
    assert all("as_json" in names for names in options.values())
    changing = {path for path, names in options.items() if "yes" in names}
    assert changing == {tuple(args[:2]) for args in CHANGES}


# Tables


def test_a_table_in_a_pipe_has_no_colours_and_amounts_and_times_one_can_read(wire, at):
    wire.say(200, page(ORDER))
    done = pushcart("orders", "list", at=at)
    assert "\x1b" not in done.out
    assert "1050 JPY" in done.out
    assert "2026-11-21 08:45:36" in done.out


@pytest.mark.parametrize("columns", ["20", "60", "80"])
def test_an_orders_id_is_never_cut_however_narrow_the_terminal_is(wire, at, columns):
    wire.say(200, page(ORDER)).say(200, page(ORDER)).say(200, page())
    for args in (["orders", "list"], ["dead"]):
        assert ID in pushcart(*args, at={**at, "COLUMNS": columns}).out


def test_what_a_buyer_wrote_is_shown_and_not_obeyed_by_the_terminal(wire, at):
    wire.say(200, page({**ORDER, "email": "[red]x[/red]\x1b[2J@example.com"}))
    done = pushcart("orders", "list", at={**at, "COLUMNS": "200"})
    assert "[red]x[/red]\N{REPLACEMENT CHARACTER}[2J@example.com" in done.out


def test_the_filters_reach_the_shop_and_all_follows_the_pages(wire, at):
    wire.say(200, page(ORDER, cursor="next~1")).say(200, page({**ORDER, "id": "o-2"}))
    done = pushcart("orders", "list", "--all", "--sku", "a&b", "--payment-status", "paid", "--json", at=at)
    assert [order["id"] for order in done.json["items"]] == [ID, "o-2"]
    first, second = (call.query for call in wire.seen)
    assert first == {"limit": "200", "sku": "a&b", "payment_status": "paid"}
    assert second == {**first, "cursor": "next~1"}


def test_a_page_that_is_not_all_says_so_and_keeps_to_its_limit(wire, at):
    wire.say(200, page(ORDER, cursor="next~1"))
    done = pushcart("orders", "list", "--limit", "1", at=at)
    assert "the newest 1; --all shows every one" in done.out
    assert [call.query for call in wire.seen] == [{"limit": "1"}]


@pytest.mark.parametrize("args", [["orders", "list"], ["events", "list"], ["dead"]])
def test_an_empty_shop_is_told_in_words_and_is_well(wire, at, args):
    wire.say(200, page())
    done = pushcart(*args, at=at)
    assert done.code == 0
    assert len(done.out.splitlines()) == 1


def test_dead_also_names_a_pending_event_that_the_owner_was_told_of(wire, at):
    """Stripe refuses the key, say: the event is still tried, but only the owner can end it."""
    event = {"id": "stripe:evt_1", "received_at": ORDER["created_at"], "type": "charge.refunded", "error": "no"}
    wire.say(200, page()).say(200, page()).say(200, page({**event, "alarm": True}, {**event, "alarm": False}))
    done = pushcart("dead", "--json", at=at)
    assert done.code == 1
    assert [one["alarm"] for one in done.json["events"]] == [True]


# shop check


def test_the_shop_file_that_comes_with_pushcart_has_no_mistake():
    done = pushcart("shop", "check")
    assert (done.code, done.err) == (0, "")
    assert pushcart("shop", "check", "--json").json["mistakes"] == []


@pytest.fixture
def broken(tmp_path):
    for name in ("shop.yml", "mails"):
        source = ROOT / "deploy" / "shop" / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    file = tmp_path / "shop.yml"
    file.write_text(file.read_text().replace("price: 49.00", "price: 49.001").replace("en-GB  ", "xx-YY  "))
    (tmp_path / "mails" / "receipt.txt").write_text("Subject: x\n\n{{ nope.")
    return file


def test_all_mistakes_are_listed_at_once_with_their_lines(broken):
    done = pushcart("shop", "check", str(broken))
    assert done.code == 1
    line = 1 + broken.read_text().splitlines().index("    price: 49.001")
    assert f"shop.yml line {line}: products[0].price: 49.001 has too many decimals" in done.out
    assert "receipt.txt" in done.out
    assert pushcart("shop", "check", str(broken), "--json").json["mistakes"] == done.out.splitlines()


def test_a_locale_nobody_knows_is_a_mistake_too(broken):
    broken.write_text(broken.read_text().replace("49.001", "49.00"))
    assert "'xx-YY' is not known" in pushcart("shop", "check", str(broken)).out


def test_a_file_that_is_not_there_is_exit_2():
    assert pushcart("shop", "check", "/nowhere/shop.yml").code == 2


# The command itself


def test_the_command_imports_no_providers_sdk():
    code = "import sys, cli.root, cli.machine; print(*{'stripe', 'sendgrid', 'sqlalchemy', 'flask'} & set(sys.modules))"
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}/shared:{ROOT}/deploy"}
    done = subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_make_install_links_it_and_it_runs_from_any_folder(tmp_path):
    """A folder `cli` where one stands must not be taken for the command's own."""
    subprocess.run(
        ["make", "-s", "install", f"PREFIX={tmp_path}"], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text("print('the wrong one')")
    (tmp_path / "short").symlink_to("bin/pushcart")
    environment = {name: value for name, value in os.environ.items() if name not in {*OURS, "PYTHONPATH"}}
    for command in ("bin/pushcart", "short"):
        done = subprocess.run(
            [tmp_path / command, "shop", "check", "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(done.stdout)["mistakes"] == [], Done(done.returncode, done.stdout, done.stderr)
    assert Path(os.readlink(tmp_path / "bin" / "pushcart")) == ROOT / "deploy" / "pushcart"


def test_help_tells_the_exit_codes_and_needs_no_shop():
    done = pushcart("--help")
    assert done.code == 0
    assert "3  the gateway or the function could not be reached" in done.out
