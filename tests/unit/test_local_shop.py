"""What make run takes from the owner's folder, what it refuses at once, and what two runs do not do to each other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from local.shop import InUse, LocalShop
from local.watch import Timelines
from pushcart.errors import ConfigurationError
from support.customers import PLANS, Customer, eventually
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


def test_a_store_that_is_no_database_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ConfigurationError, match="the store should be an address like mongodb://"):
        LocalShop(tmp_path / "state", store="mysql://localhost/shop")


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


def test_a_store_that_outlives_the_run_keeps_its_orders_and_only_new_ones_are_announced(tmp_path):
    store = f"sqlite:///{tmp_path}/kept.db"
    with LocalShop(tmp_path / "state", store=store, catch_up=False) as shop:
        Customer(shop).buy(PLANS)
        [earlier] = eventually(lambda: shop.orders(fulfilment_status="fulfilled"))
    with LocalShop(tmp_path / "state", store=store, catch_up=False) as shop:
        said = Console(record=True, quiet=True)
        timelines = Timelines(shop, said)
        timelines.skip_earlier()
        assert [order["id"] for order in shop.orders()] == [earlier["id"]]
        assert timelines.show() == []
        Customer(shop).buy(PLANS)
        [new] = eventually(timelines.show)
    assert new["id"] != earlier["id"]


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
