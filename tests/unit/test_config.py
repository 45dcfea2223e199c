"""Configuration is checked as a whole, and a function sees only what it declares."""

from __future__ import annotations

import pytest

from pushcart.config import SECRETS, UNUSED, VARIABLES, Config, Reads
from pushcart.errors import ConfigurationError

READS = Reads(variables=("gateway_url", "drive_workers"), needs=("internal-key",), may_need=("sendgrid-api-key",))


def config(tmp_path, environ=None, **secrets):
    for name, text in secrets.items():
        (tmp_path / name.replace("_", "-")).write_text(text)
    return Config(READS, {"function_name": "order-store", "secret_mount_path": str(tmp_path), **(environ or {})})


def test_every_problem_is_reported_at_once_with_its_name(tmp_path):
    given = config(tmp_path, {"gateway_url": "gateway", "drive_workers": "0"}, internal_key="short")
    with pytest.raises(ConfigurationError) as error:
        given.check(also_needs=["sendgrid-api-key"])
    text = error.value.message
    for name in ("gateway_url", "drive_workers", "internal-key", "sendgrid-api-key"):
        assert name in text


def test_a_problem_never_repeats_the_secret_itself(tmp_path):
    given = config(tmp_path, internal_key="tooshortbutsecret")
    with pytest.raises(ConfigurationError) as error:
        given.check()
    assert "tooshortbutsecret" not in error.value.message


def test_a_secret_is_read_at_each_use_so_that_a_rotation_is_live(tmp_path):
    given = config(tmp_path, internal_key="a" * 32)
    assert given.secret("internal-key") == "a" * 32
    (tmp_path / "internal-key").write_text("b" * 32 + "\n" + "a" * 32 + "\n")
    assert given.secret("internal-key") == "b" * 32
    assert given.secret_lines("internal-key") == ["b" * 32, "a" * 32]


@pytest.mark.parametrize("text", ["", "  \n ", UNUSED])
def test_an_empty_secret_is_a_configuration_error_never_a_key(tmp_path, text):
    given = config(tmp_path, internal_key=text)
    with pytest.raises(ConfigurationError, match="internal-key is missing or empty"):
        given.secret("internal-key")


def test_what_a_function_does_not_declare_it_does_not_get(tmp_path):
    given = config(tmp_path, internal_key="a" * 32)
    with pytest.raises(KeyError):
        given["stripe_url"]
    with pytest.raises(KeyError):
        given.secret("stripe-api-key")


def test_names_follow_openfaas_habits():
    assert all(name == name.lower() and "-" not in name for name in VARIABLES)
    assert all(name == name.lower() and "_" not in name for name in SECRETS)


def test_every_default_passes_its_own_check():
    wrong = Config(Reads(variables=tuple(VARIABLES)), {"function_name": "order-store"})
    wrong.check()
