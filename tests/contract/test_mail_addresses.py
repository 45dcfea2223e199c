"""Mail addresses: what counts as one, and how they are kept out of a provider's words."""

from __future__ import annotations

import pytest

from pushcart.mail.message import is_address, without_addresses


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("ada@example.org", True),
        ("o'hara@example.org", True),
        ("a@b", True),
        ("a@x.example, b@y.example", False),
        ("a@x.example\nBcc: b@y.example", False),
        ("Ada <a@x.example>", False),
        ("a@b@c", False),
        ("", False),
    ],
)
def test_an_address_is_one_address_and_nothing_more(text, one):
    assert is_address(text) is one


def test_addresses_are_taken_out_of_what_a_provider_says():
    assert without_addresses("550 <ada@example.org>:\n no; b@c.d.") == "550 <(address)>: no; (address)"
