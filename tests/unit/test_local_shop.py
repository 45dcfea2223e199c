"""What make run takes from the owner's folder, what it refuses at once, and what two runs do not do to each other."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from local.shop import InUse, LocalShop
from pushcart.errors import ConfigurationError
from support.shop import SHOP

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()

    def write(**secrets):
        for name, text in secrets.items():
            (folder / name.replace("_", "-")).write_text(text)
        return folder

    return write


def test_a_provider_whose_key_is_there_is_the_real_one_and_the_others_are_played(tmp_path, own):
    secrets = own(discourse_api_key="d" * 20, sendgrid_api_key="unused", kit_api_secret="")
    assert LocalShop(tmp_path / "state", own_secrets=secrets).real == {"Discourse"}


def test_everything_that_cannot_be_right_in_the_owners_secrets_is_named_at_once(tmp_path, own):
    secrets = own(
        stripe_api_key="pk_test_abcdef", internal_key="short", discourse_api_kei="typo", store_url="mysql://x"
    )
    with pytest.raises(ConfigurationError) as error:
        LocalShop(tmp_path / "state", own_secrets=secrets)
    for name in ("stripe-api-key", "internal-key", "discourse-api-kei", "store-url", "stripe-webhook-secret"):
        assert any(f".secrets/{name}" in problem for problem in error.value.problems), name


def test_a_live_key_is_refused_so_that_nobody_is_charged(tmp_path, own):
    secrets = own(stripe_api_key="sk_live_abcdef", stripe_webhook_secret="whsec_abc")
    with pytest.raises(ConfigurationError, match="is a live key"):
        LocalShop(tmp_path / "state", own_secrets=secrets)


def test_a_second_run_in_the_same_folder_is_refused_and_leaves_the_first_alone(tmp_path):
    with LocalShop(tmp_path / "state", catch_up=False) as first:
        first.ask("/orders", method="GET")
        before = {path: path.read_bytes() for path in (first.state_dir / "secrets-all").iterdir()}
        with pytest.raises(InUse, match="another make run is using"):
            LocalShop(tmp_path / "state", catch_up=False).start()
        assert {path: path.read_bytes() for path in before} == before
        assert (first.state_dir / "shop.db").exists()
        assert first.orders() == []
    with LocalShop(tmp_path / "state", catch_up=False) as again:
        assert again.orders() == []


def test_a_product_with_a_price_alone_can_be_bought_in_the_sandbox(tmp_path):
    shop_file = tmp_path / "shop.yml"
    shop_file.write_text(SHOP.replace(", payment_link: plink_course", ""))
    (tmp_path / "mails").mkdir()
    for mail in (ROOT / "deploy" / "shop" / "mails").iterdir():
        (tmp_path / "mails" / mail.name).write_bytes(mail.read_bytes())
    for name in ("access", "later", "sorry"):
        for kind in ("html", "txt"):
            (tmp_path / "mails" / f"{name}.{kind}").write_text("Subject: x\n\nx")
    with LocalShop(tmp_path / "state", shop_file=shop_file, catch_up=False) as shop:
        assert set(shop.links) == {"course", "book"}


def test_a_mail_template_with_a_mistake_is_named_before_anything_starts(tmp_path):
    shop_file = tmp_path / "shop.yml"
    shop_file.write_text((ROOT / "deploy" / "shop" / "shop.yml").read_text())
    (tmp_path / "mails").mkdir()
    for mail in (ROOT / "deploy" / "shop" / "mails").iterdir():
        (tmp_path / "mails" / mail.name).write_bytes(mail.read_bytes())
    (tmp_path / "mails" / "receipt.txt").write_text("Subject: x\n\n{{ nope.")
    with pytest.raises(ConfigurationError, match=r"receipt\.txt"):
        LocalShop(tmp_path / "state", shop_file=shop_file)


def test_a_function_can_be_found_and_killed_by_its_name(tmp_path):
    with LocalShop(tmp_path / "state", catch_up=False) as shop:
        shop.orders()
        found = subprocess.run(["pgrep", "-f", "build/order-store"], capture_output=True, text=True, check=False)
        assert str(shop.gateway.pid("order-store")) in found.stdout.split()


def ask(shop, call, body=""):
    """`make ask` as a person types it, against a shop of the test's own."""
    port = shop.gateway.url.rpartition(":")[2]
    environ = {**os.environ, "PYTHONPATH": "shared:deploy"}
    command = ["make", "-s", "ask", f"PORT={port}", f"CALL={call}", f"BODY={body}"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A shop whose state is where `make ask` looks for it."""
    with LocalShop(tmp_path_factory.mktemp("state"), catch_up=False) as shop:
        yield shop


def test_an_ampersand_between_two_filters_and_an_apostrophe_in_a_note_arrive(running, monkeypatch):
    environ = {"OPENFAAS_URL": running.gateway.url, "ASK_KEY_FILE": str(running.state_dir / "secrets-all/internal-key")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = ask(running, "GET /orders?limit=1&sku=wheel-basics")
    assert json.loads(done.stdout) == {"items": [], "cursor": None}, done.stderr
    done = ask(running, "POST /orders/o-none/handled", """{"note": "Don't worry"}""")
    assert "There is no order o-none" in done.stderr


@pytest.mark.parametrize("call", ["", "orders", "GET orders", "PUT /orders"])
def test_a_call_that_is_none_says_how_to_write_one(running, call):
    done = ask(running, call)
    assert done.returncode != 0
    assert 'Write CALL="GET /orders' in done.stderr
