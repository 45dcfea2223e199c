"""The doctor's look at the owner's own machine, red for each thing that would be wrong after a deployment."""

from __future__ import annotations

import pytest

from cli import machine
from local.gateway.stack import read_stack
from pushcart.config import SECRETS
from support.command import ROOT

GOOD = {
    "internal-key": "k" * 40,
    "store-url": "sqlite:////var/lib/pushcart/shop.db",
    "stripe-webhook-secret": "whsec_abc",
    "stripe-api-key": "rk_test_abc",
    "sendgrid-api-key": "SG.abc.def",
    "smtp-password": "unused",
    "discourse-api-key": "d" * 20,
    "thinkific-api-key": "t" * 20,
    "platform-key": "p" * 20,
    "kit-api-secret": "unused",
    "kit-client-secret": "c" * 20,
    "kit-refresh-token": "r" * 20,
    "autopay-key": "a" * 40,
    "printful-api-key": "p" * 40,
    "printful-webhook-secret": "w" * 32,
    "alert-urls": "unused",
    "metrics-token": "unused",
    "shop": "unused",
}


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    assert GOOD.keys() == SECRETS.keys()
    for name, text in GOOD.items():
        (folder / name).write_text(text)
    return folder


def examine(folder, *, local=False, **variables):
    stack = read_stack(
        ROOT / "stack.yml", variables={"KIT_CLIENT_ID": "app-1", "AUTOPAY_SERVICE_ID": "123456", **variables}
    )
    return machine.examine(stack, local=local, folder=folder)


def wrong(folder, **how):
    return {check.name: (check.status, check.text) for check in examine(folder, **how) if check.status != "pass"}


def test_a_machine_with_everything_in_place_is_all_green(secrets):
    assert [(check.name, check.status) for check in examine(secrets)] == [
        ("shop.yml", "pass"),
        ("secrets", "pass"),
        ("stripe mode", "pass"),
    ]


def test_every_missing_file_is_named_at_once_even_of_what_is_not_used(secrets):
    (secrets / "discourse-api-key").unlink()
    (secrets / "smtp-password").unlink()
    found = wrong(secrets)
    assert found["secrets"][0] == "fail"
    assert "smtp-password, discourse-api-key" in found["secrets"][1]
    assert "this shop needs it" in found["secret discourse-api-key"][1]
    assert "secret smtp-password" not in found


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("stripe-api-key", "pk_test_abc", "should be sk_... or rk_"),
        ("stripe-webhook-secret", "we_123", "should be whsec_"),
        ("internal-key", "short", "should be at least 32 characters"),
        ("discourse-api-key", "unused", "this shop needs it"),
        ("kit-refresh-token", "", "this shop needs it"),
        ("sendgrid-api-key", "unused", "this shop needs it"),
        ("shop", "shop: {}", "the secret shop line 1"),
    ],
)
def test_a_secret_that_cannot_be_right_is_named_with_what_it_should_be(secrets, name, text, complaint):
    (secrets / name).write_text(text)
    status, told = wrong(secrets)[f"secret {name}"]
    assert status == "fail"
    assert complaint in told


def test_a_file_that_is_no_secret_of_ours_is_pointed_out(secrets):
    (secrets / "stripe-api-kei").write_text("x")
    assert wrong(secrets)["secret stripe-api-kei"][0] == "warn"


@pytest.mark.parametrize(("mode", "key"), [("live", "rk_test_abc"), ("test", "sk_live_abc")])
def test_a_key_of_the_other_mode_than_stripe_mode_is_red(secrets, mode, key):
    (secrets / "stripe-api-key").write_text(key)
    status, told = wrong(secrets, STRIPE_MODE=mode)["stripe mode"]
    assert status == "fail"
    assert f"STRIPE_MODE is {mode}" in told
    assert "stripe mode" not in wrong(secrets, STRIPE_MODE={"live": "test", "test": "live"}[mode])


def test_with_smtp_its_settings_are_needed_and_sendgrids_are_not(secrets):
    (secrets / "sendgrid-api-key").write_text("unused")
    found = wrong(secrets, MAIL_TRANSPORT="smtp", SMTP_USERNAME="me")
    assert set(found) == {"smtp_host", "secret smtp-password"}


def test_kits_client_id_is_needed_by_its_oauth_app(secrets):
    assert set(wrong(secrets, KIT_CLIENT_ID="")) == {"kit_client_id"}


def test_a_way_to_pay_that_the_shop_offers_needs_its_key_and_its_number(secrets):
    (secrets / "autopay-key").write_text("unused")
    assert set(wrong(secrets, AUTOPAY_SERVICE_ID="")) == {"autopay_service_id", "secret autopay-key"}


def test_for_make_run_only_what_is_there_has_to_be_right(secrets, tmp_path):
    for path in secrets.iterdir():
        path.unlink()
    assert wrong(secrets, local=True) == {}
    (secrets / "discourse-api-key").write_text("short")
    assert set(wrong(secrets, local=True)) == {"secret discourse-api-key"}
    assert wrong(tmp_path / "none", local=True)["secrets"][0] == "skip"
